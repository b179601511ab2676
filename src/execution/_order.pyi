"""Types of what every order makes; `python -m mypy.stubtest execution._order` proves them."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from execution.errors import Unavailable
from execution.executor import Cancel
from execution.model import (
    Direction,
    OrderStatus,
    OrderType,
    Reason,
    ReferencePrices,
    RestingStop,
    Snapshot,
    SymbolSpec,
    TimeInForce,
    TriggerBy,
    Unusable,
)
from execution.ports import Clock, CommitResult, Committed, Conflict, LedgerLane, OnResult
from execution.server.admission import Call
from execution.server.orders import OrderAnswer
from execution.server.rpcs import Answer
from execution.v1.marketdata_pb2 import Book

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
    def entry(self, payload: str, basis: Position) -> Entry: ...

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

@final
class PositionKnowledge:
    def __init__(self, limit: int) -> None: ...
    def recall(self, user_id: str, symbol: str) -> Position: ...
    def chain(self, basis: Position, outcome: Position | None) -> int: ...
    def correct(self, position: Position, epoch: int) -> None: ...

@final
class Pending:
    sends: int
    failure: Unavailable | None
    deadline: float
    def __init__(self, entry: Entry, packed: Packed, epoch: int, done: OnResult) -> None: ...
    @property
    def entry(self) -> Entry: ...
    @property
    def packed(self) -> Packed: ...
    @property
    def epoch(self) -> int: ...
    @property
    def waited_for(self) -> bool: ...
    def answer(self, result: CommitResult | Unavailable) -> None: ...

@final
class CommitQueue:
    open: bool
    awake: bool
    time: Callable[[], float]
    stirred: Callable[[], None]
    def __init__(
        self,
        most: int,
        at_once: int,
        timeout_seconds: float,
        refused: Callable[[Pending], None],
    ) -> None: ...
    @property
    def entries(self) -> deque[Pending]: ...
    def put(self, pending: Pending) -> None: ...
    def add(self, pending: Pending) -> None: ...
    def batch(self, most: int, now: float) -> tuple[list[Pending], list[Pending]]: ...

@final
class Pushed:
    stream: object
    snapshot: Snapshot | None
    prices: ReferencePrices | None
    received_ns: int
    def __init__(
        self, stream: object, raw: bytes, book: Book, received_ns: int, steps_by_one: int
    ) -> None: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def book(self) -> Book: ...
    @property
    def steps_by_one(self) -> int: ...

@disjoint_base
class NewestBooks:
    _beat_ns: int
    def __init__(self, monotonic_ns: Callable[[], int], age_ns_max: int) -> None: ...
    @property
    def _pushed(self) -> dict[str, Pushed]: ...
    def held(self, symbol: str) -> Pushed | None: ...
    def newest(self, symbol: str) -> Snapshot | None: ...

@final
class Accounts:
    def __init__(
        self,
        limit: int,
        judge: Callable[[Snapshot], tuple[Quote | Unusable, Quote | Unusable]],
        same: Callable[[Snapshot, Snapshot], bool],
    ) -> None: ...
    def side(self, snapshot: Snapshot, direction: Direction) -> Quote | Unusable: ...

@disjoint_base
class UnderWay:
    count: int
    @property
    def limit(self) -> int: ...
    def __init__(self, limit: int) -> None: ...
    def enter(self) -> None: ...
    def leave(self) -> None: ...

@final
class Outcomes:
    @property
    def orders(self) -> int: ...
    def items(self) -> list[tuple[tuple[int, int], int]]: ...

@final
class Finish:
    def __init__(self, under_way: UnderWay, outcomes: Outcomes, answer: OrderAnswer) -> None: ...
    def __call__(self, outcome: ExecutionReport | Exception, /) -> None: ...

@final
class Recent:
    def __init__(self, count_max: int) -> None: ...
    def __contains__(self, name: str, /) -> bool: ...
    def add(self, name: str) -> None: ...
    def discard(self, name: str) -> None: ...

@final
class Lane:
    def __init__(
        self,
        ledger: LedgerLane,
        newest: Callable[[str], Snapshot | None],
        accounts: Accounts,
        consumes: bool,
        clock: Clock,
        reserve_ns: int,
        scaled_bps: int,
        namespace: bytes,
        committing: set[str],
        committed: Recent,
        waiters: dict[str, asyncio.Future[None]],
        committed_type: type[Committed],
        conflict_type: type[Conflict],
        attempts_max: int,
        otherwise: Callable[
            [
                Order,
                Quote,
                int | None,
                Callable[[ExecutionReport | Exception], None],
                CommitResult | Exception,
                int,
            ],
            None,
        ],
        woken: Callable[[str], None],
    ) -> None: ...
    def submit(
        self,
        order: Order,
        deadline_ns: int | None,
        done: Callable[[ExecutionReport | Exception], None],
    ) -> bool: ...
    def begin(
        self,
        order: Order,
        quote: Quote,
        deadline_ns: int | None,
        done: Callable[[ExecutionReport | Exception], None],
    ) -> bool: ...

@disjoint_base
class Intake:
    def __init__(
        self,
        in_flight: UnderWay,
        outcomes: Outcomes,
        lane: Lane | None,
        time_ns: Callable[[], int],
    ) -> None: ...
    @property
    def in_flight(self) -> UnderWay: ...
    def take(
        self, data: bytes, order_type: OrderType | None, call: Call, answer: OrderAnswer
    ) -> Cancel | None: ...
    def execute(self, order_type: OrderType, data: bytes, call: Call, answer: Answer) -> None: ...

def answer_all(batch: list[Pending], result: CommitResult | Unavailable) -> None: ...
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
def join_entries(entries: list[Packed], head: bytes, between: bytes) -> bytes: ...
def report_bytes(report: ExecutionReport) -> bytes: ...
def batch_bytes(reports: list[bytes]) -> bytes: ...
def read_order(
    data: bytes, order_type: OrderType | None, received_time_ns: int
) -> Order | None: ...
