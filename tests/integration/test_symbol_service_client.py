"""Books fetched from symbol-service, of either kind, over real sockets."""

import asyncio

import grpc
import pytest
from scripted_market import EVERYTHING, L1_ONLY, NO_PUSH, ScriptedMarket, book, l1
from symbol_service_client import BTC, client, connected, depth_market, either_library, l1_market

from execution.errors import Overloaded, SymbolServiceUnavailable
from execution.v1 import marketdata_pb2 as md

Code = grpc.StatusCode
pytestmark = pytest.mark.usefixtures(either_library.__name__)


# Which kind of server


async def test_a_depth_server_gives_whole_books_with_scales_and_filters() -> None:
    market = depth_market()
    market.list_symbol(BTC, min_quantity="0.002")
    async with connected(market, depth=7) as it:
        snapshot = await it.book()
        assert snapshot.source == market.address
        assert snapshot.bid_prices.tolist() == [1000, 999]
        assert (snapshot.spec.price_decimals, snapshot.spec.quantity_decimals) == (1, 3)
        assert snapshot.spec.min_quantity == 2 * 10**15
        assert it.books.symbols == (BTC,)
        assert {request.depth for request in market.requests["GetBook"]} == {7}
        assert not market.calls["GetL1"]


async def test_a_plain_server_gives_the_top_of_book() -> None:
    async with connected(l1_market()) as it:
        snapshot = await it.book()
        assert snapshot.ask_prices.tolist() == [10_050_000_000]
        assert snapshot.sequence == 0
        assert it.books.symbols == ()
        assert it.books.reachable


async def test_a_known_plain_server_is_not_asked_for_books_of_no_symbol_over_and_over() -> None:
    market = l1_market()
    async with connected(market, probe_interval_ms=10) as it:
        await market.called("GetSymbols", 10)
        assert market.calls["GetL1"] == 1
        await it.book()
        assert market.calls["GetL1"] == 2


async def test_depth_without_a_listing_works_without_filters() -> None:
    async with connected(depth_market(frozenset({"GetBook"}))) as it:
        assert (await it.book()).spec.min_quantity is None
        assert it.books.symbols == ()
        assert await it.snapshot("NO-SUCH") is None


async def test_a_listing_without_depth_works_through_get_l1() -> None:
    market = depth_market(frozenset({"GetSymbols", "GetL1"}))
    market.l1s[BTC] = l1()
    async with connected(market, probe_interval_ms=60_000) as it:
        for _ in range(20):
            assert (await it.book()).ask_prices.tolist() == [10_050_000_000]
        # The first order, and the probe that it woke: no other order asks in vain.
        assert market.calls["GetBook"] <= 3
        assert it.books.reachable


async def test_a_server_that_refuses_us_is_not_reachable() -> None:
    market = depth_market(frozenset({"GetBook"}))
    market.fails["GetBook"] = (Code.UNAUTHENTICATED, "who are you?")
    async with market, client(market.address, probe_interval_ms=10) as it:
        await it.until(lambda: "who are you?" in it.books.problem)
        assert not it.books.reachable
        market.fails.clear()
        await it.until(lambda: it.books.reachable)


async def test_a_server_of_another_trade_is_not_reachable() -> None:
    market = ScriptedMarket(frozenset())
    async with market, client(market.address) as it:
        with pytest.raises(SymbolServiceUnavailable, match="UNIMPLEMENTED"):
            await it.book()
        await it.until(lambda: "serves neither" in it.books.problem)
        assert not it.books.reachable


async def test_an_order_before_the_first_probe_waits_for_the_filters() -> None:
    market = depth_market()
    market.list_symbol(BTC, min_quantity="1")
    market.hold("GetSymbols")
    async with market, client(market.address) as it:
        order = asyncio.create_task(it.book())
        await market.called("GetSymbols", 2)  # the probe, and the order
        assert not order.done()
        market.release("GetSymbols")
        assert (await order).spec.min_quantity == 10**18


async def test_an_order_before_the_first_probe_is_served_by_a_plain_server() -> None:
    market = l1_market()
    market.hold("GetSymbols")
    async with market, client(market.address) as it:
        assert len((await it.book()).ask_prices) == 1


async def test_a_server_that_is_replaced_by_the_other_kind_is_noticed_within_the_order() -> None:
    market = depth_market()
    market.l1s[BTC] = l1()
    async with connected(market, probe_interval_ms=60_000) as it:
        assert len((await it.book()).bid_prices) == 2
        market.serves = set(L1_ONLY)
        assert len((await it.book()).bid_prices) == 1
        await it.until(lambda: it.books.symbols == ())
        market.serves = set(NO_PUSH) - {"GetL1"}
        assert len((await it.book()).bid_prices) == 2
        await it.until(lambda: it.books.symbols == (BTC,))


