"""The connection to symbol-service and the calls over it, both protos.

Answers are read as bytes and parsed here, so that bytes which are no message
are a failed call like any other.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from execution.v1 import marketdata_pb2, snapshot_pb2

Connect: TypeAlias = "Callable[[str, Sequence[tuple[str, int]]], grpc.aio.Channel]"
"""Makes the channel from target and options; the place for TLS."""

_DEPTH: Final = "/marketdata.v1.MarketDataService"
_TOP: Final = "/snapshot.SymbolSnapshotService"
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
_Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
_Stream: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"


class CallFailed(Exception):
    """A call that brought no usable answer. `details` are safe to repeat."""

    def __init__(self, rpc: str, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        self.details = printable(details)
        super().__init__(": ".join(part for part in (rpc, code.name, self.details) if part))


class MarketChannel:
    """One connection to symbol-service. Every failed call raises `CallFailed`."""

    def __init__(
        self, target: str, message_bytes_max: int, connect: Connect = grpc.aio.insecure_channel
    ) -> None:
        self.target = target
        self.connections = 0
        """Made since the start, as far as `watch` saw."""
        options = (*_OPTIONS, ("grpc.max_receive_message_length", message_bytes_max))
        self._channel = connect(target, options)
        self._get_symbols: _Unary = self._channel.unary_unary(f"{_DEPTH}/GetSymbols")
        self._get_book: _Unary = self._channel.unary_unary(f"{_DEPTH}/GetBook")
        self._get_l1: _Unary = self._channel.unary_unary(f"{_TOP}/GetL1")
        self._stream_books: _Stream = self._channel.unary_stream(f"{_DEPTH}/StreamBooks")

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        """Ends the connection and every call on it."""
        await self._channel.close()

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Tells of every connection that is made (True) or lost (False), until closed."""
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            await self._channel.wait_for_state_change(state)
            was, state = state, self._channel.get_state()
            ready = state is grpc.ChannelConnectivity.READY
            self.connections += ready
            # READY after any change is another connection, also where its
            # loss was too short to be seen.
            if ready or was is grpc.ChannelConnectivity.READY:
                changed(ready)

    async def get_symbols(self, timeout_seconds: float) -> bytes:
        """A serialised `marketdata.v1.Symbols`; bytes, because it seldom changes."""
        return await _answer("GetSymbols", self._get_symbols(b"", timeout=timeout_seconds))

    async def get_book(
        self, symbol: str, depth: int, timeout_seconds: float
    ) -> marketdata_pb2.Book:
        """The book of a symbol now."""
        request = marketdata_pb2.GetBookRequest(symbol=symbol, depth=depth).SerializeToString()
        answer = await _answer("GetBook", self._get_book(request, timeout=timeout_seconds))
        return parsed(marketdata_pb2.Book, answer)

    async def get_l1(self, symbol: str, timeout_seconds: float) -> snapshot_pb2.L1SnapshotResponse:
        """The best bid and ask of a symbol now."""
        request = snapshot_pb2.SymbolRequest(symbol=symbol).SerializeToString()
        answer = await _answer("GetL1", self._get_l1(request, timeout=timeout_seconds))
        return parsed(snapshot_pb2.L1SnapshotResponse, answer)

    async def stream_books(
        self,
        symbols: Iterable[str],
        depth: int,
        arrived: Callable[[bytes, marketdata_pb2.Book], None],
    ) -> None:
        """Hands over every pushed book, raw and parsed; returns when the source ends it."""
        request = marketdata_pb2.StreamBooksRequest(symbols=symbols, depth=depth)
        call = self._stream_books(request.SerializeToString())
        try:
            async for raw in call:
                arrived(raw, parsed(marketdata_pb2.Book, raw))
        except grpc.aio.AioRpcError as error:
            raise CallFailed("StreamBooks", error.code(), error.details() or "") from None
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


async def _answer(rpc: str, call: Awaitable[bytes]) -> bytes:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise CallFailed(rpc, error.code(), error.details() or "") from None
