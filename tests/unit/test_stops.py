"""What becomes of a stop, rule by rule: on arrival, at its trigger, at its end."""

from dataclasses import replace
from typing import Any

import pytest
from builders import BUY, SELL, SPEC, position, quote
from builders import order as an_order

from execution.adapters.book_messages import book_prices
from execution.engine import Execution
from execution.errors import InvalidArgument
from execution.model import (
    Direction,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Reason,
    ReferencePrices,
    RestingStop,
    SymbolSpec,
    TimeInForce,
    TriggerBy,
    Unusable,
)
from execution.pricing import reference_prices, unknown_symbol
from execution.settlement import FeeRate
from execution.stops import arrive, crossing_price, end, trigger
from execution.testing import book_snapshot
from execution.v1 import marketdata_pb2

NOW_NS = 1_000_000
RETRY_NS = 5_000
LONG, SHORT = position(10**18, 10**20, 1), position(-(10**18), 10**20, 1)
PRICES = ReferencePrices(2, bid=9_900, ask=10_100, last=10_000, mark=10_050)
BAD = Unusable(SPEC, Reason.BAD_BOOK, "crossed")
EMPTY = quote(BUY, ())


def stop(direction: Direction = BUY, trigger_price: str = "103", **fields: Any) -> Order:
    by_hand = {
        name: fields.pop(name)
        for name in ("trigger_by", "reject_if_triggered", "expire_time_ns")
        if name in fields
    }
    placed = an_order(direction, order_type=OrderType.SL, trigger_price=trigger_price, **fields)
    return replace(placed, **by_hand)


def arrives(
    order: Order,
    market: Quote | Unusable | None = None,
    prices: ReferencePrices = PRICES,
    held: Position | None = None,
) -> Execution:
    market = quote(order.direction) if market is None else market
    return arrive(order, market, prices, held or position(), FeeRate(), NOW_NS)


def resting(order: Order, **fields: Any) -> RestingStop:
    return RestingStop(order.order_id, 1, order.payload(), order.received_time_ns, **fields)


def triggers(
    rests: RestingStop,
    market: Quote | Unusable | None = None,
    held: Position | None = None,
    price: str = "104",
    now_ns: int = NOW_NS,
) -> Execution | None:
    market = quote(rests.order().direction) if market is None else market
    return trigger(rests, market, held or position(), FeeRate(), price, now_ns, RETRY_NS)


def outcome(execution: Execution | None) -> tuple[OrderStatus, Reason]:
    assert execution is not None
    return execution.report.status, execution.report.reason


# --- which price crosses


@pytest.mark.parametrize(
    ("direction", "trigger_price", "crossed_by"),
    [
        (BUY, "101.01", None),
        (BUY, "101", "101"),
        (BUY, "100.99", "101"),
        (SELL, "98.99", None),
        (SELL, "99", "99"),
        (SELL, "99.01", "99"),
    ],
)
def test_a_buy_looks_at_the_ask_and_a_sell_at_the_bid_and_equality_crosses(
    direction: Direction, trigger_price: str, crossed_by: str | None
) -> None:
    assert crossing_price(stop(direction, trigger_price), PRICES) == crossed_by


@pytest.mark.parametrize(("by", "price"), [(TriggerBy.LAST, "100"), (TriggerBy.MARK, "100.5")])
@pytest.mark.parametrize("direction", [BUY, SELL])
def test_last_and_mark_are_the_same_price_for_both_sides(
    by: TriggerBy, price: str, direction: Direction
) -> None:
    assert crossing_price(stop(direction, price, trigger_by=by), PRICES) == price


def test_a_price_that_is_not_shown_crosses_nothing() -> None:
    nothing = ReferencePrices(2)
    for by in TriggerBy:
        assert crossing_price(stop(SELL, "999", trigger_by=by), nothing) is None


@pytest.mark.parametrize("nonsense", [0, -5])
def test_a_last_or_mark_of_zero_or_less_is_no_price(nonsense: int) -> None:
    book = marketdata_pb2.Book(
        symbol="BTC-USDT", last_price=nonsense, mark_price=nonsense, price_decimals=2
    )
    snapshot = replace(book_snapshot(SPEC), last_price=nonsense, mark_price=nonsense)
    assert book_prices(book) == reference_prices(snapshot) == ReferencePrices(2)


# --- arrival


