"""A real symbol-service over a real socket, with books and faults that a test controls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, from_text
from execution.embedded.market.feed import ManualFeed
from execution.embedded.market.symbol_service import SymbolService
from execution.model import SymbolSpec

if TYPE_CHECKING:
    from google.protobuf.message import Message

BTC = SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=3)
Levels = list[tuple[str, str]]
Handler = Any
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


def spec(
    symbol: str,
    price_decimals: int = 2,
    quantity_decimals: int = 3,
    min_quantity: str | None = None,
    max_quantity: str | None = None,
    quantity_step: str | None = None,
    min_notional: str | None = None,
) -> SymbolSpec:
    """A symbol with its filters as decimal text."""

    def scaled(text: str | None, decimals: int) -> int | None:
        return None if text is None else from_text(text, decimals)

    return SymbolSpec(
        symbol=symbol,
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
        min_quantity=scaled(min_quantity, QUANTITY_DECIMALS),
        max_quantity=scaled(max_quantity, QUANTITY_DECIMALS),
        quantity_step=scaled(quantity_step, QUANTITY_DECIMALS),
        min_notional=scaled(min_notional, MONEY_DECIMALS),
    )


class Market:
    """The server; `async with Market() as market` starts and stops it.

    `l1_only` serves GetL1 alone, as deployed; `push=False` all but StreamBooks;
    what is not served answers UNIMPLEMENTED.
    """

    def __init__(
        self,
        specs: Iterable[SymbolSpec] = (BTC,),
        *,
        l1_only: bool = False,
        push: bool = True,
        listen: str = "127.0.0.1:0",
    ) -> None:
        self.feeds = {spec.symbol: ManualFeed(spec) for spec in specs}
        self.faults = Faults()
        if l1_only:
            self.faults.unimplemented |= {"GetBook", "StreamBooks", "GetSymbols"}
        if not push:
            self.faults.unimplemented.add("StreamBooks")
        self._listen = listen
        self._service: SymbolService | None = None

    @property
    def address(self) -> str:
        """HOST:PORT; the same after a restart."""
        return self._listen

    @property
    def service(self) -> SymbolService:
        """The running service."""
        assert self._service is not None, "the market is stopped"
        return self._service

    @property
    def calls(self) -> Counter[str]:
        """Calls that came in, by rpc: `market.calls["GetBook"]`."""
        return self.faults.calls

    def set_book(
        self,
        bids: Levels,
        asks: Levels,
        symbol: str = BTC.symbol,
        last: str | None = None,
        mark: str | None = None,
    ) -> None:
        """The next book of a symbol: (price, quantity) as text, best first."""
        self.feeds[symbol].set_book(bids, asks, last=last, mark=mark)

    def list_symbol(self, new: SymbolSpec) -> ManualFeed:
        """Adds a symbol while the service runs."""
        feed = self.feeds[new.symbol] = ManualFeed(new)
        if self._service is not None:
            self._service.add(feed)
        return feed

    async def start(self) -> str:
        """Begins to serve; after a stop, on the address it had before."""
        self._service = SymbolService(self.feeds.values(), interceptors=[self.faults])
        self._listen = await self._service.start(self._listen)
        return self._listen

    async def stop(self) -> None:
        """Ends every call and closes the port."""
        if self._service is not None:
            await self._service.stop()
            self._service = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.faults.release_all()
        await self.stop()


class Faults(grpc.aio.ServerInterceptor):
    """What goes wrong between the service and its caller; everything by rpc name.

    Unary answers are computed before they are delayed or held: what arrives
    late is as old as the call.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.unimplemented: set[str] = set()
        self.delay_seconds: dict[str, float] = {}
        self.fail: dict[str, grpc.StatusCode] = {}
        self.reply: dict[str, Message | bytes] = {}
        self._gates: dict[str, _Gate] = {}
        self._called = asyncio.Event()
        self.stream_ended = asyncio.Event()
        """Set when a stream was closed, by whichever side."""

    def hold(self, rpc: str) -> None:
        """Keeps every answer, and every pushed book, until `release`."""
        self._gates[rpc] = _Gate()

    async def held(self, rpc: str) -> None:
        """Waits until an answer is being held."""
        await self._gates[rpc].somebody_waits.wait()

    def release(self, rpc: str) -> None:
        """Lets out what was held."""
        self._gates.pop(rpc).opened.set()

    def release_all(self) -> None:
        """Lets out everything."""
        for rpc in list(self._gates):
            self.release(rpc)

    async def called(self, rpc: str, times: int = 1) -> None:
        """Waits until that many calls of the rpc have come in."""
        while self.calls[rpc] < times:
            self._called.clear()
            await self._called.wait()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        rpc = str(handler_call_details.method).rpartition("/")[2]
        handler = await continuation(handler_call_details)
        self.calls[rpc] += 1
        self._called.set()
        if handler is None or rpc in self.unimplemented:
            return None
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(rpc, handler.unary_stream), handler.request_deserializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(rpc, handler.unary_unary), handler.request_deserializer
        )

    def _unary(self, rpc: str, behaviour: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            await self._fail(rpc, context)
            reply: bytes = await behaviour(request, context)
            override = self.reply.get(rpc)
            if override is not None:
                reply = override if isinstance(override, bytes) else override.SerializeToString()
            await asyncio.sleep(self.delay_seconds.get(rpc, 0))
            await self._gate(rpc)
            return reply

        return answer

    def _stream(self, rpc: str, behaviour: Any) -> Any:
        async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
            await self._fail(rpc, context)
            try:
                async for reply in behaviour(request, context):
                    await asyncio.sleep(self.delay_seconds.get(rpc, 0))
                    await self._gate(rpc)
                    yield reply
            finally:
                self.stream_ended.set()

        return answer

    async def _fail(self, rpc: str, context: Any) -> None:
        code = self.fail.get(rpc)
        if code is not None:
            await context.abort(code, f"the test wants {rpc} to fail")

    async def _gate(self, rpc: str) -> None:
        gate = self._gates.get(rpc)
        if gate is not None:
            gate.somebody_waits.set()
            await gate.opened.wait()


class _Gate:
    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.somebody_waits = asyncio.Event()
