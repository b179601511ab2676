"""The compiled data as plain data classes."""

from dataclasses import dataclass, field

from execution.model import Direction, OrderStatus, OrderType, Reason, TimeInForce, TriggerBy

_SEPARATOR = "|"


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
        """The order whose `payload` this is. Raises `ValueError` or `KeyError`."""
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
class SnapshotRef:
    """Which book an order met; prices are text, empty for an absent side."""

    source: str
    sequence: int = 0
    source_time_ns: int | None = None
    best_bid: str = ""
    best_ask: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """What one level gave; decimal text."""

    price: str
    quantity: str


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