def test_a_stop_whose_trigger_is_not_crossed_rests_with_its_terms() -> None:
    order = stop(limit_price="110", reduce_only=False)
    execution = arrives(order)
    assert outcome(execution) == (OrderStatus.UNTRIGGERED, Reason.NONE)
    assert execution.resting is not None
    assert execution.resting.order() == order
    assert (execution.taken, execution.position) == ((), None)
    assert not execution.rests_on_position
    assert execution.report.triggered_by_price == ""


def test_a_stop_that_is_crossed_on_arrival_executes_at_the_book() -> None:
    execution = arrives(stop(trigger_price="101"))
    assert outcome(execution) == (OrderStatus.FILLED, Reason.NONE)
    report = execution.report
    assert (report.average_price, report.trigger_price) == ("100", "101")
    assert report.triggered_by_price == "101"
    assert execution.resting is None


def test_a_stop_that_must_not_be_crossed_on_arrival_is_rejected_then() -> None:
    execution = arrives(stop(trigger_price="101", reject_if_triggered=True))
    assert outcome(execution) == (OrderStatus.REJECTED, Reason.WOULD_IMMEDIATELY_TRIGGER)
    assert execution.report.triggered_by_price == "101"
    rests = arrives(stop(trigger_price="102", reject_if_triggered=True))
    assert outcome(rests) == (OrderStatus.UNTRIGGERED, Reason.NONE)


def test_a_stop_crossed_on_arrival_without_liquidity_waits_triggered() -> None:
    execution = arrives(stop(trigger_price="101"), EMPTY)
    assert outcome(execution) == (OrderStatus.TRIGGERED, Reason.NO_LIQUIDITY)
    assert execution.resting is not None
    assert execution.resting.triggered_time_ns == NOW_NS
    assert execution.resting.triggered_by_price == "101"


def test_a_bad_book_is_no_reason_to_refuse_a_stop() -> None:
    assert outcome(arrives(stop(), BAD, ReferencePrices(2))) == (
        OrderStatus.UNTRIGGERED,
        Reason.NONE,
    )


def test_an_unknown_symbol_is_one() -> None:
    market = unknown_symbol("BTC-USDT")
    execution = arrives(stop(), market, ReferencePrices(0))
    assert outcome(execution) == (OrderStatus.REJECTED, Reason.UNKNOWN_SYMBOL)


def test_a_quantity_against_a_filter_is_rejected_on_arrival() -> None:
    strict = SymbolSpec("BTC-USDT", 2, 3, min_quantity=2 * 10**18)
    assert outcome(arrives(stop(), quote(BUY, spec=strict))) == (
        OrderStatus.REJECTED,
        Reason.FILTER,
    )


@pytest.mark.parametrize(
    ("held", "direction", "status"),
    [
        (position(), SELL, OrderStatus.REJECTED),
        (SHORT, SELL, OrderStatus.REJECTED),
        (LONG, SELL, OrderStatus.UNTRIGGERED),
        (SHORT, BUY, OrderStatus.UNTRIGGERED),
    ],
)
def test_a_reduce_only_stop_rests_only_with_something_to_reduce(
    held: Position, direction: Direction, status: OrderStatus
) -> None:
    order = stop(direction, "103" if direction is BUY else "90", reduce_only=True)
    execution = arrives(order, held=held)
    assert execution.report.status is status
    assert execution.rests_on_position, "another position would have led to another report"


@pytest.mark.parametrize("by", [TriggerBy.LAST, TriggerBy.MARK])
def test_a_reference_the_feed_does_not_carry_is_an_invalid_argument(by: TriggerBy) -> None:
    bare = PRICES._replace(last=None, mark=None)
    with pytest.raises(InvalidArgument, match="does not carry") as caught:
        arrives(stop(trigger_by=by), prices=bare)
    assert [violation.field for violation in caught.value.violations] == ["trigger_by"]


@pytest.mark.parametrize("by", [TriggerBy.LAST, TriggerBy.MARK])
def test_a_bad_book_does_not_let_an_order_rest_that_nothing_would_trigger(by: TriggerBy) -> None:
    bad = Unusable(SPEC, Reason.BAD_BOOK, "the book is crossed")
    bare = PRICES._replace(bid=None, ask=None, last=None, mark=None)
    with pytest.raises(InvalidArgument, match=r"does not carry.*crossed"):
        arrives(stop(trigger_by=by), market=bad, prices=bare)
    shown = bare._replace(last=PRICES.last, mark=PRICES.mark)
    assert arrives(stop(trigger_by=by), market=bad, prices=shown).resting is not None


