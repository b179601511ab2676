"""The demo's stops: which rest, and what became of the others, by what was told of them."""

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from execution.embedded.market.feed import BookFeed
from execution.model import Direction, OrderStatus
from execution.v1 import execution_pb2 as pb

RESTING: Final = frozenset({OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED})
ENDED_MAX: Final = 50

_BPS: Final = 10_000


class Told(NamedTuple):
    """The newest that was told of a stop; the proof compares it with Redis."""

    version: int
    status: OrderStatus
    filled_quantity: str
    average_price: str
    trade_id: str


class Stop(NamedTuple):
    """A stop as the screen shows it, and when it became so."""

    report: pb.ExecutionReport
    time_ns: int


@dataclass(slots=True)
class Stops:
    """Every stop that was heard of, from answers and from WatchOrders."""

    told: dict[str, Told] = field(default_factory=dict)
    """By order id; kept whole, for the proof."""
    resting: dict[str, Stop] = field(default_factory=dict)
    ended: deque[Stop] = field(default_factory=lambda: deque(maxlen=ENDED_MAX))
    """The newest last."""
    statuses: Counter[OrderStatus] = field(default_factory=Counter)
    """Of those that ended."""
    triggered: int = 0
    """Those that ended after they had triggered."""
    modified: int = 0
    too_late: int = 0
    """What arrived after the end of a stop: cancels, modifies, a stop that was to expire."""

    def heard(self, report: pb.ExecutionReport, time_ns: int) -> bool:
        """Takes a report; False if a newer one, or this one, was there before."""
        known = self.told.get(report.order_id)
        if known is not None and known.version >= report.version:
            return False
        status = OrderStatus(report.status)
        self.told[report.order_id] = Told(
            report.version,
            status,
            report.filled_quantity,
            report.average_price,
            report.trade_id,
        )
        if status in RESTING:
            self.resting[report.order_id] = Stop(report, time_ns)
        else:
            self.resting.pop(report.order_id, None)
            self.ended.append(Stop(report, time_ns))
            self.statuses[status] += 1
            self.triggered += bool(report.triggered_by_price)
        return True

    def counted(self) -> list[str]:
        """How many are where, in words."""
        statuses = self.statuses
        words = [
            f"{len(self.resting)} rest",
            f"{self.triggered} triggered",
            f"{statuses[OrderStatus.CANCELED]} canceled",
            f"{statuses[OrderStatus.EXPIRED]} expired",
        ]
        refused = statuses[OrderStatus.REJECTED]
        return [*words, f"{refused} rejected"] if refused else words


def market_price(report: pb.ExecutionReport, feed: BookFeed) -> Decimal | None:
    """What the stop looks at now: a BUY at the best ask, a SELL at the best bid."""
    buys = Direction(report.direction) is Direction.BUY
    prices = feed.book.ask_prices if buys else feed.book.bid_prices
    return Decimal(prices[0]).scaleb(-feed.spec.price_decimals) if prices else None


def distance_bps(report: pb.ExecutionReport, market: Decimal) -> Decimal:
    """How far the market is from the trigger, in basis points of it; below 0: beyond."""
    trigger = Decimal(report.trigger_price)
    buys = Direction(report.direction) is Direction.BUY
    return (trigger - market if buys else market - trigger) / trigger * _BPS


def trigger_slippage_bps(report: pb.ExecutionReport) -> Decimal | None:
    """How much worse than the trigger price, in basis points; None if nothing filled."""
    if not report.average_price or not report.trigger_price:
        return None
    trigger = Decimal(report.trigger_price)
    worse = Decimal(report.average_price) - trigger
    buys = Direction(report.direction) is Direction.BUY
    return (worse if buys else -worse) / trigger * _BPS


def nearest(stops: Stops, feeds: tuple[BookFeed, ...]) -> list[tuple[Decimal, Stop]]:
    """The resting stops and their distance in basis points, the next to trigger first."""
    by_symbol = {feed.spec.symbol: feed for feed in feeds}
    found = []
    for stop in stops.resting.values():
        feed = by_symbol.get(stop.report.symbol)
        market = market_price(stop.report, feed) if feed else None
        if market is not None and stop.report.trigger_price:
            found.append((distance_bps(stop.report, market), stop))
    return sorted(found, key=lambda pair: pair[0])
