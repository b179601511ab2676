"""A symbol-service of our own: both protos over one port, books from feeds.

It serves what the deployed symbol-service serves (`snapshot.proto`, one level
as doubles) and our depth and push extension (`marketdata.proto`). Messages are
serialised once per change and depth; every reader gets the same bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
from execution.embedded.market.feed import BookFeed, MarketBook
from execution.errors import StartupError
from execution.model import SymbolSpec
from execution.v1 import marketdata_pb2 as marketdata
from execution.v1 import snapshot_pb2 as snapshot

DEFAULT_LISTEN: Final = "127.0.0.1:50061"
REQUEST_BYTES_MAX: Final = 64 * 1024
CONCURRENT_RPCS_MAX: Final = 4096
"""Streams included; calls beyond are answered RESOURCE_EXHAUSTED."""
STREAMS_PER_CONNECTION_MAX: Final = 1024
DEPTHS_CACHED_MAX: Final = 16

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    # A port that is taken is an error, not a share of its connections.
    ("grpc.so_reuseport", 0),
    # A client of a quiet book pings to know that the stream lives; gRPC would
    # count that as an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", 10),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)

_Request = TypeVar("_Request", bound=Message)
_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class SymbolService:
    """The server. Everything happens on the event loop that starts it.

    >>> async def serve(feeds: list[BookFeed]) -> None:
    ...     service = SymbolService(feeds)
    ...     print(await service.start("127.0.0.1:0"), service.symbols)
    ...     await service.stop()
    """

    def __init__(
        self,
        feeds: Iterable[BookFeed],
        interceptors: Sequence["grpc.aio.ServerInterceptor"] = (),
    ) -> None:
        self._listings: dict[str, _Listing] = {}
        self._interceptors = tuple(interceptors)
        self._server: grpc.aio.Server | None = None
        self._plays: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Future[None] | None = None
        self._address = ""
        self._readers: set[_Reader] = set()
        for feed in feeds:
            self.add(feed)

    @property
    def address(self) -> str:
        """HOST:PORT that is served; empty before the start."""
        return self._address

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is listed now, in the order it was added."""
        return tuple(self._listings)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    def add(self, feed: BookFeed) -> None:
        """Lists a symbol, before or after the start. Raises `ValueError` for a second one."""
        symbol = feed.spec.symbol
        if symbol in self._listings:
            raise ValueError(f"symbol {symbol!r} is listed already")
        listing = self._listings[symbol] = _Listing(feed)
        if self._server is not None:
            self._play(listing)
        for reader in self._readers:
            if reader.all_symbols:
                reader.follow(listing)

    async def start(self, listen: str = DEFAULT_LISTEN) -> str:
        """Begins to serve on HOST:PORT, port 0 takes a free one; returns the address.

        Raises `StartupError` if the address cannot be listened on.
        """
        server = grpc.aio.server(
            interceptors=self._interceptors,
            options=_SERVER_OPTIONS,
            maximum_concurrent_rpcs=CONCURRENT_RPCS_MAX,
        )
        server.add_generic_rpc_handlers(self._handlers())
        host = listen.rpartition(":")[0]
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise StartupError(
                f"symbol-service cannot listen on {listen}; is it taken? Port 0 picks a free one"
            ) from error
        self._ending = asyncio.get_running_loop().create_future()
        self._server = server
        self._address = f"{host}:{port}"
        for listing in self._listings.values():
            self._play(listing)
        await server.start()
        return self._address

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Ends the feeds and every call; calls get that long to finish by themselves."""
        for play in self._plays:
            play.cancel()
        await asyncio.gather(*self._plays, return_exceptions=True)
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(None)

    async def wait(self) -> None:
        """Returns when nothing is served any more; raises the error of a feed that failed."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def _play(self, listing: "_Listing") -> None:
        play = asyncio.create_task(listing.feed.play(listing.publish))
        self._plays.add(play)
        play.add_done_callback(self._ended)

    def _ended(self, play: "asyncio.Task[None]") -> None:
        self._plays.discard(play)
        error = None if play.cancelled() else play.exception()
        if error is not None and self._ending is not None and not self._ending.done():
            self._ending.set_exception(error)

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        # Handlers of our own instead of the generated ones: they take bytes, so
        # that what is no protobuf message is the caller's mistake and not ours,
        # and give bytes, so that readers share them.
        depth: dict[str, _Handler] = {
            "GetBook": grpc.unary_unary_rpc_method_handler(self._get_book),
            "StreamBooks": grpc.unary_stream_rpc_method_handler(self._stream_books),
            "GetSymbols": grpc.unary_unary_rpc_method_handler(self._get_symbols),
        }
        top: dict[str, _Handler] = {"GetL1": grpc.unary_unary_rpc_method_handler(self._get_l1)}
        return (
            grpc.method_handlers_generic_handler("marketdata.v1.MarketDataService", depth),
            grpc.method_handlers_generic_handler("snapshot.SymbolSnapshotService", top),
        )

    async def _get_book(self, data: bytes, context: _Context) -> bytes:
        request = await _parsed(marketdata.GetBookRequest, data, context)
        listing = await self._listed(request.symbol, context)
        return listing.message(request.depth)

    async def _get_symbols(self, data: bytes, context: _Context) -> bytes:
        await _parsed(marketdata.GetSymbolsRequest, data, context)
        specs = [_spec_message(listing.feed.spec) for listing in self._listings.values()]
        return marketdata.Symbols(symbols=specs).SerializeToString()

    async def _get_l1(self, data: bytes, context: _Context) -> bytes:
        request = await _parsed(snapshot.SymbolRequest, data, context)
        listing = self._listings.get(request.symbol)
        if listing is None:
            # As deployed: an unknown symbol is an answer without sides.
            unknown = snapshot.L1SnapshotResponse(symbol=request.symbol)
            unknown.timestamp = _whole_seconds(time.time_ns())
            return unknown.SerializeToString()
        return listing.top_message()

    async def _stream_books(self, data: bytes, context: _Context) -> AsyncIterator[bytes]:
        request = await _parsed(marketdata.StreamBooksRequest, data, context)
        followed = [await self._listed(symbol, context) for symbol in request.symbols]
        reader = _Reader(all_symbols=not followed)
        self._readers.add(reader)
        try:
            for listing in followed or list(self._listings.values()):
                reader.follow(listing)
            while True:
                # Asked for only when the last one is gone: a slow reader skips
                # books, and gets the newest.
                listing = await reader.next()
                yield listing.message(request.depth)
        finally:
            self._readers.discard(reader)
            reader.close()

    async def _listed(self, symbol: str, context: _Context) -> "_Listing":
        listing = self._listings.get(symbol)
        if listing is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no symbol {symbol[:64]!r} here")
        return listing


