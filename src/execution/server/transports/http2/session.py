"""The HTTP/2 of one connection, without its socket: frames to calls, answers to bytes."""

import contextlib
from typing import Any, Final

import ngh2
from grpc import StatusCode

from execution._call import Conversation
from execution.http2.wire import Headers, timeout_seconds
from execution.server.transports.http2.call import CROWDED, Call
from execution.server.transports.http2.headers import refusal
from execution.server.transports.http2.library import server_connection
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.methods import Methods
from execution.server.transports.http2.plain_call import PlainCall
from execution.server.transports.http2.plain_stream import PlainStreamCall
from execution.server.transports.http2.rate import Allowance
from execution.server.transports.http2.request import Request, read_request
from execution.server.transports.http2.task_call import TaskCall

NOTICE: Final = b"shutdown"
"""Of the PING that follows a notice of shutdown: who answers it has read the notice."""

_GONE: Final = (ngh2.StreamUnavailableError, ngh2.ConnectionStateError)
"""The client has reset the stream, or ended the connection, in the same breath."""
_LOOKS: Final = 64


class Session(Conversation):
    """What one client has sent and is owed; whoever reads and writes for it is its `Link`.

    What most of its events cause is in `_call.Conversation`.
    """

    def __init__(
        self, methods: Methods, limits: Limits, config: ngh2.Configuration, now: float
    ) -> None:
        self.h2 = server_connection(config)
        self.heard_at = now
        """When bytes last came, on the event loop's clock."""
        self.granted_at = now
        """When the client last opened a window."""
        self.spoken = False
        """Whether the client has said that it is HTTP/2."""
        self.told = False
        """Whether the client has read a notice of shutdown."""
        self.finished = False
        """Whether nothing can be sent or received any more."""
        self._methods = methods
        self._limits = limits
        self._read = refusal(StatusCode.UNIMPLEMENTED, "")
        self._read_headers = ()
        """The latest request's headers: most clients repeat them, and then so does `_read`."""
        self._timeout = None
        """Of the latest request, in seconds."""
        self._timeout_at = -1
        self._kind = None
        """Of the call it asks for."""
        self._unsent_max = limits.connection_unsent_bytes_max
        self._controls = Allowance(limits.controls, now)
        self._granted = 0
        """What the client has opened the connection's window by."""
        self._sent = -1
        """Bytes of data, counted from anywhere, when the latest PING came."""
        self._resets = Allowance(limits.resets, now)
        self._updates = Allowance(limits.updates, now)

    def begin(self) -> None:
        """Says hello."""
        limits = self._limits
        self.h2.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.calls_max,
                ngh2.Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes_max,
            }
        )
        self.h2.set_local_window_size(limits.connection_window_bytes)

    def stop_unfinished(self) -> bool:
        """Tells clients that still send for an answered call to stop; whether it told any.

        Who has not been sent all of its answer is told later; a client that opens no window keeps
        many of those, so only some are looked at. `pop` goes round a set, and so do we.
        """
        told, count = False, min(len(self.unfinished), _LOOKS)
        for stream_id in [self.unfinished.pop() for _ in range(count)]:
            try:
                sent = self._is_sent(stream_id)
            except _GONE:
                continue
            if sent:
                self.h2.reset_stream(stream_id, ngh2.ErrorCode.NO_ERROR)
                told = True
            else:
                self.unfinished.add(stream_id)
        return told

    def drop_calls(self) -> None:
        """The client is gone."""
        calls = list(self.calls.values())
        self.calls.clear()
        for call in calls:
            call.dropped()

    def _read_anew(self, headers: Headers) -> None:
        read = self._read = read_request(headers, self._methods, self._limits)
        self._read_headers = headers
        self._timeout_at = -1
        self._kind = self._timeout = None
        if isinstance(read, Request):
            self._kind = _kind_of(read)
            if read.timeout_at is not None:
                self._timeout_at = read.timeout_at
                self._timeout = timeout_seconds(headers[read.timeout_at][1])

    def _refuse(self, stream_id: int, end_stream: bool) -> None:
        """Answers at once: what was asked for is not served, or there is no room for the answer."""
        read = self._read
        crowded = self.h2.queued_body_size() > self._unsent_max
        if crowded or isinstance(read, Request):
            read = refusal(StatusCode.RESOURCE_EXHAUSTED, CROWDED)
        with contextlib.suppress(*_GONE):
            self.h2.send_response(stream_id, read.headers, end_stream=True)
            if not end_stream:
                self.unfinished.add(stream_id)

    def _odd_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """Data that is empty, or that nobody waits for."""
        if not data and not end_stream:
            self._count(self._controls)
        call = self.calls.get(stream_id)
        if call is not None:
            call.received(data, end_stream)
        elif data:
            with contextlib.suppress(*_GONE):
                self.h2.acknowledge_received_data(len(data), stream_id)

    def _seldom(self, event: Any) -> None:
        match event:
            case ngh2.WindowUpdated(stream_id, increment):
                self.granted_at = self.heard_at
                if not stream_id:
                    self._granted += increment
                self._count(self._updates)
            case ngh2.TrailersReceived(stream_id):
                call = self.calls.get(stream_id)
                if call is not None:
                    call.received(b"", True)
            case ngh2.SettingsReceived():
                self.spoken = True
                self.granted_at = self.heard_at
                self._count(self._controls)
            case ngh2.PingAcknowledged(opaque) if opaque == NOTICE:
                self.told = True
            case ngh2.PingReceived():
                self._pinged()
            case ngh2.ConnectionClosed():
                self.finished = True
            case ngh2.StreamReset():
                # ngh2 counts them too, but then only says GOAWAY and reads on.
                self._count(self._resets)
            case _:
                self._count(self._controls)

    def _pinged(self) -> None:
        """Some clients ask with every answer how far away we are, to choose their windows by it.

        So a PING after data that we sent is nothing odd, and costs less than they did.
        """
        sent = self._granted - self.h2.remote_window_size
        if sent == self._sent:
            self._count(self._controls)
        self._sent = sent

    def _count(self, allowance: Allowance) -> None:
        """Frames that cost us and bring nothing are let in at a bounded rate."""
        if not allowance.take(self.heard_at):
            raise ngh2.DenialOfServiceError("too many frames that bring nothing")

    def _is_sent(self, stream_id: int) -> bool:
        """Where a window is closed, even trailers that follow the last byte are held back."""
        window = min(self.h2.remote_window_size, self.h2.stream_remote_window_size(stream_id))
        return window > 0 and not self.h2.queued_body_size(stream_id)


def _kind_of(request: Request) -> type[Call]:
    if request.method.plain is not None:
        return PlainCall
    if request.method.plain_stream is not None:
        return PlainStreamCall
    return TaskCall
