"""A symbol-service that does as it is told: wrong, slow, silent, stalled, gone, replaced.

Independent of the service's own embedded one. Run as a program it serves one
quiet book, for tests that stop the whole process.
"""

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc

from execution.v1 import marketdata_pb2 as md
from execution.v1 import snapshot_pb2 as top

DEPTH_SERVICE = "marketdata.v1.MarketDataService"
TOP_SERVICE = "snapshot.SymbolSnapshotService"
EVERYTHING = frozenset({"GetBook", "StreamBooks", "GetSymbols", "GetL1"})
L1_ONLY = frozenset({"GetL1"})
NO_PUSH = EVERYTHING - {"StreamBooks"}

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def book(
    symbol: str = "BTC-USDT",
    sequence: int = 1,
    bids: Iterable[tuple[int, int]] = ((1000, 5), (999, 7)),
    asks: Iterable[tuple[int, int]] = ((1001, 4), (1002, 6)),
    price_decimals: int = 1,
    quantity_decimals: int = 3,
) -> md.Book:
    """A depth message of scaled (price, quantity) levels."""
    bids, asks = list(bids), list(asks)
    return md.Book(
        symbol=symbol,
        sequence=sequence,
        bids=md.Side(prices=[p for p, _ in bids], quantities=[q for _, q in bids]),
        asks=md.Side(prices=[p for p, _ in asks], quantities=[q for _, q in asks]),
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
    )


def l1(
    symbol: str = "BTC-USDT",
    bid: tuple[float, float] | None = (100.0, 1.0),
    ask: tuple[float, float] | None = (100.5, 2.0),
    timestamp: str = "",
) -> top.L1SnapshotResponse:
    """A GetL1 answer; a side of None is absent."""
    answer = top.L1SnapshotResponse(symbol=symbol, timestamp=timestamp)
    if bid is not None:
        answer.bid.price, answer.bid.qty = bid
    if ask is not None:
        answer.ask.price, answer.ask.qty = ask
    return answer


