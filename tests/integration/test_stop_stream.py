"""Whoever follows the stops knows all that rest, hears every change, and misses none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from random import Random
from typing import Any, TypeAlias

import pytest
from ledger_orders import entry_for, open_ledger, place
from ledger_stops import (
    after,
    arm,
    armed,
    canceled,
    expired,
    modified,
    record_of,
    rejected,
    resting_of,
    triggered,
)
from redis_server import RedisServer
from stop_follower import QUICK_WIRE, following, stop_stream, stops_of

from execution.adapters.ledger import RedisLedger
from execution.adapters.resting import stop_to_text
from execution.adapters.stop_reader import ReadLimits
from execution.adapters.stop_stream import RedisStopStream, StopStreamConfig
from execution.model import RestingStop
from execution.ports import (
    Committed,
    Entry,
    Ledger,
    StopChange,
    StopsAnew,
    StopsKnown,
    StopStream,
)
from execution.testing import SimulatedLedger, SimulatedStopStream, SimulatedStore

World: TypeAlias = tuple[Ledger, StopStream]


@pytest.fixture(params=["simulated", "redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger and a stream over the same store: one contract, two implementations."""
    if request.param == "simulated":
        store = SimulatedStore()
        yield SimulatedLedger(store), SimulatedStopStream(store)
        return
    url = request.getfixturevalue("redis_server").url
    async with open_ledger(url) as ledger:
        yield ledger, stop_stream(url)


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


async def test_where_nothing_rests_all_is_known_at_once(world: World) -> None:
    _, stream = world
    async with following(stream) as follower:
        await follower.until_knows({})
    assert follower.events == [StopsAnew(), StopsKnown()]


async def test_all_that_rest_are_told_before_all_is_known(world: World) -> None:
    ledger, stream = world
    records = await arm(ledger, "s-1", "s-2", "s-3")
    await ledger.commit(canceled(records[1]))
    await ledger.commit(entry_for(ledger, order_id="o-1"))
    async with following(stream) as follower:
        await follower.until(lambda: follower.known)
    assert follower.stops == stops_of(records[0], records[2])
    assert isinstance(follower.events[0], StopsAnew)
    assert follower.events.index(StopsKnown()) == len(follower.events) - 1


async def test_every_change_is_heard_in_its_order(world: World) -> None:
    ledger, stream = world
    async with following(stream) as follower:
        await follower.until(lambda: follower.known)
        (record,) = await arm(ledger, "s-1")
        await follower.until_knows(stops_of(record))
        for step in (modified, triggered, canceled):
            entry = step(record)
            record = after(record, entry)
            await ledger.commit(entry)
            await follower.until_knows(stops_of(record))
    heard = [e.stop.version for e in follower.events if isinstance(e, StopChange) and e.stop]
    assert sorted(set(heard)) == heard[-3:] == [1, 2, 3]


async def test_two_who_follow_hear_the_same(world: World) -> None:
    ledger, stream = world
    async with following(stream) as one, following(stream) as other:
        records = await arm(ledger, *(f"s-{number}" for number in range(50)))
        for follower in (one, other):
            await follower.until_knows(stops_of(*records))
        await asyncio.gather(*(ledger.commit(canceled(record)) for record in records))
        for follower in (one, other):
            await follower.until_knows({})


async def test_the_simulated_stream_is_late_and_begins_anew_when_told_to() -> None:
    store = SimulatedStore()
    ledger, stream = SimulatedLedger(store), SimulatedStopStream(store)
    async with following(stream) as follower:
        await follower.until(lambda: follower.known)
        stream.hold()
        records = await arm(ledger, "s-1", "s-2")
        await ledger.commit(canceled(records[0]))
        await asyncio.sleep(0)
        assert follower.stops == {}
        stream.release()
        await follower.until_knows(stops_of(records[1]))
        stream.interrupt()
        await follower.until(lambda: follower.begun == 2 and follower.known)
        assert follower.stops == stops_of(records[1])


