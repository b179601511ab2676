"""A unary call whose handler needs no task."""

from collections.abc import Callable
from time import perf_counter

import ngh2
from grpc import StatusCode

from execution.http2.wire import (
    PREFIX_BYTES,
    PREFIXES,
    SMALL_BYTES,
    STATUS_OF_NUMBER,
    WireError,
    prefix,
)
from execution.server.observe import ANSWERED_MAX
from execution.server.transports.answers import status_parts
from execution.server.transports.http2.call import OK_TRAILERS, ONE_MESSAGE, UNFINISHED, Call
from execution.server.transports.http2.headers import BEGIN


class PlainCall(Call):
    """A unary call whose handler is called with the message, and answers when it can."""

    __slots__ = ("_messages",)

    _messages: list[bytes]
    """Of a request that comes in several parts."""

    # For the handler; see `execution.server.transports.call.PlainCall`.

    def reply(self, message: bytes) -> None:
        """Answers OK with this serialised message; nothing if the caller is gone."""
        metrics = self.metrics
        if metrics is not None:
            self.metrics = None
            answered = metrics.answered
            answered.append(perf_counter() - self.since)
            if len(answered) >= ANSWERED_MAX:
                metrics.settle()
        if self.over:
            return
        size = len(message)
        if size > SMALL_BYTES or self.request.gzip:
            self._reply_at_length(message)
            return
        # The usual case: what `send` and `end` would do, without what it has no need of.
        link, stream_id = self._link, self.stream_id
        h2 = link.h2
        try:
            h2.send_response(stream_id, BEGIN)
            h2.send_data(stream_id, PREFIXES[size] + message)
            h2.send_trailers(stream_id, OK_TRAILERS)
        except ngh2.NGH2Error:
            # The stream is gone; its end is on its way to us.
            pass
        if self._timer is None:
            self.over = True
        else:
            self._end()
        if not link.touched:
            link.touch()
        if not self.half_closed:
            link.forget(self, whole=False)

    def fail(self, error: Exception) -> None:
        """Answers with the status of a foreseen failure; INTERNAL for any other."""
        code, message, metadata = status_parts(error)
        self.count_out(code)
        self.end(STATUS_OF_NUMBER[code.value], message, metadata)

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away, or its time is up, before the answer."""
        if not self.over:
            self.gone = callback

    # From the connection.

    def received(self, data: bytes, end_stream: bool) -> None:
        """Takes a part of the one message; calls the handler when it is whole."""
        link = self._link
        if data:
            try:  # noqa: SIM105 - a context manager costs as much as this
                link.h2.acknowledge_received_data(len(data), self.stream_id)
            except ngh2.NGH2Error:
                # The stream is gone, as above.
                pass
        if self.over:
            return
        self.half_closed = end_stream
        size = len(data) - PREFIX_BYTES
        message: bytes | None = None
        if end_stream and self._deframer is None and 0 <= size <= link.limits.message_bytes_max:
            # The usual case: one message, one frame.
            message = data.removeprefix(PREFIXES[size] if size <= SMALL_BYTES else prefix(size))
        if message is None or len(message) != size:
            try:
                message = self._collected(data, end_stream)
            except WireError as error:
                self.refuse(error)
                return
            if message is None:
                return
        handle = self.request.method.plain
        assert handle is not None, "a plain call is of a plain method"
        try:
            handle(message, self)
        except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
            self.fallen(error)

    def _reply_at_length(self, message: bytes) -> None:
        request = self.request
        try:
            self.send(message, gzip=request.gzip and request.accepts_gzip)
        except WireError as error:
            self.refuse(error)
            return
        self.end(StatusCode.OK, "", ())

    def _collected(self, data: bytes, end_stream: bool) -> bytes | None:
        """The message, once all of it is here. Raises `WireError`."""
        if self._deframer is None:
            self._messages = []
        messages = self._messages
        messages += self._deframed(data)
        self._keep(self._unfinished() + sum(map(len, messages)))
        if len(messages) > 1:
            raise WireError(StatusCode.UNIMPLEMENTED, ONE_MESSAGE)
        if not end_stream:
            return None
        if self._unfinished():
            raise WireError(StatusCode.INVALID_ARGUMENT, UNFINISHED)
        if not messages:
            raise WireError(StatusCode.UNIMPLEMENTED, ONE_MESSAGE)
        self._keep(0)
        return messages[0]
