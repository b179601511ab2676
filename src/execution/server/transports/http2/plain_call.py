"""A unary call whose handler needs no task."""

from collections.abc import Callable

from grpc import StatusCode

from execution.http2.wire import STATUS_OF_NUMBER, WireError
from execution.server.transports.answers import status_parts
from execution.server.transports.http2.call import ONE_MESSAGE, UNFINISHED, Call, too_much_waits


class PlainCall(Call):
    """A unary call whose handler is called with the message, and answers when it can."""

    __slots__ = ("_messages",)

    _messages: list[bytes]
    """Of a request that comes in several parts."""

    # For the handler; see `execution.server.transports.call.PlainCall`. `reply` is inherited.

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

    def _received_otherwise(self, data: bytes, end_stream: bool) -> None:
        """What is not the one message in one frame, as it is."""
        if self.request.gzip and self._link.held > self._link.limits.held_bytes_max:
            self.refuse(too_much_waits())
        else:
            self._in_turn(self._read_on, data, end_stream)

    def _read_on(self, data: bytes, end_stream: bool) -> None:
        if self.over:
            return
        try:
            message = self._collected(data, end_stream)
        except WireError as error:
            self.refuse(error)
            return
        if message is not None:
            self._handle(message)

    def _reply_otherwise(self, message: bytes) -> None:
        """A message that is large, or for a client that compresses."""
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
        self._messages = []
        return messages[0]
