"""Books pushed by symbol-service: the newest of a live stream, and never an old one."""

import asyncio
import signal
import sys
from pathlib import Path

import grpc
import pytest
import scripted_market
from scripted_market import EVERYTHING, L1_ONLY, NO_PUSH, book, l1
from symbol_service_client import (
    BTC,
    client,
    connected,
    depth_market,
    either_library,
    following,
    push_market,
)

from execution.errors import StaleBook, SymbolServiceUnavailable

Code = grpc.StatusCode
pytestmark = pytest.mark.usefixtures(either_library.__name__)
ETH = "ETH-USDT"


# The newest book


async def test_a_pushed_book_costs_no_fetch_and_is_the_same_object_while_it_is_newest() -> None:
    market = push_market()
    market.list_symbol(BTC, min_quantity="1")
    async with following(market, depth=5) as it:
        first = await it.pushed()
        before = market.calls["GetBook"]
        again = await asyncio.gather(*(it.book() for _ in range(100)))
        assert {id(one) for one in again} == {id(first)}
        assert first.bid_prices.tolist() == [1000, 999]
        assert first.spec.min_quantity == 10**18
        assert first.source == market.address
        assert market.calls["GetBook"] == before
        assert market.requests["StreamBooks"][0].depth == 5


@pytest.mark.parametrize("sequence", [2, 2**64 - 1, 0], ids=["next", "far ahead", "none"])
async def test_every_push_is_the_newest_book(sequence: int) -> None:
    market = push_market()
    async with following(market) as it:
        market.set_book(book(sequence=sequence, asks=[(2000, 1)]))
        await it.until(lambda: it.books.feed_counts.books == 2)
        snapshot = await it.pushed()
        assert snapshot.sequence == sequence
        assert snapshot.ask_prices.tolist() == [2000]


async def test_a_sequence_that_goes_back_is_newer() -> None:
    market = push_market()
    market.set_book(book(sequence=900))
    async with following(market) as it:
        market.set_book(book(sequence=3))
        assert (await it.pushed(sequence=3)).sequence == 3


async def test_a_book_that_is_pushed_twice_is_one_snapshot_where_it_has_a_sequence() -> None:
    market = push_market()
    async with following(market) as it:
        first = await it.pushed()
        market.set_book(book(sequence=1))
        await it.until(lambda: it.books.feed_counts.books == 2)
        assert await it.pushed() is first
        market.set_book(book(sequence=0))
        await it.until(lambda: it.books.feed_counts.books == 3)
        unnumbered = await it.pushed()
        market.set_book(book(sequence=0))
        await it.until(lambda: it.books.feed_counts.books == 4)
        assert await it.pushed() is not unnumbered


async def test_a_pushed_book_with_a_defect_says_so() -> None:
    market = push_market()
    async with following(market) as it:
        market.set_book(book(sequence=2, price_decimals=40))
        assert "price_decimals" in (await it.pushed(sequence=2)).defect


async def test_changed_filters_apply_to_a_book_that_did_not_change() -> None:
    market = push_market()
    async with following(market, probe_interval_ms=10) as it:
        market.list_symbol(BTC, max_quantity="3")
        await it.until(lambda: market.calls["GetSymbols"] > 3)
        snapshot = await it.pushed()
        assert snapshot.spec.max_quantity == 3 * 10**18
        assert len(market.streams) == 1


async def test_books_nobody_asked_for_are_ignored() -> None:
    market = push_market()
    async with following(market) as it:
        stream = await market.stream(1)
        for number in range(100):
            stream.push(book(f"S{number}"))
        stream.push(book(sequence=2))
        await it.pushed(sequence=2)
        assert it.books.feed_counts.unasked == 100
        assert it.books.feed_counts.books == 2
        assert await it.snapshot("S1") is None


# Which symbols


async def test_a_symbol_the_stream_has_not_brought_is_fetched() -> None:
    market = push_market()
    market.greets = False
    async with connected(market) as it:
        await market.stream(1)
        assert (await it.book()).sequence == 1
        assert market.calls["GetBook"] == 1
        assert await it.snapshot("NO-SUCH") is None


