"""An HTTP/2 server that does to a gRPC client what the test says, frame by frame."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import ngh2

from execution.http2.wire import framed

OK = ((b":status", b"200"), (b"content-type", b"application/grpc"))
Answer: TypeAlias = "Callable[[Peer, Request], None]"


@dataclass
class Request:
    """A call as it came in."""

    stream_id: int
    headers: dict[bytes, bytes]
    body: bytes = b""


@dataclass
class Seen:
    """What one connection has brought, over its life."""

    requests: list[Request] = field(default_factory=list)
    """Those that are whole."""
    requests_by_read: list[int] = field(default_factory=list)
    """How many became whole by each read of the socket."""
    resets: list[int] = field(default_factory=list)
    pings: int = 0
    closed: bool = False


class Peer(asyncio.Protocol):
    """One connection, from the server's side."""

    def __init__(self, server: "Http2Server") -> None:
        self.server = server
        self.seen = Seen()
        self.h2 = ngh2.Connection(ngh2.Role.SERVER)
        self._begun: dict[int, Request] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.server.peers.append(self)
        if self.server.speaks:
            self.h2.initiate_connection(self.server.settings)
            self.flush()

    def data_received(self, data: bytes) -> None:
        if self.server.deaf or not self.server.speaks:
            return
        before = len(self.seen.requests)
        self.h2.receive_data(data)
        for event in self.h2.events():
            self._happened(event)
        if (found := len(self.seen.requests) - before) > 0:
            self.seen.requests_by_read.append(found)
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        self.seen.closed = True

    def _happened(self, event: ngh2.Event) -> None:
        match event:
            case ngh2.RequestReceived():
                self._begun[event.stream_id] = Request(event.stream_id, dict(event.headers))
            case ngh2.DataReceived():
                request = self._begun[event.stream_id]
                request.body += event.data
                if event.end_stream:
                    self.seen.requests.append(request)
                    self.server.answer(self, request)
            case ngh2.StreamReset():
                self.seen.resets.append(event.error_code)
            case ngh2.PingReceived():
                self.seen.pings += 1

    def flush(self) -> None:
        """Sends what was said."""
        self.transport.write(self.h2.data_to_send())

    def reply(self, request: Request, *messages: bytes, status: bytes = b"0") -> None:
        """A whole answer."""
        self.begin(request, *messages)
        self.h2.send_trailers(request.stream_id, [(b"grpc-status", status)])

    def begin(self, request: Request, *messages: bytes) -> None:
        """Headers and messages, and no end yet."""
        self.h2.send_response(request.stream_id, OK)
        for message in messages:
            self.h2.send_data(request.stream_id, framed(message))

    def headers_only(self, request: Request, *headers: tuple[bytes, bytes]) -> None:
        """An answer that is headers and nothing else."""
        self.h2.send_response(request.stream_id, headers, end_stream=True)


class Http2Server:
    """Answers every call with its own request, unless the test says otherwise."""

    def __init__(self, settings: dict[int, int] | None = None) -> None:
        self.answer: Answer = echo
        self.peers: list[Peer] = []
        """Every connection there ever was; the last is the newest."""
        self.settings = settings or {}
        self.speaks = True
        """Whether a connection is told that this is HTTP/2."""
        self.deaf = False
        """Whether what comes in is left lying."""
        self.target = ""
        self._server: asyncio.Server | None = None

    @property
    def requests(self) -> Sequence[Request]:
        """All calls, over all connections."""
        return [request for peer in self.peers for request in peer.seen.requests]

    async def start(self, path: str = "") -> None:
        """On a unix socket, else on a port, after a stop on the same."""
        loop = asyncio.get_running_loop()
        if path:
            self._server = await loop.create_unix_server(lambda: Peer(self), path)
            self.target = f"unix:{path}"
            return
        port = int(self.target.rpartition(":")[2] or 0)
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", port)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Breaks every connection and closes the port."""
        if self._server is not None:
            self._server.close()
        for peer in self.peers:
            peer.transport.abort()
        await self.until(lambda: all(peer.seen.closed for peer in self.peers))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when `holds`, which nothing announces."""
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.002)


def echo(peer: Peer, request: Request) -> None:
    """The request is the answer."""
    peer.reply(request, request.body[5:])


def silence(_: Peer, __: Request) -> None:
    """No answer."""


@asynccontextmanager
async def serving(path: str = "", **settings: int) -> AsyncIterator[Http2Server]:
    """A server with these SETTINGS, by their names in HTTP/2."""
    server = Http2Server({ngh2.Setting[name.upper()]: value for name, value in settings.items()})
    await server.start(path)
    try:
        yield server
    finally:
        await server.stop()