class _Listing:
    """One symbol: its feed, who follows it, and the messages of its present book."""

    def __init__(self, feed: BookFeed) -> None:
        self.feed = feed
        self.readers: set[_Reader] = set()
        self._serialised: MarketBook | None = None
        self._by_depth: dict[int, bytes] = {}
        self._top = b""

    def publish(self) -> None:
        """Tells the readers; nothing is built before somebody reads."""
        for reader in self.readers:
            reader.notify(self)

    def message(self, depth: int) -> bytes:
        """The present book with that many levels a side, 0 for all."""
        book = self._current()
        if depth >= max(len(book.bid_prices), len(book.ask_prices)):
            depth = 0
        message = self._by_depth.get(depth)
        if message is None:
            message = _book_message(self.feed.spec, book, depth).SerializeToString()
            if len(self._by_depth) < DEPTHS_CACHED_MAX:
                self._by_depth[depth] = message
        return message

    def top_message(self) -> bytes:
        """The present best levels as the deployed GetL1 answers them."""
        book = self._current()
        if not self._top:
            self._top = _l1_message(self.feed.spec, book).SerializeToString()
        return self._top

    def _current(self) -> MarketBook:
        book = self.feed.book
        if book is not self._serialised:
            self._serialised = book
            self._by_depth.clear()
            self._top = b""
        return book


