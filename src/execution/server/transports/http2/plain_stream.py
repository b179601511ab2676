"""A stream of requests whose handler needs no task: each is answered by one reply, in order."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from grpc import StatusCode

from execution.errors import StatusCode as OurCode
from execution.http2.wire import STATUS_OF_NUMBER, MetadataItem, WireError
from execution.server.transports.http2.call import UNFINISHED, Call, Link
from execution.server.transports.http2.request import Request

if TYPE_CHECKING:
    from execution.server.transports.call import StreamHandler


class PlainStreamCall(Call):
    """Requests as they come, replies as they are sent, one for each.

    The client's window opens again by what was answered and can be read. What
    it has room for may be many small requests: those wait until there is room
    for their replies, and for them in a turn of the event loop. Compressed ones
    wait unpacked, and the window knows nothing of that: what waits is counted.
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
        self._later: deque[bytes] = deque()
        """Requests that are not begun; the last of those that have no answer."""
        self._in_line = False
        """Whether they are begun in a later turn of the loop, and not by the next answer."""
        self._ends = False
        """Whether the handler is to be told of the end after them."""
        self._handler: StreamHandler | None = None
        """None once the stream is over: it knows us, and would keep us until a search."""
        begin = request.method.plain_stream
        assert begin is not None, "a plain stream is of a plain method"
        handler = begin(self)
        if not self.over:
            self._handler = handler
            self.gone = handler.gone

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
            if self._later:
                self._stand_in_line()
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
        self._in_turn(self._read_on, data, end_stream)

    def _read_on(self, data: bytes, end_stream: bool) -> None:
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
        self._later += messages
        self._ends = end_stream
        if not self._in_line:
            self.go_on()

    def go_on(self) -> None:
        """Hands on what there is room for."""
        self._in_line = False
        handler = self._handler
        if handler is None:
            return
        link, later = self._link, self._later
        limits = link.limits
        while later and not self.over:
            if (
                len(self._unanswered) - len(later) >= limits.unanswered_max
                or self.unsent > limits.unsent_bytes_max
            ):
                return
            if link.messages_left <= 0:
                self._stand_in_line()
                return
            link.messages_left -= 1
            message = later.popleft()
            # As `_keep` does for what becomes less: every request comes by here.
            self._held -= len(message)
            link.held -= len(message)
            self._tell(handler.message, message)
        if self._ends:
            self._ends = False
            self._tell(handler.end)

    def _stand_in_line(self) -> None:
        if not self._in_line:
            self._in_line = True
            self._link.later(self)

    def room_again(self) -> bool:
        """Opens the client's window if it has read on; whether it need not wait any more."""
        if not self.over and self.unsent > self._link.limits.unsent_bytes_max:
            return False
        self._waits = False
        self._give_back()
        if self._later:
            self._stand_in_line()
        return True

    def _taken_in(self, data: bytes, end_stream: bool) -> list[bytes]:
        unfinished = self._unfinished()
        messages = self._deframed(data) if data else []
        grown = sum(map(len, messages)) + self._unfinished() - unfinished
        self._keep(self._held + grown)
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
        self._handler = None
        self._owed += sum(self._unanswered)
        self._unanswered.clear()
        self._later.clear()
        self._give_back()