class Happened:
    """Counts what happened, by name, and lets a test wait for it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def note(self, name: str) -> None:
        async with self._changed:
            self.counts[name] += 1
            self._changed.notify_all()

    async def reached(self, name: str, count: int) -> None:
        async with self._changed, asyncio.timeout(10):
            await self._changed.wait_for(lambda: self.counts[name] >= count)


class OpenStream:
    """One StreamBooks call that is being served."""

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self.closed = asyncio.Event()
        """Set when the client has gone."""
        self._queue: asyncio.Queue[bytes | grpc.StatusCode] = asyncio.Queue()

    def push(self, message: md.Book | bytes) -> None:
        """Sends a book, or bytes that are none."""
        self._queue.put_nowait(
            message if isinstance(message, bytes) else message.SerializeToString()
        )

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """Ends the stream after what was pushed."""
        self._queue.put_nowait(code)

    async def next(self) -> bytes | grpc.StatusCode:
        return await self._queue.get()


class ScriptedMarket:
    """The server. What it `serves` is answered, the rest is UNIMPLEMENTED."""

    def __init__(self, serves: Iterable[str] = EVERYTHING) -> None:
        self.serves = set(serves)
        self.symbols: dict[str, md.SymbolSpec] = {}
        self.books: dict[str, md.Book] = {}
        self.l1s: dict[str, top.L1SnapshotResponse] = {}
        self.greets = True
        """Whether a new stream begins with the books that are there."""
        self.raw: dict[str, bytes] = {}
        """By rpc: bytes to answer with instead."""
        self.fails: dict[str, tuple[grpc.StatusCode, str]] = {}
        """By rpc: the error to answer with instead."""
        self.streams: list[OpenStream] = []
        """Every stream that was ever opened; the last is the newest."""
        self.requests: defaultdict[str, list[Any]] = defaultdict(list)
        self.happened = Happened()
        self.address = "127.0.0.1:0"
        self._gates: dict[str, asyncio.Event] = {}
        self._server: grpc.aio.Server | None = None

    @property
    def calls(self) -> Counter[str]:
        """Calls that came in, by rpc."""
        return self.happened.counts

    def list_symbol(self, symbol: str, **filters: str) -> None:
        """Lists a symbol with one price decimal and three of quantity, and gives it a book."""
        self.symbols[symbol] = md.SymbolSpec(
            symbol=symbol, price_decimals=1, quantity_decimals=3, **filters
        )
        self.books.setdefault(symbol, book(symbol))

    def set_book(self, message: md.Book) -> None:
        """The new book of its symbol, pushed to the newest stream if that follows it."""
        self.books[message.symbol] = message
        if self.streams and message.symbol in self.streams[-1].symbols:
            self.streams[-1].push(message)

    def hold(self, *rpcs: str) -> None:
        """Leaves these calls unanswered until `release`."""
        for rpc in rpcs:
            self._gates[rpc] = asyncio.Event()

    def release(self, *rpcs: str) -> None:
        """Answers what was held."""
        for rpc in rpcs:
            self._gates.pop(rpc).set()

    async def called(self, rpc: str, count: int = 1) -> None:
        """Returns when that many calls have come in since the beginning."""
        await self.happened.reached(rpc, count)

    async def stream(self, number: int) -> OpenStream:
        """The stream that was opened as the n-th, counted from 1."""
        await self.happened.reached("stream", number)
        return self.streams[number - 1]

    async def start(self) -> str:
        """Serves; after a stop on the same port. Returns HOST:PORT."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    DEPTH_SERVICE,
                    {
                        "GetBook": self._unary("GetBook", md.GetBookRequest, self._get_book),
                        "GetSymbols": self._unary(
                            "GetSymbols", md.GetSymbolsRequest, self._get_symbols
                        ),
                        "StreamBooks": grpc.unary_stream_rpc_method_handler(
                            self._stream_books, md.StreamBooksRequest.FromString
                        ),
                    },
                ),
                grpc.method_handlers_generic_handler(
                    TOP_SERVICE, {"GetL1": self._unary("GetL1", top.SymbolRequest, self._get_l1)}
                ),
            )
        )
        port = self._server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()
        return self.address

    async def stop(self) -> None:
        """Closes the port and breaks every call."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release(*list(self._gates))
        await self.stop()

    def _unary(
        self, rpc: str, request_type: Any, answer: Callable[[Any, Context], Awaitable[bytes]]
    ) -> Handler:
        async def handle(request: Any, context: Context) -> bytes:
            self.requests[rpc].append(request)
            await self._enter(rpc, context)
            if rpc in self.raw:
                return self.raw[rpc]
            return await answer(request, context)

        return grpc.unary_unary_rpc_method_handler(handle, request_type.FromString)

    async def _enter(self, rpc: str, context: Context) -> None:
        await self.happened.note(rpc)
        if rpc in self._gates:
            await self._gates[rpc].wait()
        if rpc not in self.serves:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        if rpc in self.fails:
            await context.abort(*self.fails[rpc])

    async def _get_book(self, request: md.GetBookRequest, context: Context) -> bytes:
        if request.symbol not in self.books:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no symbol {request.symbol!r}")
        return self.books[request.symbol].SerializeToString()

    async def _get_symbols(self, _: md.GetSymbolsRequest, __: Context) -> bytes:
        return md.Symbols(symbols=self.symbols.values()).SerializeToString()

    async def _get_l1(self, request: top.SymbolRequest, _: Context) -> bytes:
        unknown = top.L1SnapshotResponse(symbol=request.symbol)
        return self.l1s.get(request.symbol, unknown).SerializeToString()

    async def _stream_books(
        self, request: md.StreamBooksRequest, context: Context
    ) -> AsyncIterator[bytes]:
        self.requests["StreamBooks"].append(request)
        await self._enter("StreamBooks", context)
        stream = OpenStream(list(request.symbols))
        if self.greets:
            for symbol in stream.symbols:
                stream.push(self.books[symbol])
        self.streams.append(stream)
        await self.happened.note("stream")
        try:
            while isinstance(message := await stream.next(), bytes):
                yield message
            if message is not grpc.StatusCode.OK:
                await context.abort(message, "the test ends this stream")
        finally:
            stream.closed.set()


async def serve_one_quiet_book() -> None:
    """Serves BTC-USDT until the process is killed; prints the address."""
    market = ScriptedMarket()
    market.list_symbol("BTC-USDT")
    sys.stdout.write(await market.start() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve_one_quiet_book())
