"""The embedded symbol-service over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import grpc
import pytest
from market import BTC, Market, spec

from execution.embedded.market import symbol_service
from execution.embedded.market.feed import ManualFeed, MarketBook
from execution.embedded.market.simulate import INSTRUMENTS, simulated_feeds
from execution.embedded.market.symbol_service import REQUEST_BYTES_MAX, SymbolService
from execution.errors import StartupError
from execution.model import SymbolSpec
from execution.v1 import marketdata_pb2, snapshot_pb2
from execution.v1.marketdata_pb2_grpc import MarketDataServiceStub
from execution.v1.snapshot_pb2_grpc import SymbolSnapshotServiceStub

BIDS = [("61800.1", "0.5"), ("61800", "2"), ("61799.4", "0.125")]
ASKS = [("61800.2", "1"), ("61801", "3.5")]


BooksCall: TypeAlias = (
    "grpc.aio.UnaryStreamCall[marketdata_pb2.StreamBooksRequest, marketdata_pb2.Book]"
)


class Client:
    """Both services of one address, in the types of the generated code."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.depth = MarketDataServiceStub(channel)
        self.top = SymbolSnapshotServiceStub(channel)

    async def book(self, symbol: str = "BTC-USDT", depth: int = 0) -> marketdata_pb2.Book:
        return await self.depth.GetBook(marketdata_pb2.GetBookRequest(symbol=symbol, depth=depth))

    async def l1(self, symbol: str = "BTC-USDT") -> snapshot_pb2.L1SnapshotResponse:
        return await self.top.GetL1(snapshot_pb2.SymbolRequest(symbol=symbol))

    async def symbols(self) -> marketdata_pb2.Symbols:
        return await self.depth.GetSymbols(marketdata_pb2.GetSymbolsRequest())

    def stream(self, *symbols: str, depth: int = 0) -> "Stream":
        request = marketdata_pb2.StreamBooksRequest(symbols=symbols, depth=depth)
        return Stream(self.depth.StreamBooks(request))


class Stream:
    """A stream of books, one at a time."""

    def __init__(self, call: BooksCall) -> None:
        self.call = call
        self._books = aiter(call)

    async def next(self) -> marketdata_pb2.Book:
        return await anext(self._books)


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    async with Market([BTC, spec("ETH-USDT")]) as market:
        market.set_book(BIDS, ASKS)
        market.set_book([("2650.01", "1")], [("2650.02", "1")], symbol="ETH-USDT")
        yield market


@pytest.fixture
async def client(market: Market) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(market.address) as channel:
        yield Client(channel)


