"""One connection of a gRPC client: calls in, frames out; all of one tick in one write."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import ngh2
from grpc import StatusCode
from ngh2 import (
    DataReceived,
    GoAwayReceived,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
)

from execution.http2.answers import CallError, timeout_header
from execution.http2.client_call import Call
from execution.http2.wire import ACCEPTED, Headers, framed

_CANCEL: Final = 8
_CONFIG: Final = ngh2.Configuration(max_inbound_header_list_size=65_536)
_COMMON: Final = (
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python-ngh2/1"),
    (b"grpc-accept-encoding", ACCEPTED),
)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Bounds and patience of a client; nothing is read, kept or awaited without one."""

    message_bytes_max: int = 4 * 1024 * 1024
    """Of one message of an answer, after decompression."""
    calls_max: int = 16_384
    """Under way at once, streams included."""
    stream_window_bytes: int = 65_535
    """Unread of one answer. A larger one lets old messages of a stream queue up."""
    connection_window_bytes: int = 1_048_576
    connect_seconds: float = 1.0
    """How long one attempt may take, until the server has said that it speaks HTTP/2."""
    backoff_seconds_min: float = 0.05
    backoff_seconds_max: float = 0.25
    """From the beginning of one attempt to the next."""
    keepalive_seconds: float = 10.0
    """Of silence while calls wait, after which the server is asked whether it is there."""
    keepalive_timeout_seconds: float = 5.0


