"""Nobody is told of a commit before it is as safe as the operator asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from ledger_orders import QUICK, assert_consistent, entry_for, open_ledger, place, place_many
from redis_server import RedisServer

from execution.adapters.durability import FSYNC, parse_durability
from execution.adapters.ledger import RedisLedger
from execution.errors import LedgerRefused, LedgerUnavailable
from execution.ports import Committed, Record, Stored

ONE_REPLICA = parse_durability("replicated:1")


@pytest.fixture
def primary() -> Iterator[RedisServer]:
    with RedisServer("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0") as server:
        yield server


@pytest.fixture
def replica(primary: RedisServer) -> Iterator[RedisServer]:
    """Follows the primary; in sync when the test begins."""
    with RedisServer("--replicaof", f"127.0.0.1 {primary.port}") as server:
        while "master_link_status:up" not in str(server.command("INFO", "replication")):
            time.sleep(0.01)
        yield server


@asynccontextmanager
async def replicated(primary: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(
        primary.url, durability=ONE_REPLICA, confirm_timeout_ms=100, commit=QUICK
    ) as ledger:
        yield ledger


async def test_fsync_is_accepted_where_every_write_is_synced() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_ledger(server.url, durability=FSYNC) as ledger:
            await ledger.probe()
            await place_many(ledger, ["o-1", "o-2"])
        server.kill()
        server.start()
        assert_consistent(server, 2)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (["--appendonly", "no", "--appendfsync", "always"], "appendonly is no, set it to yes"),
        (["--appendonly", "yes", "--appendfsync", "everysec"], "appendfsync is everysec"),
    ],
)
async def test_fsync_is_refused_where_it_is_not_true(settings: list[str], advice: str) -> None:
    with RedisServer(*settings) as server:
        async with open_ledger(server.url, durability=FSYNC) as ledger:
            with pytest.raises(LedgerRefused, match=advice):
                await ledger.probe()
            with pytest.raises(LedgerRefused, match=advice):
                await ledger.commit(entry_for(ledger))
            assert server.command("DBSIZE") == 0


async def test_fsync_switched_off_under_way_is_noticed_by_the_probe_and_healed_by_itself() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_ledger(server.url, durability=FSYNC) as ledger:
            await ledger.probe()
            server.command("CONFIG", "SET", "appendfsync", "everysec")
            with pytest.raises(LedgerRefused, match="set it to always"):
                await ledger.probe()
            with pytest.raises(LedgerRefused, match="set it to always"):
                await ledger.commit(entry_for(ledger))
            server.command("CONFIG", "SET", "appendfsync", "always")
            async with asyncio.timeout(5):
                while not await _probes(ledger):
                    await asyncio.sleep(0.01)
            assert await place(ledger) == (Committed(), 1)


async def _probes(ledger: RedisLedger) -> bool:
    try:
        await ledger.probe()
    except (LedgerRefused, LedgerUnavailable):
        return False
    return True


async def test_fsync_behind_a_hidden_config_is_confirmed_write_by_write_or_refused() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "everysec") as server:
        server.command("ACL", "SETUSER", "default", "-config")
        async with open_ledger(server.url, durability=FSYNC, confirm_timeout_ms=2_000) as ledger:
            if "waitaof" not in str(server.command("COMMAND", "LIST")):  # Redis before 7.2
                with pytest.raises(LedgerRefused, match="WAITAOF"):
                    await ledger.probe()
                return
            await ledger.probe()
            first = entry_for(ledger, order_id="o-1")
            await ledger.commit(first)
            result, _ = await place(ledger, order_id="o-1")
            assert result == Stored(Record(first.payload, first.report))
        server.kill()
        server.start()
        assert_consistent(server, 1)


async def test_a_commit_is_acknowledged_once_the_replica_has_it(
    primary: RedisServer, replica: RedisServer
) -> None:
    async with replicated(primary) as ledger:
        await ledger.probe()
        assert [r for r, _ in await place_many(ledger, ["o-1", "o-2"])] == [Committed()] * 2
        primary.kill()
        replica.command("REPLICAOF", "NO", "ONE")
        assert_consistent(replica, 2)


async def test_a_replica_that_hangs_makes_commits_unavailable_and_the_retry_true(
    primary: RedisServer, replica: RedisServer
) -> None:
    async with replicated(primary) as ledger:
        replica.pause()
        first = entry_for(ledger, order_id="o-1")
        with pytest.raises(LedgerUnavailable, match="0 of 1 confirmed"):
            await ledger.commit(first)
        with pytest.raises(LedgerUnavailable, match="0 of 1 confirmed"):
            await ledger.probe()
        replica.resume()
        result, _ = await place(ledger, order_id="o-1")
        assert result == Stored(Record(first.payload, first.report))
    assert_consistent(primary, 1)
    assert_consistent(replica, 1)


async def test_a_replica_that_hangs_for_a_moment_is_not_noticed(
    primary: RedisServer, replica: RedisServer
) -> None:
    async with replicated(primary) as ledger:
        replica.pause()
        commit = asyncio.create_task(place(ledger))
        await asyncio.sleep(0.15)
        assert not commit.done()
        replica.resume()
        assert await commit == (Committed(), 1)
    assert_consistent(primary, 1)


async def test_a_stored_answer_on_a_fresh_connection_waits_for_the_replica_too(
    primary: RedisServer, replica: RedisServer
) -> None:
    """Without a write of its own WAIT would answer at once, the replica having nothing."""
    async with open_ledger(primary.url) as careless:
        replica.pause()
        first = entry_for(careless, order_id="o-1")
        await careless.commit(first)
    async with replicated(primary) as ledger:
        with pytest.raises(LedgerUnavailable, match="0 of 1 confirmed"):
            await place(ledger, order_id="o-1")
        replica.resume()
        result, _ = await place(ledger, order_id="o-1")
        assert result == Stored(Record(first.payload, first.report))
    assert_consistent(replica, 1)


async def test_memory_and_fsync_write_no_fence(redis_server: RedisServer) -> None:
    async with open_ledger(redis_server.url) as ledger:
        await place(ledger, order_id="o-1")
        await place(ledger, order_id="o-1")
    assert redis_server.command("EXISTS", "EXECUTION:FENCE") == 0
