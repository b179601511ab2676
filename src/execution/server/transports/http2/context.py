"""What a handler that is a coroutine may ask and say of its call, as grpcio's handlers do."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc

from execution.http2.wire import metadata_headers

if TYPE_CHECKING:
    from execution.server.transports.http2.task_call import TaskCall

_NO_IDENTITY: Final[Mapping[str, Iterable[bytes]]] = {}


class Context(grpc.aio.ServicerContext[Any, Any]):
    """What a handler may ask and say; behaves as grpcio's own does."""

    def __init__(self, call: "TaskCall") -> None:
        self._call = call
        self._trailing: tuple[tuple[str, str | bytes], ...] = ()
        self._metadata: grpc.aio.Metadata | None = None
        request = call.request
        # A client that compresses is answered in kind.
        self._gzip = request.gzip and request.accepts_gzip
        self._next_plain = False

    def compresses(self) -> bool:
        """Whether the next message may be compressed; said once for each."""
        gzip, self._next_plain = self._gzip and not self._next_plain, False
        return gzip

    async def read(self) -> Any:
        """The next message, `grpc.aio.EOF` when there will be none."""
        return await self._call.read()

    async def write(self, message: Any) -> None:
        """Sends a message; waits while the client has too much to read."""
        if self._call.over:
            raise grpc.aio.UsageError("the call is over")
        self._begin_compressed()
        self._call.write(message, gzip=self.compresses())
        await self._call.room()

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Sends headers now, before any message."""
        if self._call.begun:
            raise grpc.aio.UsageError("initial metadata was sent already")
        self._call.begin(tuple(initial_metadata or ()), gzip=self._gzip)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """Ends the call with this status; what cannot be sent along is left out."""
        if code is grpc.StatusCode.OK:
            raise ValueError("abort needs another code than OK")
        self._call.end(code, details, tuple(trailing_metadata or ()) or self._trailing)
        raise grpc.aio.AbortError("Locally aborted.")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """As `abort`."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Sent with the status. Raises `ValueError` for what cannot be."""
        trailing = tuple(trailing_metadata or ())
        metadata_headers(trailing)
        self._trailing = trailing

    def invocation_metadata(self) -> grpc.aio.Metadata:
        """What the caller sent along. Raises `WireError`, which becomes the answer."""
        if self._metadata is None:
            self._metadata = grpc.aio.Metadata(*self._call.metadata())
        return self._metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status to end with."""
        self._call.code = code

    def set_details(self, details: str) -> None:
        """The message to end with."""
        self._call.message = details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Whether replies are compressed, where the client can read that."""
        if self._call.begun:
            raise grpc.aio.UsageError("the call has begun; compression is chosen before")
        self._gzip = (
            self._call.request.accepts_gzip and compression is not grpc.Compression.NoCompression
        )

    def disable_next_message_compression(self) -> None:
        """Sends the next message as it is."""
        self._next_plain = True

    def peer(self) -> str:
        """Where the call comes from."""
        return self._call.peer

    def peer_identities(self) -> Iterable[bytes] | None:
        """None: certificates are checked by TLS itself and are not shown to handlers."""
        return None

    def peer_identity_key(self) -> str | None:
        """None, as `peer_identities`."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Empty, as `peer_identities`."""
        return _NO_IDENTITY

    def time_remaining(self) -> float | None:  # type: ignore[override]  # its stub forgets None
        """Seconds; None where the caller set no deadline, as grpcio does it in truth."""
        return self._call.seconds_left()

    def trailing_metadata(self) -> Any:
        """What will be sent with the status."""
        return self._trailing

    def code(self) -> grpc.StatusCode:
        """The status so far."""
        return self._call.code

    def details(self) -> str:
        """The message so far."""
        return self._call.message

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Called when the call is over, however it ended; never if it is over already."""
        if not self._call.over:
            self._call.on_done.append(partial(callback, self))

    def cancelled(self) -> bool:
        """Whether the caller went away, or its time was up."""
        return self._call.cancelled

    def done(self) -> bool:
        """Whether the call is over."""
        return self._call.over

    def _begin_compressed(self) -> None:
        """The encoding is named before the first message, also one that goes out as it is."""
        if not self._call.begun:
            self._call.begin(gzip=self._gzip)
