"""The tables of the demo's screen: orders, positions, results, fills.

Each is lines of exactly the width asked for, the bar with its titles first.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from execution.cli.demo.bars import bar
from execution.cli.demo.format import (
    SHORT,
    clock_time,
    money_digits,
    quote_currency,
    rounded,
    signed,
)
from execution.cli.demo.grid import Column, Piece, head, row, widened
from execution.cli.demo.grid import Line as GridLine
from execution.cli.demo.plain import price_digits, realized
from execution.cli.demo.run import Scene
from execution.cli.demo.state import Line
from execution.embedded.market.feed import BookFeed
from execution.model import Direction, OrderStatus
from execution.v1 import execution_pb2 as pb

PAGE_SECONDS: Final = 4
"""How long one page of positions is shown."""
ROOMY_NOTE: Final = 20
"""From this width on a reason is written out."""

_COLUMNS_MIN: Final = 5
_OUTCOMES: Final = {
    "FILLED": "green",
    "PARTIAL": "yellow",
    "REJECTED": "red",
    "ERROR": "magenta",
    "SAME": "cyan",
    "DIFFERENT": "bold red",
}


def orders(scene: Scene, width: int, height: int) -> list[GridLine]:
    """The newest orders, newest first."""
    columns = widened(
        (
            Column("ORDERS", 8),
            Column("user", 5),
            Column("side", 4),
            Column("quantity", 10, right=True),
            Column("symbol", 9),
            Column("status", 8),
            Column("avg price", 11, right=True),
            Column("bps", 5, right=True),
            Column("lv", 2, right=True),
            Column("reason", 0),
        ),
        width,
    )
    newest = list(reversed(scene.session.lines))[: max(height - 1, 0)]
    roomy = columns[-1].width >= ROOMY_NOTE
    return [
        head(columns),
        *(row(columns, _order_cells(line, scene.feeds, roomy=roomy)) for line in newest),
    ]


def positions(scene: Scene, width: int, height: int, now: float) -> list[GridLine]:
    """Who holds what, and what it has earned; page by page where there are too many."""
    held = sorted(scene.session.positions.items())
    rows = max(height - 1, 1)
    pages = max(-(-len(held) // rows), 1)
    page = int((now - scene.session.begun) / PAGE_SECONDS) % pages
    title = "POSITION" if pages == 1 else f"POS {page + 1}/{pages}"
    columns = [
        Column(title, 8),
        Column("symbol", 9),
        Column("quantity", 9, right=True),
        Column("entry", 10, right=True),
        Column("PnL", 9, right=True),
        Column("open PnL", 10, right=True),
        Column("realized + open", 15, right=True),
    ]
    while sum(column.width + 1 for column in columns) > width + 1 and len(columns) > _COLUMNS_MIN:
        del columns[-1]
    columns = widened([*columns, Column("", 0)], width)
    feeds = {feed.spec.symbol: feed for feed in scene.feeds}
    lines = [head(columns)]
    for (user, _), position in held[page * rows : (page + 1) * rows]:
        cells = _position_cells(user, position, feeds)
        lines.append(row(columns, [*cells[: len(columns) - 1], ""]))
    return lines


def results(scene: Scene, width: int) -> list[GridLine]:
    """What became of the orders so far."""
    session = scene.session
    statuses, errors = session.statuses, session.errors.total()
    columns = widened((Column("RESULTS", 15), Column("", 0, right=True)), width)
    rows: list[tuple[str, Piece]] = [
        ("filled", (str(statuses[OrderStatus.FILLED]), "green")),
        ("partial", (str(statuses[OrderStatus.PARTIAL]), "yellow")),
        ("rejected", (str(statuses[OrderStatus.REJECTED]), "red")),
        ("retries, errors", (f"{session.retries}, {errors}", "cyan")),
    ]
    for currency, amount in sorted(realized(session).items(), reverse=True):
        text = signed(amount, money_digits(currency))
        rows.append((f"PnL {currency}", (text, _sign_style(amount))))
    return [head(columns), *(row(columns, cells) for cells in rows)]


def fills(report: pb.ExecutionReport | None, width: int, height: int) -> list[GridLine]:
    """What an order took, level by level."""
    title = "" if report is None else f"{Direction(report.direction).name} {report.symbol}"
    columns = widened(
        (Column("FILLS", 11, right=True), Column("quantity", 10, right=True), Column(title, 0)),
        width,
    )
    lines = [head(columns)]
    if report is None:
        return lines
    style = "green" if Direction(report.direction) is Direction.BUY else "red"
    most = max(Decimal(fill.quantity) for fill in report.fills)
    rows = height - 1
    fitting = rows if len(report.fills) <= rows else rows - 1
    for fill in report.fills[: max(fitting, 0)]:
        marks = bar(float(Decimal(fill.quantity) / most), columns[-1].width)
        lines.append(row(columns, (fill.price, fill.quantity, (marks, style))))
    if fitting < len(report.fills):
        lines.append(row(columns, ("", "", (f"{len(report.fills) - fitting} more levels", "dim"))))
    return lines


def _order_cells(line: Line, feeds: tuple[BookFeed, ...], *, roomy: bool) -> list[Piece | str]:
    buys = line.direction is Direction.BUY
    note = SHORT.get(line.note, line.note.lower())
    if roomy:
        note = line.message or line.note.lower()
    return [
        (clock_time(line.time_ns), "dim"),
        line.user_id,
        (line.direction.name, "green" if buys else "red"),
        line.quantity,
        line.symbol,
        (line.outcome, _OUTCOMES.get(line.outcome, "")),
        rounded(line.average_price, price_digits(line.symbol, feeds)),
        "" if line.slippage_bps is None else signed(line.slippage_bps, 1).removeprefix("+"),
        str(line.levels or ""),
        (note, "dim"),
    ]


def _position_cells(
    user: str, position: pb.Position, feeds: Mapping[str, BookFeed]
) -> list[Piece | str]:
    symbol = position.symbol
    feed = feeds[symbol]
    digits = money_digits(quote_currency(symbol))
    quantity, pnl = Decimal(position.quantity), Decimal(position.realized_pnl)
    unrealized = _open_pnl(feed, quantity, position.entry_price)
    return [
        user,
        symbol,
        (position.quantity, _sign_style(quantity)),
        rounded(position.entry_price, feed.spec.price_decimals),
        *(
            (signed(amount, digits), _sign_style(amount))
            for amount in (pnl, unrealized, pnl + unrealized)
        ),
    ]


def _open_pnl(feed: BookFeed, quantity: Decimal, entry_price: str) -> Decimal:
    """What closing at the middle of the book would earn."""
    book = feed.book
    if not quantity or not entry_price or not book.bid_prices or not book.ask_prices:
        return Decimal(0)
    middle = Decimal(book.bid_prices[0] + book.ask_prices[0]).scaleb(-feed.spec.price_decimals) / 2
    return (middle - Decimal(entry_price)) * quantity


def _sign_style(value: Decimal) -> str:
    return "green" if value > 0 else "red" if value < 0 else "dim"
