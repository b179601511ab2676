"""Resting orders over a real Redis: one winner of every race, and one story everywhere."""

import json
from collections.abc import AsyncIterator, Callable

import pytest
from ledger_orders import (
    NOW_NS,
    entries_of,
    hash_of,
    open_ledger,
    place,
    place_many,
)
from ledger_stops import (
    after,
    arm,
    armed,
    assert_stops_agree,
    canceled,
    expired,
    filled,
    rejected,
    resting_of,
    triggered,
)
from redis_server import RedisServer

from execution.adapters.ledger import RedisLedger
from execution.adapters.records import report_to_json
from execution.adapters.resting import stop_to_text
from execution.errors import LedgerRefused
from execution.ports import Committed, Entry, Record


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


async def test_a_stop_that_rests_is_in_its_hash_the_index_and_the_stream_of_stops(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    entry = armed("s-1", quantity="1.5")
    assert entry.resting is not None
    await ledger.commit(entry)
    text = stop_to_text(entry.resting)
    report = report_to_json(entry.report)
    assert hash_of(redis_server, "ORDER:s-1") == {
        "status": "UNTRIGGERED",
        "executed_qty": "0",
        "remaining_qty": "1.5",
        "avg_price": "",
        "user": "ann",
        "symbol": "BTC-USDT",
        "side": "BUY",
        "qty": "1.5",
        "trade_id": "",
        "reason": "",
        "version": "1",
        "ts": str(NOW_NS // 1_000_000),
        "payload": entry.payload,
        "report": report,
        "resting": text,
    }
    assert hash_of(redis_server, "STOPS:RESTING") == {"s-1": text}
    assert entries_of(redis_server, "STREAM:STOP") == [{"order_id": "s-1", "stop": text}]
    assert entries_of(redis_server, "STREAM:ORDER") == [{"order": report}]
    assert redis_server.command("EXISTS", "STREAM:TRADE", "STREAM:REJECT") == 0


@pytest.mark.parametrize(
    ("step", "status", "reason"),
    [
        (canceled, "CANCELED", "USER_CANCELED"),
        (expired, "EXPIRED", "EXPIRED_UNTRIGGERED"),
        (rejected, "REJECTED", "NO_LIQUIDITY"),
    ],
)
async def test_a_stop_that_ends_unfilled_rests_no_more(
    ledger: RedisLedger,
    redis_server: RedisServer,
    step: Callable[[Record], Entry],
    status: str,
    reason: str,
) -> None:
    (record,) = await arm(ledger, "s-1")
    assert await ledger.commit(step(record)) == Committed()
    stored = hash_of(redis_server, "ORDER:s-1")
    assert (stored["status"], stored["reason"], stored["version"]) == (status, reason, "2")
    assert (stored["executed_qty"], stored["remaining_qty"]) == ("0", "1")
    assert (stored["resting"], stored["payload"]) == ("", record.payload)
    assert redis_server.command("EXISTS", "STOPS:RESTING") == 0
    assert entries_of(redis_server, "STREAM:STOP")[1:] == [{"order_id": "s-1", "stop": ""}]
    assert len(entries_of(redis_server, "STREAM:REJECT")) == (status == "REJECTED")
    assert_stops_agree(redis_server)


async def test_a_stop_that_fills_is_a_trade_and_moves_the_position(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    first, waits = await arm(ledger, "s-1", "s-2")
    await ledger.commit(triggered(waits))
    for record in (first, after(waits, triggered(waits))):
        assert await ledger.commit(filled(ledger, record)) == Committed()
    assert hash_of(redis_server, "POSITION:ann:BTC-USDT")["qty"] == "2"
    updates = assert_stops_agree(redis_server)
    statuses = {order_id: [r.status.name for r in reports] for order_id, reports in updates.items()}
    assert statuses == {
        "s-1": ["UNTRIGGERED", "FILLED"],
        "s-2": ["UNTRIGGERED", "TRIGGERED", "FILLED"],
    }
    for trade in entries_of(redis_server, "STREAM:TRADE"):
        assert json.loads(trade["trade"])["pnl"] == 0


async def test_market_orders_and_stops_that_never_rested_leave_no_trace_among_stops(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    await place_many(ledger, [f"o-{number}" for number in range(10)])
    assert redis_server.command("EXISTS", "STREAM:STOP", "STOPS:RESTING") == 0
    assert "resting" not in hash_of(redis_server, "ORDER:o-1")


@pytest.mark.parametrize("key", ["STREAM:STOP", "STOPS:RESTING"])
async def test_a_wrong_typed_key_of_stops_refuses_stops_and_nothing_else(
    ledger: RedisLedger, redis_server: RedisServer, key: str
) -> None:
    redis_server.command("SET", key, "somebody else's")
    with pytest.raises(LedgerRefused, match=f"WRONGTYPE {key}"):
        await ledger.commit(armed("s-1"))
    assert redis_server.command("KEYS", "*") == [key]
    assert await place(ledger, order_id="o-1") == (Committed(), 1)
    redis_server.command("DEL", key)
    assert await ledger.commit(armed("s-1")) == Committed()
    assert_stops_agree(redis_server)


@pytest.mark.parametrize("missing", ["-hdel", "resetkeys ~STREAM:* ~ORDER:* ~POSITION:*"])
async def test_a_missing_right_refuses_a_stop_before_anything_is_written(
    redis_server: RedisServer, missing: str
) -> None:
    redis_server.command(
        "ACL", "SETUSER", "trader", "on", ">pw", "+@all", "allkeys", *missing.split()
    )
    try:
        async with open_ledger(f"redis://trader:pw@127.0.0.1:{redis_server.port}") as ledger:
            with pytest.raises(LedgerRefused, match="grant the Redis user"):
                await ledger.commit(armed("s-1"))
            assert redis_server.command("DBSIZE") == 0
    finally:
        redis_server.command("ACL", "DELUSER", "trader")


async def test_a_stream_of_stops_that_takes_no_more_leaves_no_half_of_a_stop(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    (record,) = await arm(ledger, "s-1")
    redis_server.command("XADD", "STREAM:STOP", f"{2**64 - 1}-{2**64 - 1}", "other", "program")
    before = hash_of(redis_server, "ORDER:s-1")
    for entry in (armed("s-2"), filled(ledger, record), canceled(record)):
        with pytest.raises(LedgerRefused, match="STREAM:STOP"):
            await ledger.commit(entry)
    assert redis_server.command("EXISTS", "ORDER:s-2", "POSITION:ann:BTC-USDT") == 0
    assert hash_of(redis_server, "ORDER:s-1") == before
    assert list(resting_of(redis_server)) == ["s-1"]
    assert (
        redis_server.command("XLEN", "STREAM:ORDER"),
        entries_of(redis_server, "STREAM:TRADE"),
    ) == (1, [])


@pytest.mark.parametrize("text", ["x", "1|2|3", "v2|1||x|y", b"\xff|1|||SL"])
async def test_a_resting_text_that_somebody_damaged_is_named_and_not_written_over(
    ledger: RedisLedger, redis_server: RedisServer, text: str | bytes
) -> None:
    await arm(ledger, "s-1")
    redis_server.command("HSET", "ORDER:s-1", "resting", text)
    with pytest.raises(LedgerRefused, match="CORRUPT"):
        await ledger.order("s-1")
    with pytest.raises(LedgerRefused, match="CORRUPT"):
        await ledger.commit(armed("s-1"))


async def test_the_stream_of_stops_keeps_only_the_latest_changes(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    script = "for i = 1, 105000 do redis.call('XADD', KEYS[1], '*', 'a', 'b') end"
    redis_server.command("EVAL", script, 1, "STREAM:STOP")
    await arm(ledger, "s-1")
    kept = redis_server.command("XLEN", "STREAM:STOP")
    assert isinstance(kept, int)
    assert 100_000 <= kept < 101_000
