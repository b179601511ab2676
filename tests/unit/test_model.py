"""The words of the service: numbers of the wire, the transition table, equal requests."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from enum import IntEnum

import pytest
from builders import BUY, SELL, order
from hypothesis import given
from hypothesis import strategies as st

from execution import model
from execution.decimals import canonical
from execution.model import (
    TRANSITIONS,
    Direction,
    Order,
    OrderStatus,
    OrderType,
    Reason,
    TimeInForce,
    TriggerBy,
)
from execution.v1 import execution_pb2 as pb

STATUSES = st.sampled_from(OrderStatus)


@pytest.mark.parametrize(
    "ours", [Direction, OrderType, TimeInForce, TriggerBy, OrderStatus, Reason]
)
def test_enums_have_the_names_and_numbers_of_the_wire(ours: type[IntEnum]) -> None:
    wire = pb.DESCRIPTOR.enum_types_by_name[ours.__name__]
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    theirs = {value.name.removeprefix(prefix): value.number for value in wire.values}
    # 0 says nothing on the wire; here it is NONE where "nothing to say" is a value.
    unspecified = theirs.pop("UNSPECIFIED")
    mine = {member.name: member.value for member in ours if member.name != "NONE"}
    assert unspecified == 0
    assert mine == theirs


def test_every_status_has_a_row_in_the_transition_table() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


def test_the_terminal_states_are_those_of_the_lifecycle() -> None:
    ends = {status for status in OrderStatus if status.terminal}
    assert ends == {
        OrderStatus.PARTIAL,
        OrderStatus.FILLED,
        OrderStatus.REJECTED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
    }


@given(st.lists(STATUSES, max_size=12))
def test_no_walk_through_the_table_leaves_a_terminal_state(steps: list[OrderStatus]) -> None:
    status = OrderStatus.RECEIVED
    ended_as = None
    for step in steps:
        if step in TRANSITIONS[status]:
            status = step
        if status.terminal:
            ended_as = ended_as or status
    assert ended_as is None or status is ended_as


def reachable(start: OrderStatus) -> set[OrderStatus]:
    found: set[OrderStatus] = set()
    ahead = [start]
    while ahead:
        for status in TRANSITIONS[ahead.pop()] - found:
            found.add(status)
            ahead.append(status)
    return found


def test_every_state_can_be_reached_from_received_and_none_leads_back() -> None:
    assert reachable(OrderStatus.RECEIVED) == set(OrderStatus) - {OrderStatus.RECEIVED}


@pytest.mark.parametrize("status", [status for status in OrderStatus if not status.terminal])
def test_every_order_can_end(status: OrderStatus) -> None:
    assert any(following.terminal for following in reachable(status))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # a modify is a write of its own; TRIGGERED orders can only be cancelled
        (OrderStatus.UNTRIGGERED, OrderStatus.UNTRIGGERED),
        (OrderStatus.UNTRIGGERED, OrderStatus.CANCELED),
        (OrderStatus.UNTRIGGERED, OrderStatus.EXPIRED),
        (OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED),
        (OrderStatus.UNTRIGGERED, OrderStatus.FILLED),
        (OrderStatus.TRIGGERED, OrderStatus.CANCELED),
        (OrderStatus.TRIGGERED, OrderStatus.REJECTED),
        (OrderStatus.RECEIVED, OrderStatus.UNTRIGGERED),
        (OrderStatus.RECEIVED, OrderStatus.FILLED),
    ],
)
def test_the_lifecycle_allows(before: OrderStatus, after: OrderStatus) -> None:
    assert after in TRANSITIONS[before]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OrderStatus.TRIGGERED, OrderStatus.UNTRIGGERED),
        (OrderStatus.TRIGGERED, OrderStatus.EXPIRED),  # expire_time is of UNTRIGGERED orders
        (OrderStatus.RECEIVED, OrderStatus.EXPIRED),
        (OrderStatus.RECEIVED, OrderStatus.CANCELED),
        (OrderStatus.PARTIAL, OrderStatus.FILLED),  # PARTIAL is terminal
    ],
)
def test_the_lifecycle_forbids(before: OrderStatus, after: OrderStatus) -> None:
    assert after not in TRANSITIONS[before]


@pytest.mark.parametrize(
    ("first", "second"), [("1", "1.0"), ("01", "1"), ("0.50", "0.5"), ("100", "100.000")]
)
def test_decimals_that_are_equal_make_equal_payloads(first: str, second: str) -> None:
    one = order(quantity=canonical(first), limit_price=canonical(second))
    other = order(quantity=canonical(second), limit_price=canonical(first))
    assert one.payload() == other.payload()


def test_what_is_unset_and_what_is_said_by_default_are_equal() -> None:
    unset = Order("o-1", "ann", "BTC-USDT", BUY, "1")
    said = Order(
        "o-1",
        "ann",
        "BTC-USDT",
        BUY,
        "1",
        OrderType.MARKET,
        reduce_only=False,
        time_in_force=TimeInForce.IOC,
        trigger_by=TriggerBy.BID_ASK,
        reject_if_triggered=False,
    )
    assert unset.payload() == said.payload()


def test_when_an_order_came_is_not_part_of_what_it_asks() -> None:
    first, retry = order(received_time_ns=1), order(received_time_ns=2)
    assert first.payload() == retry.payload()


DIFFERENCES: list[Callable[[Order], Order]] = [
    lambda o: replace(o, user_id="bob"),
    lambda o: replace(o, symbol="ETH-USDT"),
    lambda o: replace(o, direction=SELL),
    lambda o: replace(o, quantity="2"),
    lambda o: replace(o, order_type=OrderType.SL),
    lambda o: replace(o, reduce_only=True),
    lambda o: replace(o, time_in_force=TimeInForce.FOK),
    lambda o: replace(o, limit_price="1"),
    lambda o: replace(o, limit_price="11"),
    lambda o: replace(o, max_slippage_bps=0),
    lambda o: replace(o, max_slippage_bps=1),
    lambda o: replace(o, trigger_price="1"),
    lambda o: replace(o, trigger_by=TriggerBy.LAST),
    lambda o: replace(o, reject_if_triggered=True),
    lambda o: replace(o, expire_time_ns=0),
    lambda o: replace(o, expire_time_ns=1),
]


def test_every_field_of_the_request_makes_another_payload() -> None:
    payloads = {change(order()).payload() for change in DIFFERENCES} | {order().payload()}
    assert len(payloads) == len(DIFFERENCES) + 1


def test_no_field_of_an_order_is_forgotten_in_the_payload() -> None:
    changed = {
        name.name
        for change in DIFFERENCES
        for name in fields(Order)
        if getattr(change(order()), name.name) != getattr(order(), name.name)
    }
    # The id is what payloads are kept under; the time is no part of the request.
    assert changed == {name.name for name in fields(Order)} - {"order_id", "received_time_ns"}


def test_all_data_is_frozen_and_slotted() -> None:
    kinds = [kind for kind in vars(model).values() if isinstance(kind, type) and is_dataclass(kind)]
    assert Order in kinds
    for kind in kinds:
        assert kind.__dictoffset__ == 0, kind
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]  # not in typeshed


def test_an_order_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        order().quantity = "2"  # type: ignore[misc]  # that it is refused is the point
