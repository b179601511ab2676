"""One call as its client sees it, from request to status; knows no socket."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from grpc import StatusCode

from execution.http2.answers import (
    CallError,
    failure_of_http,
    failure_of_reset,
    status_of_number,
)
from execution.http2.wire import PREFIX_BYTES, Deframer, Headers, WireError, percent_decoded

Arrived: TypeAlias = Callable[[bytes], None]
"""Takes each message of a stream, at once."""

_CANCEL: Final = 8
"""The HTTP/2 error by which a server, too, gives a call up."""
_LATE_SECONDS: Final = 0.005
"""A server ends a call at our deadline by its own clock, which may be this much ahead."""


class Call:
    """A unary call, or with `arrived` one whose answer is a stream.

    `done` gets the one message (of a stream: b"" at its end) or a `CallError`.
    """

    __slots__ = (
        "_arrived",
        "_bytes_max",
        "_content_type",
        "_deframer",
        "_encoding",
        "_http_status",
        "_message",
        "deadline",
        "done",
        "path",
        "request",
        "stream_id",
    )

    def __init__(
        self,
        done: asyncio.Future[bytes],
        path: bytes,
        request: bytes,
        deadline: float | None,
        bytes_max: int,
        arrived: Arrived | None,
    ) -> None:
        self.done = done
        self.path = path
        self.request = request
        self.deadline = deadline
        """By the clock of the event loop; None: never."""
        self.stream_id = 0
        """Its number on the connection, once it is on one."""
        self._bytes_max = bytes_max
        self._arrived = arrived
        self._message: bytes | None = None
        self._deframer: Deframer | None = None
        self._http_status = self._content_type = b""
        self._encoding = b"identity"

    def begun(self, headers: Headers, end_stream: bool) -> None:
        """The headers of the answer; with `end_stream` they are all of it."""
        for name, value in headers:
            if name == b":status":
                self._http_status = value
            elif name == b"content-type":
                self._content_type = value
            elif name == b"grpc-encoding":
                self._encoding = value
        if end_stream:
            self.ended(headers)
        elif self._http_status != b"200" or not self._content_type.startswith(b"application/grpc"):
            # What follows is a page for people, not messages.
            self.fail(failure_of_http(self._http_status, self._content_type))

    def received(self, data: bytes, end_stream: bool) -> None:
        """A part of the answer's messages."""
        try:
            for message in self._messages(data):
                self._take(message)
        except WireError as error:
            self.fail(CallError(error.code, error.message))
        if end_stream:
            self.ended(())

    def ended(self, trailers: Headers) -> None:
        """The trailers, after which nothing comes."""
        if self.done.done():
            return
        status = message = b""
        for name, value in trailers:
            if name == b"grpc-status":
                status = value
            elif name == b"grpc-message":
                message = value
        if not status:
            self.fail(failure_of_http(self._http_status, self._content_type))
        elif status != b"0":
            self.fail(CallError(status_of_number(status), percent_decoded(message)))
        elif self._deframer is not None and self._deframer.held:
            self.fail(CallError(StatusCode.INTERNAL, "the answer ended within a message"))
        elif self._arrived is not None:
            self.done.set_result(b"")
        elif self._message is None:
            self.fail(CallError(StatusCode.INTERNAL, "OK without a message"))
        else:
            self.done.set_result(self._message)

    def reset(self, error_code: int, now: float) -> None:
        """The stream is closed; where that comes before a status, it is a failure."""
        if self.done.done():
            return
        due = self.deadline is not None and now >= self.deadline - _LATE_SECONDS
        if error_code == _CANCEL and due:
            self.expire()
        else:
            self.fail(failure_of_reset(error_code))

    def expire(self) -> None:
        """The deadline has passed."""
        self.fail(CallError(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def fail(self, error: Exception) -> None:
        """Ends the call, unless it has ended."""
        if not self.done.done():
            self.done.set_exception(error)

    def _messages(self, data: bytes) -> list[bytes]:
        """The whole messages; a short answer arrives as one, and needs no buffer."""
        if self._deframer is None:
            size = len(data) - PREFIX_BYTES
            plain = 0 <= size <= self._bytes_max and data[0] == 0
            if plain and int.from_bytes(data[1:PREFIX_BYTES], "big") == size:
                return [data[PREFIX_BYTES:]]
            self._deframer = Deframer(self._bytes_max, self._encoding)
        return self._deframer.feed(data)

    def _take(self, message: bytes) -> None:
        if self.done.done():
            return
        if self._arrived is None:
            if self._message is not None:
                raise WireError(StatusCode.INTERNAL, "more than one message answers a unary call")
            self._message = message
            return
        try:
            self._arrived(message)
        except Exception as error:  # noqa: BLE001 - whoever awaits the call gets to see it
            self.fail(error)
