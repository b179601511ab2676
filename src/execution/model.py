"""What the service talks about: orders, books, positions, reports.

Plain frozen data, without I/O, gRPC or Redis. Prices and quantities of a book
are int64 arrays scaled by the symbol's decimals. A report holds canonical
decimal text, because a report is a record: it is written once and then only
ever repeated, on the wire, in Redis and in the answer to a retry.

Enum numbers are those of `proto/execution/v1/execution.proto`; names are FIX's
(OrdStatus 39, CumQty 14, LeavesQty 151, AvgPx 6) in the words of the wire.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from execution.decimals import DEFAULT_DECIMALS

Int64Array: TypeAlias = npt.NDArray[np.int64]


class Direction(IntEnum):
    """The side of the order; BUY takes asks, SELL takes bids."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """Market, or stop-loss."""

    MARKET = 1
    SL = 2


class TimeInForce(IntEnum):
    """FIX TimeInForce (59)."""

    IOC = 1
    FOK = 2


class TriggerBy(IntEnum):
    """The price a stop's trigger is compared with."""

    BID_ASK = 1
    LAST = 2
    MARK = 3


class OrderStatus(IntEnum):
    """FIX OrdStatus (39) as far as this service has them."""

    RECEIVED = 1
    UNTRIGGERED = 2
    TRIGGERED = 3
    PARTIAL = 4
    FILLED = 5
    REJECTED = 6
    CANCELED = 7
    EXPIRED = 8

    @property
    def terminal(self) -> bool:
        """Whether the order can never change again."""
        return not TRANSITIONS[self]


_SEPARATOR: Final = "|"

_ENDS: Final = frozenset(
    {
        OrderStatus.PARTIAL,
        OrderStatus.FILLED,
        OrderStatus.REJECTED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
    }
)

TRANSITIONS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.RECEIVED: frozenset(
        {
            OrderStatus.UNTRIGGERED,
            # Crossed on arrival, and nothing to execute against.
            OrderStatus.TRIGGERED,
            OrderStatus.FILLED,
            OrderStatus.PARTIAL,
            OrderStatus.REJECTED,
        }
    ),
    # A modify leaves an order UNTRIGGERED and is a write of its own.
    OrderStatus.UNTRIGGERED: _ENDS | {OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED},
    OrderStatus.TRIGGERED: _ENDS - {OrderStatus.EXPIRED},
    **dict.fromkeys(_ENDS, frozenset()),
}
"""Every legal status change. Source: SEMANTICS, Lifecycle."""


class Reason(IntEnum):
    """What decided the status of a report; NONE where nothing needs saying."""

    NONE = 0
    INSUFFICIENT_LIQUIDITY = 1
    PRICE_PROTECTION = 2
    NO_LIQUIDITY = 3
    REDUCE_ONLY = 4
    REDUCE_ONLY_CAPPED = 5
    FOK_UNFILLABLE = 6
    BAD_BOOK = 7
    WOULD_IMMEDIATELY_TRIGGER = 8
    FILTER = 9
    USER_CANCELED = 10
    EXPIRED_UNTRIGGERED = 11
    UNKNOWN_SYMBOL = 12


