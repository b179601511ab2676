"""The error table of SEMANTICS: each bad call ends in its one status, and nothing is left."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from market import Market
from redis_server import RedisServer
from world import SPECS, World, order, running_world

from execution.v1 import execution_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

Code = grpc.StatusCode


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The rich details, by the name of their type."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    found: dict[str, Any] = {}
    kinds: list[type[Message]] = [
        error_details_pb2.BadRequest,
        error_details_pb2.ErrorInfo,
        error_details_pb2.RetryInfo,
    ]
    for packed in status.details:
        for kind in kinds:
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                found[kind.DESCRIPTOR.name] = message
    return found


def bad_fields(error: grpc.aio.AioRpcError) -> set[str]:
    return {violation.field for violation in details(error)["BadRequest"].field_violations}


BAD: list[tuple[dict[str, Any], set[str]]] = [
    ({"user_id": ""}, {"user_id"}),
    ({"user_id": "a:b"}, {"user_id"}),
    ({"user_id": "u" * 65}, {"user_id"}),
    ({"order_id": "o" * 65}, {"order_id"}),
    ({"order_id": "a b"}, {"order_id"}),
    ({"order_id": "o-1\n"}, {"order_id"}),
    ({"order_id": "ö"}, {"order_id"}),
    ({"symbol": ""}, {"symbol"}),
    ({"symbol": "A{B}"}, {"symbol"}),
    ({"symbol": "S" * 33}, {"symbol"}),
    ({"direction": 0}, {"direction"}),
    ({"direction": 3}, {"direction"}),
    ({"direction": -1}, {"direction"}),
    *(
        ({"quantity": text}, {"quantity"})
        for text in (
            "", "0", "0.000", "-1", "+1", "1e3", "1E-2", "abc", "1,5", " 1", "1 ", "1.", ".5",
            "1.2.3", "NaN", "inf", "0x10", "1_000", "\u0661", "9" * 65, "9" * 40, "0.0001",
            "99999999999999999999",
        )
    ),
    ({"limit_price": ""}, {"limit_price"}),
    ({"limit_price": "0"}, {"limit_price"}),
    ({"limit_price": "-5"}, {"limit_price"}),
    ({"limit_price": "1.23"}, {"limit_price"}),
    ({"time_in_force": 3}, {"time_in_force"}),
    ({"trigger_price": "100"}, {"trigger_price"}),
    ({"trigger_by": pb.TRIGGER_BY_LAST}, {"trigger_by"}),
    ({"reject_if_triggered": True}, {"reject_if_triggered"}),
    ({"expire_time": Timestamp(seconds=1)}, {"expire_time"}),
    (
        {"user_id": "", "symbol": "", "direction": 0, "quantity": "x", "limit_price": "y"},
        {"user_id", "symbol", "direction", "quantity", "limit_price"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "named"), BAD, ids=[str(fields)[:60] for fields, _ in BAD])
async def test_every_bad_field_is_named_and_nothing_is_recorded(
    world: World, fields: dict[str, Any], named: set[str]
) -> None:
    error = await failure(world.service.ExecuteMarketOrder(order(**fields), timeout=10))
    assert error.code() == Code.INVALID_ARGUMENT
    assert bad_fields(error) == named
    assert await world.stored() == {}


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff", b"not a message"])
async def test_bytes_that_are_no_message_are_an_invalid_argument(world: World, data: bytes) -> None:
    call: Any = world.channel.unary_unary("/execution.v1.ExecutionService/ExecuteMarketOrder")
    error = await failure(call(data, timeout=10))
    assert error.code() == Code.INVALID_ARGUMENT
    assert await world.stored() == {}


async def test_a_message_beyond_the_size_limit_is_refused(world: World) -> None:
    call: Any = world.channel.unary_unary("/execution.v1.ExecutionService/ExecuteMarketOrder")
    error = await failure(call(b"\x0a" * (2 * 1024 * 1024), timeout=10))
    assert error.code() == Code.RESOURCE_EXHAUSTED


async def test_rpcs_of_later_versions_are_unimplemented(world: World) -> None:
    for method in ("ExecuteOrders", "NoSuchRpc"):
        call: Any = world.channel.unary_unary(f"/execution.v1.ExecutionService/{method}")
        assert (await failure(call(b"", timeout=10))).code() == Code.UNIMPLEMENTED


async def test_another_payload_or_user_under_a_used_id_is_refused(world: World) -> None:
    await world.market_order()
    for other in ({"quantity": "2"}, {"user_id": "u2"}, {"limit_price": "200"}):
        error = await failure(world.service.ExecuteMarketOrder(order(**other), timeout=10))
        assert error.code() == Code.ALREADY_EXISTS
    same = await world.market_order(
        quantity="1.0", time_in_force=pb.TIME_IN_FORCE_IOC, order_type=pb.ORDER_TYPE_MARKET
    )
    assert same.filled_quantity == "1"
    assert len((await world.stored())["STREAM:TRADE"]) == 1


async def test_an_order_is_seen_by_its_user_alone(world: World) -> None:
    report = await world.market_order()
    own = await world.service.GetOrder(pb.GetOrderRequest(order_id="o-1", user_id="u1"), timeout=10)
    assert own.SerializeToString() == report.SerializeToString()
    for order_id, user_id in (("o-1", "u2"), ("o-2", "u1")):
        request = pb.GetOrderRequest(order_id=order_id, user_id=user_id)
        error = await failure(world.service.GetOrder(request, timeout=10))
        assert error.code() == Code.NOT_FOUND
    error = await failure(world.service.GetOrder(pb.GetOrderRequest(), timeout=10))
    assert bad_fields(error) == {"order_id", "user_id"}
    error = await failure(world.service.GetPosition(pb.GetPositionRequest(), timeout=10))
    assert bad_fields(error) == {"user_id", "symbol"}


async def test_symbol_service_down_is_unavailable_and_a_retry_still_gets_its_answer(
    world: World,
) -> None:
    first = await world.market_order()
    await world.market.stop()
    error = await failure(world.service.ExecuteMarketOrder(order(order_id="new"), timeout=10))
    assert error.code() == Code.UNAVAILABLE
    found = details(error)
    assert found["ErrorInfo"].reason in {"SYMBOL_SERVICE_UNAVAILABLE", "STALE_BOOK"}
    assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert "ORDER:new" not in await world.stored()
    retry = await world.market_order()
    assert retry.SerializeToString() == first.SerializeToString()
    await world.wait_health(serving=False)
    await world.market.start()
    await world.wait_health(serving=True)
    assert (await world.market_order(order_id="new")).status == pb.ORDER_STATUS_FILLED


@pytest.mark.parametrize("l1_only", [False, True])
@pytest.mark.parametrize("push", [False, True])
async def test_a_symbol_service_that_hangs_makes_the_book_stale(
    redis_server: RedisServer, l1_only: bool, push: bool
) -> None:
    market = Market(SPECS, l1_only=l1_only, push=push)
    async with running_world(redis_server, market, max_snapshot_age_ms=300) as world:
        for rpc in ("GetBook", "GetL1", "GetSymbols", "StreamBooks"):
            market.faults.hold(rpc)
        number, error = await first_failure(world)
        assert error.code() == Code.UNAVAILABLE
        assert details(error)["ErrorInfo"].reason == "STALE_BOOK"
        assert f"ORDER:h{number}" not in await world.stored()
        market.faults.release_all()
        await world.wait_health(serving=True)
        report = await world.market_order(order_id=f"h{number}", quantity="0.001")
        assert report.status == pb.ORDER_STATUS_FILLED


async def first_failure(world: World) -> tuple[int, grpc.aio.AioRpcError]:
    """Orders until one fails: a pushed book is fresh until its next heartbeat is due."""
    async with asyncio.timeout(10):
        number = 0
        while True:
            number += 1
            request = order(order_id=f"h{number}", quantity="0.001")
            try:
                await world.service.ExecuteMarketOrder(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                return number, error


@pytest.fixture
async def breakable() -> AsyncIterator[World]:
    """A world on a Redis of its own, durable, to be hurt."""
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with running_world(server) as world:
            yield world


async def test_redis_down_is_unavailable_and_it_comes_back_by_itself(breakable: World) -> None:
    world = breakable
    first = await world.market_order()
    world.redis.kill()
    error = await failure(world.service.ExecuteMarketOrder(order(order_id="b"), timeout=10))
    assert error.code() == Code.UNAVAILABLE
    assert details(error)["ErrorInfo"].reason == "REDIS_UNAVAILABLE"
    await world.wait_health(serving=False)
    world.redis.start()
    await world.wait_health(serving=True)
    retry = await world.market_order()
    assert retry.SerializeToString() == first.SerializeToString()
    second = await world.market_order(order_id="b", quantity="9")
    assert second.filled_quantity == "5", "the failed order gave its liquidity back"
    assert (await world.position()).quantity == "6"


async def test_a_redis_that_hangs_is_unavailable_within_bounds(breakable: World) -> None:
    world = breakable
    world.redis.pause()
    try:
        error = await failure(world.service.ExecuteMarketOrder(order(), timeout=20))
        assert error.code() == Code.UNAVAILABLE
    finally:
        world.redis.resume()
    await world.wait_health(serving=True)
    report = await world.market_order()
    assert report.filled_quantity == "1"
    assert len((await world.stored())["STREAM:TRADE"]) == 1


async def test_a_redis_that_takes_no_writes_is_unavailable(breakable: World) -> None:
    world = breakable
    await world.store.replicaof("127.0.0.1", "1")
    error = await failure(world.service.ExecuteMarketOrder(order(), timeout=10))
    assert error.code() == Code.UNAVAILABLE
    await world.wait_health(serving=False)
    await world.store.replicaof("NO", "ONE")
    await world.wait_health(serving=True)
    assert (await world.market_order()).status == pb.ORDER_STATUS_FILLED


async def test_a_redis_out_of_memory_is_unavailable_and_names_it(breakable: World) -> None:
    world = breakable
    await world.store.config_set("maxmemory", "1")
    error = await failure(world.service.ExecuteMarketOrder(order(), timeout=10))
    assert error.code() == Code.UNAVAILABLE
    assert details(error)["ErrorInfo"].reason == "REDIS_NOT_WRITABLE"
    await world.store.config_set("maxmemory", "0")
    await world.wait_health(serving=True)
    assert (await world.market_order()).status == pb.ORDER_STATUS_FILLED


@pytest.mark.parametrize(
    "key", ["ORDER:o-1", "POSITION:u1:BTC-USDT", "STREAM:TRADE", "STREAM:ORDER", "STREAM:REJECT"]
)
async def test_a_key_of_the_wrong_type_is_unavailable_and_hurts_no_neighbour(
    world: World, key: str
) -> None:
    await world.store.set(key, "mine")
    error = await failure(world.service.ExecuteMarketOrder(order(), timeout=10))
    assert error.code() == Code.UNAVAILABLE
    assert key in (error.details() or "")
    assert await world.stored() == {}, "nothing is half-written"
    if key.startswith("STREAM"):
        await world.wait_health(serving=False)
    else:
        other = await world.market_order(order_id="o-2", user_id="u2")
        assert other.status == pb.ORDER_STATUS_FILLED
    await world.store.delete(key)
    assert (await world.market_order()).status == pb.ORDER_STATUS_FILLED


async def test_an_order_without_time_left_is_not_sent(world: World) -> None:
    error = await failure(world.service.ExecuteMarketOrder(order(), timeout=0.0001))
    assert error.code() == Code.DEADLINE_EXCEEDED


async def test_overload_is_refused_at_once(redis_server: RedisServer) -> None:
    async with running_world(redis_server, max_in_flight=0) as world:
        error = await failure(world.service.ExecuteMarketOrder(order(), timeout=10))
        assert error.code() == Code.RESOURCE_EXHAUSTED
        assert details(error)["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert await world.stored() == {}