async def test_an_upgraded_server_is_noticed_without_any_failure() -> None:
    market = depth_market(L1_ONLY)
    market.l1s[BTC] = l1()
    async with connected(market, probe_interval_ms=10) as it:
        assert len((await it.book()).bid_prices) == 1
        market.serves = set(EVERYTHING)
        await it.until(lambda: it.books.symbols == (BTC,))
        # The listing comes first; how its books are had is found out by another call.
        async with asyncio.timeout(10):
            while len((await it.book()).bid_prices) != 2:
                assert it.books.reachable


# Symbols


async def test_a_symbol_is_unknown_only_if_the_source_says_so() -> None:
    for market in (depth_market(), l1_market()):
        async with connected(market) as it:
            assert await it.snapshot("NO-SUCH") is None
            assert await it.snapshot(BTC) is not None
    refusing = depth_market()
    refusing.fails["GetBook"] = (Code.INVALID_ARGUMENT, "what a name")
    async with connected(refusing) as it:
        with pytest.raises(SymbolServiceUnavailable, match="INVALID_ARGUMENT: what a name"):
            await it.snapshot(BTC)


async def test_a_symbol_listed_after_the_start_is_served_with_its_filters_at_once() -> None:
    market = depth_market()
    async with connected(market, probe_interval_ms=60_000) as it:
        assert await it.snapshot("NEW") is None
        market.list_symbol("NEW", min_notional="5")
        snapshot = await it.book("NEW")
        assert snapshot.spec.min_notional == 5 * 10**36
        assert it.books.symbols == (BTC, "NEW")


async def test_filters_that_cannot_be_learnt_are_not_taken_for_absent() -> None:
    market = depth_market()
    async with connected(market, probe_interval_ms=60_000) as it:
        market.list_symbol("NEW")
        market.fails["GetSymbols"] = (Code.INTERNAL, "out of order")
        with pytest.raises(SymbolServiceUnavailable, match="out of order"):
            await it.book("NEW")
        market.fails["GetSymbols"] = (Code.NOT_FOUND, "no list")
        with pytest.raises(SymbolServiceUnavailable, match="no list"):
            await it.book("NEW")
        assert (await it.book()).defect == ""


async def test_hostile_names_do_not_make_the_client_grow() -> None:
    market = depth_market()
    async with connected(market, symbols_fetched_max=3) as it:
        for number in range(50):
            assert await it.snapshot(f"NO-{number}") is None
        market.hold("GetBook")
        before = market.calls["GetBook"]
        waiting = [asyncio.create_task(it.snapshot(f"NO-{number}")) for number in range(3)]
        await market.called("GetBook", before + 3)
        with pytest.raises(Overloaded):
            await it.snapshot("NO-4")
        market.release("GetBook")
        assert await asyncio.gather(*waiting) == [None] * 3


async def test_a_listing_with_a_thousand_symbols_is_read() -> None:
    market = depth_market()
    for number in range(1_000):
        market.symbols[f"S{number}"] = md.SymbolSpec(symbol=f"S{number}")
    async with connected(market) as it:
        assert len(it.books.symbols) == 1_001


# Sharing


@pytest.mark.parametrize("rpc", ["GetBook", "GetL1"])
async def test_a_hundred_orders_at_once_cost_one_or_two_fetches(rpc: str) -> None:
    market = depth_market() if rpc == "GetBook" else l1_market()
    async with connected(market) as it:
        before = market.calls[rpc]
        books = await asyncio.gather(*(it.book() for _ in range(100)))
        assert market.calls[rpc] - before <= 2
        assert len({id(one) for one in books}) <= 2
        assert it.books.fetch_counts.orders == 100


async def test_an_order_never_meets_a_book_fetched_before_it_arrived() -> None:
    market = depth_market()
    async with connected(market) as it:
        market.hold("GetBook")
        first = asyncio.create_task(it.book())
        await market.called("GetBook", 1)
        late = [asyncio.create_task(it.book()) for _ in range(20)]
        while it.books.fetch_counts.orders < 21:
            await asyncio.sleep(0)
        market.set_book(book(sequence=2))
        market.release("GetBook")
        await first
        assert {(await one).sequence for one in late} == {2}
        assert market.calls["GetBook"] == 2


async def test_a_cancelled_order_does_not_cancel_the_fetch_of_its_neighbours() -> None:
    market = depth_market()
    async with connected(market) as it:
        market.hold("GetBook")
        orders = [asyncio.create_task(it.book()) for _ in range(10)]
        await market.called("GetBook", 1)
        for order in orders[:9]:
            order.cancel()
        await asyncio.gather(*orders[:9], return_exceptions=True)
        market.release("GetBook")
        assert (await orders[9]).sequence == 1
        assert market.calls["GetBook"] == 1
