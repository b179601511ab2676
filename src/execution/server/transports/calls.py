"""What surrounds every call, whatever the transport: drain, tokens, counters, statuses.

Bytes come in raw and are parsed here, so that what is no protobuf message is
INVALID_ARGUMENT and not the INTERNAL that a transport would make of it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from execution._call import Door, Entrance, on_clock
from execution.errors import Draining, StatusCode
from execution.ports import Clock
from execution.server.admission import Call, Tokens
from execution.server.observe import Metrics, RpcMetrics
from execution.server.rpcs import Pipeline, PipelineRpc, PlainRpc, StreamRpc, UnaryRpc
from execution.server.servicer import SERVICE
from execution.server.statuses import not_protobuf
from execution.server.transports.answers import (
    Context,
    ContextReplies,
    PipelineCall,
    status_parts,
)
from execution.server.transports.call import (
    AnyCall,
    Counted,
    PlainHandler,
    PlainStreamHandler,
    StreamCall,
    StreamHandler,
)

_REFUSE_SECONDS: Final = 0.02
"""A stream that is refused is told so after its client's first write: the client of grpc.aio says
INTERNAL, and not what it was told, where the stream has ended before.
"""
_POLL_SECONDS: Final = 0.005
_QUIET_SECONDS: Final = 0.05
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_ANYBODY: Final = Call()

ContextHandler: TypeAlias = Callable[[Any, Context], Coroutine[Any, Any, Any]]


class Calls:
    """The calls of one server: how each is begun, counted, refused and ended."""

    def __init__(self, clock: Clock, metrics: Metrics, tokens: Tokens | None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._tokens = tokens
        self._rpcs: list[RpcMetrics] = []
        self._streams: set[asyncio.Timeout] = set()
        """Of every stream of replies; to reschedule it ends the stream."""
        self._pipelines: set[Pipeline] = set()
        self._door = Door()
        """Closed once the drain begins."""
        self._refused = 0

    # How the rpcs are answered.

    def plain(self, rpc: PlainRpc) -> PlainHandler:
        """A handler for bytes, without a task."""
        return Entrance(
            self._counters(rpc.method),
            rpc.handle,
            _ANYBODY if self._tokens is None else None,
            Call,
            self._clock.monotonic_ns,
            self._call,
            self._door,
            self.require_open,
        )

    def pipeline(self, rpc: PipelineRpc) -> PlainStreamHandler:
        """A handler for a stream of bytes, without a task."""
        metrics = self._counters(rpc.method, "bidi_stream")

        def begin(stream: StreamCall) -> StreamHandler:
            replies = PipelineCall(self._pipelines, metrics, stream)
            try:
                self.require_open()
                replies.pipeline = rpc.open(self._call(stream), replies)
            except Exception as error:  # noqa: BLE001 - as above
                asyncio.get_running_loop().call_later(_REFUSE_SECONDS, replies.fail, error)
            else:
                self._pipelines.add(replies.pipeline)
            return replies

        return begin

    def unary(self, rpc: UnaryRpc) -> ContextHandler:
        """A coroutine for bytes and a context."""
        metrics = self._counters(rpc.method)

        async def handle(data: bytes, context: Context) -> bytes:
            with self._counted(metrics) as outcome:
                try:
                    self.require_open()
                    call = self._call(OfContext(context))
                    reply = await rpc.handle(_parse(rpc.request, data), call)
                except Exception as error:  # noqa: BLE001 - as above
                    await _abort(context, error, outcome)
                outcome.code = StatusCode.OK
                return serialize(reply)

        return handle

    def stream(self, rpc: StreamRpc) -> ContextHandler:
        """A coroutine for bytes and a context that many replies go to."""
        metrics = self._counters(rpc.method, "server_stream")

        async def handle(data: bytes, context: Context) -> None:
            with self._counted(metrics) as outcome:
                try:
                    self.require_open()
                    async with self._until_drained():
                        call = self._call(OfContext(context))
                        await rpc.handle(_parse(rpc.request, data), call, ContextReplies(context))
                except Exception as error:  # noqa: BLE001 - as above
                    await _abort(context, error, outcome)
                outcome.code = StatusCode.OK

        return handle

    # How they end.

    async def drain(self, seconds: float) -> None:
        """Ends streams, refuses new calls, and waits for those under way, for so long at most."""
        self._door.closed = True
        for stream in self._streams:
            stream.reschedule(asyncio.get_running_loop().time())
        for pipeline in list(self._pipelines):
            pipeline.drain(draining())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.under_way:  # noqa: ASYNC110 - too seldom for an event at every end
                    await asyncio.sleep(_POLL_SECONDS)

    async def quiet(self, seconds: float) -> None:
        """Returns once no call has come for a moment, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                refused = -1
                while refused != self._refused or self.under_way:
                    refused = self._refused
                    await asyncio.sleep(_QUIET_SECONDS)

    def require_open(self) -> None:
        """Raises `Draining`."""
        if self._door.closed:
            self._refused += 1
            raise draining()

    @property
    def under_way(self) -> int:
        """How many calls are not answered."""
        return sum(rpc.under_way for rpc in self._rpcs)

    def _counters(self, method: str, kind: str = "unary") -> RpcMetrics:
        metrics = self._metrics.rpc(SERVICE, method, kind)
        self._rpcs.append(metrics)
        return metrics

    @contextlib.asynccontextmanager
    async def _until_drained(self) -> AsyncIterator[None]:
        """Breaks off what is inside when the drain begins. Raises `Draining`."""
        stream = asyncio.timeout(None)
        try:
            async with stream:
                self._streams.add(stream)
                try:
                    yield
                finally:
                    self._streams.discard(stream)
        except TimeoutError:
            if not stream.expired():
                raise
            raise draining() from None

    @contextlib.contextmanager
    def _counted(self, metrics: RpcMetrics) -> Iterator["_Outcome"]:
        """CANCELLED unless somebody knows better."""
        outcome = _Outcome()
        outcome.count_in(metrics)
        try:
            yield outcome
        finally:
            outcome.count_out(outcome.code)

    def _call(self, call: AnyCall) -> Call:
        deadline = call.deadline
        if deadline is None and self._tokens is None:
            return _ANYBODY
        deadline_ns = None
        if deadline is not None:
            deadline_ns = on_clock(deadline, self._clock.monotonic_ns)
        if self._tokens is None:
            return Call(deadline_ns)
        return Call(deadline_ns, self._tokens.users(call.header("authorization")))