async def code_of(failing: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await failing()  # type: ignore[misc]  # any awaitable will do
    return failure.value.code()


async def test_a_book_is_scaled_integers_best_first(market: Market, client: Client) -> None:
    market.set_book(BIDS, ASKS, last="61800.2", mark="61800.1")
    book = await client.book()
    assert book.symbol == "BTC-USDT"
    assert list(book.bids.prices) == [618001, 618000, 617994]
    assert list(book.bids.quantities) == [500, 2000, 125]
    assert list(book.asks.prices) == [618002, 618010]
    assert list(book.asks.quantities) == [1000, 3500]
    assert (book.price_decimals, book.quantity_decimals) == (1, 3)
    assert (book.last_price, book.mark_price) == (618002, 618001)


async def test_a_book_without_last_and_mark_says_so(client: Client) -> None:
    book = await client.book()
    assert not book.HasField("last_price")
    assert not book.HasField("mark_price")


async def test_source_time_is_that_of_the_feed_to_the_nanosecond(
    market: Market, client: Client
) -> None:
    feed = market.feeds["BTC-USDT"]
    feed.set(replace(feed.book, source_time_ns=1_723_161_256_505_000_123))
    stamp = (await client.book()).source_time
    assert (stamp.seconds, stamp.nanos) == (1_723_161_256, 505_000_123)


@pytest.mark.parametrize(("depth", "levels"), [(0, (3, 2)), (1, (1, 1)), (2, (2, 2)), (9, (3, 2))])
async def test_depth_cuts_both_sides_and_zero_means_all(
    client: Client, depth: int, levels: tuple[int, int]
) -> None:
    book = await client.book(depth=depth)
    assert (len(book.bids.prices), len(book.asks.prices)) == levels
    assert (len(book.bids.quantities), len(book.asks.quantities)) == levels


async def test_every_depth_is_served_although_few_are_kept(client: Client, market: Market) -> None:
    market.set_book([(str(1000 - i), "1") for i in range(40)], ASKS)
    for _ in range(2):
        counts = [len((await client.book(depth=depth)).bids.prices) for depth in range(1, 41)]
        assert counts == list(range(1, 41))


async def test_an_unknown_symbol_is_not_found(client: Client) -> None:
    assert await code_of(lambda: client.book("NO-SUCH")) is grpc.StatusCode.NOT_FOUND
    assert await code_of(client.stream("BTC-USDT", "NO-SUCH").next) is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "method",
    [
        "marketdata.v1.MarketDataService/GetBook",
        "marketdata.v1.MarketDataService/GetSymbols",
        "snapshot.SymbolSnapshotService/GetL1",
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument(
    market: Market, method: str
) -> None:
    async with grpc.aio.insecure_channel(market.address) as channel:
        raw: Any = channel.unary_unary(f"/{method}")
        assert await code_of(lambda: raw(b"\xff")) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_beyond_the_limit_is_refused(client: Client) -> None:
    huge = "X" * (REQUEST_BYTES_MAX + 1)
    assert await code_of(lambda: client.book(huge)) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_calls_beyond_the_limit_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbol_service, "CONCURRENT_RPCS_MAX", 2)
    async with (
        Market() as market,
        grpc.aio.insecure_channel(market.address) as channel,
    ):
        client = Client(channel)
        streams = [client.stream(), client.stream()]
        for stream in streams:
            await stream.next()
        assert await code_of(client.book) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert market.service.streams == 2


async def test_symbols_carry_their_scales_and_filters() -> None:
    listed = spec("SOL-USDT", 2, 1, "0.1", "5000", "0.1", "12.5")
    async with (
        Market([BTC, listed]) as market,
        grpc.aio.insecure_channel(market.address) as channel,
    ):
        plain, filtered = (await Client(channel).symbols()).symbols
    assert plain == marketdata_pb2.SymbolSpec(
        symbol="BTC-USDT", price_decimals=1, quantity_decimals=3
    )
    assert filtered == marketdata_pb2.SymbolSpec(
        symbol="SOL-USDT",
        price_decimals=2,
        quantity_decimals=1,
        min_quantity="0.1",
        max_quantity="5000",
        quantity_step="0.1",
        min_notional="12.5",
    )


async def test_l1_is_the_best_levels_as_doubles_and_a_time_in_whole_seconds(
    market: Market, client: Client
) -> None:
    feed = market.feeds["BTC-USDT"]
    feed.set(replace(feed.book, source_time_ns=1_723_161_256_999_999_999))
    top = await client.l1()
    assert (top.symbol, top.timestamp) == ("BTC-USDT", "2024-08-08 23:54:16")
    assert (repr(top.bid.price), repr(top.bid.qty)) == ("61800.1", "0.5")
    assert (repr(top.ask.price), repr(top.ask.qty)) == ("61800.2", "1.0")


async def test_l1_of_an_unknown_symbol_is_ok_with_neither_side(client: Client) -> None:
    top = await client.l1("NO-SUCH")
    assert (top.symbol, top.HasField("bid"), top.HasField("ask")) == ("NO-SUCH", False, False)


async def test_l1_puts_a_lone_ask_into_bid_as_deployed(market: Market, client: Client) -> None:
    market.set_book([], ASKS)
    top = await client.l1()
    assert (top.bid.price, top.HasField("ask")) == (61800.2, False)


async def test_l1_puts_a_lone_bid_into_bid(market: Market, client: Client) -> None:
    market.set_book(BIDS, [])
    top = await client.l1()
    assert (top.bid.price, top.HasField("ask")) == (61800.1, False)


async def test_a_stream_begins_with_the_present_books_and_goes_on_with_changes(
    market: Market, client: Client
) -> None:
    stream = client.stream("ETH-USDT", "BTC-USDT")
    first = [await stream.next(), await stream.next()]
    assert [book.symbol for book in first] == ["ETH-USDT", "BTC-USDT"]
    market.set_book(BIDS[1:], ASKS)
    changed = await stream.next()
    assert (changed.symbol, changed.sequence) == ("BTC-USDT", first[1].sequence + 1)
    assert list(changed.bids.prices) == [618000, 617994]


async def test_a_stream_of_no_symbols_is_a_stream_of_all_also_of_later_ones(
    market: Market, client: Client
) -> None:
    stream = client.stream()
    assert {(await stream.next()).symbol, (await stream.next()).symbol} == {"BTC-USDT", "ETH-USDT"}
    late = market.list_symbol(spec("NEW-USDT"))
    assert (await stream.next()).symbol == "NEW-USDT"
    late.set_book([("1", "1")], [])
    assert (await stream.next()).sequence == 1


async def test_a_symbol_named_twice_is_streamed_once(market: Market, client: Client) -> None:
    stream = client.stream("BTC-USDT", "BTC-USDT", depth=1)
    assert (await stream.next()).sequence == 1
    market.set_book(BIDS, ASKS)
    second = await stream.next()
    assert (second.sequence, len(second.bids.prices)) == (2, 1)


async def test_a_trade_is_pushed_with_the_sequence_of_its_book(
    market: Market, client: Client
) -> None:
    stream = client.stream("BTC-USDT")
    before = await stream.next()
    market.feeds["BTC-USDT"].set_last("61800.2")
    after = await stream.next()
    assert (after.sequence, after.last_price) == (before.sequence, 618002)


async def test_a_symbol_listed_after_the_start_is_served(market: Market, client: Client) -> None:
    assert await code_of(lambda: client.book("NEW-USDT")) is grpc.StatusCode.NOT_FOUND
    market.list_symbol(spec("NEW-USDT")).set_book([("1.5", "1")], [])
    assert list((await client.book("NEW-USDT")).bids.prices) == [150]
    assert [one.symbol for one in (await client.symbols()).symbols][-1] == "NEW-USDT"


async def test_a_symbol_cannot_be_listed_twice(market: Market) -> None:
    with pytest.raises(ValueError, match="BTC-USDT"):
        market.list_symbol(BTC)


async def test_books_that_came_while_one_was_on_its_way_are_skipped_but_the_newest(
    market: Market, client: Client
) -> None:
    stream = client.stream("BTC-USDT")
    assert (await stream.next()).sequence == 1
    market.faults.hold("StreamBooks")
    market.set_book(BIDS, ASKS)
    await market.faults.held("StreamBooks")
    for _ in range(100):
        market.set_book(BIDS, ASKS)
    market.faults.release("StreamBooks")
    assert [(await stream.next()).sequence, (await stream.next()).sequence] == [2, 102]


async def test_a_reader_that_does_not_read_skips_books_instead_of_filling_memory(
    market: Market, client: Client
) -> None:
    stream = client.stream("BTC-USDT")
    await stream.next()
    feed = market.feeds["BTC-USDT"]
    deep = tuple(range(10**12, 10**12 - 1000, -1))
    newest = 600
    # Far more bytes than the buffers on the way hold, and nobody reads meanwhile.
    for sequence in range(2, newest + 1):
        feed.set(MarketBook(sequence, 0, deep, deep, deep, deep))
        await asyncio.sleep(0.001)
    received = 1
    while (await stream.next()).sequence < newest:
        received += 1
    assert received < newest / 2


async def test_two_readers_of_one_change_get_the_same_bytes() -> None:
    feed = ManualFeed(BTC)
    service = SymbolService([feed])
    address = await service.start("127.0.0.1:0")
    feed.set_book(BIDS, ASKS)
    async with grpc.aio.insecure_channel(address) as channel:
        raw: Any = channel.unary_unary("/marketdata.v1.MarketDataService/GetBook")
        first, second = await asyncio.gather(
            raw(marketdata_pb2.GetBookRequest(symbol="BTC-USDT").SerializeToString()),
            raw(marketdata_pb2.GetBookRequest(symbol="BTC-USDT", depth=99).SerializeToString()),
        )
    await service.stop()
    assert first == second != b""


async def test_stop_ends_open_streams_and_a_start_brings_them_back(
    market: Market, client: Client
) -> None:
    stream = client.stream("BTC-USDT")
    await stream.next()
    await market.stop()
    assert await code_of(stream.next) in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    )
    address = market.address
    assert await market.start() == address
    async with grpc.aio.insecure_channel(address) as channel:
        assert (await Client(channel).book()).sequence == 1


