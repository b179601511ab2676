"""A client that sends what the test says, also what no client should, and tells all it hears."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import ngh2

from execution.http2.wire import framed

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
SECONDS_MAX: Final = 10.0
"""For anything that is awaited."""
_READ_BYTES: Final = 65_536
_CONFIG: Final = ngh2.Configuration(
    auto_window_update=False,
    max_inbound_header_list_size=1_048_576,
    max_send_header_block_length=1_048_576,
)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
    return head + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header as HPACK writes one without any table; at most 126 bytes each."""
    assert len(name) < 127 > len(value), "no continued lengths here"
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def request_headers(path: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"test"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]


@dataclass(frozen=True)
class Frame:
    """As it came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8])


@dataclass
class Answer:
    """What has come on one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    frames: int = 0
    """Of DATA."""
    ended: bool = False
    """By the server, as HTTP/2 has it."""
    reset: int | None = None
    """Error code of the server's RST_STREAM."""
    closed: bool = False
    only_trailers: bool = False

    @property
    def status(self) -> int | None:
        value = self.trailers.get(b"grpc-status", self.headers.get(b"grpc-status"))
        return None if value is None else int(value)

    @property
    def message(self) -> str:
        return self.trailers.get(b"grpc-message", self.headers.get(b"grpc-message", b"")).decode()

    @property
    def messages(self) -> list[bytes]:
        """Those that came whole, still compressed where they are."""
        found, rest = [], self.body
        while len(rest) >= 5 and len(rest) >= (end := 5 + int.from_bytes(rest[1:5], "big")):
            found.append(rest[5:end])
            rest = rest[end:]
        return found


class RawClient:
    """One connection; `h2` may be used directly, `write` sends what it has to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = ngh2.Connection(ngh2.Role.CLIENT, _CONFIG)
        self.reader = reader
        self.writer = writer
        self.answers: dict[int, Answer] = {}
        self.frames: list[Frame] = []
        """All but DATA."""
        self.eof = False
        self._unread = b""
        self.opens_windows = True
        self.silent = False

    @classmethod
    async def connect(
        cls,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        speaks: bool = True,
    ) -> "RawClient":
        """`speaks`: says hello as HTTP/2 does."""
        name = None if tls is None else "localhost"
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            streams = await asyncio.open_unix_connection(path, ssl=tls, server_hostname=name)
        else:
            host, _, port = address.rpartition(":")
            streams = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=tls, server_hostname=name
            )
        client = cls(*streams)
        if speaks:
            client.h2.initiate_connection(settings or {})
            client.write()
        return client

    def heard(self, kind: int, flags: int = 0) -> list[Frame]:
        """The frames of that kind with these flags, and maybe more."""
        return [one for one in self.frames if one.kind == kind and one.flags & flags == flags]

    @property
    def goaways(self) -> list[tuple[int, int]]:
        """Last stream and error code of each."""
        return [(int.from_bytes(one.payload[:4]), one.code) for one in self.heard(GOAWAY)]

    def write(self, data: bytes = b"") -> None:
        """What `h2` has to say, and then this; nothing after `write_eof`."""
        if not self.silent:
            self.writer.write(self.h2.data_to_send() + data)

    def write_eof(self) -> None:
        self.silent = True
        self.writer.write_eof()

    def request(
        self,
        path: str,
        *messages: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
        end: bool = True,
    ) -> int:
        """Begins a call, and ends its request with the last message if told so."""
        stream_id = self.h2.send_request(request_headers(path, *headers))
        self.answers[stream_id] = Answer()
        self.h2.send_data(stream_id, b"".join(map(framed, messages)), end_stream=end)
        self.write()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Bytes of a request, as they are."""
        self.h2.send_data(stream_id, data, end_stream=end)
        self.write()

    def cancel(self, stream_id: int) -> None:
        self.h2.reset_stream(stream_id, 8)
        self.write()

    async def call(
        self, path: str, *messages: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Answer:
        """A whole call."""
        return await self.answer(self.request(path, *messages, headers=headers))

    async def answer(self, stream_id: int) -> Answer:
        """The whole answer."""
        answer = self.answers[stream_id]
        await self.until(lambda: answer.ended or answer.closed)
        return answer

    async def until(self, true: Callable[[], object]) -> None:
        """Reads until then; fails if the server closes before."""
        async with asyncio.timeout(SECONDS_MAX):
            while not true():
                assert not self.eof, f"the server closed the connection; GOAWAYs {self.goaways}"
                await self.read()

    async def until_closed(self) -> None:
        """Reads until the server closes."""
        async with asyncio.timeout(SECONDS_MAX):
            while not self.eof:
                await self.read()

    async def read(self) -> None:
        """Once; answers what HTTP/2 answers by itself."""
        data = b""
        with contextlib.suppress(ConnectionError):
            data = await self.reader.read(_READ_BYTES)
        if not data:
            self.eof = True
            return
        self._split(data)
        # What the test wrote itself, `h2` does not know of.
        with contextlib.suppress(ngh2.NGH2Error):
            self.h2.receive_data(data)
            for event in self.h2.events():
                self._heard(event)
            self.write()

    def _split(self, data: bytes) -> None:
        rest = self._unread + data
        while len(rest) >= 9 and len(rest) >= (end := 9 + int.from_bytes(rest[:3])):
            if rest[3] != DATA:
                stream_id = int.from_bytes(rest[5:9])
                self.frames.append(Frame(rest[3], rest[4], stream_id, rest[9:end]))
            rest = rest[end:]
        self._unread = rest

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), 1.0)

    def _heard(self, event: Any) -> None:
        match event:
            case ngh2.ResponseReceived(stream_id, headers, end_stream):
                answer = self.answers.setdefault(stream_id, Answer())
                answer.headers = dict(headers)
                answer.ended = answer.only_trailers = end_stream
            case ngh2.DataReceived(stream_id, data, end_stream):
                answer = self.answers.setdefault(stream_id, Answer())
                answer.body += data
                answer.frames += 1
                answer.ended = end_stream
                if data and self.opens_windows:
                    with contextlib.suppress(ngh2.ConnectionStateError):
                        self.h2.acknowledge_received_data(len(data), stream_id)
            case ngh2.TrailersReceived(stream_id, headers):
                self.answers[stream_id].trailers = dict(headers)
                self.answers[stream_id].ended = True
            case ngh2.StreamReset(stream_id, code):
                self.answers.setdefault(stream_id, Answer()).reset = code
            case ngh2.StreamClosed(stream_id):
                self.answers.setdefault(stream_id, Answer()).closed = True
