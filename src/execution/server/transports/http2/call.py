"""One call on a connection: how it is answered, whatever its handler is."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import ngh2
from grpc import StatusCode

from execution._call import BEGIN, OK_TRAILERS, Deadlines, Exchange
from execution.http2.wire import (
    SMALL_BYTES,
    Deframer,
    Headers,
    MetadataItem,
    WireError,
    framed,
    metadata_of,
    too_large,
)
from execution.server.transports.http2.headers import (
    ACCEPTS,
    BEGIN_GZIP,
    initial_headers,
    trailers_of,
)
from execution.server.transports.http2.library import Http2
from execution.server.transports.http2.limits import Limits

_COMPRESSED_FROM_BYTES: Final = 1_024
"""Smaller messages gain nothing by gzip."""
ONE_MESSAGE: Final = "this method takes exactly one request message"
UNFINISHED: Final = "the request ended inside a message"

UNPACKED_BYTES: Final = 8_192
"""Of packed messages, that take as much of a turn of the event loop as beginning one."""
CROWDED: Final = "this connection has too many answers that its client does not read"

_log = logging.getLogger(__name__)


class Link(Protocol):
    """What a call needs of its connection."""

    h2: Http2
    limits: Limits
    deadlines: Deadlines
    peer: str
    held: int
    """Bytes of request messages that nobody has taken yet."""
    messages_left: int
    """So many may yet be begun in this turn of the event loop."""
    touched: bool
    """Whether what waits is sent anyway, so that `touch` has nothing to do."""

    def touch(self) -> None:
        """Sends what waits, at the end of this tick."""

    def wait_for_room(self, call: Any) -> None:
        """Calls `room_again` once something was sent."""

    def later(self, call: Any) -> None:
        """Calls `go_on` in a turn of the event loop that has room for more."""

    def postpone(self, read: Callable[[bytes, bool], None], data: bytes, end_stream: bool) -> bool:
        """Whether `read` is called with this part of a packed request in a later turn."""

    def answered_early(self, stream_id: int) -> None:
        """The call is answered although its client sends on, and is to be told to stop."""

    def spawn(self, call: Any) -> "asyncio.Task[None]":
        """Runs the call."""


class Call(Exchange):
    """A call under way, from the side of its answer; it is made, and then opened.

    One is made for every order: `_call.Exchange` holds its state.
    """

    __slots__ = ()

    # From the connection.

    def dropped(self) -> None:
        """The client is gone, or wants no answer."""
        if not self.over:
            gone = self.gone
            self._end()
            self._tell_gone(gone)

    def break_off(self, code: StatusCode, message: str) -> None:
        """Ends the call before its handler does; tells the handler."""
        if not self.over:
            gone = self.gone
            self.end(code, message, ())
            self._tell_gone(gone)

    def expire(self) -> None:
        """The caller's time is up."""
        self.break_off(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def refuse(self, error: WireError) -> None:
        """Ends the call for a fault of its client, or a bound that it meets."""
        self.break_off(error.code, error.message)

    def fallen(self, error: Exception) -> None:
        """A handler has raised what it should not."""
        _log.error("unforeseen failure in %s", self.request.method.path, exc_info=error)
        self.end(StatusCode.UNKNOWN, f"Unexpected {type(error).__name__}", ())

    # The answer.

    def begin(self, metadata: Iterable[MetadataItem] = (), *, gzip: bool = False) -> None:
        """Sends the headers of the answer. Raises `ValueError` and `WireError`."""
        headers: Headers = BEGIN_GZIP if gzip else BEGIN
        if metadata:
            bytes_max = self._link.limits.reply_header_bytes_max
            headers = (*headers, *initial_headers(metadata, bytes_max))
        self._begun = True
        if not self.over:
            with contextlib.suppress(ngh2.NGH2Error):
                self._link.h2.send_response(self.stream_id, headers)
            self._link.touch()

    def send(self, message: bytes, *, gzip: bool = False) -> None:
        """Sends a message. Raises `WireError` if it, or all that waits, is too large."""
        # Small ones are sent without asking.
        if len(message) > SMALL_BYTES:
            self._require_room(len(message))
        if not self._begun:
            self.begin(gzip=gzip)
        # The stream may be gone; its end is then on its way to us.
        with contextlib.suppress(ngh2.NGH2Error):
            self._link.h2.send_data(
                self.stream_id,
                framed(message, compress=gzip and len(message) >= _COMPRESSED_FROM_BYTES),
            )
        self._link.touch()

    def end(self, code: StatusCode, message: str, metadata: Iterable[MetadataItem]) -> None:
        """Ends the call with this status; nothing if it is over."""
        if self.over:
            return
        if code is StatusCode.OK and not (message or metadata):
            trailers = OK_TRAILERS
        else:
            bytes_max = self._link.limits.reply_header_bytes_max
            trailers = trailers_of(code, message, metadata, bytes_max)
        with contextlib.suppress(ngh2.NGH2Error):
            if self._begun:
                self._link.h2.send_trailers(self.stream_id, trailers)
            else:
                self._link.h2.send_response(
                    self.stream_id, (*BEGIN, ACCEPTS, *trailers), end_stream=True
                )
        self._end()
        self._link.touch()
        if not self.half_closed:
            self._link.answered_early(self.stream_id)

    @property
    def unsent(self) -> int:
        """Bytes that the client leaves no room for."""
        return self._link.h2.queued_body_size(self.stream_id)

    # For those who answer without a task; see `execution.server.transports.call`.

    def seconds_left(self) -> float | None:
        """Until the caller's deadline, None if it set none."""
        if self.deadline is None:
            return None
        return max(self.deadline - asyncio.get_running_loop().time(), 0.0)

    def header(self, name: str) -> str | None:
        """The value of the caller's metadata with this key; None if there is none, or several.

        Of several credentials one rpc must not take the first and another the last.
        """
        wanted = name.encode()
        values = [value for key, value in self.request.headers if key == wanted]
        return values[0].decode("ascii", "replace") if len(values) == 1 else None

    def metadata(self) -> list[MetadataItem]:
        """All of it. Raises `WireError`."""
        return metadata_of(self.request.headers)

    # For those who read the request.

    def _deframed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises `WireError`."""
        if self._deframer is None:
            encoding = b"gzip" if self.request.gzip else b"identity"
            self._deframer = Deframer(self._link.limits.message_bytes_max, encoding)
        messages = self._deframer.feed(data)
        if self.request.gzip:
            # They may be a thousand times what came, and others want their turn.
            self._link.messages_left -= sum(map(len, messages)) // UNPACKED_BYTES
        return messages

    def _in_turn(self, read: Callable[[bytes, bool], None], data: bytes, end_stream: bool) -> None:
        """Reads a part of the request now; of a packed one perhaps in a later turn."""
        if not (self.request.gzip and self._link.postpone(read, data, end_stream)):
            read(data, end_stream)

    def _unfinished(self) -> int:
        """Bytes of a message that is not whole yet."""
        return 0 if self._deframer is None else self._deframer.held

    def _keep(self, size: int) -> None:
        """Says how many bytes are kept for the handler now. Raises `WireError`."""
        grown, self._held = size - self._held, size
        self._link.held += grown
        if grown > 0 and self._link.held > self._link.limits.held_bytes_max:
            raise too_much_waits()

    def _tell_gone(self, gone: Callable[[], object] | None) -> None:
        if gone is not None:
            try:
                gone()
            except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
                self.fallen(error)

    def _require_room(self, size: int) -> None:
        limits = self._link.limits
        if size > limits.reply_bytes_max:
            raise too_large(size, limits.reply_bytes_max)
        if self._link.h2.queued_body_size() > limits.connection_unsent_bytes_max:
            raise WireError(StatusCode.RESOURCE_EXHAUSTED, CROWDED)

    def _acknowledge(self, size: int) -> None:
        """Lets the client send as much again."""
        if size:
            try:
                self._link.h2.acknowledge_received_data(size, self.stream_id)
            except ngh2.NGH2Error:
                return

    def _end(self) -> None:
        self.over = True
        # Who would be told usually knows the call: each would keep the other.
        self.gone = None
        if self._held:
            self._keep(0)


def too_much_waits() -> WireError:
    """More than `Limits.held_bytes_max`."""
    message = "this connection has too much waiting that no handler has taken"
    return WireError(StatusCode.RESOURCE_EXHAUSTED, message)
