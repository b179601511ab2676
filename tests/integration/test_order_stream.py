"""The order stream read by itself: joins at any moment, limits, and a Redis that misbehaves."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer

from execution.adapters.order_stream import OrderStreamConfig, RedisOrderStream
from execution.adapters.order_tail import TailLimits
from execution.adapters.records import report_to_json
from execution.adapters.wire import WireLimits
from execution.errors import (
    LedgerRefused,
    LedgerUnavailable,
    Overloaded,
    ResumeTokenGone,
    SlowReader,
)
from execution.model import Direction, ExecutionReport, OrderStatus, OrderType
from execution.ports import OrderUpdate, OrderWatch

STREAM = "STREAM:ORDER"
ALL: frozenset[str] = frozenset()
REPORT = ExecutionReport(
    order_id="o-1",
    user_id="u1",
    symbol="BTC-USDT",
    direction=Direction.BUY,
    order_type=OrderType.MARKET,
    status=OrderStatus.FILLED,
    quantity="1",
    effective_quantity="1",
    filled_quantity="1",
    remaining_quantity="0",
)


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@asynccontextmanager
async def opened(server: RedisServer, **settings: Any) -> AsyncIterator[RedisOrderStream]:
    stream = RedisOrderStream(OrderStreamConfig(server.url, **settings))
    try:
        yield stream
    finally:
        await stream.close()


async def write(store: Redis, order_id: str, user_id: str = "u1", version: int = 1) -> str:
    """One change; its token."""
    report = replace(REPORT, order_id=order_id, user_id=user_id, version=version)
    token: Any = await store.xadd(STREAM, {"order": report_to_json(report)})
    return str(token)


async def take(watch: OrderWatch, count: int) -> list[OrderUpdate]:
    updates = aiter(watch)
    async with asyncio.timeout(20):
        return [await anext(updates) for _ in range(count)]


async def test_joining_at_any_moment_leaves_no_gap_and_no_double(
    redis_server: RedisServer, store: Redis
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    own: list[str] = ["0-0"]
    total = 200

    async def write_all() -> None:
        for number in range(total):
            token = await write(store, f"o-{number}", user_id=chance.choice(["u1", "u2"]))
            own.append(token)

    async def watch_from(after: str) -> list[str]:
        told = []
        async with stream.watch("u1", ALL, after) as watch:
            async for update in watch:
                told.append(update.token)
                if update.report.order_id == "the-end":
                    return told
                if chance.random() < 0.05:
                    await asyncio.sleep(chance.random() * 0.01)
        raise AssertionError("a watch does not end by itself")

    async with opened(redis_server, tail=TailLimits(page=3)) as stream:
        writer = asyncio.create_task(write_all())
        watches: list[tuple[str, asyncio.Task[list[str]]]] = []
        while not writer.done():
            after = chance.choice(own)
            watches.append((after, asyncio.create_task(watch_from(after))))
            await asyncio.sleep(chance.random() * 0.01)
        await write(store, "the-end")
        entries: Any = await store.xrange(STREAM)
        mine = [token for token, fields in entries if '"user_id":"u1"' in fields["order"]]
        for after, task in watches:
            told = await asyncio.wait_for(task, 60)
            expected = [token for token in mine if place(token) > place(after)]
            assert told == expected, f"seed {seed}, after {after}"
    assert len(watches) > 10


def place(token: str) -> tuple[int, ...]:
    return tuple(map(int, token.split("-")))


async def test_what_is_told_is_what_was_written(redis_server: RedisServer, store: Redis) -> None:
    async with opened(redis_server) as stream, stream.watch("u1", ALL, None) as watch:
        token = await write(store, "o-1", version=7)
        (update,) = await take(watch, 1)
    assert update == OrderUpdate(token, replace(REPORT, version=7))


async def test_the_token_of_a_watch_is_where_it_began_and_then_what_was_told(
    redis_server: RedisServer, store: Redis
) -> None:
    async with opened(redis_server) as stream:
        before = await write(store, "o-1")
        async with stream.watch("u1", ALL, None) as watch:
            assert watch.token == before
            after = await write(store, "o-2")
            await take(watch, 1)
            assert watch.token == after
        async with stream.watch("u1", ALL, "0-0") as watch:
            assert watch.token == "0-0"
            await take(watch, 1)
            assert watch.token == before


async def test_one_watch_too_many_is_refused_and_makes_room_when_it_ends(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server, watches_max=2) as stream, AsyncExitStack() as open_watches:
        for _ in range(2):
            await open_watches.enter_async_context(stream.watch("u1", ALL, None))
        with pytest.raises(Overloaded):
            await open_watches.enter_async_context(stream.watch("u1", ALL, None))
        await open_watches.aclose()
        async with stream.watch("u1", ALL, None):
            assert stream.watches == 1
    assert stream.watches == 0


async def test_a_watch_that_falls_behind_is_given_up_and_holds_up_nobody(
    redis_server: RedisServer, store: Redis
) -> None:
    async with (
        opened(redis_server, tail=TailLimits(behind_max=5)) as stream,
        stream.watch("u1", ALL, None) as slow,
        stream.watch("u1", ALL, None) as quick,
    ):
        for number in range(5):
            await write(store, f"o-{number}")
        assert len(await take(slow, 2)) == len(await take(quick, 5)) - 3
        tokens: list[str] = []
        for number in range(10):
            tokens.append(await write(store, f"p-{number}"))
            assert (await take(quick, 1))[0].token == tokens[-1]
        held = slow.token
        with pytest.raises(SlowReader):
            await take(slow, 100)
        assert slow.token == held
        async with stream.watch("u1", ALL, held) as again:
            assert [update.token for update in await take(again, 13)][3:] == tokens


async def test_a_read_in_pages_is_never_too_slow(redis_server: RedisServer, store: Redis) -> None:
    tokens = [await write(store, f"o-{number}") for number in range(50)]
    limits = TailLimits(page=4, behind_max=5)
    async with opened(redis_server, tail=limits) as stream, stream.watch("u1", ALL, "0-0") as watch:
        assert [update.token for update in await take(watch, 50)] == tokens


async def connections(store: Redis) -> int:
    clients = await store.client_list()
    return [client["name"] for client in clients].count("execution-service-watch")


async def test_the_last_watch_ends_the_connections_and_the_next_begins_anew(
    redis_server: RedisServer, store: Redis
) -> None:
    async with opened(redis_server) as stream:
        for number in range(5):
            assert await connections(store) == 0
            async with stream.watch("u1", ALL, None), stream.watch("u2", ALL, None) as watch:
                assert await connections(store) == 2
                await write(store, f"o-{number}", user_id="u2")
                await take(watch, 1)
            async with asyncio.timeout(10):
                while await connections(store):
                    await asyncio.sleep(0.001)


async def watch_for_ever(stream: RedisOrderStream) -> None:
    async with stream.watch("u1", ALL, None):
        await asyncio.Event().wait()


@pytest.mark.parametrize("turns", range(1, 13))
async def test_a_watch_given_up_while_the_former_connections_end_harms_nobody(
    redis_server: RedisServer, store: Redis, turns: int
) -> None:
    async with opened(redis_server) as stream:
        async with stream.watch("u1", ALL, None):
            pass
        given_up = asyncio.create_task(watch_for_ever(stream))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await given_up
        async with stream.watch("u1", ALL, None) as watch:
            written = await write(store, "o-1")
            assert [update.token for update in await take(watch, 1)] == [written]


async def test_a_lost_connection_ends_every_watch_after_what_was_heard(
    redis_server: RedisServer, store: Redis
) -> None:
    async with (
        opened(redis_server) as stream,
        stream.watch("u1", ALL, None) as one,
        stream.watch("u1", ALL, None) as two,
    ):
        await write(store, "o-1")
        await take(one, 1)
        await store.client_kill_filter(_type="normal", skipme=True)
        for watch, left in ((one, 0), (two, 1)):
            await take(watch, left)
            with pytest.raises(LedgerUnavailable):
                await take(watch, 1)
        async with stream.watch("u1", ALL, one.token) as again:
            token = await write(store, "o-2")
            assert [update.token for update in await take(again, 1)] == [token]


async def test_nobody_connects_to_a_redis_that_is_down() -> None:
    with RedisServer() as server:
        server.kill()
        async with opened(server) as stream:
            for _ in range(3):
                with pytest.raises(LedgerUnavailable):
                    async with stream.watch("u1", ALL, None):
                        pass
            server.start()
            async with stream.watch("u1", ALL, None) as watch:
                assert watch.token == "0-0"


async def test_a_redis_that_hangs_is_noticed(redis_server: RedisServer) -> None:
    patience = {"tail": TailLimits(block_ms=20), "wire": WireLimits(request_timeout_ms=200)}
    async with opened(redis_server, **patience) as stream, stream.watch("u1", ALL, None) as watch:
        redis_server.pause()
        try:
            with pytest.raises(LedgerUnavailable):
                await take(watch, 1)
            with pytest.raises(LedgerUnavailable):
                async with stream.watch("u1", ALL, None):
                    pass
        finally:
            redis_server.resume()


def test_a_read_that_would_outlast_its_timeout_is_refused() -> None:
    with pytest.raises(ValueError, match="given up after"):
        RedisOrderStream(OrderStreamConfig("redis://h", wire=WireLimits(request_timeout_ms=500)))


async def test_a_wrong_password_is_refused() -> None:
    with RedisServer() as server:
        server.command("CONFIG", "SET", "requirepass", "secret")
        async with opened(server) as stream:
            with pytest.raises(LedgerRefused, match="NOAUTH"):
                async with stream.watch("u1", ALL, None):
                    pass


async def test_a_stream_that_is_none_is_refused(redis_server: RedisServer, store: Redis) -> None:
    await store.set(STREAM, "mine")
    async with opened(redis_server) as stream:
        with pytest.raises(LedgerRefused, match="WRONGTYPE"):
            async with stream.watch("u1", ALL, None):
                pass


async def test_what_others_write_into_the_stream_is_passed_over(
    redis_server: RedisServer, store: Redis
) -> None:
    foreign: list[dict[Any, Any]] = [
        {"order": "no JSON"},
        {"trade": "{}"},
        {"order": "{}", "more": "x"},
        {"order": '{"user_id":"u1","order_id":"o-1"}'},
    ]
    async with opened(redis_server) as stream:
        first = await write(store, "o-1")
        for fields in foreign:
            await store.xadd(STREAM, fields)
        second = await write(store, "o-2")
        async with stream.watch("u1", ALL, "0-0") as watch:
            assert [update.token for update in await take(watch, 2)] == [first, second]
            for fields in foreign:
                await store.xadd(STREAM, fields)
            third = await write(store, "o-3")
            assert [update.token for update in await take(watch, 1)] == [third]


async def test_a_report_that_cannot_be_read_is_no_silent_gap(
    redis_server: RedisServer, store: Redis
) -> None:
    async with opened(redis_server) as stream, stream.watch("u1", ALL, None) as watch:
        damaged = report_to_json(REPORT).replace("FILLED", "FULL")
        token: Any = await store.xadd(STREAM, {"order": damaged})
        with pytest.raises(LedgerRefused, match=f"CORRUPT {STREAM} {token}"):
            await take(watch, 1)


@pytest.mark.parametrize("after", ["0-0", "first", "second", "third", "last"])
async def test_a_place_is_good_as_long_as_its_entry_is_there_or_nothing_follows(
    redis_server: RedisServer, store: Redis, after: str
) -> None:
    tokens = {name: await write(store, name) for name in ("first", "second", "third", "last")}
    await store.xtrim(STREAM, maxlen=2, approximate=False)
    token = tokens.get(after, after)
    async with opened(redis_server) as stream:
        if after in {"third", "last"}:
            async with stream.watch("u1", ALL, token) as watch:
                assert watch.token == token
        else:
            with pytest.raises(ResumeTokenGone, match="trimmed"):
                async with stream.watch("u1", ALL, token):
                    pass
        await store.xtrim(STREAM, maxlen=0, approximate=False)
        async with stream.watch("u1", ALL, tokens["last"]) as watch:
            new = await write(store, "new")
            assert [update.token for update in await take(watch, 1)] == [new]


async def test_a_stream_that_is_trimmed_while_it_is_read_is_told(
    redis_server: RedisServer, store: Redis
) -> None:
    tokens = [await write(store, f"o-{number}") for number in range(20)]
    async with (
        opened(redis_server, tail=TailLimits(page=4)) as stream,
        stream.watch("u1", ALL, tokens[0]) as watch,
    ):
        assert len(await take(watch, 4)) == 4
        await store.xtrim(STREAM, maxlen=3, approximate=False)
        with pytest.raises(ResumeTokenGone):
            await take(watch, 1)
        assert watch.token == tokens[4]


async def test_what_was_trimmed_before_it_could_be_told_is_no_silent_gap(
    redis_server: RedisServer, store: Redis
) -> None:
    await write(store, "o-1")
    async with opened(redis_server) as stream, stream.watch("u1", ALL, None) as watch:
        report = report_to_json(REPORT)
        # In one step, so that the reader cannot be in between.
        script = "for _ = 1, 3 do redis.call('XADD', KEYS[1], '*', 'order', ARGV[1]) end"
        trim = "redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)"
        await store.eval(f"{script} {trim}", 1, STREAM, report)
        with pytest.raises(LedgerUnavailable, match="trimmed or lost"):
            await take(watch, 1)
        with pytest.raises(ResumeTokenGone):
            async with stream.watch("u1", ALL, watch.token):
                pass


async def test_a_flush_ends_those_who_listen(redis_server: RedisServer, store: Redis) -> None:
    await write(store, "o-1")
    async with opened(redis_server, tail=TailLimits(block_ms=20)) as stream:
        async with stream.watch("u1", ALL, None) as watch:
            token = watch.token
            await store.flushall()
            with pytest.raises(LedgerUnavailable, match="trimmed or lost"):
                await take(watch, 1)
        for _ in range(2):
            with pytest.raises(ResumeTokenGone):
                async with stream.watch("u1", ALL, token):
                    pass
            await write(store, "o-2")
