"""The engine that made its reports field by field."""

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid5

from twin.decimals import (
    AVERAGE_PRICE_EXTRA_DECIMALS,
    INT64_MAX,
    MONEY_DECIMALS,
    QUANTITY_DECIMALS,
    ratio_text,
    to_text,
)
from twin.settlement import fee_text, pnl_text, reducible, settle

from execution._match import format_decimal, parse_decimal, walk
from execution.engine import Execution
from execution.errors import FieldViolation, InvalidArgument
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    Order,
    OrderStatus,
    Position,
    Quote,
    Reason,
    SymbolSpec,
    TimeInForce,
    Unusable,
)
from execution.settlement import FeeRate

TRADE_NAMESPACE: Final = UUID("6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90")
"""Namespace of trade ids; never changes, consumers recognise replays by it."""

_BPS: Final = 10_000
_NOTHING_TO_REDUCE: Final = "reduce_only, and there is no position to reduce"


@dataclass(frozen=True, slots=True)
class _Scaled:
    """The numbers of an order at its symbol's scales."""

    quantity: int
    limit: int | None


def trade_id(user_id: str, order_id: str) -> str:
    """UUIDv5 of user and order id: the same for every retry and replay."""
    return str(uuid5(TRADE_NAMESPACE, f"{user_id}/{order_id}"))


def execute(
    order: Order, market: Quote | Unusable, position: Position, fee_rate: FeeRate, now_ns: int
) -> Execution:
    """Executes a market order, or a stop whose trigger is past, now.

    `now_ns` is the wall clock of the decision. Raises `InvalidArgument` if a
    number of the order has more digits than the symbol's scale, or exceeds it.
    """
    spec = market.spec
    scaled = _scale(order, spec)
    effective = scaled.quantity
    if order.reduce_only:
        effective = min(effective, reducible(position, order.direction, spec))

    def refuse(reason: Reason, message: str) -> Execution:
        return rejected(order, market, reason, message, now_ns)

    if not effective:
        return refuse(Reason.REDUCE_ONLY, _NOTHING_TO_REDUCE)
    if broken := _broken_filter(scaled.quantity, market):
        return refuse(Reason.FILTER, broken)
    if isinstance(market, Unusable):
        return refuse(market.reason, market.message)

    bound = _bound(order, market, scaled.limit)
    selling = order.direction is Direction.SELL
    filled, notional, _, levels, _ = walk(
        market.prices, market.available, effective, bound, selling
    )
    if filled == effective:
        capped = effective < scaled.quantity
        reason = Reason.REDUCE_ONLY_CAPPED if capped else Reason.NONE
        message = "reduce_only cut the order to the position" if capped else ""
    else:
        if order.time_in_force is TimeInForce.FOK:
            short = format_decimal(effective - filled, spec.quantity_decimals)
            return refuse(Reason.FOK_UNFILLABLE, f"fill-or-kill, and {short} cannot be filled")
        reason, message = _shortfall(market, bound, selling=selling, nothing=not filled)
        if not filled:
            return refuse(reason, message)

    fills, taken = _takes(market, effective, levels)
    after, pnl = settle(position, order.direction, filled, notional, spec)
    report = replace(
        _executed(order, market, effective, filled, notional, now_ns),
        fills=fills,
        reason=reason,
        message=message,
        realized_pnl=pnl_text(pnl),
        fee=fee_text(notional, fee_rate, spec),
    )
    return Execution(report, taken, after, rests_on_position=True)


def rejected(
    order: Order, market: Quote | Unusable, reason: Reason, message: str, now_ns: int
) -> Execution:
    """REJECTED: filled "0", remaining = effective = quantity (SEMANTICS, Lifecycle)."""
    report = unfilled(order, OrderStatus.REJECTED, now_ns)
    report = replace(report, reason=reason, message=message, snapshot=market.ref)
    return Execution(report, rests_on_position=order.reduce_only)


def unfilled(order: Order, status: OrderStatus, now_ns: int) -> ExecutionReport:
    """The report of an order that has executed nothing."""
    return ExecutionReport(
        order_id=order.order_id,
        user_id=order.user_id,
        symbol=order.symbol,
        direction=order.direction,
        order_type=order.order_type,
        status=status,
        quantity=order.quantity,
        effective_quantity=order.quantity,
        filled_quantity="0",
        remaining_quantity=order.quantity,
        trigger_price=order.trigger_price or "",
        reduce_only=order.reduce_only,
        received_time_ns=order.received_time_ns,
        transact_time_ns=now_ns,
    )


