"""The ways back to a caller: what servicers answer through, counted, as statuses go out."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from google.protobuf.message import Message

from execution.errors import ExecutionError, GivenUp, SlowReader, StatusCode
from execution.server.observe import RpcMetrics
from execution.server.rpcs import Pipeline
from execution.server.statuses import DETAILS_KEY, internal_status, status_of
from execution.server.transports.call import Metadata, PlainCall, StreamCall

if TYPE_CHECKING:
    import grpc

SEND_SECONDS_MAX: Final = 10.0
"""How long a reader of a stream may leave no room for the next message."""
BEGINS_KEY: Final = "resume-token"
"""Initial metadata key of a stream: where it begins."""

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, Message]"
"""grpcio's own, or one that behaves as it does."""


class Counted(Protocol):
    """Who counts the calls under way."""

    def begun(self) -> None:
        """One more call is under way."""

    def ended(self, pipeline: Pipeline | None = None) -> None:
        """It has ended."""


class PlainAnswer:
    """See `execution.server.rpcs.Answer`."""

    __slots__ = ("_calls", "_ended", "_metrics", "_plain", "_since")

    def __init__(self, calls: Counted, metrics: RpcMetrics, plain: PlainCall) -> None:
        self._calls = calls
        self._metrics = metrics
        self._plain = plain
        self._ended = False
        calls.begun()
        metrics.started += 1
        self._since = perf_counter()

    def reply(self, message: bytes) -> None:
        """Answers with this serialised message."""
        if self._end(StatusCode.OK):
            self._plain.reply(message)

    def fail(self, error: Exception) -> None:
        """Answers with the status of a foreseen failure; INTERNAL for any other."""
        code, message, metadata = status_parts(error)
        if self._end(code):
            self._plain.fail(code, message, metadata)

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away before it has its answer."""
        if not self._ended:
            self._plain.on_gone(callback)

    def _end(self, code: StatusCode) -> bool:
        if self._ended:
            return False
        self._ended = True
        self._metrics.ended(code, perf_counter() - self._since)
        self._calls.ended()
        return True


class PipelineCall:
    """See `execution.server.rpcs.PipelineReplies`; between the transport and a pipeline."""

    def __init__(self, calls: Counted, metrics: RpcMetrics, stream: StreamCall) -> None:
        self.pipeline: Pipeline | None = None
        self._calls = calls
        self._metrics = metrics
        self._stream = stream
        self._ended = False
        calls.begun()
        metrics.started += 1
        self._since = perf_counter()

    # From the pipeline.

    def send(self, message: bytes) -> None:
        """Answers the oldest request that has no answer yet."""
        if not self._ended:
            self._stream.send(message)

    def finish(self) -> None:
        """Ends the stream, OK."""
        if self._end(StatusCode.OK):
            self._stream.finish()

    def fail(self, error: Exception) -> None:
        """Ends the stream with the status of this failure."""
        code, message, metadata = status_parts(error)
        if self._end(code):
            self._stream.fail(code, message, metadata)

    # From the transport.

    def message(self, data: bytes) -> None:
        """One request has come."""
        if self.pipeline is not None and not self._ended:
            try:
                self.pipeline.message(data)
            except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
                self.fail(error)

    def end(self) -> None:
        """There will be no more."""
        if self.pipeline is not None and not self._ended:
            self.pipeline.end()

    def gone(self) -> None:
        """The caller is gone, or its time is up."""
        if self._end(StatusCode.CANCELLED) and self.pipeline is not None:
            self.pipeline.gone()

    def _end(self, code: StatusCode) -> bool:
        if self._ended:
            return False
        self._ended = True
        self._metrics.ended(code, perf_counter() - self._since)
        self._calls.ended(self.pipeline)
        return True


class ContextReplies:
    """The way back to the caller of a stream; see `execution.server.rpcs.Replies`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def begin(self, token: str) -> None:
        """Tells the caller that the stream stands, and where it begins.

        Never left half way: grpcio forgets metadata whose sending was broken
        off, sends it again with the status, and the call ends without details.
        """
        sending = asyncio.ensure_future(self._context.send_initial_metadata(((BEGINS_KEY, token),)))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await sending
            raise

    async def send(self, message: Message) -> None:
        """Waits until there is room for the message. Raises `SlowReader`."""
        room = asyncio.timeout(SEND_SECONDS_MAX)
        try:
            async with room:
                await self._context.write(message)
        except TimeoutError:
            if not room.expired():
                raise
            raise SlowReader(f"nothing was read for {SEND_SECONDS_MAX} s") from None


def status_parts(error: Exception) -> tuple[StatusCode, str, Metadata]:
    """Code, message and trailing metadata of a failure; INTERNAL for one nobody foresaw."""
    if isinstance(error, GivenUp):
        return StatusCode.CANCELLED, str(error), ()
    if not isinstance(error, ExecutionError):
        status = internal_status(error, "a call")
        return StatusCode.INTERNAL, status.message, ()
    status = status_of(error)
    return error.code, status.message, ((DETAILS_KEY, status.SerializeToString()),)
