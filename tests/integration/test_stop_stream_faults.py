"""Whatever befalls Redis or the way there: who follows knows again, and without a gap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ledger_orders import QUICK, open_ledger
from ledger_stops import after, arm, canceled, modified, resting_of, triggered
from redis_server import RedisServer
from stop_follower import (
    BOUND_SECONDS,
    Follower,
    failure_of,
    following,
    stop_stream,
    stops_of,
)

from execution.adapters.ledger import RedisLedger
from execution.testing.fault_proxy import FaultProxy, Way


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@asynccontextmanager
async def following_through(proxy: FaultProxy) -> AsyncIterator[Follower]:
    """Follows through the proxy; knows all when the block begins."""
    async with following(stop_stream(f"redis://127.0.0.1:{proxy.port}")) as follower:
        await follower.until(lambda: follower.known)
        yield follower


# The way there.


async def test_after_a_lost_connection_it_goes_on_where_it_was(
    ledger: RedisLedger, proxy: FaultProxy
) -> None:
    records = await arm(ledger, "s-1", "s-2", "s-3")
    async with following_through(proxy) as follower:
        for number in range(3):
            await proxy.refuse()
            (new,) = await arm(ledger, f"s-new-{number}")
            await ledger.commit(canceled(records.pop(0)))
            records.append(new)
            assert follower.known
            await proxy.heal()
            await follower.until_knows(stops_of(*records))
    assert follower.begun == 1


async def test_replies_cut_anywhere_lose_and_double_nothing(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    records = await arm(ledger, *(f"s-{number}" for number in range(20)))
    async with following_through(proxy) as follower:
        for byte_count in (0, 1, 5, 50, 300, 1_000):
            cut = proxy.cut_after(Way.TO_CLIENT, byte_count)
            entries = [modified(record, str(byte_count + 500)) for record in records]
            await asyncio.gather(*map(ledger.commit, entries))
            records = [after(r, entry) for r, entry in zip(records, entries, strict=True)]
            await follower.until_knows(stops_of(*records))
            assert cut.done()
    assert follower.stops == resting_of(redis_server)


@pytest.mark.parametrize("byte_count", [0, 100, 5_000, 20_000])
async def test_a_load_cut_anywhere_is_loaded_in_the_end(
    ledger: RedisLedger, proxy: FaultProxy, byte_count: int
) -> None:
    records = await arm(ledger, *(f"s-{number}" for number in range(300)), users=20)
    cut = proxy.cut_after(Way.TO_CLIENT, byte_count)
    stream = stop_stream(f"redis://127.0.0.1:{proxy.port}", page_stops=10)
    async with following(stream) as follower:
        await follower.until_knows(stops_of(*records))
        assert cut.done()


async def test_a_black_hole_is_left_for_a_new_connection(
    ledger: RedisLedger, proxy: FaultProxy
) -> None:
    records = await arm(ledger, "s-1")
    async with following_through(proxy) as follower:
        before = proxy.accepted
        proxy.swallow()
        records += await arm(ledger, "s-2")
        async with asyncio.timeout(BOUND_SECONDS):
            while proxy.accepted == before:
                await asyncio.sleep(0.01)
        await proxy.heal()
        await follower.until_knows(stops_of(*records))
    assert follower.begun == 1


async def test_failure_says_why_nothing_is_heard_while_it_lasts(
    ledger: RedisLedger, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    stream = stop_stream(f"redis://127.0.0.1:{proxy.port}")
    assert "not read yet" in failure_of(stream)
    await proxy.refuse()
    async with following(stream) as follower:
        async with asyncio.timeout(BOUND_SECONDS):
            while "Connect call failed" not in failure_of(stream):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # time enough for several attempts, told once
        await proxy.heal()
        await follower.until(lambda: follower.known)
        assert failure_of(stream) == ""
    told = [r for r in caplog.records if "stops cannot be read" in r.message]
    assert len(told) == 1


async def test_a_commit_is_heard_by_others_even_when_its_own_reply_is_lost(
    redis_server: RedisServer, proxy: FaultProxy
) -> None:
    async with open_ledger(f"redis://127.0.0.1:{proxy.port}", commit=QUICK) as ledger:
        (record,) = await arm(ledger, "s-1")
        async with following(stop_stream(redis_server.url)) as follower:
            await follower.until_knows(stops_of(record))
            proxy.cut_after(Way.TO_CLIENT, 0)
            entry = triggered(record)
            await ledger.commit(entry)
            await follower.until_knows(stops_of(after(record, entry)))


# What becomes of Redis.


async def test_a_flush_is_noticed_though_nothing_is_written(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await arm(ledger, "s-1", "s-2")
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
        assert len(follower.stops) == 2
        redis_server.command("FLUSHALL")
        await follower.until_knows({})
        records = await arm(ledger, "s-3")
        await follower.until_knows(stops_of(*records))


async def test_a_flush_is_noticed_though_more_is_written_at_once(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await arm(ledger, "s-1", "s-2")
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
        redis_server.command("FLUSHALL")
        records = await arm(ledger, "s-3")
        await follower.until_knows(stops_of(*records))
    assert follower.begun == 2


async def test_a_crash_without_loss_is_no_gap() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_ledger(server.url) as ledger:
            records = await arm(ledger, "s-1", "s-2")
            async with following(stop_stream(server.url)) as follower:
                await follower.until(lambda: follower.known)
                for number in range(3):
                    server.kill()
                    server.start()
                    records += await arm(ledger, f"s-new-{number}")
                    await follower.until_knows(stops_of(*records))
    assert follower.begun == 1


async def test_a_crash_with_loss_of_all_is_noticed(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await arm(ledger, "s-1", "s-2")
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
        redis_server.kill()
        redis_server.start()
        await follower.until_knows({})


@pytest.mark.parametrize("written_since", [False, True])
async def test_an_older_state_is_noticed_also_when_more_was_written_since(
    *, written_since: bool
) -> None:
    """As after a failover to a replica that had not got everything yet."""
    with RedisServer() as server:
        async with (
            FaultProxy("127.0.0.1", server.port) as proxy,
            open_ledger(server.url) as ledger,
        ):
            old = await arm(ledger, "s-1", "s-2")
            server.command("SAVE")
            await ledger.commit(modified(old[0]))
            await ledger.commit(canceled(old[1]))
            await arm(ledger, "s-lost")
            async with following_through(proxy) as follower:
                assert sorted(follower.stops) == ["s-1", "s-lost"]
                await proxy.refuse()
                server.kill()
                server.start()
                records = old + (await arm(ledger, "s-new") if written_since else [])
                await proxy.heal()
                await follower.until_knows(stops_of(*records))
    assert follower.begun == 2


async def test_a_promoted_replica_that_lacks_the_latest_is_noticed() -> None:
    at_once = ("--repl-diskless-sync-delay", "0")
    with RedisServer(*at_once) as primary, RedisServer(*at_once) as replica:
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        async with open_ledger(primary.url) as ledger, open_ledger(replica.url) as promoted:
            records = await arm(ledger, "s-1")
            await _until_it_holds(replica, "s-1")
            replica.command("REPLICAOF", "NO", "ONE")
            await arm(ledger, "s-lost")
            async with following(stop_stream(primary.url)) as follower:
                await follower.until(lambda: follower.known)
                assert sorted(follower.stops) == ["s-1", "s-lost"]
                # The old primary comes back as a replica of the promoted one.
                records += await arm(promoted, "s-2")
                primary.command("REPLICAOF", "127.0.0.1", replica.port)
                await follower.until_knows(stops_of(*records))
                await promoted.commit(canceled(records[0]))
                await follower.until_knows(stops_of(records[1]))


async def _until_it_holds(server: RedisServer, order_id: str) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not server.command("HEXISTS", "STOPS:RESTING", order_id):
            await asyncio.sleep(0.01)


# Gaps.


async def test_changes_trimmed_away_unheard_are_a_gap(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    records = await arm(ledger, "s-1", "s-2")
    async with following_through(proxy) as follower:
        await proxy.refuse()
        await ledger.commit(canceled(records[0]))
        records = [records[1], *await arm(ledger, "s-3", "s-4")]
        redis_server.command("XTRIM", "STREAM:STOP", "MAXLEN", 1)
        await proxy.heal()
        await follower.until_knows(stops_of(*records))
    assert follower.begun == 2


async def test_the_very_first_changes_trimmed_away_unheard_are_a_gap(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    async with following_through(proxy) as follower:
        await proxy.refuse()
        records = await arm(ledger, "s-1", "s-2", "s-3")
        redis_server.command("XTRIM", "STREAM:STOP", "MAXLEN", 1)
        await proxy.heal()
        await follower.until_knows(stops_of(*records))


async def test_a_follower_too_slow_for_the_stream_begins_anew(
    ledger: RedisLedger, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    records = await arm(ledger, "s-1")
    may_go = asyncio.Event()

    async def pace() -> None:
        if follower.known:
            await may_go.wait()

    async with following(stop_stream(redis_server.url), pace) as follower:
        await follower.until(lambda: follower.known)
        records += await arm(ledger, *(f"s-{number}" for number in range(2, 50)))
        await asyncio.gather(*(ledger.commit(canceled(record)) for record in records[:30]))
        redis_server.command("XTRIM", "STREAM:STOP", "MAXLEN", 10)
        may_go.set()
        await follower.until_knows(stops_of(*records[30:]))
    assert follower.begun == 2
    assert "no longer reaches back" in caplog.text


async def test_trimming_what_was_heard_already_is_no_gap(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    records = await arm(ledger, "s-1", "s-2")
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until(lambda: follower.known)
        redis_server.command("XTRIM", "STREAM:STOP", "MAXLEN", 1)
        records += await arm(ledger, "s-3")
        await follower.until_knows(stops_of(*records))
    assert follower.begun == 1
