"""What becomes of a stop: on arrival, when its trigger is crossed, at its end. Pure.

Source: SEMANTICS, Stop-loss orders; Cancel and modify.
"""

from dataclasses import replace
from typing import Final

from execution.decimals import MAX_DECIMALS, from_text, to_text
from execution.engine import Execution, execute, refuse_to_rest, rejected, unfilled
from execution.errors import FieldViolation, InvalidArgument
from execution.model import (
    Direction,
    Order,
    OrderStatus,
    Position,
    Quote,
    Reason,
    ReferencePrices,
    RestingStop,
    TriggerBy,
    Unusable,
)
from execution.settlement import FeeRate

WAITS_FOR_A_BOOK: Final = frozenset({Reason.NO_LIQUIDITY, Reason.BAD_BOOK, Reason.UNKNOWN_SYMBOL})
"""Rejections that a triggered stop outlasts, for as long as the operator lets it."""


def reference_price(
    direction: Direction, trigger_by: TriggerBy, prices: ReferencePrices
) -> int | None:
    """The price a trigger is compared with, scaled; None if it is not shown.

    BID_ASK is the price the order would take: a BUY looks at the ask.
    """
    if trigger_by is TriggerBy.LAST:
        return prices.last
    if trigger_by is TriggerBy.MARK:
        return prices.mark
    return prices.ask if direction is Direction.BUY else prices.bid


def crossing_price(order: Order, prices: ReferencePrices) -> str | None:
    """The reference price, as text, if it crosses the order's trigger.

    BUY: at the trigger or above; SELL: at it or below; compared as integers.
    """
    reference = reference_price(order.direction, order.trigger_by, prices)
    if reference is None or order.trigger_price is None:
        return None
    seen = reference * 10 ** (MAX_DECIMALS - prices.price_decimals)
    trigger = from_text(order.trigger_price, MAX_DECIMALS)
    crossed = seen >= trigger if order.direction is Direction.BUY else seen <= trigger
    return to_text(reference, prices.price_decimals) if crossed else None


def arrive(
    order: Order,
    market: Quote | Unusable,
    prices: ReferencePrices,
    position: Position,
    fee_rate: FeeRate,
    now_ns: int,
) -> Execution:
    """A stop with a trigger price arrives, or is modified: it rests, executes or is refused.

    Raises `InvalidArgument`: a number finer than the symbol's scale, a reference
    the feed does not carry, an expiry that is past.
    """
    refused = refuse_to_rest(order, market, position, now_ns)
    if refused is not None:
        return refused
    _require_reference(order, market, prices)
    if order.expire_time_ns is not None and order.expire_time_ns <= now_ns:
        raise InvalidArgument([FieldViolation("expire_time", "is past")])
    price = crossing_price(order, prices)
    if price is None:
        report = replace(unfilled(order, OrderStatus.UNTRIGGERED, now_ns), snapshot=market.ref)
        resting = RestingStop(order.order_id, 1, order.payload(), order.received_time_ns)
        return Execution(report, rests_on_position=order.reduce_only, resting=resting)
    if order.reject_if_triggered:
        message = f"the trigger {order.trigger_price} is already crossed by {price}"
        reason = Reason.WOULD_IMMEDIATELY_TRIGGER
        refusal = rejected(order, market, reason, message, now_ns)
        return _by(price, refusal)
    return _triggered(order, market, position, fee_rate, price, now_ns)


def trigger(
    stop: RestingStop,
    market: Quote | Unusable,
    position: Position,
    fee_rate: FeeRate,
    price: str,
    now_ns: int,
    retry_ns: int,
) -> Execution | None:
    """A crossed stop meets a book; None if it goes on waiting for a better one.

    `price` is what crossed the trigger. After `retry_ns` of waiting the last
    reason is final.
    """
    order = stop.order()
    try:
        execution = _triggered(order, market, position, fee_rate, price, now_ns)
    except InvalidArgument as error:
        # The symbol's scale changed while the order rested.
        return _by(price, rejected(order, market, Reason.FILTER, error.message, now_ns))
    if execution.resting is None or stop.triggered_time_ns is None:
        return execution
    if now_ns - stop.triggered_time_ns < retry_ns:
        return None
    final = replace(execution.report, status=OrderStatus.REJECTED)
    return replace(execution, report=final, resting=None)


def end(stop: RestingStop, status: OrderStatus, reason: Reason, now_ns: int) -> Execution:
    """CANCELED or EXPIRED, with nothing filled."""
    report = replace(unfilled(stop.order(), status, now_ns), reason=reason)
    return _by(stop.triggered_by_price, Execution(report))


def _triggered(
    order: Order,
    market: Quote | Unusable,
    position: Position,
    fee_rate: FeeRate,
    price: str,
    now_ns: int,
) -> Execution:
    """Executes as a market order; TRIGGERED where there is no book to execute against."""
    execution = _by(price, execute(order, market, position, fee_rate, now_ns))
    report = execution.report
    if report.status is not OrderStatus.REJECTED or report.reason not in WAITS_FOR_A_BOOK:
        return execution
    return replace(
        execution,
        report=replace(report, status=OrderStatus.TRIGGERED),
        resting=RestingStop(
            order_id=order.order_id,
            version=1,
            terms=order.payload(),
            received_time_ns=order.received_time_ns,
            triggered_time_ns=now_ns,
            triggered_by_price=price,
        ),
    )


def _by(price: str, execution: Execution) -> Execution:
    return replace(execution, report=replace(execution.report, triggered_by_price=price))


def _require_reference(order: Order, market: Quote | Unusable, prices: ReferencePrices) -> None:
    """LAST and MARK only where the feed carries them: never a silent fallback.

    A book that is none may carry them all the same; where it cannot be read at all, nobody knows,
    and an order that may never be triggered is not accepted.
    """
    if order.trigger_by is TriggerBy.BID_ASK:
        return
    if reference_price(order.direction, order.trigger_by, prices) is None:
        problem = f"is {order.trigger_by.name}, which the feed of {order.symbol} does not carry"
        if isinstance(market, Unusable):
            problem += f", as far as can be seen: {market.message}"
        raise InvalidArgument([FieldViolation("trigger_by", problem)])
