"""EXECUTION: an order, a market and a position in, a report out. Pure.

The order in which rules apply is that of SEMANTICS, Lifecycle: reduce-only,
filter, book, fill-or-kill, protection, liquidity.
"""

from typing import Final
from uuid import UUID

from execution import _order
from execution._match import format_decimal, parse_decimal, walk
from execution._order import Execution
from execution.decimals import INT64_MAX, MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
from execution.errors import FieldViolation, InvalidArgument
from execution.model import (
    Direction,
    ExecutionReport,
    Order,
    OrderStatus,
    Position,
    Quote,
    Reason,
    SymbolSpec,
    TimeInForce,
    Unusable,
)
from execution.settlement import FeeRate, fee_text, pnl_text, reducible, settle

__all__ = [
    "TRADE_NAMESPACE",
    "Execution",
    "execute",
    "refuse_to_rest",
    "rejected",
    "trade_id",
    "unfilled",
]

TRADE_NAMESPACE: Final = UUID("6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90")
"""Namespace of trade ids; never changes, consumers recognise replays by it."""

_NAMESPACE: Final = TRADE_NAMESPACE.bytes
_BPS: Final = 10_000

# Taken from the enums once: Python 3.11 looks a member up by way of a property.
_BUY: Final = Direction.BUY
_SELL: Final = Direction.SELL
_FILLED: Final = OrderStatus.FILLED
_PARTIAL: Final = OrderStatus.PARTIAL
_NO_REASON: Final = Reason.NONE
_FOK: Final = TimeInForce.FOK

_NOTHING_TO_REDUCE: Final = "reduce_only, and there is no position to reduce"
_CAPPED: Final = "reduce_only cut the order to the position"


def trade_id(user_id: str, order_id: str) -> str:
    """UUIDv5 of user and order id: the same for every retry and replay."""
    return _order.trade_id(_NAMESPACE, user_id, order_id)


def execute(
    order: Order, market: Quote | Unusable, position: Position, fee_rate: FeeRate, now_ns: int
) -> Execution:
    """Executes a market order, or a stop whose trigger is past, now.

    `now_ns` is the wall clock of the decision. Raises `InvalidArgument` if a
    number of the order has more digits than the symbol's scale, or exceeds it.
    """
    spec = market.spec
    quantity, limit = _scale(order, spec)
    effective = quantity
    if order.reduce_only:
        effective = min(quantity, reducible(position, order.direction, spec))
    if not effective:
        return rejected(order, market, Reason.REDUCE_ONLY, _NOTHING_TO_REDUCE, now_ns)
    if broken := _broken_filter(quantity, market):
        return rejected(order, market, Reason.FILTER, broken, now_ns)
    if isinstance(market, Unusable):
        return rejected(order, market, market.reason, market.message, now_ns)

    bound = _bound(order, market, limit)
    selling = order.direction is _SELL
    filled, notional, _, levels, _ = walk(
        market.prices, market.available, effective, bound, selling
    )
    if filled == effective:
        status, reason, message = _FILLED, _NO_REASON, ""
        if effective < quantity:
            reason, message = Reason.REDUCE_ONLY_CAPPED, _CAPPED
    else:
        if order.time_in_force is _FOK:
            short = format_decimal(effective - filled, spec.quantity_decimals)
            message = f"fill-or-kill, and {short} cannot be filled"
            return rejected(order, market, Reason.FOK_UNFILLABLE, message, now_ns)
        status = _PARTIAL
        reason, message = _shortfall(market, bound, selling=selling, nothing=not filled)
        if not filled:
            return rejected(order, market, reason, message, now_ns)

    after, pnl = settle(position, order.direction, filled, notional, spec)
    report, taken = _order.executed(
        order,
        status,
        reason,
        message,
        market.ref,
        now_ns,
        spec.price_decimals,
        spec.quantity_decimals,
        effective,
        filled,
        notional,
        market.prices,
        market.available,
        levels,
        trade_id(order.user_id, order.order_id),
        pnl_text(pnl),
        fee_text(notional, fee_rate, spec),
    )
    return Execution(report, taken, after, True)


def refuse_to_rest(
    order: Order, market: Quote | Unusable, position: Position, now_ns: int
) -> Execution | None:
    """The rejection of an order that should rest but could never execute; None if it may.

    A bad book is no reason: the next one decides. Raises `InvalidArgument` like
    `execute`.
    """
    quantity, _ = _scale(order, market.spec)
    if order.reduce_only and not reducible(position, order.direction, market.spec):
        return rejected(order, market, Reason.REDUCE_ONLY, _NOTHING_TO_REDUCE, now_ns)
    if broken := _broken_filter(quantity, market):
        return rejected(order, market, Reason.FILTER, broken, now_ns)
    if isinstance(market, Unusable) and market.reason is Reason.UNKNOWN_SYMBOL:
        return rejected(order, market, market.reason, market.message, now_ns)
    return None


def rejected(
    order: Order, market: Quote | Unusable, reason: Reason, message: str, now_ns: int
) -> Execution:
    """REJECTED: filled "0", remaining = effective = quantity (SEMANTICS, Lifecycle)."""
    report = _order.unfilled(order, OrderStatus.REJECTED, now_ns, reason, message, market.ref)
    return Execution(report, rests_on_position=order.reduce_only)


def unfilled(order: Order, status: OrderStatus, now_ns: int) -> ExecutionReport:
    """The report of an order that has executed nothing."""
    return _order.unfilled(order, status, now_ns)


def _scale(order: Order, spec: SymbolSpec) -> tuple[int, int | None]:
    """The order's quantity and limit as integers at the symbol's scales."""
    try:
        quantity = parse_decimal(order.quantity, spec.quantity_decimals)
        limit = None
        if order.limit_price is not None:
            limit = parse_decimal(order.limit_price, spec.price_decimals)
        if order.trigger_price is not None:
            parse_decimal(order.trigger_price, spec.price_decimals)
    except (OverflowError, ValueError):
        raise InvalidArgument(_unscalable(order, spec)) from None
    return quantity, limit


def _unscalable(order: Order, spec: SymbolSpec) -> list[FieldViolation]:
    """Every number of the order that does not fit the symbol's scales."""
    violations: list[FieldViolation] = []
    for name, text, decimals in (
        ("quantity", order.quantity, spec.quantity_decimals),
        ("limit_price", order.limit_price, spec.price_decimals),
        ("trigger_price", order.trigger_price, spec.price_decimals),
    ):
        if text is None:
            continue
        try:
            parse_decimal(text, decimals)
        except OverflowError:
            problem = f"is {text}, more than int64 holds at {decimals} decimals"
            violations.append(FieldViolation(name, problem))
        except ValueError:
            problem = f"is {text}, finer than the {decimals} decimals of {spec.symbol}"
            violations.append(FieldViolation(name, problem))
    return violations


def _broken_filter(quantity: int, market: Quote | Unusable) -> str:
    """The first of the symbol's filters the order breaks, or ""."""
    spec = market.spec
    if not (spec.quantity_step or spec.min_quantity or spec.max_quantity or spec.min_notional):
        return ""
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
    if order.direction is _BUY:
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
