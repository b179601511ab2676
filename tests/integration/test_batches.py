"""ExecuteBatch and ExecuteStream over the wire: every order its own answer, in the order sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2
from redis_server import RedisServer
from refusals import bad_fields, reason, refusal
from world import World, order, running_world

from execution.server.batches import BATCH_MAX
from execution.v1 import execution_pb2 as pb

FILLED = pb.ORDER_STATUS_FILLED


async def batch(world: World, *orders: pb.OrderRequest) -> list[pb.ExecutionReport]:
    reply = await world.service.ExecuteBatch(pb.OrderBatch(orders=orders), timeout=10)
    return list(reply.reports)


async def streamed(world: World, *orders: pb.OrderRequest) -> list[pb.ExecutionReport]:
    async def requests() -> AsyncIterator[pb.OrderRequest]:
        for request in orders:
            yield request

    call: Any = world.service.ExecuteStream(requests(), timeout=60)
    return [report async for report in call]


MANY = pytest.mark.parametrize("together", [batch, streamed], ids=["batch", "stream"])


@MANY
async def test_answers_come_in_the_order_sent(world: World, together: Any) -> None:
    orders = [order(order_id=f"o-{n}", user_id=f"u{n % 3}", quantity="0.01") for n in range(50)]
    reports = await together(world, *orders)
    assert [report.order_id for report in reports] == [f"o-{n}" for n in range(50)]
    assert {report.status for report in reports} == {FILLED}
    assert (await world.position("u0")).quantity == "0.17"
    assert len((await world.stored())["STREAM:TRADE"]) == 50


@MANY
async def test_a_bad_order_never_fails_its_neighbours(world: World, together: Any) -> None:
    first, bad, last = await together(
        world,
        order(order_id="a"),
        order(order_id="b", quantity="-1", symbol="no such:symbol"),
        order(order_id="c"),
    )
    assert (first.status, last.status) == (FILLED, FILLED)
    assert (bad.order_id, bad.user_id) == ("b", "u1")
    assert bad.status == pb.ORDER_STATUS_UNSPECIFIED
    assert bad.error.code == code_pb2.INVALID_ARGUMENT
    details = error_details_pb2.BadRequest()
    assert bad.error.details[0].Unpack(details)
    assert {violation.field for violation in details.field_violations} == {"quantity", "symbol"}
    assert not first.HasField("error")
    assert "ORDER:b" not in await world.stored()


@MANY
async def test_the_type_of_each_order_is_read(world: World, together: Any) -> None:
    market, stop, unknown = await together(
        world,
        order(order_id="m", order_type=pb.ORDER_TYPE_MARKET),
        order(order_id="s", order_type=pb.ORDER_TYPE_SL, trigger_price="900"),
        order(order_id="x", order_type=7),
    )
    assert (market.status, market.order_type) == (FILLED, pb.ORDER_TYPE_MARKET)
    assert (stop.status, stop.order_type) == (pb.ORDER_STATUS_UNTRIGGERED, pb.ORDER_TYPE_SL)
    assert unknown.error.code == code_pb2.INVALID_ARGUMENT
    assert "order_type" in unknown.error.message


@MANY
async def test_the_same_order_twice_is_executed_once(world: World, together: Any) -> None:
    once, again, other = await together(
        world,
        order(order_id="twin"),
        order(order_id="twin"),
        order(order_id="twin", quantity="2"),
    )
    assert again.SerializeToString() == once.SerializeToString()
    assert other.error.code == code_pb2.ALREADY_EXISTS
    assert len((await world.stored())["STREAM:TRADE"]) == 1


@MANY
async def test_what_unary_answered_they_answer_too(world: World, together: Any) -> None:
    alone = await world.market_order(order_id="o-1")
    (repeated,) = await together(world, order(order_id="o-1"))
    assert repeated.SerializeToString() == alone.SerializeToString()


async def test_an_empty_batch_has_an_empty_answer(world: World) -> None:
    assert await batch(world) == []
    assert await streamed(world) == []


async def test_a_batch_that_is_too_large_is_refused_whole(world: World) -> None:
    orders = [order(order_id=f"o-{n}") for n in range(BATCH_MAX + 1)]
    error = await refusal(world.service.ExecuteBatch(pb.OrderBatch(orders=orders), timeout=10))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert bad_fields(error) == {"orders"}
    assert not [key for key in await world.stored() if key.startswith("ORDER:")]


async def test_bytes_that_are_no_batch_are_refused(world: World) -> None:
    call: Any = world.channel.unary_unary("/execution.v1.ExecutionService/ExecuteBatch")
    error = await refusal(call(b"\x0a\xff", timeout=10))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_bytes_that_are_no_order_fail_their_own_item(world: World) -> None:
    call: Any = world.channel.stream_stream("/execution.v1.ExecutionService/ExecuteStream")

    async def requests() -> AsyncIterator[bytes]:
        yield b"\xff\xff"
        yield order(order_id="after").SerializeToString()

    replies = [pb.ExecutionReport.FromString(data) async for data in call(requests(), timeout=10)]
    assert [reply.error.code for reply in replies] == [code_pb2.INVALID_ARGUMENT, 0]
    assert replies[1].status == FILLED


async def test_a_stream_answers_while_it_is_open(world: World) -> None:
    call: Any = world.service.ExecuteStream(timeout=10)
    for number in range(3):
        await call.write(order(order_id=f"o-{number}", quantity="0.1"))
        report = await call.read()
        assert (report.order_id, report.status) == (f"o-{number}", FILLED)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_thousands_of_orders_may_be_under_way_on_one_stream(world: World) -> None:
    orders = [
        order(order_id=f"o-{n}", user_id=f"u{n % 50}", quantity="0.001") for n in range(2_000)
    ]
    reports = await streamed(world, *orders)
    assert [report.order_id for report in reports] == [request.order_id for request in orders]
    assert {report.status for report in reports} == {FILLED}


async def test_a_drain_answers_what_is_under_way_and_ends_the_stream(world: World) -> None:
    call: Any = world.service.ExecuteStream(timeout=20)
    await call.write(order(order_id="first"))
    assert (await call.read()).status == FILLED
    drain = asyncio.create_task(world.app.drain(10))
    error = await refusal(_to_the_end(call))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(error) == "DRAINING"
    await drain


async def _to_the_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_one_order_too_many_fails_alone(redis_server: RedisServer) -> None:
    async with running_world(redis_server, max_in_flight=2) as world:
        reports = await batch(world, *(order(order_id=f"o-{n}", quantity="0.1") for n in range(4)))
    assert [report.error.code for report in reports] == [
        0,
        0,
        code_pb2.RESOURCE_EXHAUSTED,
        code_pb2.RESOURCE_EXHAUSTED,
    ]
