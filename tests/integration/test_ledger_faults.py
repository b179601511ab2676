"""Whatever happens to Redis or to the way there: no order twice, none half, none hanging."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from ledger_orders import (
    BUY,
    NOW_NS,
    QUICK,
    QUICK_WIRE,
    assert_consistent,
    entries_of,
    entry_for,
    open_ledger,
    place,
    place_many,
)
from redis_server import RedisServer

from execution.adapters.commit_limits import CommitLimits
from execution.adapters.ledger import RedisLedger
from execution.adapters.wire import WireLimits
from execution.errors import LedgerRefused, LedgerUnavailable
from execution.ports import Committed, Record, Stored
from execution.testing.fault_proxy import FaultProxy, Way

BOUND_SECONDS = 5.0
"""Far above every timeout of a test: what takes longer hangs."""


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def ledger(proxy: FaultProxy) -> AsyncIterator[RedisLedger]:
    """Through the proxy."""
    url = f"redis://127.0.0.1:{proxy.port}"
    async with open_ledger(url, commit=QUICK, wire=QUICK_WIRE) as ledger:
        yield ledger


async def back(ledger: RedisLedger) -> None:
    """Returns when the ledger can commit again, by itself."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            try:
                await ledger.probe()
            except (LedgerUnavailable, LedgerRefused):
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_reply_lost_after_the_commit_landed_is_one_trade(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    lost = proxy.cut_after(Way.TO_CLIENT, 0)
    results = await place_many(ledger, [f"o-{number}" for number in range(5)])
    assert lost.done()
    assert proxy.accepted == 2
    assert results == [(Committed(), 1)] * 5
    assert_consistent(redis_server, 5)


@pytest.mark.parametrize("byte_count", [0, 1, 100, 1_000, 3_000])
async def test_a_request_cut_anywhere_is_one_trade(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer, byte_count: int
) -> None:
    lost = proxy.cut_after(Way.TO_SERVER, byte_count)
    results = await place_many(ledger, [f"o-{number}" for number in range(5)])
    assert lost.done()
    assert results == [(Committed(), 1)] * 5
    assert_consistent(redis_server, 5)


async def test_replies_cut_all_the_time_under_load_lose_and_double_nothing(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    for round_number in range(20):
        proxy.cut_after(Way.TO_CLIENT, round_number % 4)
        ids = [f"o-{round_number}-{number}" for number in range(20)]
        for result, _ in await place_many(ledger, ids):
            assert result == Committed()
    assert proxy.accepted > 20
    assert_consistent(redis_server, 400)


async def test_what_is_sent_again_goes_before_what_was_chained_on_it_meanwhile(
    proxy: FaultProxy, redis_server: RedisServer
) -> None:
    one_call = CommitLimits(calls_in_flight_max=1)
    async with open_ledger(f"redis://127.0.0.1:{proxy.port}", commit=one_call) as ledger:
        lost = proxy.cut_after(Way.TO_SERVER, 0)
        first = [asyncio.create_task(place(ledger, order_id=f"first-{n}")) for n in range(5)]
        await asyncio.sleep(0)  # the orders are placed
        await asyncio.sleep(0)  # and sent: the call is full
        later = [asyncio.create_task(place(ledger, order_id=f"later-{n}")) for n in range(5)]
        async with asyncio.timeout(BOUND_SECONDS):
            assert await asyncio.gather(*first, *later) == [(Committed(), 1)] * 10
        assert lost.done()
    assert_consistent(redis_server, 10)


async def test_a_black_hole_is_left_for_a_new_connection_in_time(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    await place(ledger, order_id="o-0")
    proxy.swallow()
    commit = asyncio.create_task(place(ledger, order_id="o-1"))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(proxy.heal()))
    assert (await asyncio.wait_for(commit, BOUND_SECONDS))[0] == Committed()
    assert_consistent(redis_server, 2)


async def test_a_black_hole_that_stays_ends_in_unavailable_and_the_retry_in_the_answer(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    proxy.swallow(Way.TO_CLIENT)  # Redis gets every word; we hear none
    first = entry_for(ledger)
    with pytest.raises(LedgerUnavailable, match="outcome is unknown"):
        await asyncio.wait_for(ledger.commit(first), BOUND_SECONDS)
    await proxy.heal()
    await back(ledger)
    result, _ = await place(ledger, now_ns=NOW_NS + 1)
    assert result == Stored(Record(first.payload, first.report))
    assert_consistent(redis_server, 1)


async def test_a_slow_network_is_only_slow(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    proxy.delay(0.05)
    results = await place_many(ledger, [f"o-{number}" for number in range(10)])
    assert [result for result, _ in results] == [Committed()] * 10
    assert_consistent(redis_server, 10)


async def test_refused_connections_end_in_unavailable_and_heal_by_themselves(
    ledger: RedisLedger, proxy: FaultProxy, redis_server: RedisServer
) -> None:
    await proxy.refuse()
    with pytest.raises(LedgerUnavailable, match="nothing was sent"):
        await asyncio.wait_for(ledger.commit(entry_for(ledger)), BOUND_SECONDS)
    with pytest.raises(LedgerUnavailable):
        await asyncio.wait_for(ledger.order("o-1"), BOUND_SECONDS)
    with pytest.raises(LedgerUnavailable):
        await asyncio.wait_for(ledger.position("ann", "BTC-USDT"), BOUND_SECONDS)
    with pytest.raises(LedgerUnavailable):
        await ledger.probe()
    await proxy.heal()
    await back(ledger)
    assert await place(ledger) == (Committed(), 1)
    assert_consistent(redis_server, 1)


async def test_redis_gone_for_long_is_told_at_once(ledger: RedisLedger, proxy: FaultProxy) -> None:
    await proxy.refuse()
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(entry_for(ledger))
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(LedgerUnavailable, match="nothing was sent"):
        await ledger.commit(entry_for(ledger))
    assert loop.time() - before < QUICK.commit_timeout_ms / 1_000 / 2


async def test_a_redis_that_is_not_there_at_start_is_found_when_it_comes(
    proxy: FaultProxy, redis_server: RedisServer
) -> None:
    await proxy.refuse()
    async with open_ledger(f"redis://127.0.0.1:{proxy.port}") as ledger:
        with pytest.raises(LedgerUnavailable):
            await ledger.probe()
        await proxy.heal()
        await back(ledger)
        assert await place(ledger) == (Committed(), 1)


async def test_a_caller_that_goes_away_does_not_disturb_its_neighbours(
    ledger: RedisLedger, redis_server: RedisServer
) -> None:
    redis_server.pause()
    tasks = [asyncio.create_task(place(ledger, order_id=f"o-{i}")) for i in range(3)]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    redis_server.resume()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == results[2] == (Committed(), 1)
    assert isinstance(results[1], asyncio.CancelledError)
    assert_consistent(redis_server, 3)


async def test_a_paused_redis_ends_in_unavailable_in_time_and_comes_back(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url, commit=QUICK, wire=QUICK_WIRE) as ledger:
        await place(ledger, order_id="o-0")
        redis_server.pause()
        entries = []
        for number in range(1, 6):
            entry = entry_for(ledger, order_id=f"o-{number}")
            entries.append(entry)
        calls: list[Any] = [ledger.commit(entry) for entry in entries]
        calls += [ledger.order("o-0"), ledger.probe()]
        async with asyncio.timeout(BOUND_SECONDS):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {LedgerUnavailable}
        redis_server.resume()
        await back(ledger)
        for number in range(1, 6):
            result, _ = await place(ledger, order_id=f"o-{number}")
            assert isinstance(result, Committed | Stored)
        assert_consistent(redis_server, 6)


async def test_a_commit_ends_in_time_though_its_connection_may_wait_longer(
    redis_server: RedisServer,
) -> None:
    patient = WireLimits(request_timeout_ms=60_000)
    async with open_ledger(redis_server.url, commit=QUICK, wire=patient) as ledger:
        redis_server.pause()
        async with asyncio.timeout(BOUND_SECONDS):
            with pytest.raises(LedgerUnavailable, match="within 600 ms, its outcome is unknown"):
                await ledger.commit(entry_for(ledger))
        redis_server.resume()
        result, _ = await place(ledger)
        assert isinstance(result, Stored)
    assert_consistent(redis_server, 1)


async def test_sigkill_in_mid_load_loses_no_acknowledged_order_and_doubles_none() -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_ledger(server.url) as ledger:
            killed = asyncio.Event()

            async def client(number: int) -> list[str]:
                acknowledged = []
                for turn in range(40):
                    order_id = f"o-{number}-{turn}"
                    await _until_answered(ledger, order_id, f"u{number % 4}")
                    acknowledged.append(order_id)
                    if number == 0 and turn in (5, 15, 25):
                        server.kill()
                        server.start()
                        killed.set()
                return acknowledged

            async with asyncio.timeout(60):
                done = await asyncio.gather(*map(client, range(16)))
            assert killed.is_set()
        assert sum(map(len, done)) == 640
        assert_consistent(server, 640)


async def _until_answered(ledger: RedisLedger, order_id: str, user_id: str) -> None:
    """A client that repeats the same id until it has an answer."""
    while True:
        try:
            await place(ledger, order_id=order_id, user_id=user_id)
        except LedgerUnavailable:
            continue
        return


async def test_a_restart_without_data_is_noticed_and_positions_start_afresh(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        await place(ledger, order_id="o-1")
        redis_server.kill()
        redis_server.start()
        result, attempts = await place(ledger, order_id="o-2")
        assert (result, attempts) == (Committed(), 2)
        assert_consistent(redis_server, 1)


async def test_a_read_only_replica_refuses_and_is_used_again_when_promoted(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer() as server:
        async with open_ledger(server.url, commit=QUICK, wire=QUICK_WIRE) as ledger:
            first = entry_for(ledger, order_id="o-1")
            await ledger.commit(first)
            server.command("REPLICAOF", "127.0.0.1", str(redis_server.port))
            with pytest.raises(LedgerRefused, match="read-only replica: point the Redis URL"):
                await asyncio.wait_for(place(ledger, order_id="o-2"), BOUND_SECONDS)
            with pytest.raises((LedgerRefused, LedgerUnavailable)):
                await ledger.probe()
            assert any(record.levelno == logging.ERROR for record in caplog.records)
            server.command("REPLICAOF", "NO", "ONE")
            await back(ledger)
            assert (await place(ledger, order_id="o-2"))[0] == Committed()


async def test_a_replica_promoted_in_time_is_not_noticed_by_the_caller(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        redis_server.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
        redis_server.command("REPLICAOF", "127.0.0.1", "1")
        commit = asyncio.create_task(place(ledger))
        await asyncio.sleep(0.1)
        assert not commit.done()
        redis_server.command("REPLICAOF", "NO", "ONE")
        assert (await asyncio.wait_for(commit, BOUND_SECONDS)) == (Committed(), 1)
    assert_consistent(redis_server, 1)


async def test_a_full_redis_refuses_new_orders_writes_no_half_and_repeats_old_ones() -> None:
    with RedisServer("--maxmemory-policy", "noeviction") as server:
        async with open_ledger(server.url) as ledger:
            first = entry_for(ledger, order_id="o-1")
            await ledger.commit(first)
            server.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(LedgerRefused, match=r"OOM.*raise maxmemory"):
                await ledger.commit(entry_for(ledger, order_id="o-2"))
            with pytest.raises(LedgerRefused, match="OOM"):
                await ledger.probe()
            result, _ = await place(ledger, order_id="o-1")
            assert result == Stored(Record(first.payload, first.report))
            assert_consistent(server, 1)
            server.command("CONFIG", "SET", "maxmemory", "0")
            assert (await place(ledger, order_id="o-2"))[0] == Committed()
            assert_consistent(server, 2)


async def test_too_few_replicas_are_waited_for_and_then_unavailable(
    redis_server: RedisServer,
) -> None:
    redis_server.command("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        async with open_ledger(redis_server.url, commit=QUICK) as ledger:
            with pytest.raises(LedgerUnavailable, match="min-replicas-to-write"):
                await ledger.commit(entry_for(ledger))
            assert redis_server.command("DBSIZE") == 0
            redis_server.command("CONFIG", "SET", "min-replicas-to-write", "0")
            assert (await place(ledger))[0] == Committed()
    finally:
        redis_server.command("CONFIG", "SET", "min-replicas-to-write", "0")


async def test_a_wrong_typed_order_key_is_that_orders_own_error(
    redis_server: RedisServer,
) -> None:
    redis_server.command("SET", "ORDER:o-1", "not a hash")
    async with open_ledger(redis_server.url) as ledger:
        results = await asyncio.gather(
            *(place(ledger, order_id=f"o-{number}") for number in range(4)),
            return_exceptions=True,
        )
        assert isinstance(results[1], LedgerRefused)
        assert "WRONGTYPE" in results[1].message
        assert "ORDER:o-1" in results[1].message
        assert [result[0] for i, result in enumerate(results) if i != 1] == [Committed()] * 3  # type: ignore[index]  # the failed one is left out
        with pytest.raises(LedgerRefused, match=r"WRONGTYPE.*ORDER:o-1"):
            await ledger.order("o-1")
        assert redis_server.command("GET", "ORDER:o-1") == "not a hash"
        redis_server.command("DEL", "ORDER:o-1")
        assert (await place(ledger, order_id="o-1"))[0] == Committed()
    assert_consistent(redis_server, 4)


async def test_a_wrong_typed_position_key_is_the_error_of_its_orders_alone(
    redis_server: RedisServer,
) -> None:
    redis_server.command("RPUSH", "POSITION:ann:BTC-USDT", "not a hash")
    async with open_ledger(redis_server.url) as ledger:
        results = await asyncio.gather(
            place(ledger, order_id="o-1"),
            place(ledger, order_id="o-2", user_id="bob"),
            return_exceptions=True,
        )
        assert isinstance(results[0], LedgerRefused)
        assert "POSITION:ann:BTC-USDT" in results[0].message
        assert results[1] == (Committed(), 1)
        with pytest.raises(LedgerRefused, match=r"WRONGTYPE.*POSITION:ann:BTC-USDT"):
            await ledger.position("ann", "BTC-USDT")
    assert redis_server.command("EXISTS", "ORDER:o-1") == 0
    assert len(entries_of(redis_server, "STREAM:TRADE")) == 1


@pytest.mark.parametrize("stream", ["STREAM:TRADE", "STREAM:REJECT", "STREAM:ORDER"])
async def test_a_wrong_typed_stream_refuses_everything_and_writes_nothing(
    redis_server: RedisServer, stream: str
) -> None:
    redis_server.command("SET", stream, "not a stream")
    async with open_ledger(redis_server.url) as ledger:
        with pytest.raises(LedgerRefused, match=f"WRONGTYPE {stream}"):
            await ledger.commit(entry_for(ledger))
        with pytest.raises(LedgerRefused, match=f"WRONGTYPE {stream}"):
            await ledger.probe()
        assert redis_server.command("KEYS", "*") == [stream]
        redis_server.command("DEL", stream)
        await ledger.probe()
        assert (await place(ledger))[0] == Committed()
    assert_consistent(redis_server, 1)


def _exhaust(server: RedisServer, stream: str) -> None:
    server.command("XADD", stream, f"{2**64 - 1}-{2**64 - 1}", "other", "program")


@pytest.mark.parametrize("stream", ["STREAM:TRADE", "STREAM:ORDER"])
async def test_a_stream_that_takes_no_more_leaves_no_half_of_an_order(
    redis_server: RedisServer, stream: str
) -> None:
    _exhaust(redis_server, stream)
    async with open_ledger(redis_server.url) as ledger:
        results = await asyncio.gather(
            place(ledger, order_id="o-1"),
            place(ledger, order_id="o-1"),
            place(ledger, order_id="o-2"),
            return_exceptions=True,
        )
    for result in results:
        assert isinstance(result, LedgerRefused)
        assert stream in result.message
    assert redis_server.command("KEYS", "ORDER:*") == []
    assert redis_server.command("KEYS", "POSITION:*") == []
    other = {"STREAM:TRADE", "STREAM:ORDER"} - {stream}
    assert redis_server.command("XLEN", other.pop()) == 0


@pytest.mark.parametrize(
    "missing", ["-hset", "-xadd", "-evalsha", "resetkeys ~STREAM:* ~ORDER:*", "-hmget"]
)
async def test_a_missing_right_is_refused_before_anything_is_written(
    redis_server: RedisServer, missing: str
) -> None:
    redis_server.command(
        "ACL", "SETUSER", "trader", "on", ">pw", "+@all", "allkeys", *missing.split()
    )
    try:
        async with open_ledger(f"redis://trader:pw@127.0.0.1:{redis_server.port}") as ledger:
            with pytest.raises(LedgerRefused, match="grant the Redis user"):
                await ledger.commit(entry_for(ledger))
            assert redis_server.command("DBSIZE") == 0
    finally:
        redis_server.command("ACL", "DELUSER", "trader")


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("ORDER:o-1", "report", None),
        ("ORDER:o-1", "report", "{}"),
        ("ORDER:o-1", "report", "[1]"),
        ("ORDER:o-1", "payload", b"\xff"),
        ("POSITION:ann:BTC-USDT", "qty", "1.0"),
        ("POSITION:ann:BTC-USDT", "qty", "1e3"),
        ("POSITION:ann:BTC-USDT", "entry_cost", None),
        ("POSITION:ann:BTC-USDT", "version", "one"),
        ("POSITION:ann:BTC-USDT", "version", str(2**64)),
    ],
)
async def test_a_record_that_somebody_damaged_is_named_and_not_written_over(
    redis_server: RedisServer, key: str, field: str, value: str | bytes | None
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        await place(ledger, order_id="o-1")
        if value is None:
            redis_server.command("HDEL", key, field)
        else:
            redis_server.command("HSET", key, field, value)
        damaged = redis_server.command("DUMP", key)
        order_id = "o-1" if key.startswith("ORDER") else "o-2"
        with pytest.raises(LedgerRefused, match="CORRUPT"):
            await place(ledger, order_id=order_id)
        with pytest.raises(LedgerRefused, match="CORRUPT"):
            await (ledger.order("o-1") if order_id == "o-1" else ledger.position("ann", "BTC-USDT"))
        assert redis_server.command("DUMP", key) == damaged
        assert await place(ledger, order_id="o-3", user_id="bob") == (Committed(), 1)


async def test_a_record_that_was_never_whole_is_corrupt_whoever_asks(
    redis_server: RedisServer,
) -> None:
    redis_server.command("HSET", "ORDER:o-1", "status", "FILLED")
    async with open_ledger(redis_server.url) as ledger:
        with pytest.raises(LedgerRefused, match="CORRUPT"):
            await place(ledger, order_id="o-1")
        with pytest.raises(LedgerRefused, match="CORRUPT"):
            await ledger.order("o-1")


@pytest.mark.parametrize(
    "speak",
    [
        pytest.param(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
        pytest.param(lambda _: b"*1\r\n" * 100, id="endless nesting"),
        pytest.param(lambda _: b"+OK\r\n" * 50, id="replies that nothing asked for"),
        pytest.param(lambda _: b"", id="closes"),
    ],
)
async def test_what_is_no_redis_is_unavailable_and_never_a_crash(
    speak: Callable[[bytes], bytes],
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(speak(await reader.read(100)))
        writer.close()

    stranger = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = stranger.sockets[0].getsockname()[1]
    async with (
        stranger,
        open_ledger(f"redis://127.0.0.1:{port}", commit=QUICK, wire=QUICK_WIRE) as ledger,
    ):
        with pytest.raises((LedgerUnavailable, LedgerRefused)):
            await asyncio.wait_for(ledger.commit(entry_for(ledger, BUY)), BOUND_SECONDS)


async def test_whoever_tries_again_at_once_does_not_keep_the_ledger_from_redis(
    proxy: FaultProxy, ledger: RedisLedger
) -> None:
    await proxy.refuse()
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(entry_for(ledger))
    healing = asyncio.create_task(proxy.heal())
    async with asyncio.timeout(BOUND_SECONDS):
        for call in (lambda: ledger.commit(entry_for(ledger)), lambda: ledger.order("o-1")):
            while True:
                try:
                    assert await call()
                except LedgerUnavailable:
                    continue
                break
    await healing