class _Reader:
    """What one stream has yet to send: at most one mark per symbol, however slow it is."""

    def __init__(self, *, all_symbols: bool) -> None:
        self.all_symbols = all_symbols
        """Whether symbols that are listed later belong to the stream, too."""
        self._changed: dict[_Listing, None] = {}
        self._wake = asyncio.Event()
        self._followed: list[_Listing] = []
        self._sent: dict[_Listing, MarketBook] = {}

    def follow(self, listing: _Listing) -> None:
        """From now on, beginning with the book as it is."""
        if self not in listing.readers:
            listing.readers.add(self)
            self._followed.append(listing)
            self.notify(listing)

    def notify(self, listing: _Listing) -> None:
        """There is a newer book of that symbol."""
        self._changed[listing] = None
        self._wake.set()

    async def next(self) -> _Listing:
        """Waits for a change that was not handed out yet; the oldest one first."""
        while True:
            while self._changed:
                listing = next(iter(self._changed))
                del self._changed[listing]
                book = listing.feed.book
                if self._sent.get(listing) is not book:
                    self._sent[listing] = book
                    return listing
            self._wake.clear()
            await self._wake.wait()

    def close(self) -> None:
        """No more marks for a stream that has ended."""
        for listing in self._followed:
            listing.readers.discard(self)


async def _parsed(kind: type[_Request], data: bytes, context: _Context) -> _Request:
    try:
        return kind.FromString(data)
    except DecodeError:
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, f"the bytes are no {kind.DESCRIPTOR.full_name}"
        )


def _book_message(spec: SymbolSpec, book: MarketBook, depth: int) -> marketdata.Book:
    levels = depth or None
    return marketdata.Book(
        symbol=spec.symbol,
        sequence=book.sequence,
        source_time=Timestamp(
            seconds=book.source_time_ns // 10**9, nanos=book.source_time_ns % 10**9
        ),
        bids=marketdata.Side(
            prices=book.bid_prices[:levels], quantities=book.bid_quantities[:levels]
        ),
        asks=marketdata.Side(
            prices=book.ask_prices[:levels], quantities=book.ask_quantities[:levels]
        ),
        last_price=book.last_price,
        mark_price=book.mark_price,
        price_decimals=spec.price_decimals,
        quantity_decimals=spec.quantity_decimals,
    )


def _l1_message(spec: SymbolSpec, book: MarketBook) -> snapshot.L1SnapshotResponse:
    """The best levels as doubles; a lone ask goes into `bid`, as it does where deployed."""
    sides = [
        _price_level(spec, prices[0], quantities[0])
        for prices, quantities in (
            (book.bid_prices, book.bid_quantities),
            (book.ask_prices, book.ask_quantities),
        )
        if prices and quantities
    ]
    return snapshot.L1SnapshotResponse(
        symbol=spec.symbol,
        bid=sides[0] if sides else None,
        ask=sides[1] if len(sides) > 1 else None,
        timestamp=_whole_seconds(book.source_time_ns),
    )


def _price_level(spec: SymbolSpec, price: int, quantity: int) -> snapshot.PriceLevel:
    # True division of integers rounds once, to the nearest double: its shortest
    # text is the decimal again, as far as 15 digits go.
    return snapshot.PriceLevel(
        price=price / 10**spec.price_decimals, qty=quantity / 10**spec.quantity_decimals
    )


def _spec_message(spec: SymbolSpec) -> marketdata.SymbolSpec:
    return marketdata.SymbolSpec(
        symbol=spec.symbol,
        price_decimals=spec.price_decimals,
        quantity_decimals=spec.quantity_decimals,
        min_quantity=_filter_text(spec.min_quantity, QUANTITY_DECIMALS),
        max_quantity=_filter_text(spec.max_quantity, QUANTITY_DECIMALS),
        quantity_step=_filter_text(spec.quantity_step, QUANTITY_DECIMALS),
        min_notional=_filter_text(spec.min_notional, MONEY_DECIMALS),
    )


def _filter_text(value: int | None, decimals: int) -> str:
    return "" if value is None else to_text(value, decimals)


def _whole_seconds(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"
