"""One connection to Redis: requests out in one write, replies in order.

An asyncio Protocol over `hiredis`. Every request has a callback that gets its
reply, or why there is none, exactly once and in the order sent; so one
connection carries any number of requests at once without a task for each. The
requests of one event-loop tick leave in one write.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from hiredis import ProtocolError, Reader, ReplyError, pack_command

from execution.adapters.redis_url import RedisAddress
from execution.tick import running_tick

Reply: TypeAlias = bytes | int | list["Reply"] | ReplyError | None
"""What Redis says, RESP2; an error is a value here, whole or inside a list."""


class ConnectionLost(Exception):
    """The connection ended before the reply came; the request may have run."""


OnReply: TypeAlias = Callable[["Reply | ConnectionLost"], None]

_WATCHES_PER_TIMEOUT: Final = 8


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one connection will bear before it gives itself up."""

    connect_timeout_ms: int = 1_000
    request_timeout_ms: int = 1_000
    """A request unanswered for so long ends the connection."""
    requests_max: int = 4_096
    reply_bytes_max: int = 256 * 1024 * 1024


def bulk(*arguments: str | bytes) -> bytes:
    """The arguments as RESP bulk strings, without the head of an array."""
    packed = cast("bytes", pack_command(cast("Any", arguments)))
    return packed[packed.index(b"\r\n") + 2 :]


def pack(*arguments: str | bytes) -> bytes:
    """A whole request."""
    return cast("bytes", pack_command(cast("Any", arguments)))


class Connection(asyncio.Protocol):
    """A live connection. Made by `connect`."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tick = running_tick()
        self._reader = Reader(notEnoughData=_INCOMPLETE)
        self._waiting: deque[tuple[OnReply, float]] = deque()
        self._unsent: list[bytes] = []
        self._sending = False
        self._unread_bytes = 0
        self._watch_handle: asyncio.TimerHandle | None = None
        self._watch_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._end = ""
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done when the connection has ended, with the reason."""

    @property
    def usable(self) -> bool:
        """Whether a request may still be answered."""
        return self._transport is not None and not self._end

    def request(self, packed: bytes, *on_replies: OnReply) -> None:
        """As `queue`; leaves at the end of this tick at the latest."""
        self.queue(packed, *on_replies)
        if not self._sending:
            self._sending = True
            self._loop.call_soon(self.flush)

    def queue(self, packed: bytes, *on_replies: OnReply) -> None:
        """Queues requests; they leave at the next `flush`.

        `packed` may be several requests, with a callback for the reply of each.
        Raises `ConnectionLost` if nothing can be sent; then it was not, and no
        callback is called.
        """
        if not self.usable:
            raise ConnectionLost(self._end or "the connection is closed")
        if len(self._waiting) >= self._limits.requests_max:
            raise ConnectionLost(f"{len(self._waiting)} requests wait for an answer already")
        now = self._loop.time()
        for on_reply in on_replies:
            self._waiting.append((on_reply, now))
        self._unsent.append(packed)
        if self._watch_handle is None:
            self._watch_soon()

    async def ask(self, packed: bytes) -> Reply:
        """One request, awaited. Raises `ConnectionLost`."""
        answer: asyncio.Future[Reply] = self._loop.create_future()

        def on_reply(reply: Reply | ConnectionLost) -> None:
            if answer.done():
                return
            if isinstance(reply, ConnectionLost):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)

        self.request(packed, on_reply)
        return await answer

    def flush(self) -> None:
        """Sends what waits to be sent, now."""
        self._sending = False
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def abort(self, why: str) -> None:
        """Ends the connection at once; requests in flight get `ConnectionLost`."""
        if self._transport is not None and not self._end:
            self._end = why
            self._transport.abort()

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; a peer that dies silently is noticed when idle, too."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family != socket.AF_UNIX:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Hands every whole reply to its request."""
        self._unread_bytes += len(data)
        self._reader.feed(data)
        with self._tick:
            try:
                while (reply := self._reader.gets()) is not _INCOMPLETE:
                    self._unread_bytes = 0
                    if not self._waiting:
                        self.abort("Redis sent a reply that nothing asked for")
                        return
                    on_reply, _ = self._waiting.popleft()
                    on_reply(reply)
            except ProtocolError as error:
                self.abort(f"Redis sent what is not its protocol: {error}")
                return
        if self._unread_bytes > self._limits.reply_bytes_max:
            self.abort(f"a reply is longer than {self._limits.reply_bytes_max} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells every request in flight, in order."""
        self._end = self._end or (f"connection lost: {exc}" if exc else "Redis closed it")
        self._transport = None
        self._unsent.clear()
        if self._watch_handle is not None:
            self._watch_handle.cancel()
        if not self.lost.done():
            self.lost.set_result(self._end)
        while self._waiting:
            on_reply, _ = self._waiting.popleft()
            on_reply(ConnectionLost(self._end))

    def _watch(self) -> None:
        self._watch_handle = None
        if not self._waiting:
            return
        now = self._loop.time()
        waited_ms = (now - self._waiting[0][1]) * 1_000
        # Where we come late ourselves, Redis' answer may lie there, and is read first.
        punctual = now - self._watch_at < self._watch_interval()
        if waited_ms >= self._limits.request_timeout_ms and punctual:
            self.abort(f"no reply within {self._limits.request_timeout_ms} ms")
            return
        self._watch_soon()

    def _watch_soon(self) -> None:
        self._watch_at = self._loop.time() + self._watch_interval()
        self._watch_handle = self._loop.call_at(self._watch_at, self._watch)

    def _watch_interval(self) -> float:
        return self._limits.request_timeout_ms / 1_000 / _WATCHES_PER_TIMEOUT


async def connect(address: RedisAddress, limits: WireLimits) -> Connection:
    """A fresh connection, nothing said on it yet.

    Raises `ConnectionLost` with the address and the cause.
    """
    loop = asyncio.get_running_loop()
    timeout = limits.connect_timeout_ms / 1_000
    try:
        async with asyncio.timeout(timeout):
            if address.path:
                _, connection = await loop.create_unix_connection(
                    lambda: Connection(limits), address.path
                )
            else:
                _, connection = await loop.create_connection(
                    lambda: Connection(limits),
                    address.host,
                    address.port,
                    ssl=address.tls_context(),
                )
    except TimeoutError:
        cause = f"no connection within {limits.connect_timeout_ms} ms"
        raise ConnectionLost(f"Redis at {address}: {cause}") from None
    except (OSError, ValueError) as error:
        # ValueError: a host or path that no address can be made of.
        raise ConnectionLost(f"Redis at {address}: {error}") from error
    return connection


_INCOMPLETE: Final = object()
