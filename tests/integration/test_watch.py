"""A watch of orders through the whole service: what it tells, in which order, how it ends."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from redis_server import RedisServer
from world import World, order, running_world

from execution.client import AsyncClient, Client, OrderStatus, RetryPolicy
from execution.errors import (
    DeadlineExceeded,
    InvalidArgument,
    LedgerUnavailable,
    PermissionDenied,
    ResumeTokenGone,
    Unavailable,
)
from execution.testing.fault_proxy import FaultProxy, Way
from execution.v1 import execution_pb2 as pb

Code = grpc.StatusCode
PATIENT = RetryPolicy(timeout_seconds=20, backoff_initial_seconds=0.001, backoff_max_seconds=0.01)

Read = Callable[[], Awaitable[pb.ExecutionReport]]


@asynccontextmanager
async def sync_watch(target: str, token: str | None = None, **terms: Any) -> AsyncIterator[Read]:
    with Client(target, token=token, retry=PATIENT) as client:
        watch = client.watch_orders(**terms)
        await asyncio.to_thread(watch.__enter__)
        try:
            yield lambda: asyncio.to_thread(next, watch)
        finally:
            watch.close()


@asynccontextmanager
async def async_watch(target: str, token: str | None = None, **terms: Any) -> AsyncIterator[Read]:
    async with (
        AsyncClient(target, token=token, retry=PATIENT) as client,
        client.watch_orders(**terms) as watch,
    ):
        yield watch.__anext__


Watch = Callable[..., Any]


@pytest.fixture(params=[sync_watch, async_watch], ids=["sync", "async"])
def watch(request: pytest.FixtureRequest) -> Watch:
    chosen: Watch = request.param
    return chosen


async def take(read: Read, count: int, seconds: float = 20.0) -> list[pb.ExecutionReport]:
    async with asyncio.timeout(seconds):
        return [await read() for _ in range(count)]


async def tokens_in(world: World) -> list[str]:
    """The id of every status change there ever was."""
    entries: Any = await world.store.xrange("STREAM:ORDER")
    return [entry_id for entry_id, _ in entries]


def details(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(packed.Unpack(info) for packed in status.details)
    return info


async def change_a_stop(world: World, order_id: str = "s-1") -> list[pb.ExecutionReport]:
    """What the service answers to a stop that is armed, moved twice and cancelled."""
    key: dict[str, Any] = {"order_id": order_id, "user_id": "u1"}
    answers = [
        await world.service.ExecuteSLOrder(
            order(order_id=order_id, trigger_price="200"), timeout=10
        )
    ]
    for price in ("201", "202"):
        request = pb.ModifyOrderRequest(trigger_price=price, **key)
        answers.append(await world.service.ModifyOrder(request, timeout=10))
    answers.append(await world.service.CancelOrder(pb.CancelOrderRequest(**key), timeout=10))
    return answers


async def test_every_change_is_told_once_in_order_as_it_was_answered(
    world: World, watch: Watch
) -> None:
    async with watch(world.ready.grpc, user_id="u1") as read:
        answers = [await world.market_order(), *await change_a_stop(world)]
        told = await take(read, len(answers))
    assert [report.resume_token for report in told] == await tokens_in(world)
    assert [report.version for report in told] == [1, 1, 2, 3, 4]
    assert OrderStatus(told[-1].status) is OrderStatus.CANCELED
    for report in told:
        report.resume_token = ""
    assert told == answers


async def test_a_watch_begins_now(world: World, watch: Watch) -> None:
    async with watch(world.ready.grpc, user_id="u1") as first:
        for number in range(20):
            await world.market_order(order_id=f"before-{number}", quantity="0.001")
            async with watch(world.ready.grpc, user_id="u1") as later:
                await world.market_order(order_id=f"after-{number}", quantity="0.001")
                assert (await take(later, 1))[0].order_id == f"after-{number}"
        assert len(await take(first, 40)) == 40


async def test_only_the_users_own_and_only_the_named_orders_are_told(
    world: World, watch: Watch
) -> None:
    async with (
        watch(world.ready.grpc, user_id="u1") as own,
        watch(world.ready.grpc, user_id="u1", order_ids=["b", "c", "not-yet"]) as named,
        watch(world.ready.grpc, user_id="u2", order_ids=["a", "z"]) as strangers,
    ):
        for order_id, user_id in (("a", "u1"), ("b", "u1"), ("y", "u2"), ("c", "u1"), ("z", "u2")):
            await world.market_order(order_id=order_id, user_id=user_id, quantity="0.001")
        assert [report.order_id for report in await take(own, 3)] == ["a", "b", "c"]
        assert [report.order_id for report in await take(named, 2)] == ["b", "c"]
        assert [report.order_id for report in await take(strangers, 1)] == ["z"]


async def test_a_watch_goes_on_after_any_token(world: World, watch: Watch) -> None:
    await change_a_stop(world)
    tokens = ["0-0", *await tokens_in(world)]
    for number, token in enumerate(tokens):
        rest = tokens[number + 1 :]
        async with watch(world.ready.grpc, user_id="u1", resume_token=token) as read:
            assert [report.resume_token for report in await take(read, len(rest))] == rest
            await world.market_order(order_id=f"next-{number}", quantity="0.001")
            told = (await take(read, 1 + number))[-1]
            assert told.order_id == f"next-{number}"


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a b"}, "user_id"),
        ({"user_id": "u1", "order_ids": [""]}, "order_ids"),
        ({"user_id": "u1", "order_ids": ["fine", "a:b"]}, "order_ids"),
        ({"user_id": "u1", "order_ids": [f"o-{n}" for n in range(1001)]}, "order_ids"),
        *(
            ({"user_id": "u1", "resume_token": token}, "resume_token")
            for token in ("0", "$", "-", "1-", "-1", "a-b", "1-2-3", " 1-2", "1" * 21 + "-0",
                          "18446744073709551616-0", "0-18446744073709551616", "\u0661-0")
        ),
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_watched_is_named(
    world: World, watch: Watch, terms: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        async with watch(world.ready.grpc, **terms) as read:
            await read()
    assert {violation.field for violation in caught.value.violations} == {field}


async def test_as_many_orders_as_may_be_named(world: World, watch: Watch) -> None:
    names = [f"o-{n:062}" for n in range(1000)]
    async with watch(world.ready.grpc, user_id="u1", order_ids=names) as read:
        await world.market_order(order_id=names[-1])
        assert (await take(read, 1))[0].order_id == names[-1]


@pytest.mark.parametrize("token", ["18446744073709551615-18446744073709551615", "trimmed"])
async def test_a_token_that_leads_nowhere_is_refused(
    world: World, watch: Watch, token: str
) -> None:
    await change_a_stop(world)
    if token == "trimmed":
        token = (await tokens_in(world))[0]
        await world.store.xtrim("STREAM:ORDER", maxlen=2, approximate=False)
        kept = (await tokens_in(world))[0]
        async with watch(world.ready.grpc, user_id="u1", resume_token=kept) as read:
            assert (await take(read, 1))[0].version == 4
    with pytest.raises(ResumeTokenGone):
        async with watch(world.ready.grpc, user_id="u1", resume_token=token) as read:
            await read()


async def test_a_stream_that_is_lost_under_a_watch_is_told(world: World, watch: Watch) -> None:
    async with watch(world.ready.grpc, user_id="u1") as read:
        await world.market_order()
        await take(read, 1)
        await world.store.flushall()
        with pytest.raises(ResumeTokenGone, match="lost it"):
            await take(read, 1)


async def test_a_user_may_not_be_watched_with_the_credentials_of_another(
    redis_server: RedisServer, watch: Watch, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tok-1": ["u1"]}')
    async with running_world(redis_server, auth_tokens=tokens) as world:
        async with watch(world.ready.grpc, "tok-1", user_id="u1"):
            pass
        with pytest.raises(PermissionDenied):
            async with watch(world.ready.grpc, "tok-1", user_id="u2") as read:
                await read()


async def test_cuts_at_any_moment_leave_no_gap_and_no_double(world: World, watch: Watch) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world.feed.set_book([("100", "9999")], [("100.5", "9999")])
    host, _, port = world.ready.grpc.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        async with watch(f"127.0.0.1:{proxy.port}", user_id="u1") as read:
            reader = asyncio.create_task(take(read, 400, seconds=60))
            for burst in range(40):
                orders = (
                    world.market_order(order_id=f"o-{burst}-{n}", quantity="0.001")
                    for n in range(10)
                )
                commits = asyncio.gather(*orders)
                await asyncio.sleep(chance.random() * 0.02)
                proxy.cut()
                await commits
            told = await reader
        assert proxy.accepted > 5, f"seed {seed}"
    assert [report.resume_token for report in told] == await tokens_in(world), f"seed {seed}"


async def test_a_watch_outlives_redis(watch: Watch) -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with (
            running_world(server) as world,
            watch(world.ready.grpc, user_id="u1") as read,
        ):
            raw = world.service.WatchOrders(pb.WatchOrdersRequest(user_id="u1"))
            await raw.initial_metadata()
            await world.market_order(order_id="a")
            await take(read, 1)
            await raw.read()
            server.kill()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw.read()
            assert caught.value.code() == Code.UNAVAILABLE
            assert details(caught.value).reason == LedgerUnavailable.reason
            server.start()
            await world.wait_health(serving=True)
            await world.market_order(order_id="b")
            assert (await take(read, 1))[0].order_id == "b"


async def test_a_redis_that_hangs_ends_watches_within_bounds(redis_server: RedisServer) -> None:
    async with running_world(redis_server) as world:
        raw = world.service.WatchOrders(pb.WatchOrdersRequest(user_id="u1"))
        await raw.initial_metadata()
        redis_server.pause()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(raw.read(), 5)
        finally:
            redis_server.resume()
        assert caught.value.code() == Code.UNAVAILABLE


async def test_a_drain_ends_watches_at_once_and_tells_why(world: World) -> None:
    quiet = world.service.WatchOrders(pb.WatchOrdersRequest(user_id="u1"))
    await quiet.initial_metadata()
    deaf = world.service.WatchOrders(pb.WatchOrdersRequest(user_id="u2"))
    await deaf.initial_metadata()
    began = time.monotonic()
    await world.app.drain(30)
    assert time.monotonic() - began < 5
    for call in (quiet, deaf):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == Code.UNAVAILABLE
        assert details(caught.value).reason == "DRAINING"


async def test_nobody_to_watch_with_is_unavailable(world: World, watch: Watch) -> None:
    await world.app.drain(1)
    with pytest.raises((DeadlineExceeded, Unavailable)):
        async with watch(world.ready.grpc, user_id="u1", timeout_seconds=0.2) as read:
            await read()


async def flood(world: World, count: int) -> list[str]:
    """Tells of one order so often; straight into the stream, as fast as Redis can."""
    await world.market_order()
    entries: Any = await world.store.xrange("STREAM:ORDER")
    ((_, fields),) = entries
    async with world.store.pipeline(transaction=False) as pipe:
        for _ in range(count):
            pipe.xadd("STREAM:ORDER", fields)
        await pipe.execute()
    return await tokens_in(world)


async def test_a_slow_reader_is_told_where_to_go_on(world: World) -> None:
    call: Any = world.service.WatchOrders(pb.WatchOrdersRequest(user_id="u1"))
    await call.initial_metadata()
    tokens = await flood(world, 40_000)
    told: list[str] = []

    async def read_late() -> None:
        """Nothing for a while, and then as fast as can be."""
        await asyncio.sleep(1)
        while True:
            told.append(str((await call.read()).resume_token))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(read_late(), 60)
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    info = details(caught.value)
    assert (info.reason, info.metadata["resume_token"]) == ("SLOW_READER", told[-1])
    assert told == tokens[: len(told)]
    assert len(told) < len(tokens)


async def test_a_reader_who_is_too_slow_at_times_still_gets_all(world: World, watch: Watch) -> None:
    async with watch(world.ready.grpc, user_id="u1") as read:
        tokens = await flood(world, 12_000)
        await asyncio.sleep(1)
        told = await take(read, len(tokens), seconds=60)
    assert [report.resume_token for report in told] == tokens


async def watch_connections(world: World, count: int) -> None:
    """Returns when Redis has so many connections of watches; fails after a while."""
    async with asyncio.timeout(10):
        while True:
            clients = await world.store.client_list()
            names = [client["name"] for client in clients]
            if names.count("execution-service-watch") == count:
                return
            await asyncio.sleep(0.01)


async def test_many_watches_share_one_reader(world: World) -> None:
    world.feed.set_book([("100", "9999")], [("100.5", "9999")])
    await watch_connections(world, 0)
    users = [f"u{n}" for n in range(200)]
    calls: list[Any] = [
        world.service.WatchOrders(pb.WatchOrdersRequest(user_id=user)) for user in users
    ]
    await asyncio.gather(*(call.initial_metadata() for call in calls))
    await watch_connections(world, 2)
    for round_ in range(3):
        await asyncio.gather(
            *(
                world.market_order(order_id=f"{user}-{round_}", user_id=user, quantity="0.001")
                for user in users
            )
        )
    for user, call in zip(users, calls, strict=True):
        told = [(await asyncio.wait_for(call.read(), 10)).order_id for _ in range(3)]
        assert told == [f"{user}-{round_}" for round_ in range(3)]
        call.cancel()
    await watch_connections(world, 0)


async def test_watches_are_counted_by_how_they_ended(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await world.service.WatchOrders(pb.WatchOrdersRequest()).read()
    labels = {
        "grpc_type": "server_stream",
        "grpc_service": "execution.v1.ExecutionService",
        "grpc_method": "WatchOrders",
    }
    registry = world.app.metrics.registry
    assert registry.get_sample_value("grpc_server_started_total", labels) == 1
    ended = labels | {"grpc_code": "INVALID_ARGUMENT"}
    assert registry.get_sample_value("grpc_server_handled_total", ended) == 1


async def test_a_read_that_is_cancelled_loses_nothing(world: World) -> None:
    async with (
        AsyncClient(world.ready.grpc, retry=PATIENT) as client,
        client.watch_orders(user_id="u1") as watch,
    ):
        told: list[str] = []
        for number in range(30):
            placed = asyncio.create_task(
                world.market_order(order_id=f"o-{number}", quantity="0.001")
            )
            try:
                async with asyncio.timeout(0.002):
                    told.append((await anext(watch)).resume_token)
            except TimeoutError:
                pass
            await placed
        while len(told) < 30:
            told.append((await asyncio.wait_for(anext(watch), 10)).resume_token)
    assert told == await tokens_in(world)


async def test_a_watch_that_is_closed_ends(world: World) -> None:
    async with AsyncClient(world.ready.grpc) as client:
        async with client.watch_orders(user_id="u1") as watch:
            token = watch.token
        assert [report async for report in watch] == []
    with Client(world.ready.grpc) as threaded:
        other = threaded.watch_orders(user_id="u1", resume_token=token)
        reading = asyncio.create_task(asyncio.to_thread(list, other))
        await watch_connections(world, 2)
        other.close()
        assert await asyncio.wait_for(reading, 10) == []


async def test_a_service_that_never_begins_to_answer_is_given_up(
    world: World, watch: Watch
) -> None:
    host, _, port = world.ready.grpc.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        proxy.swallow(Way.TO_CLIENT)
        with pytest.raises((DeadlineExceeded, Unavailable)):
            async with watch(f"127.0.0.1:{proxy.port}", user_id="u1", timeout_seconds=0.5) as read:
                await read()
