"""Answers of symbol-service that are wrong, late or missing, over real sockets."""

import asyncio
import socket

import grpc
import pytest
from scripted_market import L1_ONLY, ScriptedMarket, book, l1
from symbol_service_client import BTC, client, connected, depth_market, either_library, l1_market

from execution.errors import StaleBook, SymbolServiceUnavailable

Code = grpc.StatusCode
pytestmark = pytest.mark.usefixtures(either_library.__name__)


# What comes back


@pytest.mark.parametrize("market", [depth_market(), l1_market()], ids=["depth", "top"])
async def test_bytes_that_are_no_message_are_an_unavailable_source(market: ScriptedMarket) -> None:
    async with connected(market) as it:
        for rpc in ("GetBook", "GetL1"):
            market.raw[rpc] = b"\xff\xff\xff"
        with pytest.raises(SymbolServiceUnavailable, match="3 bytes that are no"):
            await it.book()
        market.raw.clear()
        assert (await it.book()).defect == ""


async def test_a_book_that_is_none_comes_back_with_its_defect() -> None:
    market = depth_market()
    async with connected(market) as it:
        market.set_book(book(price_decimals=19))
        assert "price_decimals" in (await it.book()).defect
        market.raw["GetBook"] = book("ETH-USDT").SerializeToString()
        assert "asked for BTC-USDT" in (await it.book()).defect


async def test_a_lone_side_of_a_plain_server_is_a_defect() -> None:
    market = l1_market()
    market.l1s[BTC] = l1(ask=None)
    async with connected(market) as it:
        assert "bid alone" in (await it.book()).defect


async def test_a_malformed_filter_is_a_defect_until_the_source_mends_it() -> None:
    market = depth_market()
    market.list_symbol(BTC, quantity_step="some")
    async with connected(market, probe_interval_ms=10) as it:
        assert "quantity_step" in (await it.book()).defect
        market.list_symbol(BTC, quantity_step="0.5")
        await market.called("GetSymbols", market.calls["GetSymbols"] + 2)
        assert (await it.book()).spec.quantity_step == 5 * 10**17


async def test_a_sequence_that_goes_back_is_taken() -> None:
    market = depth_market()
    async with connected(market) as it:
        for sequence in (7, 3):
            market.set_book(book(sequence=sequence))
            assert (await it.book()).sequence == sequence


async def test_an_answer_beyond_the_size_limit_is_an_error_and_not_a_crash() -> None:
    market = depth_market()
    market.books[BTC] = book(bids=[(10**15 - price, 10**15) for price in range(10_000)])
    async with connected(market, message_bytes_max=20_000) as it:
        with pytest.raises(SymbolServiceUnavailable, match="RESOURCE_EXHAUSTED"):
            await it.book()


async def test_what_the_source_says_is_repeated_on_one_safe_line() -> None:
    market = depth_market()
    market.fails["GetBook"] = (Code.INTERNAL, "a\nb\tc" + "x" * 5_000)
    async with connected(market) as it:
        with pytest.raises(SymbolServiceUnavailable, match="INTERNAL: a b cxxx") as caught:
            await it.book()
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 500
        assert caught.value.metadata["status"] == "INTERNAL"
        assert caught.value.metadata["source"] == market.address


