"""What stop-loss orders, cancels and modifies are sent: every field, and every misuse of it."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from redis_server import RedisServer
from refusals import bad_fields, present_state, reason, refusal
from world import World, order, running_world

from execution.v1 import execution_pb2 as pb

Code = grpc.StatusCode
FUTURE = Timestamp(seconds=4_000_000_000, nanos=5)
BAD_DECIMALS = ("", "0", "0.00", "-1", "+1", "1e3", "abc", " 1", "1.", ".5", "NaN", "9" * 65)
BAD_IDS = ("", "a b", "a:b", "ö", "x\n", "o" * 65)


def stop(**fields: Any) -> pb.OrderRequest:
    """BUY 1 at 200 and above, which rests; with these fields instead."""
    return order(**({"trigger_price": "200"} | fields))


def modify(**fields: Any) -> pb.ModifyOrderRequest:
    settings: dict[str, Any] = {"order_id": "o-1", "user_id": "u1"}
    return pb.ModifyOrderRequest(**(settings | fields))


BAD_STOPS: list[tuple[dict[str, Any], set[str]]] = [
    *(({"trigger_price": text}, {"trigger_price"}) for text in BAD_DECIMALS),
    ({"trigger_price": "200.01"}, {"trigger_price"}),  # finer than the symbol's scale
    ({"limit_price": "0"}, {"limit_price"}),
    ({"quantity": "1.0001"}, {"quantity"}),
    ({"trigger_by": 4}, {"trigger_by"}),
    ({"trigger_by": -1}, {"trigger_by"}),
    ({"trigger_by": pb.TRIGGER_BY_LAST}, {"trigger_by"}),  # the feed carries no last price
    ({"trigger_by": pb.TRIGGER_BY_MARK}, {"trigger_by"}),
    ({"expire_time": Timestamp(seconds=1)}, {"expire_time"}),  # past
    ({"expire_time": Timestamp(seconds=-1)}, {"expire_time"}),
    ({"expire_time": Timestamp(seconds=4_000_000_000, nanos=-1)}, {"expire_time"}),
    ({"expire_time": Timestamp(seconds=4_000_000_000, nanos=10**9)}, {"expire_time"}),
    ({"expire_time": Timestamp(seconds=253_402_300_800)}, {"expire_time"}),
    ({"expire_time": Timestamp(seconds=2**63 - 1)}, {"expire_time"}),
    ({"user_id": ""}, {"user_id"}),
    ({"symbol": ""}, {"symbol"}),
    ({"direction": 0}, {"direction"}),
    ({"time_in_force": 9}, {"time_in_force"}),
    ({"order_id": "a b", "trigger_price": "x"}, {"order_id", "trigger_price"}),
]


@pytest.mark.parametrize(("fields", "named"), BAD_STOPS, ids=[str(f)[:60] for f, _ in BAD_STOPS])
async def test_every_bad_field_of_a_stop_is_named_and_nothing_is_recorded(
    world: World, fields: dict[str, Any], named: set[str]
) -> None:
    error = await refusal(world.service.ExecuteSLOrder(stop(**fields), timeout=10))
    assert error.code() == Code.INVALID_ARGUMENT
    assert bad_fields(error) == named
    assert await world.stored() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"trigger_by": pb.TRIGGER_BY_BID_ASK},
        {"reject_if_triggered": True},
        {"expire_time": FUTURE},
        {"trigger_by": 7, "reject_if_triggered": True, "expire_time": FUTURE},
    ],
    ids=str,
)
async def test_without_a_trigger_price_nothing_about_triggers_applies(
    world: World, fields: dict[str, Any]
) -> None:
    error = await refusal(world.service.ExecuteSLOrder(order(**fields), timeout=10))
    assert bad_fields(error) == set(fields)
    assert await world.stored() == {}


async def test_the_rpc_says_the_order_type_and_the_field_is_not_read(world: World) -> None:
    resting = await world.service.ExecuteSLOrder(stop(order_type=pb.ORDER_TYPE_MARKET), timeout=10)
    assert resting.order_type == pb.ORDER_TYPE_SL
    now = await world.market_order(order_id="o-2", order_type=pb.ORDER_TYPE_SL)
    assert now.order_type == pb.ORDER_TYPE_MARKET


async def test_the_same_stop_is_the_same_however_it_is_written(world: World) -> None:
    first = await world.service.ExecuteSLOrder(stop(expire_time=FUTURE), timeout=10)
    assert first.status == pb.ORDER_STATUS_UNTRIGGERED
    same = stop(
        trigger_price="200.0",
        quantity="1.000",
        expire_time=FUTURE,
        trigger_by=pb.TRIGGER_BY_BID_ASK,
        time_in_force=pb.TIME_IN_FORCE_IOC,
    )
    again = await world.service.ExecuteSLOrder(same, timeout=10)
    assert again.SerializeToString() == first.SerializeToString()
    others: tuple[dict[str, Any], ...] = (
        {"expire_time": Timestamp(seconds=FUTURE.seconds, nanos=FUTURE.nanos + 1)},
        {"expire_time": FUTURE, "trigger_price": "201"},
        {"expire_time": FUTURE, "user_id": "u2"},
        {"expire_time": FUTURE, "reject_if_triggered": True},
    )
    for other in others:
        error = await refusal(world.service.ExecuteSLOrder(stop(**other), timeout=10))
        assert error.code() == Code.ALREADY_EXISTS
    error = await refusal(world.service.ExecuteMarketOrder(order(), timeout=10))
    assert error.code() == Code.ALREADY_EXISTS, "the order type is part of the order"
    assert len((await world.stored())["STREAM:ORDER"]) == 1


async def test_a_modified_stop_is_still_the_order_that_was_sent(world: World) -> None:
    await world.service.ExecuteSLOrder(stop(), timeout=10)
    moved = await world.service.ModifyOrder(modify(trigger_price="300"), timeout=10)
    again = await world.service.ExecuteSLOrder(stop(), timeout=10)
    assert again.SerializeToString() == moved.SerializeToString()


async def test_a_stop_without_an_id_gets_one(world: World) -> None:
    resting = await world.service.ExecuteSLOrder(stop(order_id=""), timeout=10)
    assert len(resting.order_id) == 36


@pytest.mark.parametrize("name", BAD_IDS)
async def test_bad_names_are_named(world: World, name: str) -> None:
    key = {"order_id": name, "user_id": name}
    calls = (
        world.service.CancelOrder(pb.CancelOrderRequest(**key), timeout=10),
        world.service.ModifyOrder(modify(quantity="2", **key), timeout=10),
    )
    for call in calls:
        error = await refusal(call)
        assert error.code() == Code.INVALID_ARGUMENT
        assert bad_fields(error) == {"order_id", "user_id"}


@pytest.mark.parametrize("text", BAD_DECIMALS)
@pytest.mark.parametrize("field", ["trigger_price", "quantity", "limit_price"])
async def test_a_bad_term_of_a_modify_is_named_and_changes_nothing(
    world: World, field: str, text: str
) -> None:
    armed = await world.service.ExecuteSLOrder(stop(), timeout=10)
    error = await refusal(world.service.ModifyOrder(modify(**{field: text}), timeout=10))
    assert error.code() == Code.INVALID_ARGUMENT
    assert bad_fields(error) == {field}
    request = pb.GetOrderRequest(order_id="o-1", user_id="u1")
    assert await world.service.GetOrder(request, timeout=10) == armed


async def test_a_modify_that_is_finer_than_the_symbol_changes_nothing(world: World) -> None:
    await world.service.ExecuteSLOrder(stop(), timeout=10)
    for field, text in (
        ("trigger_price", "200.01"),
        ("quantity", "0.0001"),
        ("limit_price", "1.23"),
    ):
        error = await refusal(world.service.ModifyOrder(modify(**{field: text}), timeout=10))
        assert bad_fields(error) == {field}
    assert len((await world.stored())["STREAM:ORDER"]) == 1


@pytest.mark.parametrize("fields", [{}, {"expected_version": 1}], ids=str)
async def test_a_modify_of_nothing_is_told_what_it_could_change(
    world: World, fields: dict[str, Any]
) -> None:
    await world.service.ExecuteSLOrder(stop(), timeout=10)
    error = await refusal(world.service.ModifyOrder(modify(**fields), timeout=10))
    assert bad_fields(error) == {"trigger_price", "quantity", "limit_price"}


async def test_what_comes_too_late_carries_the_present_state(world: World) -> None:
    armed = await world.service.ExecuteSLOrder(stop(), timeout=10)
    for version in (0, 2, 2**64 - 1):
        request = modify(quantity="2", expected_version=version)
        error = await refusal(world.service.ModifyOrder(request, timeout=10))
        assert (error.code(), reason(error)) == (Code.FAILED_PRECONDITION, "VERSION_MISMATCH")
        assert present_state(error) == armed
    cancel = pb.CancelOrderRequest(order_id="o-1", user_id="u1")
    ended = await world.service.CancelOrder(cancel, timeout=10)
    assert await world.service.CancelOrder(cancel, timeout=10) == ended
    error = await refusal(world.service.ModifyOrder(modify(quantity="2"), timeout=10))
    assert (error.code(), reason(error)) == (Code.FAILED_PRECONDITION, "TOO_LATE")
    assert present_state(error) == ended
    filled = await world.market_order(order_id="o-2")
    cancel = pb.CancelOrderRequest(order_id="o-2", user_id="u1")
    error = await refusal(world.service.CancelOrder(cancel, timeout=10))
    assert (error.code(), reason(error)) == (Code.FAILED_PRECONDITION, "TOO_LATE")
    assert present_state(error) == filled


@pytest.mark.parametrize("rpc", ["ExecuteSLOrder", "CancelOrder", "ModifyOrder", "WatchOrders"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"not a message"])
async def test_bytes_that_are_no_message_are_an_invalid_argument(
    world: World, rpc: str, data: bytes
) -> None:
    method = f"/execution.v1.ExecutionService/{rpc}"
    call: Any
    if rpc == "WatchOrders":
        stream: Any = world.channel.unary_stream(method)
        call = stream(data, timeout=10).read()
    else:
        unary: Any = world.channel.unary_unary(method)
        call = unary(data, timeout=10)
    error = await refusal(call)
    assert error.code() == Code.INVALID_ARGUMENT
    assert bad_fields(error) == {"request"}


async def test_another_users_credentials_change_nothing(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tok-1": ["u1"], "tok-2": ["u2"]}')
    mine, theirs = ((("authorization", f"Bearer tok-{n}"),) for n in (1, 2))
    async with running_world(redis_server, auth_tokens=tokens) as world:
        service = world.service
        await service.ExecuteSLOrder(stop(), timeout=10, metadata=mine)
        cancel = pb.CancelOrderRequest(order_id="o-1", user_id="u1")
        for call in (
            service.ExecuteSLOrder(stop(order_id="o-2"), timeout=10, metadata=theirs),
            service.CancelOrder(cancel, timeout=10, metadata=theirs),
            service.ModifyOrder(modify(quantity="2"), timeout=10, metadata=theirs),
        ):
            assert (await refusal(call)).code() == Code.PERMISSION_DENIED
        assert len((await world.stored())["STREAM:ORDER"]) == 1


async def test_overload_is_refused_at_once(redis_server: RedisServer) -> None:
    async with running_world(redis_server, max_in_flight=0) as world:
        for call in (
            world.service.ExecuteSLOrder(stop(), timeout=10),
            world.service.CancelOrder(pb.CancelOrderRequest(), timeout=10),
            world.service.ModifyOrder(modify(), timeout=10),
        ):
            assert (await refusal(call)).code() == Code.RESOURCE_EXHAUSTED


async def test_calls_are_counted_by_how_they_ended(world: World) -> None:
    await world.service.ExecuteSLOrder(stop(), timeout=10)
    await world.service.ModifyOrder(modify(quantity="2"), timeout=10)
    await world.service.CancelOrder(pb.CancelOrderRequest(order_id="o-1", user_id="u1"), timeout=10)
    await refusal(world.service.ModifyOrder(modify(quantity="3"), timeout=10))
    read = world.app.metrics.registry.get_sample_value
    for method, code in (
        ("ExecuteSLOrder", "OK"),
        ("ModifyOrder", "OK"),
        ("CancelOrder", "OK"),
        ("ModifyOrder", "FAILED_PRECONDITION"),
    ):
        labels = {
            "grpc_type": "unary",
            "grpc_service": "execution.v1.ExecutionService",
            "grpc_method": method,
            "grpc_code": code,
        }
        assert read("grpc_server_handled_total", labels) == 1
    orders = {"status": "UNTRIGGERED", "reason": "NONE"}
    assert read("execution_orders_total", orders) == 1
