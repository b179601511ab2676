"""A stream of requests whose handler needs no task: each is answered by one reply, in order."""

from collections import deque
from collections.abc import Callable, Iterable

from grpc import StatusCode

from execution.errors import StatusCode as OurCode
from execution.http2.wire import STATUS_OF_NUMBER, MetadataItem, WireError
from execution.server.transports.http2.call import UNFINISHED, Call, Link
from execution.server.transports.http2.request import Request


class PlainStreamCall(Call):
    """Requests as they come, replies as they are sent, one for each.

    The client's window opens again by what was answered and can be read, so
    that what is under way, and what waits to be read, stay bounded by it.
    """

    def open(
        self, link: Link, stream_id: int, request: Request, timeout_seconds: float | None
    ) -> None:
        """Begins the call that this request asks for."""
        super().open(link, stream_id, request, timeout_seconds)
        self._unanswered: deque[int] = deque()
        """Sizes on the wire, oldest first."""
        self._owed = 0
        """Bytes that are answered, but not given back to the client's window."""
        self._waits = False
        begin = request.method.plain_stream
        assert begin is not None, "a plain stream is of a plain method"
        self._handler = begin(self)
        self.gone = self._handler.gone

    # For the handler; see `execution.server.transports.call.StreamCall`.

    def send(self, message: bytes, *, gzip: bool = False) -> None:
        """Answers the oldest request that has no answer yet."""
        if self.over:
            return
        try:
            super().send(message, gzip=gzip or (self.request.gzip and self.request.accepts_gzip))
        except WireError as error:
            self.refuse(error)
            return
        assert self._unanswered, "a reply answers a request"
        self._owed += self._unanswered.popleft()
        if self.unsent <= self._link.limits.unsent_bytes_max:
            self._give_back()
        elif not self._waits:
            self._waits = True
            self._link.wait_for_room(self)

    def finish(self) -> None:
        """Ends the stream, OK."""
        self.end(StatusCode.OK, "", ())

    def fail(self, code: OurCode, message: str, metadata: Iterable[MetadataItem] = ()) -> None:
        """Ends the stream with another status; nothing if the caller is gone."""
        self.end(STATUS_OF_NUMBER[code.value], message, metadata)

    # From the connection.

    def received(self, data: bytes, end_stream: bool) -> None:
        """Hands every whole message on."""
        if self.over:
            self._acknowledge(len(data))
            return
        self.half_closed = end_stream
        try:
            messages = self._taken_in(data, end_stream)
        except WireError as error:
            self._acknowledge(len(data))
            self.refuse(error)
            return
        # A large message comes in parts; each part has its share in the bytes to give back.
        share = len(data) // len(messages) if messages else 0
        if not messages:
            self._acknowledge(len(data))
        self._unanswered += [share] * len(messages)
        if messages:
            self._unanswered[-1] += len(data) - share * len(messages)
        for message in messages:
            self._tell(self._handler.message, message)
        if end_stream:
            self._tell(self._handler.end)

    def room_again(self) -> bool:
        """Opens the client's window if it has read on; whether it need not wait any more."""
        if not self.over and self.unsent > self._link.limits.unsent_bytes_max:
            return False
        self._waits = False
        self._give_back()
        return True

    def _taken_in(self, data: bytes, end_stream: bool) -> list[bytes]:
        messages = self._deframed(data) if data else []
        self._keep(self._unfinished())
        if end_stream and self._unfinished():
            raise WireError(StatusCode.INVALID_ARGUMENT, UNFINISHED)
        return messages

    def _tell(self, told: Callable[..., None], *what: bytes) -> None:
        """Nothing more once the stream is over."""
        if self.over:
            return
        self._call_handler(told, *what)

    def _call_handler(self, told: Callable[..., None], *what: bytes) -> None:
        try:
            told(*what)
        except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
            self.fallen(error)

    def _give_back(self) -> None:
        owed, self._owed = self._owed, 0
        if owed:
            self._acknowledge(owed)
            self._link.touch()

    def _end(self) -> None:
        super()._end()
        self._owed += sum(self._unanswered)
        self._unanswered.clear()
        self._give_back()