async def test_sharers_of_a_failure_each_get_an_error_of_their_own() -> None:
    market = depth_market()
    market.fails["GetBook"] = (Code.INTERNAL, "no")
    async with connected(market) as it:
        failures = await asyncio.gather(*(it.book() for _ in range(5)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {SymbolServiceUnavailable}
        assert len({id(failure) for failure in failures}) == 5


# Late and gone


@pytest.mark.parametrize("rpc", ["GetBook", "GetL1"])
async def test_an_answer_that_comes_too_late_is_a_stale_book(rpc: str) -> None:
    market = depth_market() if rpc == "GetBook" else l1_market()
    async with connected(market, max_snapshot_age_ms=100) as it:
        market.hold(rpc)
        begun_ns = it.clock.monotonic_ns()
        with pytest.raises(StaleBook, match="younger than 100 ms") as caught:
            await it.book()
        took_ms = (it.clock.monotonic_ns() - begun_ns) / 1e6
        assert 90 <= took_ms < 1_000
        assert "--max-snapshot-age-ms" in caught.value.message
        market.release(rpc)
        assert (await it.book()).defect == ""


@pytest.mark.parametrize("rpc", ["GetBook", "GetL1"])
async def test_a_book_that_has_aged_on_its_way_to_the_order_is_stale(rpc: str) -> None:
    market = depth_market() if rpc == "GetBook" else l1_market()
    async with connected(market, max_snapshot_age_ms=2_000) as it:
        asked = market.calls[rpc]
        market.hold(rpc)
        order = asyncio.create_task(it.book())
        await market.called(rpc, asked + 1)
        it.clock.leap(2_001)
        market.release(rpc)
        with pytest.raises(StaleBook):
            await order


async def test_a_peer_that_accepts_and_says_nothing_is_unavailable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        async with client(f"127.0.0.1:{port}", max_snapshot_age_ms=200) as it:
            begun_ns = it.clock.monotonic_ns()
            with pytest.raises(SymbolServiceUnavailable):
                await it.book()
            assert it.clock.monotonic_ns() - begun_ns < 1_000_000_000
            assert not it.books.reachable


async def test_a_source_that_gives_up_by_itself_is_unavailable_not_stale() -> None:
    market = depth_market()
    market.fails["GetBook"] = (Code.DEADLINE_EXCEEDED, "my own backend is slow")
    async with connected(market) as it:
        with pytest.raises(SymbolServiceUnavailable, match="my own backend"):
            await it.book()


async def test_nobody_there_fails_fast_and_comes_back_by_itself() -> None:
    market = depth_market()
    async with market:
        pass
    async with client(market.address, max_snapshot_age_ms=5_000) as it:
        with pytest.raises(SymbolServiceUnavailable, match="check that it runs") as caught:
            await it.book()
        assert caught.value.metadata["status"] == "UNAVAILABLE"
        await it.until(lambda: "UNAVAILABLE" in it.books.problem and not it.books.reachable)
        async with market:
            async with asyncio.timeout(2):
                await it.books.wait_until_answered()
            assert it.books.reachable
            assert it.books.problem == ""
            assert (await it.book()).sequence == 1


async def test_a_server_that_dies_is_noticed_at_once_and_so_is_its_return() -> None:
    market = depth_market()
    async with connected(market, probe_interval_ms=60_000) as it:
        await market.stop()
        await it.until(lambda: not it.books.reachable)
        with pytest.raises(SymbolServiceUnavailable):
            await it.book()
        await market.start()
        await it.until(lambda: it.books.reachable)
        assert (await it.book()).sequence == 1
        assert it.books.connections == 2


async def test_a_server_that_comes_back_as_the_other_kind_is_used_as_such() -> None:
    market = depth_market()
    market.l1s[BTC] = l1()
    async with connected(market, probe_interval_ms=60_000) as it:
        assert len((await it.book()).bid_prices) == 2
        await market.stop()
        await it.until(lambda: not it.books.reachable)
        market.serves = set(L1_ONLY)
        await market.start()
        await it.until(lambda: it.books.reachable)
        assert len((await it.book()).bid_prices) == 1
        assert it.books.symbols == ()


async def test_a_server_that_leaves_everything_unanswered_is_not_reachable() -> None:
    market = depth_market()
    async with connected(market, probe_interval_ms=10, probe_timeout_ms=50) as it:
        market.hold("GetSymbols")
        await it.until(lambda: not it.books.reachable)
        assert "DEADLINE_EXCEEDED" in it.books.problem
        market.release("GetSymbols")
        await it.until(lambda: it.books.reachable)


async def test_a_listing_that_is_no_message_makes_it_unreachable_until_mended() -> None:
    market = depth_market()
    async with connected(market, probe_interval_ms=10) as it:
        market.raw["GetSymbols"] = b"\xff"
        await it.until(lambda: "no marketdata.v1.Symbols" in it.books.problem)
        del market.raw["GetSymbols"]
        await it.until(lambda: it.books.reachable)
        assert it.books.symbols == (BTC,)


async def test_closing_tells_orders_that_wait_and_refuses_new_ones() -> None:
    market = depth_market()
    async with connected(market) as it:
        market.hold("GetBook")
        order = asyncio.create_task(it.book())
        await market.called("GetBook", 1)
        await it.books.close()
        with pytest.raises(SymbolServiceUnavailable):
            await order
        with pytest.raises(SymbolServiceUnavailable):
            await it.book()


async def test_a_proxy_in_the_environment_is_not_for_symbol_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with connected(depth_market()) as it:
        assert (await it.book()).sequence == 1
