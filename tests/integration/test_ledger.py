"""The ledger over a real Redis: what is written, once, and what is read back."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from ledger_orders import (
    BUY,
    NOW_NS,
    SELL,
    assert_consistent,
    entries_of,
    entry_for,
    hash_of,
    open_ledger,
    place,
    place_many,
)
from redis_server import RedisServer

from execution.adapters import gathering, group_commit
from execution.adapters.commit_limits import CommitLimits
from execution.adapters.ledger import RedisLedger
from execution.adapters.records import report_to_json
from execution.adapters.wakefulness import Wakefulness
from execution.errors import LedgerRefused, LedgerUnavailable
from execution.model import Position, Reason
from execution.ports import Committed, Conflict, Record, Stored


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


async def test_a_commit_writes_the_order_the_position_the_trade_and_the_update(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    entry = entry_for(ledger, BUY, "1.5", order_id="o-17")
    assert await ledger.commit(entry) == Committed()

    report = entry.report
    report_json = report_to_json(report)
    assert hash_of(redis_server, "ORDER:o-17") == {
        "status": "FILLED",
        "executed_qty": "1.5",
        "remaining_qty": "0",
        "avg_price": "100.6666666667",
        "user": "ann",
        "symbol": "BTC-USDT",
        "side": "BUY",
        "qty": "1.5",
        "trade_id": report.trade_id,
        "reason": "",
        "version": "1",
        "ts": str(NOW_NS // 1_000_000),
        "payload": entry.payload,
        "report": report_json,
    }
    assert hash_of(redis_server, "POSITION:ann:BTC-USDT") == {
        "qty": "1.5",
        "entry_price": "100.6666666667",
        "entry_cost": "151",
        "realized_pnl": "0",
        "version": "1",
    }
    (trade,) = entries_of(redis_server, "STREAM:TRADE")
    assert list(trade) == ["trade", "symbol", "price", "quantity", "timestamp"]
    assert trade["trade"] == (
        '{"user":"ann","symbol":"BTC-USDT","price":100.6666666667,"qty":1.5,"side":"BUY",'
        f'"pnl":0,"order_id":"o-17","trade_id":"{report.trade_id}","fee":{report.fee},'
        '"fills":[[100.5,1],[101,0.5]],"ts":1700000000123,'
        '"snapshot":{"source":"simulated","sequence":1,"best_ask":100.5}}'
    )
    assert trade["price"] == "100.6666666667"
    assert trade["quantity"] == "1.5"
    assert trade["timestamp"] == "2023-11-14 22:13:20"
    assert entries_of(redis_server, "STREAM:ORDER") == [{"order": report_json}]
    assert entries_of(redis_server, "STREAM:REJECT") == []


async def test_a_rejected_order_is_recorded_and_published_as_such_alone(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    entry = entry_for(ledger, BUY, "7", order_id="o-1", levels=())
    assert entry.report.reason is Reason.NO_LIQUIDITY
    assert await ledger.commit(entry) == Committed()
    (reject,) = entries_of(redis_server, "STREAM:REJECT")
    assert json.loads(reject["reject"]) == {
        "order_id": "o-1",
        "symbol": "BTC-USDT",
        "user": "ann",
        "qty": 7,
        "side": "BUY",
        "reason": "NO_LIQUIDITY",
        "message": entry.report.message,
    }
    stored = hash_of(redis_server, "ORDER:o-1")
    assert (stored["status"], stored["executed_qty"], stored["reason"]) == (
        "REJECTED",
        "0",
        "NO_LIQUIDITY",
    )
    assert len(entries_of(redis_server, "STREAM:ORDER")) == 1
    assert entries_of(redis_server, "STREAM:TRADE") == []
    assert redis_server.command("EXISTS", "POSITION:ann:BTC-USDT") == 0


async def test_orders_of_one_tick_are_one_call_and_rest_on_each_other(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        redis_server.command("CONFIG", "RESETSTAT")
        few = CommitLimits().orders_at_once - 1
        results = await place_many(ledger, [f"o-{number}" for number in range(few)])
        assert results == [(Committed(), 1)] * few
        stats = str(redis_server.command("INFO", "commandstats"))
        assert "cmdstat_evalsha:calls=1," in stats
    assert_consistent(redis_server, few)


async def test_in_a_long_tick_redis_begins_before_it_ends(redis_server: RedisServer) -> None:
    async with open_ledger(redis_server.url) as ledger:
        redis_server.command("CONFIG", "RESETSTAT")
        limits = CommitLimits()
        begun = limits.orders_at_once * limits.calls_in_flight_max
        results = await place_many(ledger, [f"o-{number}" for number in range(begun + 30)])
        assert results == [(Committed(), 1)] * (begun + 30)
        stats = str(redis_server.command("INFO", "commandstats"))
        assert f"cmdstat_evalsha:calls={limits.calls_in_flight_max + 1}," in stats
    assert_consistent(redis_server, begun + 30)


async def test_a_busy_loop_gathers_orders_that_come_one_a_turn(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_BUSY", -1.0)
    monkeypatch.setattr(gathering, "_AT_LEISURE", -1.0)
    monkeypatch.setattr(gathering, "_LOOK_SECONDS", 0.0)
    limits = CommitLimits(gather_ms=500)
    count = 10 * limits.orders_at_once
    async with open_ledger(redis_server.url, commit=limits) as ledger:
        redis_server.command("CONFIG", "RESETSTAT")
        placed = []

        async def one_a_turn(numbers: range) -> None:
            for number in numbers:
                placed.append(asyncio.create_task(place(ledger, order_id=f"o-{number}")))
                await asyncio.sleep(0)

        # The second comes while the first is on its way, however slow this machine is.
        redis_server.pause()
        await one_a_turn(range(1))
        await asyncio.sleep(0.01)
        await one_a_turn(range(1, 2))
        await asyncio.sleep(0.01)
        redis_server.resume()
        await asyncio.gather(*placed)
        await one_a_turn(range(2, count + 5))
        # The last three have no company: their time is up, and they go.
        results = await asyncio.wait_for(asyncio.gather(*placed), 10)
        assert results == [(Committed(), 1)] * (count + 5)
        found = re.search(r"cmdstat_evalsha:calls=(\d+),", str(redis_server.command("INFO", "ALL")))
        assert found is not None
        assert int(found[1]) <= 2 + 10 + 1
    assert_consistent(redis_server, count + 5)


@pytest.mark.parametrize("at_once", [1, 2])
async def test_the_loop_stays_awake_for_who_sends_one_order_after_the_other(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    waited = 0

    class Counted(Wakefulness):
        def expect(self) -> None:
            nonlocal waited
            waited += 1
            super().expect()

    monkeypatch.setattr(group_commit, "Wakefulness", Counted)
    count = 2 * group_commit._ALONE
    async with open_ledger(redis_server.url, commit=CommitLimits(busy_poll_us=2_000)) as ledger:
        for number in range(count):
            ids = [f"o-{number}-{other}" for other in range(at_once)]
            assert await place_many(ledger, ids) == [(Committed(), 1)] * at_once
    # For the answer, and for the next, from then on.
    assert waited == (2 * group_commit._ALONE if at_once == 1 else 0)
    assert_consistent(redis_server, count * at_once)


async def test_more_orders_than_one_call_takes_are_several_calls(
    redis_server: RedisServer,
) -> None:
    limits = CommitLimits(orders_per_call_max=3, calls_in_flight_max=2)
    async with open_ledger(redis_server.url, commit=limits) as ledger:
        results = await place_many(ledger, [f"o-{number}" for number in range(20)])
    assert results == [(Committed(), 1)] * 20
    assert_consistent(redis_server, 20)


async def test_one_id_from_fifty_callers_at_once_is_one_trade_and_one_report(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    entries = [entry_for(ledger, order_id="same", now_ns=NOW_NS + i) for i in range(50)]
    results = await asyncio.gather(*map(ledger.commit, entries))
    assert results[0] == Committed()
    assert results[1:] == [Stored(Record(entries[0].payload, entries[0].report))] * 49
    assert_consistent(redis_server, 1)


async def test_one_id_through_two_replicas_at_once_is_one_trade(redis_server: RedisServer) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        results = await asyncio.gather(
            *(
                place(ledger, order_id="same", now_ns=NOW_NS + i)
                for i in range(25)
                for ledger in (one, other)
            )
        )
    assert [result for result, _ in results].count(Committed()) == 1
    records = {result.record.report for result, _ in results if isinstance(result, Stored)}
    assert len(records) == 1
    assert_consistent(redis_server, 1)


async def test_a_retry_after_a_restart_gets_the_report_of_the_first_try(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        first = entry_for(ledger, BUY, "2", order_id="o-1")
        assert await ledger.commit(first) == Committed()
        await place(ledger, SELL, order_id="o-2")
    async with open_ledger(redis_server.url) as ledger:
        result, _ = await place(ledger, BUY, "2", order_id="o-1", levels=(("90", "9"),), now_ns=1)
        assert isinstance(result, Stored)
        assert result.record == Record(first.payload, first.report)
        assert report_to_json(result.record.report) == report_to_json(first.report)
        assert await ledger.order("o-1") == result.record


async def test_another_order_under_a_used_id_sees_the_payload_that_has_it(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    first = entry_for(ledger, BUY, "1", order_id="o-1")
    await ledger.commit(first)
    other = entry_for(ledger, BUY, "2", order_id="o-1", user_id="bob")
    result = await ledger.commit(other)
    assert isinstance(result, Stored)
    assert result.record.payload == first.payload != other.payload
    assert redis_server.command("EXISTS", "POSITION:bob:BTC-USDT") == 0
    assert_consistent(redis_server, 1)


async def test_what_is_not_there_is_none_and_flat(ledger: RedisLedger) -> None:
    assert await ledger.order("never") is None
    assert await ledger.position("ann", "BTC-USDT") == Position("ann", "BTC-USDT")


async def test_the_committed_position_is_read_back_exactly(ledger: RedisLedger) -> None:
    entry = entry_for(ledger, BUY, "1.5")
    await ledger.commit(entry)
    assert await ledger.position("ann", "BTC-USDT") == entry.position


async def test_an_order_on_an_outdated_position_conflicts_and_writes_nothing(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        await place(one, order_id="o-1")
        entry = entry_for(other, order_id="o-2")
        assert await other.commit(entry) == Conflict()
        assert await other.order("o-2") is None
        assert other.recall("ann", "BTC-USDT") == await one.position("ann", "BTC-USDT")
        assert await other.commit(entry_for(other, order_id="o-2")) == Committed()
    assert_consistent(redis_server, 2)


async def test_a_position_is_compared_whole_and_not_by_its_version(
    redis_server: RedisServer,
) -> None:
    """A prediction that never came true can have the version of what did."""
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        await place(one, BUY, "2", order_id="real")
        real = await one.position("ann", "BTC-USDT")
        dreamt = replace(real, quantity=real.quantity + 1)
        entry = entry_for(other, order_id="o-2")
        after = replace(dreamt, version=2)
        assert await other.commit(replace(entry, basis=dreamt, position=after)) == Conflict()
    assert_consistent(redis_server, 1)


async def test_an_order_that_only_rests_on_the_position_leaves_it_as_it_is(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await place(ledger, BUY, "1", order_id="o-1")
    before = hash_of(redis_server, "POSITION:ann:BTC-USDT")
    rejected = entry_for(ledger, BUY, "1", order_id="o-2", reduce_only=True)
    assert rejected.basis is not None
    assert rejected.position is None
    assert await ledger.commit(rejected) == Committed()
    assert hash_of(redis_server, "POSITION:ann:BTC-USDT") == before
    assert (await place(ledger, BUY, "1", order_id="o-3")) == (Committed(), 1)


async def test_the_probe_passes_on_a_healthy_redis_and_leaves_nothing_for_ever(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await ledger.probe()
    assert redis_server.command("KEYS", "*") == ["EXECUTION:FENCE"]
    assert 0 < int(str(redis_server.command("PTTL", "EXECUTION:FENCE"))) <= 60_000


async def test_a_flushed_script_is_loaded_again(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await place(ledger, order_id="o-1")
    redis_server.command("SCRIPT", "FLUSH", "SYNC")
    assert await place(ledger, order_id="o-2") == (Committed(), 1)
    assert_consistent(redis_server, 2)


async def test_nothing_can_be_committed_before_start_and_after_close(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        entry = entry_for(ledger)
    for call in (lambda: ledger.commit(entry), lambda: ledger.order("o-1"), ledger.probe):
        with pytest.raises(LedgerUnavailable):
            await call()


async def test_close_fails_what_is_in_flight(redis_server: RedisServer) -> None:
    async with open_ledger(redis_server.url) as ledger:
        redis_server.pause()
        commit = asyncio.ensure_future(ledger.commit(entry_for(ledger)))
        await asyncio.sleep(0)
        await ledger.close()
        with pytest.raises(LedgerUnavailable, match="closing"):
            await commit
        redis_server.resume()


async def test_more_commits_than_may_wait_are_refused_before_anything_is_sent(
    redis_server: RedisServer,
) -> None:
    limits = CommitLimits(queue_max=2)
    async with open_ledger(redis_server.url, commit=limits) as ledger:
        entries = [entry_for(ledger, order_id=f"o-{i}", user_id=f"u{i}") for i in range(3)]
        results = await asyncio.gather(*map(ledger.commit, entries), return_exceptions=True)
    assert results[:2] == [Committed(), Committed()]
    assert isinstance(results[2], LedgerUnavailable)
    assert redis_server.command("EXISTS", "ORDER:o-2") == 0


async def test_an_entry_that_contradicts_itself_is_our_own_mistake_and_never_sent(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    entry = entry_for(ledger)
    unreadable = replace(entry, report=replace(entry.report, realized_pnl="1e5"))
    with pytest.raises(ValueError, match="1e5"):
        await ledger.commit(unreadable)
    with pytest.raises(ValueError, match="rests on"):
        await ledger.commit(replace(entry, basis=None))
    assert entry.position is not None
    with pytest.raises(ValueError, match="its own user"):
        await ledger.commit(replace(entry, position=replace(entry.position, user_id="bob")))
    assert redis_server.command("DBSIZE") == 0
    assert await ledger.commit(entry) == Committed()


async def test_login_and_database_are_those_of_the_url(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    redis_server.command("ACL", "SETUSER", "trader", "on", ">s3:cr@t", "allcommands", "allkeys")
    try:
        url = f"redis://trader:s3%3Acr%40t@127.0.0.1:{redis_server.port}/3"
        async with open_ledger(url) as ledger:
            assert await place(ledger, order_id="o-1") == (Committed(), 1)
        assert "db3:keys=4" in str(redis_server.command("INFO", "keyspace"))
        async with open_ledger(url.replace("s3%3A", "no")) as ledger:
            with pytest.raises(LedgerRefused, match="WRONGPASS") as refused:
                await ledger.probe()
            with pytest.raises(LedgerRefused, match="WRONGPASS"):
                await ledger.commit(entry_for(ledger))
    finally:
        redis_server.command("ACL", "DELUSER", "trader")
    for text in (caplog.text, str(refused.value), repr(ledger), repr(ledger._config)):
        assert "cr@t" not in text
        assert "cr%40t" not in text


async def test_a_unix_socket_does_as_well(redis_server: RedisServer) -> None:
    async with open_ledger(f"unix://{redis_server.unix_socket}") as ledger:
        assert await place(ledger, order_id="o-1") == (Committed(), 1)
    assert_consistent(redis_server, 1)