class _Outcome(Counted):
    """How a call ended."""

    def __init__(self) -> None:
        self.code = StatusCode.CANCELLED


class OfContext:
    """What `Calls` asks of a call, asked of a context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def deadline(self) -> float | None:
        """On the event loop's clock, None if the caller set none."""
        left = self._context.time_remaining()
        return None if left is None else asyncio.get_running_loop().time() + left

    def header(self, name: str) -> str | None:
        """The value of the caller's metadata with this key; None if there is none, or several."""
        metadata = self._context.invocation_metadata() or ()
        values = [value for key, value in metadata if key == name]
        return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def draining() -> Draining:
    """Why a call is not taken."""
    return Draining("this replica is shutting down; retry with the same id")


def serialize(message: Message) -> bytes:
    """The bytes of a reply; equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)


def rpc_code(code: StatusCode) -> grpc.StatusCode:
    """The same code as grpcio names it."""
    return _CODES[code.value]


def _parse(kind: type[Message], data: bytes) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise not_protobuf(kind.DESCRIPTOR.full_name) from error


async def _abort(context: Context, error: Exception, outcome: _Outcome) -> NoReturn:
    code, message, metadata = status_parts(error)
    outcome.code = code
    trailers: Any = metadata
    await context.abort(rpc_code(code), message, trailing_metadata=trailers)
    raise AssertionError("an aborted call went on")