async def test_a_symbol_listed_later_joins_and_the_old_stream_serves_until_then() -> None:
    market = push_market()
    async with following(market, probe_interval_ms=10) as it:
        market.greets = False
        market.list_symbol(ETH)
        second = await market.stream(2)
        assert sorted(second.symbols) == [BTC, ETH]
        old = await market.stream(1)
        old.push(book(sequence=5))
        await it.pushed(sequence=5)
        second.push(book(ETH, sequence=8))
        assert (await it.pushed(ETH, sequence=8)).spec.symbol == ETH
        assert not old.closed.is_set()
        second.push(book(sequence=6))
        await it.pushed(sequence=6)
        await asyncio.wait_for(old.closed.wait(), 5)
        second.push(book(sequence=7))
        await it.pushed(sequence=7)


async def test_the_new_stream_is_ahead_of_the_old_one() -> None:
    market = push_market()
    market.list_symbol(ETH)
    async with following(market, probe_interval_ms=10) as it:
        await it.pushed(ETH)
        market.greets = False
        market.list_symbol("XRP-USDT")
        old, new = await market.stream(1), await market.stream(2)
        new.push(book(sequence=11))
        await it.pushed(sequence=11)
        old.push(book(sequence=10))
        old.push(book(ETH, sequence=10))
        await it.pushed(ETH, sequence=10)
        assert (await it.pushed()).sequence == 11


async def test_the_list_may_change_again_before_the_new_stream_delivers() -> None:
    market = push_market()
    async with following(market, probe_interval_ms=10) as it:
        market.greets = False
        market.list_symbol(ETH)
        second = await market.stream(2)
        market.list_symbol("XRP-USDT")
        third = await market.stream(3)
        await asyncio.wait_for(second.closed.wait(), 5)
        assert (await it.pushed()).sequence == 1
        third.push(book(sequence=2))
        await it.pushed(sequence=2)
        await asyncio.wait_for(market.streams[0].closed.wait(), 5)


async def test_a_symbol_that_is_delisted_is_unknown_soon_although_its_stream_lives() -> None:
    market = push_market()
    market.list_symbol(ETH)
    async with following(market, probe_interval_ms=10) as it:
        await it.pushed(ETH)
        del market.symbols[ETH], market.books[ETH]
        await it.until(lambda: it.books.symbols == (BTC,))
        assert await it.snapshot(ETH) is None
        assert (await it.pushed()).sequence == 1


# Whether it lives


async def test_heartbeats_keep_a_quiet_book_fresh() -> None:
    market = push_market()
    async with following(market, max_snapshot_age_ms=800) as it:
        first = await it.pushed()
        before = market.calls["GetBook"]
        begun_ns = it.clock.monotonic_ns()
        await market.called("GetSymbols", market.calls["GetSymbols"] + 6)
        assert it.clock.monotonic_ns() - begun_ns > 2 * 800_000_000
        assert await it.book() is first
        assert market.calls["GetBook"] == before
        assert it.books.feed_age_ns is not None
        assert it.books.feed_age_ns < 800_000_000


async def test_a_heartbeat_counts_from_when_it_was_asked() -> None:
    market = push_market()
    async with following(market, max_snapshot_age_ms=1_000) as it:
        asked = market.calls["GetSymbols"]
        market.hold("GetSymbols")
        await market.called("GetSymbols", asked + 1)
        it.clock.leap(600)
        market.release("GetSymbols")
        await it.pushed()
        market.hold("GetBook", "GetSymbols")
        it.clock.leap(500)
        with pytest.raises(StaleBook):
            await it.book()


async def test_a_server_that_has_stopped_answering_is_never_taken_for_quiet() -> None:
    market = push_market()
    async with following(market, max_snapshot_age_ms=200) as it:
        market.hold("GetSymbols", "GetBook")
        await market.called("GetSymbols", market.calls["GetSymbols"] + 1)
        assert isinstance(await it.failure(within_ms=300), StaleBook)
        market.release("GetSymbols", "GetBook")
        await it.pushed()


async def test_a_stopped_process_gives_stale_books_and_its_own_when_it_goes_on() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(scripted_market.__file__)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        address = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        async with client(address, max_snapshot_age_ms=300) as it:
            await it.pushed()
            process.send_signal(signal.SIGSTOP)
            assert isinstance(await it.failure(within_ms=400), StaleBook)
            process.send_signal(signal.SIGCONT)
            assert (await it.pushed()).sequence == 1
    finally:
        process.kill()
        await process.wait()


# What breaks


