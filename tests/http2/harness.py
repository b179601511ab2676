"""A connection without a socket: bytes in, and what must hold whatever they are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from http2.raw_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    request_headers,
)
from http2.service import Service, path

from execution.server.transports.http2.connection import Connection
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.server import Http2Server

LIMITS: Final = Limits(
    message_bytes_max=5_000,
    reply_bytes_max=50_000,
    calls_max=20,
    header_bytes_max=2_000,
    headers_max=20,
    held_bytes_max=20_000,
    unsent_bytes_max=5_000,
    connection_unsent_bytes_max=50_000,
    connection_window_bytes=65_535,
)
UNREAD_BYTES_MAX: Final = 262_144 + 2 * 50_000 + 262_144
"""In a socket that takes nothing: what may wait there, what may wait for it, and one write."""
TICKS: Final = 6
"""Of the event loop, in which whatever is ready gets done."""


class QuietService(Service):
    """Handlers that have no bugs."""

    async def replies(self, _data: bytes, _context: Any) -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(20_000)

    def plain_big(self, _data: bytes, call: Any) -> None:
        call.reply(bytes(30_000))


class MemoryTransport(asyncio.Transport):
    """A socket whose other end reads all, or nothing."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written = bytearray()
        self.unread = 0
        self.reads = True
        self.closing = False
        self.lost = False
        self._protocol = protocol
        self._high = 65_536
        self._paused = False

    def write(self, data: Any) -> None:
        assert not self.lost, "written to a connection that is lost"
        self.written += data
        if not self.reads:
            self.unread += len(data)
            if self.unread > self._high and not self._paused:
                self._paused = True
                self._protocol.pause_writing()

    def read_on(self, *, reads: bool) -> None:
        self.reads = reads
        if reads:
            self.unread = 0
            if self._paused and not self.lost:
                self._paused = False
                self._protocol.resume_writing()
            if self.closing:
                self.abort()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert low is None
        self._high = high or self._high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"memory": True}.get(name, default)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unread:
            self.abort()

    def abort(self) -> None:
        self.closing = True
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


class Harness:
    """One server; `feed` is one connection to it, from its first byte to its end."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.server = Http2Server(limits)
        self.service = QuietService()
        self.service.add_to(self.server)

    async def feed(self, chunks: Iterator[bytes | bool]) -> bytes:
        """What the server wrote. A bool instead of bytes: the client reads from now on, or not."""
        connection = Connection(self.server)
        transport = MemoryTransport(connection)
        connection.connection_made(transport)
        seen: dict[int, Any] = {}
        for chunk in chunks:
            if transport.closing:
                break
            if isinstance(chunk, bool):
                transport.read_on(reads=chunk)
            else:
                connection.data_received(chunk)
            seen.update(connection.session.calls)
            self._check_bounds(connection, transport)
            for _ in range(TICKS):
                await asyncio.sleep(0)
            self._check_bounds(connection, transport)
        transport.abort()
        for _ in range(TICKS):
            await asyncio.sleep(0)
        self._check_end(connection, seen)
        return bytes(transport.written)

    def _check_bounds(self, connection: Connection, transport: MemoryTransport) -> None:
        limits = self.server.limits
        message = limits.message_bytes_max
        assert 0 <= connection.held <= limits.held_bytes_max + 16 * message
        assert len(connection.session.calls) <= 2 * limits.calls_max
        assert transport.unread + connection.h2.queued_body_size() <= UNREAD_BYTES_MAX

    def _check_end(self, connection: Connection, seen: dict[int, Any]) -> None:
        assert connection.held == 0
        assert not connection.session.calls
        assert self.server.connections == 0
        assert not self.server._tasks, "a task outlives its connection"
        for call in seen.values():
            assert call.over
        assert not connection.deadlines


@contextmanager
def nothing_unforeseen() -> Iterator[None]:
    """Fails for what is only logged: by the server, or by the event loop."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler = Keep(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("execution", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert not found, [handler.format(record) for record in found]


# From arbitrary bytes to what looks like a client.

_METHODS: Final = (
    "Plain", "PlainHold", "PlainBig", "PlainStream", "Unary", "Hold", "HoldStream", "Collect",
    "Replies", "Chat", "Metadata", "Abort", "None",
)  # fmt: skip
_MORE: Final = (
    b"",
    literal(b"grpc-timeout", b"1n"),
    literal(b"grpc-timeout", b"1S"),
    literal(b"grpc-encoding", b"gzip") + literal(b"grpc-accept-encoding", b"gzip"),
    literal(b"grpc-encoding", b"br"),
    literal(b"x-bin", b"AA=="),
    literal(b"x-bin", b"!"),
    literal(b"content-length", b"9"),
)
_KINDS: Final = (
    HEADERS, DATA, DATA, DATA, RST_STREAM, WINDOW_UPDATE, SETTINGS, PING, GOAWAY, PRIORITY,
    CONTINUATION, 0x10,
)  # fmt: skip
_BODIES: Final = (
    b"\0\0\0\0\1x",
    b"\0\0\0\0\0",
    b"\0\0\0\0\1x\0\0\0\0\1y\0\0\0\0\3",
    b"\0\0\0\x13\x88" + bytes(5_000),
    b"\0\0\0\x0f\xa0" + bytes(3_000),
    b"\0\xff\xff\xff\xff",
    b"\1\0\0\0\1x",
    bytes.fromhex("01000000171f8b08000000000002ffab000083dc8d8c010000000000"),
    b"\2\0\0\0\0",
    b"",
)


def spoken(data: bytes) -> Iterator[bytes | bool]:
    """Steps of a client that mostly keeps to HTTP/2, as these bytes say."""
    source = iter(data)
    number = source.__next__
    yield PREFACE + frame(SETTINGS, 0, 0)
    pending = b""
    try:
        while True:
            step = number()
            if step < 24:
                yield pending
                pending = b""
            elif step < 32:
                yield step < 28
            elif step < 40:
                pending += bytes(islice(source, step - 31))
            else:
                pending += _frame(_KINDS[step % len(_KINDS)], number)
    except StopIteration:
        yield pending


def _frame(kind: int, number: Any) -> bytes:
    stream = (number() % 24) | 1
    choice = number()
    if kind == HEADERS:
        headers = request_headers(path(_METHODS[choice % len(_METHODS)]))
        block = b"".join(literal(*pair) for pair in headers) + _MORE[choice % len(_MORE)]
        return frame(HEADERS, END_HEADERS | (choice >> 7), stream, block)
    if kind == DATA:
        body = _BODIES[choice % len(_BODIES)]
        return frame(DATA, END_STREAM if choice & 64 else 0, stream, body)
    if kind == RST_STREAM:
        return frame(kind, 0, stream, choice.to_bytes(4, "big"))
    if kind == WINDOW_UPDATE:
        return frame(kind, 0, stream if choice & 1 else 0, (choice << 9).to_bytes(4, "big"))
    if kind == SETTINGS:
        if choice < 64:
            return frame(kind, ACK, 0)
        return frame(
            kind, 0, 0, (choice % 7).to_bytes(2, "big") + (number() << 8).to_bytes(4, "big")
        )
    if kind == PING:
        return frame(kind, choice & 1, 0, bytes(8))
    if kind == GOAWAY:
        return frame(kind, 0, 0, bytes(8))
    return frame(kind, choice, stream, bytes(number() % 8))