def test_an_expiry_that_is_past_or_now_is_an_invalid_argument() -> None:
    for expire_time_ns in (NOW_NS - 1, NOW_NS):
        with pytest.raises(InvalidArgument, match="is past"):
            arrives(stop(expire_time_ns=expire_time_ns))
    assert arrives(stop(expire_time_ns=NOW_NS + 1)).resting is not None


def test_numbers_finer_than_the_symbols_scale_are_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        arrives(stop(trigger_price="103.001", limit_price="110.001", quantity="1.0001"))
    named = {violation.field for violation in caught.value.violations}
    assert named == {"trigger_price", "limit_price", "quantity"}


# --- the trigger


def test_a_triggered_stop_fills_at_the_book_never_at_its_trigger() -> None:
    execution = triggers(resting(stop()))
    assert outcome(execution) == (OrderStatus.FILLED, Reason.NONE)
    assert execution is not None
    assert (execution.report.average_price, execution.report.triggered_by_price) == ("100", "104")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"limit_price": "99"}, Reason.PRICE_PROTECTION),
        ({"time_in_force": TimeInForce.FOK, "quantity": "4"}, Reason.FOK_UNFILLABLE),
        ({"reduce_only": True}, Reason.REDUCE_ONLY),
        ({"quantity": "1.0001"}, Reason.FILTER),
    ],
)
def test_its_own_terms_stop_it_for_good(fields: Any, reason: Reason) -> None:
    execution = triggers(resting(stop(**fields)))
    assert outcome(execution) == (OrderStatus.REJECTED, reason)
    assert execution is not None
    assert execution.resting is None
    assert execution.report.triggered_by_price == "104"


def test_a_reduce_only_stop_is_cut_to_the_position_of_that_moment() -> None:
    rests = resting(stop(SELL, "90", quantity="3", reduce_only=True))
    execution = triggers(rests, held=LONG)
    assert outcome(execution) == (OrderStatus.FILLED, Reason.REDUCE_ONLY_CAPPED)
    assert execution is not None
    assert (execution.report.quantity, execution.report.effective_quantity) == ("3", "1")
    assert execution.rests_on_position


@pytest.mark.parametrize(
    ("market", "reason"),
    [
        (EMPTY, Reason.NO_LIQUIDITY),
        (BAD, Reason.BAD_BOOK),
        (unknown_symbol("BTC-USDT"), Reason.UNKNOWN_SYMBOL),
    ],
)
def test_without_a_book_to_execute_against_it_waits_and_then_is_rejected(
    market: Quote | Unusable, reason: Reason
) -> None:
    first = triggers(resting(stop()), market)
    assert outcome(first) == (OrderStatus.TRIGGERED, reason)
    assert first is not None
    waits = first.resting
    assert waits is not None
    assert waits.order() == stop()
    # Until its time is up nothing is worth writing.
    assert triggers(waits, market, now_ns=NOW_NS + RETRY_NS - 1) is None
    last = triggers(waits, market, price=waits.triggered_by_price, now_ns=NOW_NS + RETRY_NS)
    assert outcome(last) == (OrderStatus.REJECTED, reason)
    assert last is not None
    assert last.resting is None
    assert last.report.triggered_by_price == "104"


def test_a_waiting_stop_fills_with_the_next_book() -> None:
    waits = resting(stop(), triggered_time_ns=NOW_NS, triggered_by_price="104")
    assert outcome(triggers(waits)) == (OrderStatus.FILLED, Reason.NONE)


def test_some_liquidity_is_some_and_partial_is_the_end() -> None:
    execution = triggers(resting(stop(quantity="9")))
    assert outcome(execution) == (OrderStatus.PARTIAL, Reason.INSUFFICIENT_LIQUIDITY)
    assert execution is not None
    assert execution.resting is None


# --- the end


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (OrderStatus.CANCELED, Reason.USER_CANCELED),
        (OrderStatus.EXPIRED, Reason.EXPIRED_UNTRIGGERED),
    ],
)
def test_what_ends_has_filled_nothing(status: OrderStatus, reason: Reason) -> None:
    rests = resting(stop(), triggered_time_ns=NOW_NS, triggered_by_price="104")
    execution = end(rests, status, reason, NOW_NS + 1)
    report = execution.report
    assert outcome(execution) == (status, reason)
    assert (report.filled_quantity, report.remaining_quantity) == ("0", "1")
    assert (report.triggered_by_price, report.transact_time_ns) == ("104", NOW_NS + 1)
    assert execution.resting is None
    assert not execution.rests_on_position