@dataclass(frozen=True, slots=True)
class Order:
    """A well-formed order. Decimals are canonical text: no scale is known yet."""

    order_id: str
    user_id: str
    symbol: str
    direction: Direction
    quantity: str
    order_type: OrderType = OrderType.MARKET
    reduce_only: bool = False
    time_in_force: TimeInForce = TimeInForce.IOC
    limit_price: str | None = None
    max_slippage_bps: int | None = None
    trigger_price: str | None = None
    trigger_by: TriggerBy = TriggerBy.BID_ASK
    reject_if_triggered: bool = False
    expire_time_ns: int | None = None
    received_time_ns: int = 0
    """Wall clock, ns since the epoch."""

    def payload(self) -> str:
        """The request as one text, equal for equal requests.

        Two requests under one order id are the same if their payloads are:
        compared after defaults and decimal normalisation (SEMANTICS, Exactly
        once). No value can contain the separator.
        """
        parts: tuple[str | int | None, ...] = (
            self.order_type.name,
            self.user_id,
            self.symbol,
            self.direction.name,
            self.quantity,
            int(self.reduce_only),
            self.time_in_force.name,
            self.limit_price,
            self.max_slippage_bps,
            self.trigger_price,
            self.trigger_by.name,
            int(self.reject_if_triggered),
            self.expire_time_ns,
        )
        return _SEPARATOR.join("" if part is None else str(part) for part in parts)

    @classmethod
    def from_payload(cls, payload: str, order_id: str, received_time_ns: int) -> "Order":
        """The order whose `payload` this is. Raises `ValueError` or `KeyError`.

        >>> order = Order("o-1", "u1", "BTC-USDT", Direction.BUY, "2", max_slippage_bps=5)
        >>> Order.from_payload(order.payload(), "o-1", 0) == order
        True
        """
        (
            order_type, user_id, symbol, direction, quantity, reduce_only, time_in_force,
            limit_price, max_slippage_bps, trigger_price, trigger_by, reject_if_triggered,
            expire_time_ns,
        ) = payload.split(_SEPARATOR)  # fmt: skip
        return cls(
            order_id=order_id,
            user_id=user_id,
            symbol=symbol,
            direction=Direction[direction],
            quantity=quantity,
            order_type=OrderType[order_type],
            reduce_only=reduce_only == "1",
            time_in_force=TimeInForce[time_in_force],
            limit_price=limit_price or None,
            max_slippage_bps=int(max_slippage_bps) if max_slippage_bps else None,
            trigger_price=trigger_price or None,
            trigger_by=TriggerBy[trigger_by],
            reject_if_triggered=reject_if_triggered == "1",
            expire_time_ns=int(expire_time_ns) if expire_time_ns else None,
            received_time_ns=received_time_ns,
        )


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """Scales and filters of a symbol; a filter of None does not apply.

    Filters are integers at `decimals.QUANTITY_DECIMALS` (quantities) and
    `decimals.MONEY_DECIMALS` (notional), so that no filter is too fine to hold.
    """

    symbol: str
    price_decimals: int = DEFAULT_DECIMALS
    quantity_decimals: int = DEFAULT_DECIMALS
    min_quantity: int | None = None
    max_quantity: int | None = None
    quantity_step: int | None = None
    min_notional: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The book of a symbol as a source delivered it, not yet judged.

    Levels are scaled int64, best first. `sequence` is 0 where the source keeps
    none; then every fetch is a snapshot of its own. `defect` says why the answer
    could not be read as a book at all (its arrays are then empty).
    """

    spec: SymbolSpec
    source: str
    sequence: int
    source_time_ns: int | None
    bid_prices: Int64Array
    bid_quantities: Int64Array
    ask_prices: Int64Array
    ask_quantities: Int64Array
    last_price: int | None = None
    mark_price: int | None = None
    defect: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """Which book an order met; prices are text, empty for an absent side."""

    source: str
    sequence: int = 0
    source_time_ns: int | None = None
    best_bid: str = ""
    best_ask: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Quote:
    """The side of a usable book that an order may take, best level first.

    `available` is what earlier orders left of each level; `best` is the best
    price the snapshot shows any size at, taken or not, None if it shows none.
    """

    spec: SymbolSpec
    ref: SnapshotRef
    prices: Int64Array
    available: Int64Array
    best: int | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """There is no book to execute against, and no hope in asking again now."""

    spec: SymbolSpec
    reason: Reason
    message: str
    ref: SnapshotRef | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """What one level gave; decimal text."""

    price: str
    quantity: str


class ReferencePrices(NamedTuple):
    """What triggers are compared with, scaled by 10^price_decimals; None: not shown.

    `bid` and `ask` are the best prices of a level with any quantity. A named
    tuple: one is made for every book of a symbol that has stops.
    """

    price_decimals: int
    bid: int | None = None
    ask: int | None = None
    last: int | None = None
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class RestingStop:
    """A stop that waits for its trigger, or triggered for a book to execute against.

    `terms` is `Order.payload()` as modified so far; `triggered_time_ns` and
    `triggered_by_price` are set once the trigger was crossed.
    """

    order_id: str
    version: int
    terms: str
    received_time_ns: int
    triggered_time_ns: int | None = None
    triggered_by_price: str = ""

    def order(self) -> Order:
        """The order that executes when the trigger is crossed."""
        return Order.from_payload(self.terms, self.order_id, self.received_time_ns)


@dataclass(frozen=True, slots=True)
class Position:
    """What the service has committed for one user in one symbol.

    `quantity` is signed, at `decimals.QUANTITY_DECIMALS`; `entry_cost` (never
    negative) and `realized_pnl` are at `decimals.MONEY_DECIMALS`. Version 0:
    nothing was ever committed.
    """

    user_id: str
    symbol: str
    quantity: int = 0
    entry_cost: int = 0
    realized_pnl: int = 0
    entry_price: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """The state of an order after one write; see the proto for every field.

    Decimals are canonical text; times are wall-clock ns since the epoch.
    """

    order_id: str
    user_id: str
    symbol: str
    direction: Direction
    order_type: OrderType
    status: OrderStatus
    quantity: str
    effective_quantity: str
    filled_quantity: str
    remaining_quantity: str
    average_price: str = ""
    notional: str = "0"
    fills: tuple[Fill, ...] = field(default=())
    trade_id: str = ""
    reason: Reason = Reason.NONE
    message: str = ""
    realized_pnl: str = "0"
    fee: str = "0"
    trigger_price: str = ""
    triggered_by_price: str = ""
    reduce_only: bool = False
    snapshot: SnapshotRef | None = None
    received_time_ns: int = 0
    transact_time_ns: int = 0
    version: int = 1
