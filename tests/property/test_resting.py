"""What rests comes back from Redis exactly, and is found by its order's terms again."""

from hypothesis import given
from hypothesis import strategies as st

from execution.adapters.resting import stop_from_text, stop_to_text
from execution.decimals import to_text
from execution.model import Direction, Order, OrderType, RestingStop, TimeInForce, TriggerBy

names = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
prices = st.builds(to_text, st.integers(1, 2**63 - 1), st.integers(0, 18))
times = st.integers(0, 2**63 - 1)

orders = st.builds(
    Order,
    order_id=names,
    user_id=names,
    symbol=st.from_regex(r"[A-Za-z0-9._/-]{1,32}", fullmatch=True),
    direction=st.sampled_from(Direction),
    quantity=prices,
    order_type=st.just(OrderType.SL),
    reduce_only=st.booleans(),
    time_in_force=st.sampled_from(TimeInForce),
    limit_price=st.none() | prices,
    max_slippage_bps=st.none() | st.integers(0, 2**32 - 1),
    trigger_price=prices,
    trigger_by=st.sampled_from(TriggerBy),
    reject_if_triggered=st.booleans(),
    expire_time_ns=st.none() | times,
    received_time_ns=times,
)


@given(orders, st.integers(1, 2**63), st.none() | times, st.just("") | prices)
def test_a_stop_comes_back_exactly(
    order: Order, version: int, triggered_time_ns: int | None, price: str
) -> None:
    stop = RestingStop(
        order.order_id, version, order.payload(), order.received_time_ns, triggered_time_ns, price
    )
    text = stop_to_text(stop)
    assert stop_from_text(order.order_id, text) == stop
    assert stop_from_text(order.order_id, text).order() == order
    assert stop_to_text(stop_from_text(order.order_id, text)) == text
    assert text.isascii()
    assert "\n" not in text


@given(st.text(), st.text())
def test_terms_are_kept_whatever_they_are(order_id: str, terms: str) -> None:
    stop = RestingStop(order_id, 1, terms, 0)
    assert stop_from_text(order_id, stop_to_text(stop)) == stop


@given(st.text())
def test_any_other_text_is_refused_or_a_stop(text: str) -> None:
    try:
        stop = stop_from_text("o-1", text)
    except ValueError:
        return
    assert stop_from_text("o-1", stop_to_text(stop)) == stop
