"""What the compiled reader takes is what protobuf and the rules make of it; never more."""

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import cases

from execution._order import read_order
from execution.errors import InvalidArgument
from execution.model import Order, OrderType, TimeInForce, TriggerBy
from execution.server.requests import order_of, read
from execution.v1 import execution_pb2 as pb

NOW_NS = 1_700_000_000_123_456_789
ORDER_TYPES = (OrderType.MARKET, OrderType.SL, None)
numbers = st.from_regex(r"0{0,2}[0-9]{1,12}(\.[0-9]{1,12}0{0,2})?", fullmatch=True)
above_zero = numbers.filter(lambda text: any(digit in "123456789" for digit in text))


def by_the_rules(data: bytes, order_type: OrderType | None) -> Order | str:
    """What protobuf and `order_of` make of the bytes, or what is wrong with them."""
    try:
        return order_of(pb.OrderRequest.FromString(data), order_type, NOW_NS, lambda: "new")
    except DecodeError:
        return "no message"
    except InvalidArgument as error:
        return error.message


def assert_read_truly(data: bytes) -> None:
    for order_type in ORDER_TYPES:
        order = read_order(data, order_type, NOW_NS)
        if order is not None:
            assert order == by_the_rules(data, order_type)
            assert repr(order) == repr(by_the_rules(data, order_type))


@st.composite
def plain_requests(draw: st.DrawFn) -> tuple[pb.OrderRequest, OrderType]:
    """Valid in every way, of either type, with the type said and meant."""
    order_type = draw(st.sampled_from(OrderType))
    request = pb.OrderRequest(
        order_id=draw(cases.ids),
        user_id=draw(cases.ids),
        symbol=draw(cases.symbols),
        direction=pb.Direction.ValueType(draw(st.sampled_from((1, 2)))),
        quantity=draw(above_zero),
        reduce_only=draw(st.booleans()),
        time_in_force=pb.TimeInForce.ValueType(draw(st.integers(0, len(TimeInForce)))),
        order_type=pb.OrderType.ValueType(order_type.value),
    )
    if draw(st.booleans()):
        request.limit_price = draw(above_zero)
    if draw(st.booleans()):
        request.max_slippage_bps = draw(st.integers(0, 2**32 - 1))
    if order_type is OrderType.SL and draw(st.booleans()):
        request.trigger_price = draw(above_zero)
        request.trigger_by = pb.TriggerBy.ValueType(draw(st.integers(0, len(TriggerBy))))
        request.reject_if_triggered = draw(st.booleans())
        if draw(st.booleans()):
            request.expire_time.seconds = draw(st.integers(0, 253_402_300_799))
            request.expire_time.nanos = draw(st.integers(0, 999_999_999))
    return request, order_type


@given(plain_requests())
def test_a_plain_valid_request_is_read(asked: tuple[pb.OrderRequest, OrderType]) -> None:
    request, order_type = asked
    data = request.SerializeToString()
    for given_type in (order_type, None):
        order = read_order(data, given_type, NOW_NS)
        assert order is not None
        assert order == by_the_rules(data, given_type)
        assert read(data, given_type, NOW_NS, lambda: "new") == order
    assert_read_truly(data)


any_requests = st.builds(
    pb.OrderRequest,
    order_id=cases.ids | cases.any_text,
    user_id=cases.ids | cases.any_text,
    symbol=cases.symbols | cases.any_text,
    direction=st.integers(-1, 3) | st.integers(-(2**31), 2**31 - 1),
    quantity=numbers | cases.any_text,
    reduce_only=st.booleans(),
    trigger_price=st.none() | numbers | st.just(""),
    limit_price=st.none() | numbers | st.just(""),
    max_slippage_bps=st.none() | st.integers(0, 2**32 - 1),
    time_in_force=st.integers(-1, 4),
    trigger_by=st.sampled_from([0, 0, 0, 1, 2, 3, 4, -1]),
    reject_if_triggered=st.sampled_from([False, False, True]),
    order_type=st.integers(-1, 4),
)


@given(any_requests)
def test_any_request_is_read_truly_or_not_at_all(request: pb.OrderRequest) -> None:
    assert_read_truly(request.SerializeToString())


@given(st.binary(max_size=64))
def test_any_bytes_are_read_truly_or_not_at_all(data: bytes) -> None:
    assert_read_truly(data)


@settings(max_examples=200, deadline=None)
@given(plain_requests(), st.data())
def test_a_damaged_request_is_read_truly_or_not_at_all(
    asked: tuple[pb.OrderRequest, OrderType], data: st.DataObject
) -> None:
    whole = asked[0].SerializeToString()
    for _ in range(4):
        at = data.draw(st.integers(0, len(whole)))
        cut = data.draw(st.integers(0, 3))
        put = data.draw(st.binary(max_size=3))
        assert_read_truly(whole[:at] + put + whole[at + cut :])
        assert_read_truly(whole[:at])


@given(plain_requests(), plain_requests())
def test_two_requests_in_one_are_read_truly_or_not_at_all(
    first: tuple[pb.OrderRequest, OrderType], second: tuple[pb.OrderRequest, OrderType]
) -> None:
    """The later value of a field counts: that is the library's business."""
    both = first[0].SerializeToString() + second[0].SerializeToString()
    assert_read_truly(both)
    assert read_order(both, OrderType.MARKET, NOW_NS) is None


def test_fields_in_any_order_are_read() -> None:
    parts = [
        pb.OrderRequest(quantity="1.50").SerializeToString(),
        pb.OrderRequest(direction=pb.DIRECTION_SELL).SerializeToString(),
        pb.OrderRequest(symbol="X").SerializeToString(),
        pb.OrderRequest(user_id="ann").SerializeToString(),
        pb.OrderRequest(order_id="o-1").SerializeToString(),
    ]
    data = b"".join(parts)
    order = read_order(data, OrderType.MARKET, NOW_NS)
    assert order is not None
    assert order == by_the_rules(data, OrderType.MARKET)
    assert order.quantity == "1.5"
