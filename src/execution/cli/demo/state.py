"""What the demo has seen: plain data, fed by the traders, read by the screen and the proof."""

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from execution.cli.demo.flow import Wish
from execution.cli.demo.latency import Latencies
from execution.cli.demo.stops import Stops
from execution.errors import ExecutionError
from execution.model import Direction, OrderStatus, Reason
from execution.v1 import execution_pb2 as pb

LINES_MAX: Final = 200

_BPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One answered call, as the screen shows it."""

    time_ns: int
    user_id: str
    direction: Direction
    quantity: str
    symbol: str
    outcome: str
    """A status, ERROR, or SAME for a retry."""
    average_price: str = ""
    slippage_bps: Decimal | None = None
    levels: int = 0
    note: str = ""
    """The reason of a report, or the name of an error."""
    message: str = ""


class Outcome(NamedTuple):
    """What a client was told of one order; the proof compares it with Redis."""

    user_id: str
    symbol: str
    direction: Direction
    status: OrderStatus
    filled_quantity: str
    average_price: str
    realized_pnl: str
    trade_id: str


@dataclass(slots=True)
class Session:
    """Everything that happened since `begun` (monotonic seconds)."""

    begun: float
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By order id; kept whole, for the proof."""
    in_doubt: dict[str, str] = field(default_factory=dict)
    """Orders that were never answered, and their users."""
    statuses: Counter[OrderStatus] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Typed errors by name."""
    unexpected: list[str] = field(default_factory=list)
    """Errors, or missing ones, that no rule of the service explains."""
    retries: int = 0
    different: list[str] = field(default_factory=list)
    """Retries that were not answered as the first time."""
    positions: dict[tuple[str, str], pb.Position] = field(default_factory=dict)
    traded: Counter[str] = field(default_factory=Counter)
    """Executions by symbol."""
    deepest: pb.ExecutionReport | None = None
    """The newest order that took more than one level."""
    latencies: Latencies = field(default_factory=Latencies)
    stops: Stops = field(default_factory=Stops)

    def executed(self, report: pb.ExecutionReport, time_ns: int) -> None:
        """An order was answered with a report."""
        status, direction = OrderStatus(report.status), Direction(report.direction)
        self.statuses[status] += 1
        self.outcomes[report.order_id] = Outcome(
            report.user_id,
            report.symbol,
            direction,
            status,
            report.filled_quantity,
            report.average_price,
            report.realized_pnl,
            report.trade_id,
        )
        if report.fills:
            self.traded[report.symbol] += 1
        if len(report.fills) > 1:
            self.deepest = report
        self.lines.append(
            Line(
                time_ns,
                report.user_id,
                direction,
                report.quantity,
                report.symbol,
                status.name,
                report.average_price,
                slippage_bps(report),
                len(report.fills),
                Reason(report.reason).name if report.reason else "",
                report.message,
            )
        )

    def stop_told(self, report: pb.ExecutionReport, time_ns: int) -> bool:
        """A stop is as this report says; False if that, or something newer, was known."""
        news = self.stops.heard(report, time_ns)
        if news and report.fills:
            self.traded[report.symbol] += 1
        return news

    def failed(self, wish: Wish, error: ExecutionError, time_ns: int) -> None:
        """An order ended in a typed error."""
        self.errors[type(error).__name__] += 1
        self.lines.append(_line(wish, time_ns, "ERROR", type(error).__name__, error.message))

    def retried(self, wish: Wish, time_ns: int, *, same: bool) -> None:
        """An order was sent again; `same`: the first answer came back, byte for byte."""
        self.retries += 1
        if not same:
            self.different.append(f"{wish.user_id} {wish.quantity} {wish.symbol}")
        self.lines.append(_line(wish, time_ns, "SAME" if same else "DIFFERENT", "RETRY"))

    def hold(self, position: pb.Position) -> None:
        """A position was read; an older one that comes late is not news."""
        key = (position.user_id, position.symbol)
        known = self.positions.get(key)
        if known is None or known.version <= position.version:
            self.positions[key] = position

    def held(self) -> dict[tuple[str, str], Decimal]:
        """Signed quantity by (user, symbol)."""
        return {key: Decimal(position.quantity) for key, position in self.positions.items()}

    @property
    def orders(self) -> int:
        """Market orders answered with a report."""
        return self.statuses.total()

    @property
    def executions(self) -> int:
        """Market orders that filled anything."""
        return self.statuses[OrderStatus.FILLED] + self.statuses[OrderStatus.PARTIAL]


def slippage_bps(report: pb.ExecutionReport) -> Decimal | None:
    """How much worse than the best price shown, in basis points; None if nothing filled."""
    buys = Direction(report.direction) is Direction.BUY
    best = report.snapshot.best_ask if buys else report.snapshot.best_bid
    if not report.average_price or not best:
        return None
    worse = Decimal(report.average_price) - Decimal(best)
    return (worse if buys else -worse) / Decimal(best) * _BPS


def _line(wish: Wish, time_ns: int, outcome: str, note: str, message: str = "") -> Line:
    return Line(
        time_ns,
        wish.user_id,
        wish.direction,
        wish.quantity,
        wish.symbol,
        outcome,
        note=note,
        message=message,
    )
