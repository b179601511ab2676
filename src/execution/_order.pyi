"""Types of what every order makes; `python -m mypy.stubtest execution._order` proves them."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from execution.model import (
    Direction,
    OrderStatus,
    OrderType,
    Reason,
    RestingStop,
    SymbolSpec,
    TimeInForce,
    TriggerBy,
)

@final
@dataclass(frozen=True)
class Fill:
    price: str
    quantity: str

@final
@dataclass(frozen=True)
class SnapshotRef:
    source: str
    sequence: int = 0
    source_time_ns: int | None = None
    best_bid: str = ""
    best_ask: str = ""

@final
@dataclass(frozen=True)
class Position:
    user_id: str
    symbol: str
    quantity: int = 0
    entry_cost: int = 0
    realized_pnl: int = 0
    entry_price: str = ""
    version: int = 0

@final
@dataclass(frozen=True)
class Order:
    order_id: str
    user_id: str
    symbol: str
    direction: Direction
    quantity: str
    order_type: OrderType = ...
    reduce_only: bool = False
    time_in_force: TimeInForce = ...
    limit_price: str | None = None
    max_slippage_bps: int | None = None
    trigger_price: str | None = None
    trigger_by: TriggerBy = ...
    reject_if_triggered: bool = False
    expire_time_ns: int | None = None
    received_time_ns: int = 0
    def payload(self) -> str: ...
    @classmethod
    def from_payload(cls, payload: str, order_id: str, received_time_ns: int) -> Order: ...

@final
@dataclass(frozen=True)
class ExecutionReport:
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
    fills: tuple[Fill, ...] = ()
    trade_id: str = ""
    reason: Reason = ...
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

@final
@dataclass(frozen=True, eq=False)
class Quote:
    spec: SymbolSpec
    ref: SnapshotRef
    prices: npt.NDArray[np.int64]
    available: npt.NDArray[np.int64]
    best: int | None

@final
@dataclass(frozen=True)
class Execution:
    report: ExecutionReport
    taken: tuple[int, ...] = ()
    position: Position | None = None
    rests_on_position: bool = False
    resting: RestingStop | None = None

@final
@dataclass(frozen=True)
class Entry:
    payload: str
    report: ExecutionReport
    basis: Position | None = None
    position: Position | None = None
    follows: int | None = None
    resting: RestingStop | None = None

@final
class Packed:
    def __init__(self, payload: bytes, report: bytes, keys: bytes, arguments: bytes) -> None: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def report(self) -> bytes: ...
    @property
    def keys(self) -> bytes: ...
    @property
    def arguments(self) -> bytes: ...

def know_words(
    directions: tuple[Direction | None, ...],
    order_types: tuple[OrderType, ...],
    times_in_force: tuple[TimeInForce, ...],
    triggers: tuple[TriggerBy, ...],
    no_reason: Reason,
    filled: OrderStatus,
) -> None: ...
def to_text(value: int, decimals: int) -> str: ...
def ratio_text(numerator: int, denominator: int, decimals: int) -> str: ...
def canonical(text: str) -> str | None: ...
def fee_text(
    notional: int, scaled_bps: int, price_decimals: int, quantity_decimals: int
) -> str: ...
def rfc3339(time_ns: int) -> str: ...
def utc_seconds(time_ns: int) -> str: ...
def trade_id(namespace: bytes, user_id: str, order_id: str) -> str: ...
def take(quote: Quote, taken: tuple[int, ...]) -> None: ...
def give_back(quote: Quote, taken: tuple[int, ...]) -> None: ...
def execute_whole(
    order: Order,
    quote: Quote,
    position: Position,
    scaled_bps: int,
    now_ns: int,
    namespace: bytes,
) -> Execution | None: ...
def settle(
    position: Position,
    direction: Direction,
    filled: int,
    notional: int,
    price_decimals: int,
    quantity_decimals: int,
) -> tuple[Position, int]: ...
def unfilled(
    order: Order,
    status: OrderStatus,
    now_ns: int,
    reason: Reason | None = None,
    message: str = "",
    snapshot: SnapshotRef | None = None,
) -> ExecutionReport: ...
def executed(
    order: Order,
    status: OrderStatus,
    reason: Reason,
    message: str,
    snapshot: SnapshotRef,
    now_ns: int,
    price_decimals: int,
    quantity_decimals: int,
    effective: int,
    filled: int,
    notional: int,
    prices: npt.NDArray[np.int64],
    available: npt.NDArray[np.int64],
    levels: int,
    trade_id: str,
    realized_pnl: str,
    fee: str,
) -> tuple[ExecutionReport, tuple[int, ...]]: ...
def report_json(report: ExecutionReport) -> bytes: ...
def trade_json(report: ExecutionReport) -> bytes: ...
def reject_json(report: ExecutionReport) -> bytes: ...
def pack(entry: Entry, stop: str, order_prefix: str, position_prefix: str) -> Packed: ...
def pack_new(entry: Entry, order_prefix: str, position_prefix: str) -> Packed | None: ...
def report_bytes(report: ExecutionReport) -> bytes: ...
def batch_bytes(reports: list[bytes]) -> bytes: ...
def read_order(
    data: bytes, order_type: OrderType | None, received_time_ns: int
) -> Order | None: ...
