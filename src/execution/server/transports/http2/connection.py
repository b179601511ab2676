"""One connection of a client: what arrives in one tick is answered in one write."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import ngh2
from grpc import StatusCode

from execution._call import Deadlines
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.methods import Methods
from execution.server.transports.http2.patience import Patience
from execution.server.transports.http2.session import NOTICE, Session
from execution.server.transports.http2.task_call import TaskCall
from execution.tick import running_tick

_CALM: Final = ngh2.ErrorCode.ENHANCE_YOUR_CALM
_GOAWAY_HEAD: Final = b"\0\0\x08\x07\0\0\0\0\0"
"""Frame header of a GOAWAY without debug data, on stream 0."""
_WRITE_BYTES: Final = 262_144
"""At once to the socket, and what may wait for it before we hold back."""

_log = logging.getLogger(__name__)


class Host(Protocol):
    """What a connection needs of its server."""

    methods: Methods
    limits: Limits
    config: ngh2.Configuration

    def opened(self, connection: "Connection") -> bool:
        """Whether there is room for it."""

    def closed(self, connection: "Connection") -> None:
        """It is no more."""

    def spawn(self, call: TaskCall) -> "asyncio.Task[None]":
        """Runs the call."""


class Connection(asyncio.Protocol):
    """One HTTP/2 connection of one client; all times are of the event loop's clock."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._tick = running_tick()
        self.limits = host.limits
        self.session = Session(host.methods, host.limits, host.config, self._loop.time())
        self.h2 = self.session.h2
        self.deadlines = Deadlines(self._loop)
        self.peer = "unknown"
        self.held = 0
        self.told = asyncio.Event()
        """Whether the client has read a notice of shutdown, or is gone."""
        self._opened_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.touched = False
        """Whether a flush is to come."""
        self._paused = False
        self._cut = False
        """Whether the bytes written last may end within a frame."""
        self.messages_left = 0
        self._waiting: list[Any] = []
        self._later: deque[Any] = deque()
        self._packed: deque[tuple[Callable[[bytes, bool], None], bytes, bool]] = deque()
        """Parts of packed requests, in the order they came."""
        self._goes_on = False
        """Whether a turn for them is to come."""
        self._patience = Patience(host.limits)
        self._noticed_at: float | None = None
        self._closing = False
        """Whether the connection ends with the last of its calls."""
        self._closed_at: float | None = None

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello; a client too many is told to go away."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self._opened_at = self.session.heard_at = self._loop.time()
        self.peer = _peer(transport)
        room = self._host.opened(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._end("does not choose h2 by ALPN")
            return
        self.session.begin()
        if room:
            self.flush()
        else:
            self.go_away(_CALM)

    def data_received(self, data: bytes) -> None:
        """Acts on whatever is whole, and sends what that has to say at once."""
        if self._closed_at is not None:
            return
        session = self.session
        session.heard_at = self._loop.time()
        self.messages_left = self.limits.messages_a_turn
        self.touched = True
        with self._tick:
            try:
                self.h2.receive_data(data)
                session.act_on_events(self)
            except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
                self._broken(error)
                return
        self.flush()

    def eof_received(self) -> bool:
        """A client that will say no more is gone: nobody can tell one from a process that died."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Ends every call."""
        self._transport = None
        self._closing = True
        self.session.drop_calls()
        self.deadlines.close()
        self._waiting.clear()
        self._later.clear()
        self._packed.clear()
        self.told.set()
        self._host.closed(self)

    def pause_writing(self) -> None:
        """The client reads too slowly: what it is owed stays in bounded queues."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client reads on."""
        self._paused = False
        self.flush()

    # For calls; see `call.Link`.

    def touch(self) -> None:
        """Sends what waits, at the end of this tick."""
        if not self.touched:
            self.touched = True
            self._tick.at_end(self.flush)

    def wait_for_room(self, call: Any) -> None:
        """Calls `room_again` once something was sent."""
        self._waiting.append(call)
        self.touch()

    def later(self, call: Any) -> None:
        """Calls `go_on` in a turn of the loop that has room for more."""
        self._later.append(call)
        self._go_on_soon()

    def postpone(self, read: Callable[[bytes, bool], None], data: bytes, end_stream: bool) -> bool:
        """Whether `read` is called with this part of a packed request in a later turn.

        Unpacked it may be a thousand times as large: each turn reads so much, others have theirs.
        """
        if self.messages_left > 0 and not self._packed:
            return False
        self._packed.append((read, data, end_stream))
        self.held += len(data)
        self._go_on_soon()
        return True

    def answered_early(self, stream_id: int) -> None:
        """The call is answered although its client sends on, and is to be told to stop."""
        self.session.unfinished.add(stream_id)

    def spawn(self, call: Any) -> "asyncio.Task[None]":
        """Runs the call."""
        return self._host.spawn(call)

    # For the server.

    @property
    def calls(self) -> int:
        """How many are not answered to the last byte."""
        return len(self.session.calls)

    def flush(self) -> None:
        """Writes everything that may be sent now."""
        self.touched = False
        transport = self._transport
        if transport is None or self._paused or self._closed_at is not None:
            return
        session = self.session
        try:
            self._write(transport)
            session.act_on_events(self)
        except Exception as error:  # noqa: BLE001 - the boundary, as above
            self._broken(error)
            return
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._waiting += [call for call in waiting if not call.room_again()]
        if session.finished or (self._closing and not session.calls):
            self._close(transport)

    def notify_of_shutdown(self) -> None:
        """Asks the client to begin no more calls here; `told` is set when it has read that."""
        if self._transport is None or self._closing:
            self.told.set()
            return
        self._noticed_at = self._loop.time()
        self._say(self.h2.send_shutdown_notice)
        # In a flush of its own: a PING would overtake the notice.
        self._say(lambda: self.h2.ping(NOTICE))

    def go_away(self, code: int = ngh2.ErrorCode.NO_ERROR) -> None:
        """Says which calls were the last; closes when those are answered."""
        if not self._closing:
            self._closing = True
            self._say(lambda: self.h2.send_goaway(code))

    def break_off(self, code: StatusCode, message: str) -> None:
        """Ends every call that is under way."""
        for call in list(self.session.calls.values()):
            call.break_off(code, message)
        self.flush()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Looks for a client that is silent, stuck or here for too long."""
        transport = self._transport
        if transport is None:
            return
        if self._closed_at is not None:
            if now - self._closed_at > self.limits.keepalive_timeout_seconds:
                self._end("does not read our last words")
            return
        unwritten = transport.get_write_buffer_size() if self._paused else None
        why = self._patience.lost(self.session, self._opened_at, unwritten, now)
        if why is not None:
            self._end(why)
            return
        if self.session.unfinished:
            self.flush()
        if self._patience.is_due(self.session, now):
            self._say(self.h2.ping)
        if self.limits.age_seconds_max is not None:
            self._grow_old(now, now - self._opened_at - self.limits.age_seconds_max)

    def _grow_old(self, now: float, over_age: float) -> None:
        if over_age <= 0:
            return
        if self._noticed_at is None:
            self.notify_of_shutdown()
        elif not self._closing:
            if self.told.is_set() or now - self._noticed_at > self.limits.check_seconds:
                self.go_away()
        elif over_age > self.limits.age_grace_seconds:
            self._end("is too old, and its calls do not end")

    def _go_on_soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """By turns; whoever has more to do stands at the end again."""
        line, packed = self._later, self._packed
        self.messages_left = self.limits.messages_a_turn
        try:
            with self._tick:
                while packed and self.messages_left > 0:
                    read, data, end_stream = packed.popleft()
                    self.held -= len(data)
                    read(data, end_stream)
                for _ in range(len(line)):
                    if self.messages_left <= 0:
                        break
                    line.popleft().go_on()
        except Exception as error:  # noqa: BLE001 - the boundary, as above
            self._broken(error)
            return
        self._goes_on = False
        if line or packed:
            self._go_on_soon()

    # Writing and ending.

    def _write(self, transport: asyncio.Transport) -> None:
        session = self.session
        while not self._paused:
            data = self.h2.data_to_send(_WRITE_BYTES)
            if data:
                transport.write(data)
            self._cut = len(data) == _WRITE_BYTES
            if not self._cut and not (session.unfinished and session.stop_unfinished()):
                break
        if session.told:
            self.told.set()

    def _say(self, frame: Callable[[], object]) -> None:
        """Sends what one of ngh2's methods makes."""
        if self._transport is None or self._closed_at is not None:
            return
        try:
            frame()
        except ngh2.NGH2Error as error:
            self._broken(error)
            return
        self.flush()

    def _broken(self, error: Exception) -> None:
        """The session is lost: says why in a frame of our own, and closes."""
        transport = self._transport
        if transport is None or self._closed_at is not None:
            return
        if isinstance(error, ngh2.DenialOfServiceError):
            code = _CALM
        elif isinstance(error, ngh2.NGH2Error):
            code = ngh2.ErrorCode.PROTOCOL_ERROR
        else:
            code = ngh2.ErrorCode.INTERNAL_ERROR
            _log.error("%s: unforeseen failure of a connection", self.peer, exc_info=error)
        _log.info("%s: connection ended: %s", self.peer, error)
        if not self._cut:
            last = self.session.last_stream_id.to_bytes(4, "big")
            transport.write(_GOAWAY_HEAD + last + int(code).to_bytes(4, "big"))
        self._close(transport)

    def _close(self, transport: asyncio.Transport) -> None:
        """Lets the client read what is written, and no more."""
        self._closing = True
        self._closed_at = self._loop.time()
        self.session.drop_calls()
        self._waiting.clear()
        transport.close()

    def _end(self, why: str) -> None:
        _log.info("%s %s: connection ended", self.peer, why)
        self.abort()


def _peer(transport: asyncio.BaseTransport) -> str:
    """As grpcio names it."""
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
    return "unix:"