@pytest.mark.parametrize("code", [Code.OK, Code.INTERNAL, Code.UNAVAILABLE, Code.NOT_FOUND])
async def test_a_stream_that_ends_takes_its_books_along_and_is_asked_for_again(
    code: grpc.StatusCode,
) -> None:
    market = push_market()
    async with following(market) as it:
        market.hold("StreamBooks")
        market.books[BTC] = book(sequence=2)
        fetched = market.calls["GetBook"]
        market.streams[0].end(code)
        await market.called("StreamBooks", 2)
        assert (await it.book()).sequence == 2
        assert market.calls["GetBook"] == fetched + 1
        market.release("StreamBooks")
        await market.stream(2)
        await it.pushed(sequence=2)


async def test_a_stream_that_sends_what_is_no_book_is_asked_for_again() -> None:
    market = push_market()
    async with following(market) as it:
        market.streams[0].push(b"\xff\xff")
        await market.stream(2)
        await it.pushed()
        assert market.calls["StreamBooks"] == 2


async def test_a_stream_that_always_ends_is_asked_for_less_and_less() -> None:
    market = push_market()
    market.fails["StreamBooks"] = (Code.INTERNAL, "out of order")
    async with connected(market) as it:
        begun_ns = it.clock.monotonic_ns()
        await market.called("StreamBooks", 5)
        assert it.clock.monotonic_ns() - begun_ns >= 700_000_000  # 50 + 100 + 200 + 400 ms
        assert (await it.book()).sequence == 1


async def test_one_stream_carries_all_symbols_also_after_it_broke() -> None:
    market = push_market()
    for number in range(20):
        market.list_symbol(f"S{number}")
    async with following(market, probe_interval_ms=10) as it:
        for broken in range(1, 4):
            market.streams[-1].end(Code.UNAVAILABLE)
            await market.stream(broken + 1)
            await it.pushed()
            await it.pushed("S19")
            await market.called("GetSymbols", market.calls["GetSymbols"] + 5)
            still_open = [one for one in market.streams if not one.closed.is_set()]
            assert [len(one.symbols) for one in still_open] == [21]
        assert it.books.feed_counts.streams == market.calls["StreamBooks"] == 4


async def test_the_newest_book_is_had_without_waiting_while_the_feed_lives() -> None:
    market = push_market()
    async with connected(market, max_snapshot_age_ms=1_000) as it:
        first = await it.pushed()
        assert it.books.newest(BTC) is first
        assert it.books.newest("NO-SUCH") is None
        market.hold("GetSymbols")
        it.clock.leap(1_001)
        assert it.books.newest(BTC) is None


async def test_a_server_without_push_is_asked_once_and_again_when_it_is_another() -> None:
    market = depth_market(NO_PUSH)
    async with connected(market, probe_interval_ms=10) as it:
        await market.called("GetSymbols", 20)
        assert (await it.book()).sequence == 1
        assert market.calls["StreamBooks"] == 1
        await market.stop()
        await it.until(lambda: not it.books.reachable)
        market.serves = set(EVERYTHING)
        await market.start()
        await it.pushed()


async def test_a_server_that_dies_takes_its_books_along_and_brings_them_back() -> None:
    market = push_market()
    market.set_book(book(sequence=50))
    async with following(market) as it:
        await market.stop()
        assert isinstance(await it.failure(within_ms=500), SymbolServiceUnavailable)
        assert it.books.feed_age_ns is None
        market.books[BTC] = book(sequence=4)
        await market.start()
        assert (await it.pushed()).sequence == 4


async def test_a_server_that_comes_back_without_push_is_fetched_from() -> None:
    market = push_market()
    market.l1s[BTC] = l1()
    async with following(market) as it:
        await market.stop()
        await it.until(lambda: not it.books.reachable)
        market.serves = set(L1_ONLY)
        await market.start()
        await it.until(lambda: it.books.reachable)
        assert len((await it.book()).bid_prices) == 1
        assert it.books.symbols == ()


async def test_a_feed_that_comes_alive_during_a_fetch_has_the_word() -> None:
    market = push_market()
    market.hold("StreamBooks", "GetBook")
    async with connected(market) as it:
        order = asyncio.create_task(it.book())
        await market.called("GetBook", 1)
        await market.called("StreamBooks", 1)
        market.release("StreamBooks")
        (await market.stream(1)).push(book(sequence=9))
        await it.until(lambda: it.books.feed_counts.books == 2)
        market.release("GetBook")
        assert await order is await it.pushed(sequence=9)