def _scale(order: Order, spec: SymbolSpec) -> _Scaled:
    """The order's numbers as integers; every one that does not fit is named."""
    violations: list[FieldViolation] = []

    def scaled(name: str, text: str | None, decimals: int) -> int | None:
        if text is None:
            return None
        try:
            return parse_decimal(text, decimals)
        except OverflowError:
            problem = f"is {text}, more than int64 holds at {decimals} decimals"
        except ValueError:
            problem = f"is {text}, finer than the {decimals} decimals of {spec.symbol}"
        violations.append(FieldViolation(name, problem))
        return None

    quantity = scaled("quantity", order.quantity, spec.quantity_decimals)
    limit = scaled("limit_price", order.limit_price, spec.price_decimals)
    scaled("trigger_price", order.trigger_price, spec.price_decimals)
    if violations or quantity is None:
        raise InvalidArgument(violations)
    return _Scaled(quantity, limit)


def _broken_filter(quantity: int, market: Quote | Unusable) -> str:
    """The first of the symbol's filters the order breaks, or ""."""
    spec = market.spec
    wanted = quantity * 10 ** (QUANTITY_DECIMALS - spec.quantity_decimals)

    def broken(name: str, value: int, bound: int, decimals: int) -> str:
        shown = to_text(value, decimals)
        return f"{name} of {spec.symbol} is {to_text(bound, decimals)}; the order has {shown}"

    if spec.quantity_step and wanted % spec.quantity_step:
        return broken("quantity_step", wanted, spec.quantity_step, QUANTITY_DECIMALS)
    if spec.min_quantity and wanted < spec.min_quantity:
        return broken("min_quantity", wanted, spec.min_quantity, QUANTITY_DECIMALS)
    if spec.max_quantity and wanted > spec.max_quantity:
        return broken("max_quantity", wanted, spec.max_quantity, QUANTITY_DECIMALS)
    if spec.min_notional and isinstance(market, Quote) and market.best is not None:
        scale = spec.price_decimals + spec.quantity_decimals
        notional = quantity * market.best * 10 ** (MONEY_DECIMALS - scale)
        if notional < spec.min_notional:
            return broken("min_notional", notional, spec.min_notional, MONEY_DECIMALS)
    return ""


def _bound(order: Order, quote: Quote, limit: int | None) -> int | None:
    """The worst acceptable price: the tighter of limit and slippage, both inclusive.

    Slippage counts from the best price the snapshot shows, also where earlier
    orders already took it.
    """
    if order.max_slippage_bps is None or quote.best is None:
        return limit
    if order.direction is Direction.BUY:
        slipped = min(quote.best * (_BPS + order.max_slippage_bps) // _BPS, INT64_MAX)
        return slipped if limit is None else min(slipped, limit)
    slipped = max(-(-quote.best * (_BPS - order.max_slippage_bps) // _BPS), 0)
    return slipped if limit is None else max(slipped, limit)


def _shortfall(
    quote: Quote, bound: int | None, *, selling: bool, nothing: bool
) -> tuple[Reason, str]:
    """Why less than the order was filled: its own price bound, or the book."""
    if bound is not None:
        acceptable = quote.prices >= bound if selling else quote.prices <= bound
        if quote.available[~acceptable].any():
            worst = format_decimal(bound, quote.spec.price_decimals)
            return Reason.PRICE_PROTECTION, f"the rest of the book is worse than {worst}"
    side = "bid" if selling else "ask"
    if nothing:
        return Reason.NO_LIQUIDITY, f"nothing is left on the {side} side"
    return Reason.INSUFFICIENT_LIQUIDITY, f"the {side} side ended before the order did"


def _takes(quote: Quote, wanted: int, levels: int) -> tuple[tuple[Fill, ...], tuple[int, ...]]:
    """What each level gives: the fills, and the quantities by level index."""
    spec = quote.spec
    prices = quote.prices[:levels].tolist()
    fills: list[Fill] = []
    taken: list[int] = []
    for price, available in zip(prices, quote.available[:levels].tolist(), strict=True):
        quantity = min(available, wanted)
        wanted -= quantity
        taken.append(quantity)
        if quantity:
            fills.append(
                Fill(
                    format_decimal(price, spec.price_decimals),
                    format_decimal(quantity, spec.quantity_decimals),
                )
            )
    return tuple(fills), tuple(taken)


def _executed(
    order: Order, quote: Quote, effective: int, filled: int, notional: int, now_ns: int
) -> ExecutionReport:
    """FILLED or PARTIAL, with every number that follows from the walk."""
    spec = quote.spec
    status = OrderStatus.FILLED if filled == effective else OrderStatus.PARTIAL
    money_decimals = spec.price_decimals + spec.quantity_decimals
    average = ratio_text(
        notional,
        filled * 10**spec.price_decimals,
        spec.price_decimals + AVERAGE_PRICE_EXTRA_DECIMALS,
    )
    return replace(
        unfilled(order, status, now_ns),
        effective_quantity=format_decimal(effective, spec.quantity_decimals),
        filled_quantity=format_decimal(filled, spec.quantity_decimals),
        remaining_quantity=format_decimal(effective - filled, spec.quantity_decimals),
        average_price=average,
        notional=to_text(notional, money_decimals),
        trade_id=trade_id(order.user_id, order.order_id),
        snapshot=quote.ref,
    )