class Link(asyncio.Protocol):
    """A connection, from the moment it is made until it is lost.

    `ready` is called when the server has sent its SETTINGS; `gone` with the
    reason when no new call can be made: the connection is lost, or the server
    wants to close it (then calls it knows of still end as usual).
    """

    def __init__(
        self,
        authority: bytes,
        config: ClientConfig,
        ready: Callable[["Link"], None],
        gone: Callable[["Link", str], None],
    ) -> None:
        self._authority = authority
        self._config = config
        self._ready = ready
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT, _CONFIG)
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, Call] = {}
        self._headers: dict[bytes, Headers] = {}
        self._flush_due = False
        self._writable = True
        self._settled = False
        self._leaving = False
        self._reason = ""
        self._heard = self._loop.time()
        self._keepalive: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is closed."""

    @property
    def calls(self) -> list[Call]:
        """The calls under way."""
        return list(self._calls.values())

    def __len__(self) -> int:
        return len(self._calls)

    def send(self, call: Call) -> None:
        """Begins a call; its request leaves at the end of this tick."""
        headers = self._headers.get(call.path) or self._headers_of(call.path)
        if call.deadline is not None:
            left = timeout_header(call.deadline - self._loop.time())
            # Never indexed: a number that differs every time would push the
            # headers that repeat out of the compression table.
            headers = (*headers, ngh2.NeverIndexedHeader(b"grpc-timeout", left))
        try:
            stream_id = self._h2.send_request(headers)
            self._h2.send_data(stream_id, framed(call.request), end_stream=True)
        except ngh2.NGH2Error as error:  # no stream ids are left, or the server is leaving
            call.fail(CallError(StatusCode.UNAVAILABLE, str(error)))
            self._leave(str(error))
            return
        call.stream_id = stream_id
        self._calls[stream_id] = call
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def sweep(self, now: float) -> None:
        """Tells the server of calls that are over for us: expired, or given up."""
        for stream_id, call in list(self._calls.items()):
            if call.deadline is not None and call.deadline <= now:
                call.expire()
            if call.done.done():
                self._drop(stream_id)
        self._touch()

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        if self._calls.get(call.stream_id) is call:
            self._drop(call.stream_id)
            self._touch()

    def close(self, reason: str) -> None:
        """Ends every call and the connection."""
        self._leave(reason)
        self._fail_all(CallError(StatusCode.CANCELLED, reason))
        if self._transport is None or self._transport.is_closing():
            return
        with contextlib.suppress(ngh2.ConnectionStateError):  # it has said so already
            self._h2.send_goaway()
        self._transport.write(self._h2.data_to_send())
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # a peer that does not read would keep us waiting
        else:
            self._transport.close()

    # From the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says which limits apply to what the server sends."""
        # uvloop's transports are no subclass of it, but do all that it does.
        self._transport = cast("asyncio.Transport", transport)
        self._h2.initiate_connection(
            {
                ngh2.Setting.ENABLE_PUSH: 0,
                ngh2.Setting.INITIAL_WINDOW_SIZE: self._config.stream_window_bytes,
            }
        )
        self._h2.set_local_window_size(self._config.connection_window_bytes)
        self._flush()
        self._keepalive = self._loop.call_later(self._config.keepalive_seconds, self._look_alive)

    def data_received(self, data: bytes) -> None:
        """Hands what came to the calls it belongs to."""
        self._heard = self._loop.time()
        broken = ""
        try:
            self._h2.receive_data(data)
        except ngh2.NGH2Error as error:
            broken = f"HTTP/2 is broken: {error}"
        for event in self._h2.events():
            self._happened(event)
        if broken:
            self._break(broken)
        elif self._h2.want_write or not self._h2.want_read:
            self._touch()

    def eof_received(self) -> bool:
        """The server has closed; so do we."""
        self._reason = self._reason or "the server closed the connection"
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Ends every call: what became of it is not known."""
        if self._keepalive is not None:
            self._keepalive.cancel()
        reason = self._reason or f"connection lost: {error or 'closed'}"
        self._leave(reason)
        self._fail_all(CallError(StatusCode.UNAVAILABLE, reason))
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """The socket takes no more for now; frames wait in HTTP/2's own queue."""
        self._writable = False

    def resume_writing(self) -> None:
        """It takes more again."""
        self._writable = True
        self._touch()

    # What came.

    def _happened(self, event: ngh2.Event) -> None:
        """The frequent first: every unary call has the first four, in this order."""
        if isinstance(event, ResponseReceived):
            if (call := self._calls.get(event.stream_id)) is not None:
                call.begun(event.headers, event.end_stream)
                self._drop_if_over(call)
        elif isinstance(event, DataReceived):
            if (call := self._calls.get(event.stream_id)) is not None:
                call.received(event.data, event.end_stream)
                self._drop_if_over(call)
        elif isinstance(event, TrailersReceived):
            if (call := self._calls.get(event.stream_id)) is not None:
                call.ended(event.headers)
                self._drop_if_over(call)
        elif isinstance(event, StreamClosed):
            if (call := self._calls.pop(event.stream_id, None)) is not None:
                call.reset(event.error_code, self._heard)
        elif isinstance(event, SettingsReceived):
            if not self._settled and not self._leaving:
                self._settled = True
                self._ready(self)
        elif isinstance(event, GoAwayReceived):
            self._refused(event)

    def _refused(self, event: GoAwayReceived) -> None:
        """GOAWAY: later calls were not looked at, earlier ones will be answered."""
        words = event.debug_data.decode("utf-8", "replace")
        reason = f"the server says GOAWAY {event.error_code} {words}".rstrip()
        self._leave(reason)
        for stream_id, call in list(self._calls.items()):
            if stream_id > event.last_stream_id:
                call.fail(CallError(StatusCode.UNAVAILABLE, reason))
                self._drop(stream_id)
        self._touch()

    # What goes.

    def _headers_of(self, path: bytes) -> Headers:
        headers = self._headers[path] = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", self._authority),
            *_COMMON,
        )
        return headers

    def _drop_if_over(self, call: Call) -> None:
        """Frees the stream; what is left to send or to come is for nobody."""
        if call.done.done():
            self._drop(call.stream_id)

    def _drop(self, stream_id: int) -> None:
        self._calls.pop(stream_id, None)
        # Where the connection ends with what came last, there is nothing left to reset.
        with contextlib.suppress(ngh2.ConnectionStateError):
            self._h2.reset_stream(stream_id, _CANCEL)  # says nothing where the stream has ended

    def _touch(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        transport = self._transport
        if transport is None or transport.is_closing() or not self._writable:
            return
        if data := self._h2.data_to_send():
            transport.write(data)
        if self._leaving and not self._calls:
            transport.close()  # after what was written
        elif not self._h2.want_read and not self._h2.want_write:
            self._break("the peer does not speak HTTP/2 as it should")

    # The end.

    def _look_alive(self) -> None:
        """Asks a silent server whether it is there, once; then gives it up."""
        silent = self._loop.time() - self._heard
        limit = self._config.keepalive_seconds
        if silent >= limit + self._config.keepalive_timeout_seconds and self._calls:
            self._break(f"no sign of life for {silent:.1f} s")
            return
        wait = limit - silent
        if wait <= 0:
            wait = self._config.keepalive_timeout_seconds
            # Servers count pings of a client that has no call under way as abuse.
            if self._calls:
                self._h2.ping()
                self._flush()
            else:
                self._heard = self._loop.time()
                wait = limit
        self._keepalive = self._loop.call_later(wait, self._look_alive)

    def _break(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def _leave(self, reason: str) -> None:
        if not self._leaving:
            self._leaving = True
            self._gone(self, reason)

    def _fail_all(self, error: CallError) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(CallError(error.code, error.details))
