"""One frame of the demo on a terminal: from 80x24 up, using what there is.

Pure: a scene, a size and a moment in, lines of exactly that size out.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from math import isqrt
from typing import Final

from execution.cli.demo.bars import bar, profile, sparkline
from execution.cli.demo.format import duration, fixed, latency
from execution.cli.demo.grid import Column, Frame, Line, beside, block, head, row, widened
from execution.cli.demo.latency import PERCENTILES
from execution.cli.demo.plain import top_of_book
from execution.cli.demo.run import Scene
from execution.cli.demo.stop_table import stops
from execution.cli.demo.tables import fills, orders, positions, results
from execution.embedded.market.feed import BookFeed, MarketBook

WIDTH_MIN: Final = 80
HEIGHT_MIN: Final = 16
"""On a smaller screen lines are easier to read than tables."""

WIDE: Final = 112
"""From here on there is a second column."""

_STOP_LINES_MIN: Final = 5
_STOPS_FROM_LINES: Final = 9
"""Where orders and stops have fewer together, orders have all of them."""

_HEAD_LINES: Final = 2
_SIDE: Final = 38
_RESULTS: Final = 29
_RESULT_LINES: Final = 8
_LATENCY_LINES: Final = 10
_HISTOGRAM_MS: Final = (0.5, 1, 2, 4, 8, 16, 32)
_REMEMBERED: Final = 120
"""Half a minute of frames."""


@dataclass(slots=True)
class Look:
    """How the screen is, and what it remembers from frame to frame."""

    width: int
    height: int
    ascii_only: bool = False
    mids: dict[str, deque[int]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_REMEMBERED))
    )
    """Bid plus ask of the last frames, by symbol."""
    warning: str = ""
    """The newest log line worth a look."""

    def remember(self, feeds: tuple[BookFeed, ...]) -> None:
        """Takes the prices of this moment."""
        for feed in feeds:
            book = feed.book
            if book.bid_prices and book.ask_prices:
                self.mids[feed.spec.symbol].append(book.bid_prices[0] + book.ask_prices[0])


def frame(scene: Scene, look: Look, now: float) -> Frame:
    """The whole screen."""
    width, height = look.width, look.height - _HEAD_LINES
    if width < WIDE:
        body = _one_column(scene, look, now, width, height)
    else:
        left = width - _SIDE - 2
        main = _main_column(scene, look, now, left, height)
        body = beside(main, _side_column(scene, height), gap=2)
    return Frame([_title(scene, look, now), _addresses(scene, look), *body], look.ascii_only)


def _one_column(scene: Scene, look: Look, now: float, width: int, height: int) -> list[Line]:
    """Books, orders, stops, and below them positions beside results."""
    below = max(height // 4, 6)
    left = width - _RESULTS - 1
    foot = beside(
        block(positions(scene, left, below, now), left, below),
        block(results(scene, _RESULTS), _RESULTS, below),
    )
    return _stacked(scene, look, width, height - below) + foot


def _main_column(scene: Scene, look: Look, now: float, width: int, height: int) -> list[Line]:
    """The left of a wide screen: books, orders, stops, positions."""
    below = max(height // 4, 6)
    foot = block(positions(scene, width, below, now), width, below)
    return _stacked(scene, look, width, height - below) + foot


def _side_column(scene: Scene, height: int) -> list[Line]:
    """The right of a wide screen: results, latencies, what the newest big order took."""
    lines = block(results(scene, _SIDE), _SIDE, _RESULT_LINES)
    lines += block(_latencies(scene, _SIDE), _SIDE, _LATENCY_LINES)
    rest = max(height - len(lines), 0)
    return block(lines + fills(scene.session.deepest, _SIDE, rest), _SIDE, height)


def _stacked(scene: Scene, look: Look, width: int, height: int) -> list[Line]:
    books = _books(scene, look, width)
    rest = max(height - len(books), 0)
    below = 0 if rest < _STOPS_FROM_LINES else max(rest // 3, _STOP_LINES_MIN)
    body = books + block(orders(scene, width, rest - below), width, rest - below)
    return block(body + stops(scene, width, below), width, height)


def _title(scene: Scene, look: Look, now: float) -> Line:
    session = scene.session
    until = "" if scene.seconds is None else f"/{duration(scene.seconds)}"
    per_second = session.latencies.rate(now, session.begun)
    recent = session.latencies.recent_ms()
    percentiles = " ".join(
        f"p{percent} {latency(ms)}" for percent, ms in zip(PERCENTILES, recent, strict=False)
    )
    left = f" execution-service demo {duration(now - session.begun)}{until}"
    right = f"{per_second:.1f} orders/s  {percentiles} ms " if recent else ""
    if len(left) + len(right) >= look.width:
        right = f"{per_second:.0f}/s  {percentiles} "
    text = left + right.rjust(look.width - len(left))
    return [(Column("", look.width).fitted(text), "bold reverse")]


def _addresses(scene: Scene, look: Look) -> Line:
    ready, style = scene.ready, "dim"
    redis = ready.redis.removeprefix("redis://").removesuffix("/0")
    text = f" grpc {ready.grpc}   metrics {ready.metrics}   redis {redis}"
    if look.warning:
        text, style = f" {look.warning}", "yellow"
    return [(Column("", look.width).fitted(text), style)]


def _books(scene: Scene, look: Look, width: int) -> list[Line]:
    """Every symbol: best prices, spread, the shape of the book, where it has been."""
    roomy = width >= 90
    levels = 12 if roomy else 10
    columns = widened(
        (
            Column("BOOKS", 9),
            Column("bid", 10, right=True),
            Column("ask", 10, right=True),
            Column("spread", 6, right=True),
            Column("bids  depth  asks".center(2 * levels + 1), 2 * levels + 1),
            Column("trades", 6, right=True),
            Column("mid, last 30 s" if roomy else "mid", 0),
        ),
        width,
    )
    lines = [head(columns)]
    for feed in scene.feeds:
        symbol = feed.spec.symbol
        bid, ask = top_of_book(feed)
        mids = look.mids[symbol]
        trend = (mids[-1] > mids[0]) - (mids[-1] < mids[0]) if mids else 0
        cells = (
            (symbol, "bold"),
            (bid, "green"),
            (ask, "red"),
            _spread_bps(feed.book),
            _depth(feed.book, levels),
            str(scene.session.traded[symbol] or ""),
            (sparkline(mids, columns[-1].width), {1: "green", -1: "red"}.get(trend, "")),
        )
        lines.append(row(columns, cells))
    return lines


def _depth(book: MarketBook, levels: int) -> Line:
    """The shape of the book: bids to the left of the middle, asks to the right."""
    # By the root: beside a wall the other levels would be nothing.
    bids = [isqrt(max(quantity, 0)) for quantity in book.bid_quantities[:levels]]
    asks = [isqrt(max(quantity, 0)) for quantity in book.ask_quantities[:levels]]
    highest = max((*bids, *asks, 1))
    return [
        (profile(bids[::-1], highest).rjust(levels), "green"),
        ("│", "dim"),
        (profile(asks, highest).ljust(levels), "red"),
    ]


def _spread_bps(book: MarketBook) -> str:
    if not book.bid_prices or not book.ask_prices:
        return ""
    bid, ask = book.bid_prices[0], book.ask_prices[0]
    return fixed((ask - bid) * 2 * 10_000 * 100 // (ask + bid), 2)


def _latencies(scene: Scene, width: int) -> list[Line]:
    """How the newest answers spread over time."""
    columns = widened(
        (Column("LATENCY", 7, right=True), Column("", 5, right=True), Column("newest answers", 0)),
        width,
    )
    counts = scene.session.latencies.recent_histogram(_HISTOGRAM_MS)
    names = [f"<{bound:g} ms" for bound in _HISTOGRAM_MS] + [f">{_HISTOGRAM_MS[-1]:g} ms"]
    most = max(*counts, 1)
    return [
        head(columns),
        *(
            row(columns, (name, str(count or ""), (bar(count / most, columns[-1].width), "blue")))
            for name, count in zip(names, counts, strict=True)
        ),
    ]