async def test_a_cancelled_stream_leaves_no_reader_behind(market: Market, client: Client) -> None:
    stream = client.stream("BTC-USDT")
    await stream.next()
    assert market.service.streams == 1
    stream.call.cancel()
    await market.faults.stream_ended.wait()
    assert market.service.streams == 0


async def test_a_taken_port_is_a_clear_error(market: Market) -> None:
    with pytest.raises(StartupError, match=market.address):
        await SymbolService([]).start(market.address)


async def test_the_error_of_a_failed_feed_reaches_who_waits() -> None:
    class Broken(ManualFeed):
        async def play(self, publish: Callable[[], None]) -> None:
            publish()
            raise StartupError("the file is gone")

    service = SymbolService([Broken(BTC)])
    await service.start("127.0.0.1:0")
    with pytest.raises(StartupError, match="the file is gone"):
        await service.wait()
    await service.stop()


async def test_wait_ends_with_stop() -> None:
    service = SymbolService([ManualFeed(BTC)])
    await service.start("127.0.0.1:0")
    waiting = asyncio.create_task(service.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await service.stop()
    await waiting


async def test_l1_only_answers_unimplemented_for_the_extension() -> None:
    async with (
        Market(l1_only=True) as market,
        grpc.aio.insecure_channel(market.address) as channel,
    ):
        client = Client(channel)
        market.set_book(BIDS, ASKS)
        assert await code_of(client.book) is grpc.StatusCode.UNIMPLEMENTED
        assert await code_of(client.symbols) is grpc.StatusCode.UNIMPLEMENTED
        assert await code_of(client.stream().next) is grpc.StatusCode.UNIMPLEMENTED
        assert (await client.l1()).bid.price == 61800.1
        assert market.calls["GetL1"] == 1


async def test_without_push_books_can_still_be_fetched() -> None:
    async with (
        Market(push=False) as market,
        grpc.aio.insecure_channel(market.address) as channel,
    ):
        client = Client(channel)
        market.set_book(BIDS, ASKS)
        assert await code_of(client.stream().next) is grpc.StatusCode.UNIMPLEMENTED
        assert (await client.book()).sequence == 1


async def test_a_held_answer_is_as_old_as_its_call(market: Market, client: Client) -> None:
    market.faults.hold("GetBook")
    asked = asyncio.create_task(client.book())
    await market.faults.held("GetBook")
    market.set_book(BIDS, ASKS)
    market.faults.release("GetBook")
    assert (await asked).sequence == 1


async def test_simulated_books_move_by_themselves() -> None:
    service = SymbolService(simulated_feeds(seed=3))
    address = await service.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(address) as channel:
        client = Client(channel)
        assert [one.symbol for one in (await client.symbols()).symbols] == list(INSTRUMENTS)
        stream = client.stream("BTC-USDT")
        sequences = [(await stream.next()).sequence for _ in range(3)]
        book = await client.book("DASH-BTC")
    await service.stop()
    assert sequences == sorted(set(sequences))
    assert len(book.bids.prices) == len(book.asks.prices) == 25
    assert (book.price_decimals, book.HasField("last_price")) == (8, True)


async def test_a_raw_book_is_served_unchecked() -> None:
    """A feed plays what a venue sent; judging it is the reader's part."""
    crossed = MarketBook(7, 0, (101,), (1, 2), (100,), (-5,))
    feed = ManualFeed(SymbolSpec("X", 0, 0), crossed)
    service = SymbolService([feed])
    address = await service.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(address) as channel:
        book = await Client(channel).book("X")
    await service.stop()
    assert (list(book.bids.quantities), list(book.asks.quantities)) == ([1, 2], [-5])
