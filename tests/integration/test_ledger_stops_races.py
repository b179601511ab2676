"""Of all who want to end or change a resting order, exactly one wins; whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from random import Random

import pytest
from ledger_orders import (
    QUICK,
    QUICK_WIRE,
    entries_of,
    hash_of,
    open_ledger,
)
from ledger_stops import (
    BUY,
    SELL,
    after,
    arm,
    armed,
    assert_stops_agree,
    canceled,
    filled,
    follow,
    modified,
    record_of,
    triggered,
)
from redis_server import RedisServer

from execution.adapters.ledger import RedisLedger
from execution.errors import LedgerRefused, LedgerUnavailable
from execution.model import OrderStatus
from execution.ports import CommitResult, Committed, Conflict, Entry, Ledger, Record, Stored
from execution.testing.fault_proxy import FaultProxy, Way


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


async def test_a_cancel_and_a_trigger_in_one_batch_end_in_one_winner_thousands_of_times(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    random = Random(4)
    records = await arm(ledger, *(f"s-{number}" for number in range(2_000)), users=50)
    results: list[CommitResult] = []
    steps = [_cancel, _trigger]
    for first in range(0, len(records), 100):
        calls: list[Awaitable[CommitResult]] = []
        for record in records[first : first + 100]:
            random.shuffle(steps)
            calls += [follow(ledger, record, step) for step in steps]
        results += await asyncio.gather(*calls)
    _check_one_winner(redis_server, records, results[::2], results[1::2])


async def test_a_cancel_and_a_trigger_on_two_replicas_end_in_one_winner_thousands_of_times(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        records = await arm(one, *(f"s-{number}" for number in range(2_000)), users=50)
        for first in range(0, len(records), 100):
            chunk = records[first : first + 100]
            results = await asyncio.gather(
                *(follow(one, record, _cancel) for record in chunk),
                *(follow(other, record, _trigger) for record in chunk),
            )
            winners = [result == Committed() for result in results]
            assert all(a != b for a, b in zip(winners[:100], winners[100:], strict=True))
        updates = assert_stops_agree(redis_server)
    assert {len(reports) for reports in updates.values()} == {2}


async def test_two_replicas_that_trigger_the_same_stops_fill_each_once(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        records = await arm(one, *(f"s-{number}" for number in range(1_000)))
        for first in range(0, len(records), 100):
            chunk = records[first : first + 100]
            results = await asyncio.gather(
                *(follow(ledger, r, _trigger) for r in chunk for ledger in (one, other))
            )
            assert results.count(Committed()) == len(chunk)
    assert_stops_agree(redis_server)
    assert len(entries_of(redis_server, "STREAM:TRADE")) == 1_000
    assert hash_of(redis_server, "POSITION:ann:BTC-USDT")["qty"] == "1000"


def _cancel(ledger: Ledger, record: Record) -> Entry:
    return canceled(record)


def _trigger(ledger: Ledger, record: Record) -> Entry:
    return filled(ledger, record)


def _check_one_winner(
    server: RedisServer,
    records: list[Record],
    firsts: list[CommitResult],
    seconds: list[CommitResult],
) -> None:
    updates = assert_stops_agree(server)
    won = {OrderStatus.CANCELED: 0, OrderStatus.FILLED: 0}
    for record, first, second in zip(records, firsts, seconds, strict=True):
        reports = updates[record.report.order_id]
        assert len(reports) == 2
        won[reports[-1].status] += 1
        assert (first == Committed()) != (second == Committed())
        loser = second if first == Committed() else first
        assert loser == Stored(Record(record.payload, reports[-1]))
    assert min(won.values()) > 0, won


async def test_a_lost_reply_to_a_write_that_follows_is_found_to_have_landed(
    redis_server: RedisServer,
) -> None:
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with open_ledger(url, commit=QUICK, wire=QUICK_WIRE) as ledger:
            (record,) = await arm(ledger, "s-1")
            for step in (modified, triggered, canceled):
                lost = proxy.cut_after(Way.TO_CLIENT, 0)
                entry = step(record)
                # What a caller thinks the first request was makes no difference.
                assert await ledger.commit(replace(entry, payload="another")) == Committed()
                assert lost.done()
                record = after(record, entry)
                assert await ledger.order("s-1") == record
    updates = assert_stops_agree(redis_server)
    assert len(updates["s-1"]) == 4


async def test_a_lost_reply_is_not_called_lost_to_another_when_it_may_have_landed(
    redis_server: RedisServer,
) -> None:
    """The modify landed, nobody heard of it, and another replica ended the order."""
    async with (
        FaultProxy("127.0.0.1", redis_server.port) as proxy,
        open_ledger(redis_server.url) as other,
        open_ledger(f"redis://127.0.0.1:{proxy.port}") as ledger,
    ):
        (record,) = await arm(ledger, "s-1")
        entry = modified(record)
        proxy.swallow(Way.TO_CLIENT)
        commit = asyncio.ensure_future(ledger.commit(entry))
        while (present := await other.order("s-1")) == record:
            await asyncio.sleep(0.001)
        assert present == after(record, entry)
        await proxy.refuse()
        assert await other.commit(canceled(present)) == Committed()
        await proxy.heal()
        with pytest.raises(LedgerUnavailable, match="whether version 2 was this commit is unknown"):
            await commit
        # Who was second for certain is told so.
        assert isinstance(await ledger.commit(entry), Stored)
    assert_stops_agree(redis_server)


async def test_a_redis_that_lost_the_order_is_an_alarm_and_nothing_is_written(
    ledger: RedisLedger, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = await arm(ledger, "s-1")
    redis_server.flush()
    with pytest.raises(LedgerRefused, match="LOST ORDER:s-1") as refused:
        await ledger.commit(canceled(record))
    assert refused.value.metadata == {"redis_error": "LOST"}
    assert "LOST" in caplog.text
    assert redis_server.command("DBSIZE") == 0


async def test_sigkill_among_stops_leaves_every_stop_with_one_legal_story() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_ledger(server.url) as one, open_ledger(server.url) as other:
            async with asyncio.timeout(60):
                killer = asyncio.create_task(_kill_twice(server))
                await asyncio.gather(
                    *(
                        _live(ledger, f"s-{number}", Random(f"{number}-{replica}"))
                        for number in range(200)
                        for replica, ledger in enumerate((one, other))
                    )
                )
                await killer
        updates = assert_stops_agree(server)
        assert len(updates) == 200
        assert all(reports[-1].status.terminal for reports in updates.values())


async def _kill_twice(server: RedisServer) -> None:
    for _ in range(2):
        before = server.command("XLEN", "STREAM:ORDER")
        while server.command("XLEN", "STREAM:ORDER") == before:
            await asyncio.sleep(0.001)
        server.kill()
        server.start()


async def _live(ledger: Ledger, order_id: str, random: Random) -> None:
    """From rest to the end, against a rival who does the same on another replica."""
    first = armed(order_id, random.choice((BUY, SELL)), user_id=f"u{random.randrange(4)}")
    record = await _until_told(ledger, first)
    while record.resting is not None:
        step = random.choice((_modify, _mark, _cancel, _trigger))
        if step in (_modify, _mark) and record.resting.triggered_time_ns is not None:
            step = _trigger
        entry = step(ledger, record)
        record = await _until_told(ledger, entry, record)


def _modify(ledger: Ledger, record: Record) -> Entry:
    return modified(record)


def _mark(ledger: Ledger, record: Record) -> Entry:
    return triggered(record)


async def _until_told(ledger: Ledger, entry: Entry, before: Record | None = None) -> Record:
    while True:
        try:
            result = await ledger.commit(entry)
        except LedgerUnavailable:
            await asyncio.sleep(0.01)
            continue
        match result:
            case Committed():
                return record_of(entry) if before is None else after(before, entry)
            case Stored(record):
                return record
            case Conflict():
                present = await _read(ledger, entry.report.order_id)
                assert present is not None
                return present


async def _read(ledger: Ledger, order_id: str) -> Record | None:
    while True:
        try:
            return await ledger.order(order_id)
        except LedgerUnavailable:
            await asyncio.sleep(0.01)