async def test_market_orders_are_not_heard_of(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
        await place(ledger, order_id="o-1")
        records = await arm(ledger, "s-1")
        await follower.until_knows(stops_of(*records))
        heard = len(follower.events)
        await place(ledger, order_id="o-2")
        await ledger.commit(modified(records[0]))
        await follower.until(lambda: len(follower.events) > heard)
    assert len(follower.events) == heard + 1


async def test_what_rests_is_what_the_ledger_keeps_of_the_order(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    (record,) = await arm(ledger, "s-1")
    entry = triggered(record)
    await ledger.commit(entry)
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
    kept = await ledger.order("s-1")
    assert kept is not None
    assert follower.stops == {"s-1": kept.resting} == {"s-1": entry.resting}


# While it loads.


@pytest.mark.parametrize("seed", range(4))
async def test_changes_during_the_load_are_neither_missed_nor_told_backwards(
    ledger: RedisLedger, redis_server: RedisServer, seed: int
) -> None:
    """Many small pages, and a ledger that writes between any two of them."""
    random = Random(seed)
    records = await arm(ledger, *(f"s-{number:04}" for number in range(1_500)), users=40)
    live = {record.report.order_id: record for record in records}
    number = 0

    async def change() -> None:
        nonlocal number
        calls = []
        for order_id in random.sample(sorted(live), 20):
            record = live.pop(order_id)
            step: Callable[..., Entry] = random.choice((modified, modified, canceled, triggered))
            if record.resting is not None and record.resting.triggered_time_ns is not None:
                step = random.choice((canceled, rejected))
            entry = step(record)
            calls.append(ledger.commit(entry))
            if entry.resting is not None:
                live[order_id] = after(record, entry)
        number += 1
        new = armed(f"new-{number}")
        live[f"new-{number}"] = record_of(new)
        calls.append(ledger.commit(new))
        assert set(await asyncio.gather(*calls)) == {Committed()}

    async def pace() -> None:
        if not follower.known:
            await change()

    limits = {"page_stops": 50, "changes_max": random.choice((3, 10, 1_000))}
    async with following(stop_stream(redis_server.url, **limits), pace) as follower:
        await follower.until(lambda: follower.known)
        for _ in range(5):
            await change()
        await follower.until_knows(stops_of(*live.values()))
    assert number > 20
    assert follower.begun == 1
    assert follower.stops == resting_of(redis_server)


async def test_a_flush_during_the_load_begins_anew(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await arm(ledger, *(f"s-{number}" for number in range(1_000)), users=20)

    async def pace() -> None:
        if len(follower.events) > 100 and follower.begun == 1:
            redis_server.command("FLUSHALL")
            await arm(ledger, "s-new")

    async with following(stop_stream(redis_server.url, page_stops=10), pace) as follower:
        await follower.until(lambda: follower.known)
    assert list(follower.stops) == ["s-new"]
    assert follower.begun == 2


async def test_a_hundred_thousand_stops_are_loaded_and_the_loop_is_never_held_for_long(
    redis_server: RedisServer,
) -> None:
    count = 100_000
    expected = fill_index(redis_server, count)
    longest = 0.0

    async def pace() -> None:
        nonlocal longest
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(0)
        longest = max(longest, asyncio.get_running_loop().time() - begun)

    stream = RedisStopStream(StopStreamConfig(redis_server.url))
    async with following(stream, pace) as follower:
        await follower.until(lambda: follower.known)
    assert len(follower.stops) == count
    assert follower.stops == expected
    assert longest < 0.5


def fill_index(server: RedisServer, count: int) -> dict[str, RestingStop]:
    """So many stops in the index, without the orders they belong to."""
    stops = {}
    terms = armed().payload
    for first in range(0, count, 1_000):
        fields: list[str] = []
        for number in range(first, first + 1_000):
            stop = RestingStop(f"order-{number:012}", 1 + number % 3, terms, number)
            stops[stop.order_id] = stop
            fields += [stop.order_id, stop_to_text(stop)]
        server.command("HSET", "STOPS:RESTING", *fields)
    return stops


# The life of whoever follows.


@pytest.mark.parametrize("moment", ["loading", "waiting"])
async def test_a_follower_that_is_cancelled_leaves_no_connection(
    ledger: RedisLedger, redis_server: RedisServer, moment: str
) -> None:
    await arm(ledger, *(f"s-{number}" for number in range(100)))
    async with following(stop_stream(redis_server.url, page_stops=1)) as follower:
        await follower.until(lambda: follower.known or (moment == "loading" and follower.begun > 0))
        assert clients(redis_server) == 1
    await until_no_clients(redis_server)


async def test_an_iterator_that_is_closed_leaves_no_connection(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await arm(ledger, "s-1")
    batches: Any = stop_stream(redis_server.url).follow()
    async with aclosing(batches):
        async for _ in batches:
            assert clients(redis_server) == 1
            break
    await until_no_clients(redis_server)


def clients(server: RedisServer) -> int:
    return str(server.command("CLIENT", "LIST")).count("name=execution-service-stops")


async def until_no_clients(server: RedisServer) -> None:
    async with asyncio.timeout(5):
        while clients(server):
            await asyncio.sleep(0.005)


async def test_a_slow_follower_holds_up_nobody_and_hears_all(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    may_go = asyncio.Event()

    async def pace() -> None:
        if follower.known:
            await may_go.wait()

    async with following(stop_stream(redis_server.url, changes_max=7), pace) as follower:
        await follower.until(lambda: follower.known)
        records = await arm(ledger, *(f"s-{number}" for number in range(100)))
        await asyncio.gather(*(ledger.commit(expired(record)) for record in records[::2]))
        may_go.set()
        await follower.until_knows(stops_of(*records[1::2]))


def test_a_read_that_would_outlast_its_own_timeout_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="waits 250 ms, but is given up after 250 ms"):
        RedisStopStream(StopStreamConfig("redis://x", ReadLimits(block_ms=250), QUICK_WIRE))
    with pytest.raises(ValueError, match="not a Redis URL"):
        RedisStopStream(StopStreamConfig("http://x"))
