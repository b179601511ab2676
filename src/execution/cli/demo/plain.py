"""The demo without a terminal: a line a second, and the summary. No control codes."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from execution.cli.demo.format import (
    duration,
    fixed,
    latency,
    money_digits,
    quote_currency,
    rounded,
    signed,
)
from execution.cli.demo.proof import Check
from execution.cli.demo.run import Scene
from execution.cli.demo.state import Line, Session
from execution.cli.demo.stops import Stop, trigger_slippage_bps
from execution.embedded.market.feed import BookFeed
from execution.model import Direction, OrderStatus, Reason

LINE_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0
"""How long starting may take before it is told again."""


class PlainScreen:
    """`run.Screen` for pipes, files and dumb terminals."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next_told = 0.0
        self._next_line = 0.0

    def starting(self, seconds: float) -> None:
        """Says so at once, and again every few seconds."""
        if seconds >= self._next_told:
            waited = f" ({seconds:.0f} s so far)" if self._next_told else ""
            self._write(f"starting Redis, symbol-service and execution-service{waited}")
            self._next_told += PATIENCE_SECONDS

    def started(self, scene: Scene) -> None:
        """Where everything is."""
        self._write(scene.ready.line())
        self._next_line = scene.session.begun + LINE_SECONDS

    def frame(self, scene: Scene, now: float) -> None:
        """One line, if a second has passed."""
        if now >= self._next_line:
            self._write(progress_line(scene, now))
            self._next_line = max(self._next_line + LINE_SECONDS, now)

    def summary(self, scene: Scene, now: float, checks: list[Check]) -> None:
        """The whole summary."""
        for line in summary_lines(scene, now, checks):
            self._write(line)

    def close(self) -> None:
        """There is nothing to leave."""


def progress_line(scene: Scene, now: float) -> str:
    """The state of the demo, and its newest order."""
    session, latencies = scene.session, scene.session.latencies
    recent = "/".join(latency(ms) for ms in latencies.recent_ms()) or "-"
    statuses = session.statuses
    parts = [
        duration(now - session.begun),
        f"{session.orders} orders {latencies.rate(now, session.begun):.1f}/s",
        f"filled {statuses[OrderStatus.FILLED]} partial {statuses[OrderStatus.PARTIAL]}"
        f" rejected {statuses[OrderStatus.REJECTED]} errors {session.errors.total()}",
        f"p50/p95/p99 {recent} ms",
    ]
    if session.lines:
        parts.append(order_words(session.lines[-1], scene.feeds))
    stops = session.stops
    if stops.told:
        parts.append(f"stops {', '.join(stops.counted())}")
    if stops.ended:
        parts.append(stop_words(stops.ended[-1], scene.feeds))
    return " | ".join(parts)


def order_words(line: Line, feeds: tuple[BookFeed, ...]) -> str:
    """One order as a sentence."""
    words = [line.user_id, line.direction.name, line.quantity, line.symbol, line.outcome]
    if line.average_price:
        words.append(f"at {rounded(line.average_price, price_digits(line.symbol, feeds))}")
    if line.note:
        words.append(line.note)
    return " ".join(words)


def stop_words(stop: Stop, feeds: tuple[BookFeed, ...]) -> str:
    """What became of a stop, as a sentence."""
    report = stop.report
    side, status = Direction(report.direction).name, OrderStatus(report.status).name
    words = [report.user_id, side, "stop", report.quantity, report.symbol]
    if report.triggered_by_price:
        words.append(f"TRIGGERED at {report.triggered_by_price}")
    words.append(status)
    if report.average_price:
        words.append(f"at {rounded(report.average_price, price_digits(report.symbol, feeds))}")
    slippage = trigger_slippage_bps(report)
    if slippage is not None:
        words.append(f"{signed(slippage, 1)} bps past its trigger")
    # The others only say again what the status says.
    if status == OrderStatus.REJECTED.name:
        words.append(Reason(report.reason).name)
    return " ".join(words)


def price_digits(symbol: str, feeds: tuple[BookFeed, ...]) -> int:
    """Digits that an average price of the symbol is shown with: one more than it has."""
    return next((feed.spec.price_decimals for feed in feeds if feed.spec.symbol == symbol), 1) + 1


def summary_lines(scene: Scene, now: float, checks: list[Check]) -> Iterator[str]:
    """What the demo did, and whether Redis agrees."""
    session = scene.session
    seconds = max(now - session.begun, 0.001)
    statuses = session.statuses
    yield ""
    yield (
        f"{session.orders} orders in {duration(seconds)}, {session.orders / seconds:.1f} a second:"
        f" {statuses[OrderStatus.FILLED]} filled, {statuses[OrderStatus.PARTIAL]} partial,"
        f" {statuses[OrderStatus.REJECTED]} rejected"
    )
    errors = ", ".join(f"{count} {name}" for name, count in sorted(session.errors.items()))
    named = f" ({errors})" if errors else ""
    yield f"{session.errors.total()} typed errors{named}, {session.retries} retries"
    stops = session.stops
    if stops.told:
        yield (
            f"{len(stops.told)} stops: {', '.join(stops.counted())};"
            f" {stops.modified} modified, {stops.too_late} too late"
        )
    if session.orders:
        p50, p95, p99 = session.latencies.overall_ms()
        yield (
            f"latency seen by the clients: p50 {latency(p50)} ms, p95 {latency(p95)} ms,"
            f" p99 {latency(p99)} ms"
        )
    amounts = [
        f"{signed(amount, money_digits(currency))} {currency}"
        for currency, amount in sorted(realized(session).items(), reverse=True)
    ]
    if amounts:
        yield f"realized PnL of all users: {', '.join(amounts)}"
    yield ""
    yield f"proof, read from {scene.ready.redis}"
    for check in checks:
        yield f"  {check.line()}"


def realized(session: Session) -> dict[str, Decimal]:
    """Realised PnL of all positions, by the currency they are paid in."""
    amounts: dict[str, Decimal] = {}
    for (_, symbol), position in session.positions.items():
        currency = quote_currency(symbol)
        amounts[currency] = amounts.get(currency, Decimal(0)) + Decimal(position.realized_pnl)
    return amounts


def top_of_book(feed: BookFeed) -> tuple[str, str]:
    """The best bid and ask, empty for an absent side."""
    book, decimals = feed.book, feed.spec.price_decimals
    bid = fixed(book.bid_prices[0], decimals) if book.bid_prices else ""
    ask = fixed(book.ask_prices[0], decimals) if book.ask_prices else ""
    return bid, ask
