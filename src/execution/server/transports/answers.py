"""The ways back to the caller of a stream, and failures as statuses go out."""

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf.message import Message

from execution.errors import ExecutionError, GivenUp, SlowReader, StatusCode
from execution.server.observe import RpcMetrics
from execution.server.rpcs import Pipeline
from execution.server.statuses import DETAILS_KEY, internal_status, status_of
from execution.server.transports.call import Counted, Metadata, StreamCall

if TYPE_CHECKING:
    import grpc

SEND_SECONDS_MAX: Final = 10.0
"""How long a reader of a stream may leave no room for the next message."""
BEGINS_KEY: Final = "resume-token"
"""Initial metadata key of a stream: where it begins."""

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, Message]"
"""grpcio's own, or one that behaves as it does."""


class PipelineCall(Counted):
    """See `execution.server.rpcs.PipelineReplies`; between the transport and a pipeline."""

    def __init__(self, pipelines: set[Pipeline], metrics: RpcMetrics, stream: StreamCall) -> None:
        self.pipeline: Pipeline | None = None
        self._pipelines = pipelines
        self._stream = stream
        self._ended = False
        self.count_in(metrics)

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
        pipeline = self.pipeline
        if self._end(StatusCode.CANCELLED) and pipeline is not None:
            pipeline.gone()

    def _end(self, code: StatusCode) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.count_out(code)
        if self.pipeline is not None:
            self._pipelines.discard(self.pipeline)
            # Each knows the other: under load nobody searches for such cycles.
            self.pipeline = None
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
