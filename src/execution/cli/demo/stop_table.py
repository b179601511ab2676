"""The demo's table of stops: the next to trigger, and what became of the newest ended."""

from decimal import Decimal
from typing import Final

from execution.cli.demo.format import SHORT, clock_time, rounded, signed
from execution.cli.demo.grid import Column, Line, Piece, head, row, widened
from execution.cli.demo.plain import price_digits
from execution.cli.demo.run import Scene
from execution.cli.demo.stops import Stop, market_price, nearest, trigger_slippage_bps
from execution.embedded.market.feed import BookFeed
from execution.model import Direction, OrderStatus, Reason

_STYLES: Final = {
    OrderStatus.UNTRIGGERED: "cyan",
    OrderStatus.TRIGGERED: "bold yellow",
    OrderStatus.FILLED: "green",
    OrderStatus.PARTIAL: "yellow",
    OrderStatus.REJECTED: "red",
    OrderStatus.CANCELED: "dim",
    OrderStatus.EXPIRED: "dim",
}
_COLUMNS: Final = (
    Column("", 8),
    Column("", 5),
    Column("", 4),
    Column("", 10, right=True),
    Column("", 9),
    Column("", 8),
    Column("trigger", 11, right=True),
    Column("market/avg", 11, right=True),
    Column("bps", 5, right=True),
    Column("", 0),
)
_NAMED: Final = 6
"""So many columns have the counts above them."""
_TIMED: Final = sum(column.width + 1 for column in _COLUMNS) - 1
"""From this width on there is room for the time."""


def stops(scene: Scene, width: int, height: int) -> list[Line]:
    """Half of the lines for those that rest, half for those that ended; none if none fits."""
    if height <= 0:
        return []
    begin = 0 if width >= _TIMED else 1
    columns = widened(_COLUMNS[begin:], width)
    rows = height - 1
    ended = list(reversed(scene.session.stops.ended))
    shown = nearest(scene.session.stops, scene.feeds)
    shown = shown[: max(rows - rows // 2, rows - len(ended))]
    feeds = {feed.spec.symbol: feed for feed in scene.feeds}
    cells = [_resting_cells(*pair, feeds[pair[1].report.symbol]) for pair in shown]
    cells += [_ended_cells(stop, scene) for stop in ended[: rows - len(cells)]]
    title = _title(scene, columns, _NAMED - begin)
    return [title, *(row(columns, found[begin:]) for found in cells)]


def _title(scene: Scene, columns: list[Column], named: int) -> Line:
    """How many rest and what became of the others, as many words as there is room for."""
    width = sum(column.width + 1 for column in columns[:named]) - 1
    text = "STOPS"
    for words in scene.session.stops.counted():
        if len(text) + 1 + len(words) > width:
            break
        text += f" {words}"
    return head([Column(text, width), *columns[named:]])


def _resting_cells(distance_bps: Decimal, stop: Stop, feed: BookFeed) -> list[Piece | str]:
    """How far the market is from the trigger."""
    report = stop.report
    market = market_price(report, feed)
    status = OrderStatus(report.status)
    word = "rests" if status is OrderStatus.UNTRIGGERED else status.name
    return [
        *_first_cells(stop),
        (word, _STYLES[status]),
        report.trigger_price,
        "" if market is None else f"{market:.{feed.spec.price_decimals}f}",
        signed(distance_bps, 1).removeprefix("+"),
        ("reduce only" if report.reduce_only else "", "dim"),
    ]


def _ended_cells(stop: Stop, scene: Scene) -> list[Piece | str]:
    """What became of it, and how much worse than its trigger."""
    report = stop.report
    status = OrderStatus(report.status)
    slippage = trigger_slippage_bps(report)
    reason = Reason(report.reason).name if report.reason else ""
    note = SHORT.get(reason, reason.lower())
    if report.triggered_by_price and not note:
        note = f"triggered {report.triggered_by_price}"
    return [
        *_first_cells(stop),
        (status.name, _STYLES[status]),
        report.trigger_price,
        rounded(report.average_price, price_digits(report.symbol, scene.feeds)),
        "" if slippage is None else signed(slippage, 1),
        (note, "dim"),
    ]


def _first_cells(stop: Stop) -> list[Piece | str]:
    report = stop.report
    direction = Direction(report.direction)
    return [
        (clock_time(stop.time_ns), "dim"),
        report.user_id,
        (direction.name, "green" if direction is Direction.BUY else "red"),
        report.quantity,
        report.symbol,
    ]
