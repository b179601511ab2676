"""What the service talks about: orders, books, positions, reports.

Plain frozen data, without I/O, gRPC or Redis. Prices and quantities of a book
are int64 arrays scaled by the symbol's decimals. A report holds canonical
decimal text, because a report is a record: it is written once and then only
ever repeated, on the wire, in Redis and in the answer to a retry.

`Order`, `Fill`, `SnapshotRef`, `Quote`, `Position` and `ExecutionReport` are
compiled, because every order makes or reads several; they behave as the data
classes here do.

Enum numbers are those of `proto/execution/v1/execution.proto`; names are FIX's
(OrdStatus 39, CumQty 14, LeavesQty 151, AvgPx 6) in the words of the wire.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from execution._order import (
    ExecutionReport,
    Fill,
    Order,
    Position,
    Quote,
    SnapshotRef,
    know_words,
)
from execution.decimals import DEFAULT_DECIMALS

__all__ = [
    "TRANSITIONS",
    "Direction",
    "ExecutionReport",
    "Fill",
    "Int64Array",
    "Order",
    "OrderStatus",
    "OrderType",
    "Position",
    "Quote",
    "Reason",
    "ReferencePrices",
    "RestingStop",
    "Snapshot",
    "SnapshotRef",
    "SymbolSpec",
    "TimeInForce",
    "TriggerBy",
    "Unusable",
]

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


know_words(
    directions=(None, *Direction),
    order_types=(OrderType.MARKET, *OrderType),
    times_in_force=(TimeInForce.IOC, *TimeInForce),
    triggers=(TriggerBy.BID_ASK, *TriggerBy),
    no_reason=Reason.NONE,
    filled=OrderStatus.FILLED,
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
class Unusable:
    """There is no book to execute against, and no hope in asking again now."""

    spec: SymbolSpec
    reason: Reason
    message: str
    ref: SnapshotRef | None = None


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
