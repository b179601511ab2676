"""A unary call whose handler needs no task."""

from collections.abc import Callable

import ngh2
from grpc import StatusCode

from execution.http2.wire import PREFIX_BYTES, WireError, too_large
from execution.server.transports.http2.call import (
    OK_TRAILERS,
    ONE_MESSAGE,
    SMALL_BYTES,
    UNFINISHED,
    Call,
    is_whole,
)
from execution.server.transports.http2.headers import BEGIN


class PlainCall(Call):
    """A unary call whose handler is called with the message, and answers when it can."""

    _messages: list[bytes] | None = None
    _gone: Callable[[], object] | None = None

    # For the handler; see `execution.server.transports.call.PlainCall`.

    def reply(self, message: bytes) -> None:
        """Answers OK with this serialised message; nothing if the caller is gone."""
        if self.over:
            return
        request = self.request
        if len(message) <= SMALL_BYTES and not (request.gzip and request.accepts_gzip):
            self._reply_at_once(message)
            return
        try:
            self.send(message, gzip=request.gzip and request.accepts_gzip)
        except WireError as error:
            self.refuse(error)
            return
        self.end(StatusCode.OK, "", ())

    def _reply_at_once(self, message: bytes) -> None:
        """The usual case: what `send` and `end` would do, without what it has no need of."""
        link, stream_id = self._link, self.stream_id
        h2 = link.h2
        try:
            h2.send_response(stream_id, BEGIN)
            h2.send_data(stream_id, b"\0" + len(message).to_bytes(4, "big") + message)
            h2.send_trailers(stream_id, OK_TRAILERS)
        except ngh2.NGH2Error:
            # The stream is gone; its end is on its way to us.
            pass
        self._end()
        link.touch()
        if not self.half_closed:
            link.forget(self, whole=False)

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away, or its time is up, before the answer."""
        self._gone = callback

    # From the connection.

    def received(self, data: bytes, end_stream: bool) -> None:
        """Takes a part of the one message; calls the handler when it is whole."""
        self._acknowledge(len(data))
        if self.over:
            return
        if end_stream:
            self.half_closed = True
            if self._messages is None and is_whole(data):
                # The usual case: one message, one frame.
                self._handle(data[PREFIX_BYTES:])
                return
        try:
            self._collect(data, end_stream)
        except WireError as error:
            self.refuse(error)

    def dropped(self) -> None:
        """The client is gone, or wants no answer."""
        if not self.over:
            super().dropped()
            self._tell_gone()

    def break_off(self, code: StatusCode, message: str) -> None:
        """Ends the call before its handler does; tells the handler."""
        if not self.over:
            super().break_off(code, message)
            self._tell_gone()

    def _tell_gone(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            try:
                gone()
            except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
                self.fallen(error)

    def _collect(self, data: bytes, end_stream: bool) -> None:
        messages = self._messages = self._messages or []
        messages += self._deframed(data)
        self._keep(self._unfinished() + sum(map(len, messages)))
        if len(messages) > 1:
            raise WireError(StatusCode.UNIMPLEMENTED, ONE_MESSAGE)
        if not end_stream:
            return
        if self._unfinished():
            raise WireError(StatusCode.INVALID_ARGUMENT, UNFINISHED)
        if not messages:
            raise WireError(StatusCode.UNIMPLEMENTED, ONE_MESSAGE)
        self._keep(0)
        self._messages = None
        self._handle(messages[0])

    def _handle(self, message: bytes) -> None:
        handle = self.request.method.plain
        assert handle is not None, "a plain call is of a plain method"
        if len(message) > self._link.limits.message_bytes_max:
            self.refuse(too_large(len(message), self._link.limits.message_bytes_max))
            return
        try:
            handle(message, self)
        except Exception as error:  # noqa: BLE001 - the boundary, as above
            self.fallen(error)
