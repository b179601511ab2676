"""The connection to symbol-service and the calls over it, both protos.

A plain HOST:PORT or unix: target is called through our own client over ngh2,
which costs a fraction of grpcio's calls (`benchmarks/fetch_costs.py`); any other
target, TLS, and a machine without ngh2 through grpcio. Answers are read as bytes
and parsed here, so that bytes which are no message are a failed call like any
other.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from execution.adapters.h2_market import h2_wire
from execution.http2.answers import CallError
from execution.v1 import marketdata_pb2, snapshot_pb2

Connect: TypeAlias = Callable[[str, Sequence[tuple[str, int]]], grpc.aio.Channel]
"""Makes grpcio's channel from target and options; the place for TLS."""

_GET_SYMBOLS: Final = b"/marketdata.v1.MarketDataService/GetSymbols"
_GET_BOOK: Final = b"/marketdata.v1.MarketDataService/GetBook"
_STREAM_BOOKS: Final = b"/marketdata.v1.MarketDataService/StreamBooks"
_GET_L1: Final = b"/snapshot.SymbolSnapshotService/GetL1"
_DETAILS_LENGTH_MAX: Final = 200

_OPTIONS: Final = (
    # A symbol-service that comes back is met again within a quarter second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    # By its name the least pause between attempts; in fact how long one attempt
    # may take before it is given up.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # A peer that vanished without a word (power, cable) is noticed in 15 s. No
    # ping is sent while answers come in, so no server counts them as abuse.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A window that grows would let seconds of books queue up unread in front of
    # a busy process, and an old one would be taken for the newest.
    ("grpc.http2.bdp_probe", 0),
    # A failure of this connection is nobody else's, and the other way round.
    ("grpc.use_local_subchannel_pool", 1),
    # http_proxy of the environment is not meant for the service next door.
    ("grpc.enable_http_proxy", 0),
)

_Message = TypeVar("_Message", bound=Message)


class Wire(Protocol):
    """Calls over one connection, by whichever library. They raise `CallError`."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Tells of every connection that is made (True) or lost (False), until closed."""

    async def unary(self, path: bytes, request: bytes, timeout_seconds: float) -> bytes:
        """The message that answers this one."""

    async def stream(self, path: bytes, request: bytes, arrived: Callable[[bytes], None]) -> None:
        """Hands over every message of the answer; returns at its end."""

    async def close(self) -> None:
        """Ends every call and the connection."""


class CallFailed(Exception):
    """A call that brought no usable answer. `details` are safe to repeat."""

    def __init__(self, rpc: str, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        self.details = printable(details)
        super().__init__(": ".join(part for part in (rpc, code.name, self.details) if part))


class MarketChannel:
    """One connection to symbol-service. Every failed call raises `CallFailed`.

    Without `connect` the target decides which library carries the calls.
    """

    def __init__(self, target: str, message_bytes_max: int, connect: Connect | None = None) -> None:
        self.target = target
        self.connections = 0
        """Made since the start, as far as `watch` saw."""
        wire: Wire | None = None if connect else h2_wire(target, message_bytes_max)
        if wire is None:
            options = (*_OPTIONS, ("grpc.max_receive_message_length", message_bytes_max))
            wire = _GrpcioWire((connect or grpc.aio.insecure_channel)(target, options))
        self._wire = wire

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._wire.connected

    async def close(self) -> None:
        """Ends the connection and every call on it."""
        await self._wire.close()

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Tells of every connection that is made (True) or lost (False), until closed."""

        def counted(connected: bool) -> None:
            self.connections += connected
            changed(connected)

        await self._wire.watch(counted)

    async def get_symbols(self, timeout_seconds: float) -> bytes:
        """A serialised `marketdata.v1.Symbols`; bytes, because it seldom changes."""
        try:
            return await self._wire.unary(_GET_SYMBOLS, b"", timeout_seconds)
        except CallError as error:
            raise CallFailed("GetSymbols", error.code, error.details) from None

    async def get_book(
        self, symbol: str, depth: int, timeout_seconds: float
    ) -> marketdata_pb2.Book:
        """The book of a symbol now."""
        request = marketdata_pb2.GetBookRequest(symbol=symbol, depth=depth).SerializeToString()
        try:
            answer = await self._wire.unary(_GET_BOOK, request, timeout_seconds)
        except CallError as error:
            raise CallFailed("GetBook", error.code, error.details) from None
        return parsed(marketdata_pb2.Book, answer)

    async def get_l1(self, symbol: str, timeout_seconds: float) -> snapshot_pb2.L1SnapshotResponse:
        """The best bid and ask of a symbol now."""
        request = snapshot_pb2.SymbolRequest(symbol=symbol).SerializeToString()
        try:
            answer = await self._wire.unary(_GET_L1, request, timeout_seconds)
        except CallError as error:
            raise CallFailed("GetL1", error.code, error.details) from None
        return parsed(snapshot_pb2.L1SnapshotResponse, answer)

    async def stream_books(
        self,
        symbols: Iterable[str],
        depth: int,
        arrived: Callable[[bytes, marketdata_pb2.Book], None],
    ) -> None:
        """Hands over every pushed book, raw and parsed; returns when the source ends it."""
        request = marketdata_pb2.StreamBooksRequest(symbols=symbols, depth=depth)
        try:
            await self._wire.stream(
                _STREAM_BOOKS,
                request.SerializeToString(),
                lambda raw: arrived(raw, parsed(marketdata_pb2.Book, raw)),
            )
        except CallError as error:
            raise CallFailed("StreamBooks", error.code, error.details) from None


class _GrpcioWire:
    """`Wire` over grpcio."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._unary: dict[bytes, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    @property
    def connected(self) -> bool:
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        await self._channel.close()

    async def watch(self, changed: Callable[[bool], None]) -> None:
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            await self._channel.wait_for_state_change(state)
            was, state = state, self._channel.get_state()
            ready = state is grpc.ChannelConnectivity.READY
            # READY after any change is another connection, also where its
            # loss was too short to be seen.
            if ready or was is grpc.ChannelConnectivity.READY:
                changed(ready)

    async def unary(self, path: bytes, request: bytes, timeout_seconds: float) -> bytes:
        call = self._unary.get(path)
        if call is None:
            call = self._unary[path] = self._channel.unary_unary(path.decode())
        try:
            return await call(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise CallError(error.code(), error.details() or "") from None

    async def stream(self, path: bytes, request: bytes, arrived: Callable[[bytes], None]) -> None:
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        ask = self._channel.unary_stream(path.decode())
        call = ask(request)
        try:
            async for raw in call:
                arrived(raw)
        except grpc.aio.AioRpcError as error:
            raise CallError(error.code(), error.details() or "") from None
        finally:
            call.cancel()


def parsed(kind: type[_Message], data: bytes) -> _Message:
    """The message in these bytes. Raises `CallFailed`."""
    try:
        return kind.FromString(data)
    except DecodeError:
        details = f"{len(data)} bytes that are no {kind.DESCRIPTOR.full_name}"
        raise CallFailed("", grpc.StatusCode.DATA_LOSS, details) from None


def printable(text: str) -> str:
    """A foreign text on one line, short, without control characters."""
    line = "".join(character if character.isprintable() else " " for character in text[:1_000])
    return line if len(line) <= _DETAILS_LENGTH_MAX else line[:_DETAILS_LENGTH_MAX] + "..."
