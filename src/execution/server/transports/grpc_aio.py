"""The servicers over grpcio's asyncio server.

Bytes come in raw and are parsed here, so that what is no protobuf message is
INVALID_ARGUMENT and not the INTERNAL that grpcio would make of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from execution.errors import Draining, ExecutionError, SlowReader, StartupError, StatusCode
from execution.ports import Clock
from execution.server.admission import Call, Tokens
from execution.server.observe import CallOutcome, Metrics
from execution.server.servicer import SERVICE, StreamRpc, UnaryRpc
from execution.server.statuses import DETAILS_KEY, not_protobuf, status_of

MESSAGE_BYTES_MAX: Final = 1_048_576
_QUIET_SECONDS: Final = 0.05
_REFUSE_SECONDS_MAX: Final = 1.0
"""How long calls that keep coming are told to go elsewhere before the port closes."""
_FLUSH_SECONDS: Final = 0.25
"""For answers that are written but not sent when the port closes."""

SEND_SECONDS_MAX: Final = 10.0
"""How long a reader of a stream may leave no room for the next message."""
BEGINS_KEY: Final = "resume-token"
"""Initial metadata key of a stream: where it begins."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # A port that is taken is an error, not a port shared in secret.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, Message]"
_Handler: TypeAlias = Callable[[bytes, _Context], Awaitable[Message]]
_StreamHandler: TypeAlias = Callable[[bytes, _Context], Awaitable[None]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM contents; with a client CA, clients must show a certificate of it."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


class GrpcAioTransport:
    """One grpc.aio server; standard generated servicers can be added to `server`."""

    def __init__(self, clock: Clock, metrics: Metrics, tokens: Tokens | None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._tokens = tokens
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._streams: set[asyncio.Timeout] = set()
        """Of every stream that is open; to reschedule it ends the stream."""
        self._draining = False
        self._refused = 0
        self.server = grpc.aio.server(options=_OPTIONS)

    def serve(self, rpcs: Sequence[UnaryRpc | StreamRpc]) -> None:
        """Adds the rpcs of ExecutionService."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            rpc.method: (
                grpc.unary_unary_rpc_method_handler(
                    self._unary(rpc), response_serializer=_serialize
                )
                if isinstance(rpc, UnaryRpc)
                else grpc.unary_stream_rpc_method_handler(
                    self._stream(rpc), response_serializer=_serialize
                )
            )
            for rpc in rpcs
        }
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self.server.add_generic_rpc_handlers((generic,))

    async def start(self, listen: str, tls: Tls | None) -> str:
        """Listens on HOST:PORT (port 0: any) or unix:PATH; returns the address.

        Raises `StartupError` if the address cannot be had.
        """
        try:
            port = (
                self.server.add_insecure_port(listen)
                if tls is None
                else self.server.add_secure_port(listen, _credentials(tls))
            )
        except RuntimeError as error:
            raise StartupError(
                f"--listen {listen}: cannot be used; is it taken? Port 0 picks a free one"
            ) from error
        await self.server.start()
        if listen.startswith("unix:"):
            return listen
        return f"{listen.rpartition(':')[0]}:{port}"

    async def drain(self, seconds: float) -> None:
        """Answers new calls UNAVAILABLE and waits for those under way, for so long at most.

        Streams would never end by themselves: they are ended, UNAVAILABLE, at once.
        The port stays open meanwhile: grpcio cancels what arrives at a closing
        one, and a client cannot tell that from a cancelled order.
        """
        self._draining = True
        for stream in self._streams:
            stream.reschedule(asyncio.get_running_loop().time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _REFUSE_SECONDS_MAX)):
                await self._quiet()

    async def stop(self) -> None:
        """Closes the port and ends what is left, watches of health included."""
        await self.server.stop(_FLUSH_SECONDS)

    async def _quiet(self) -> None:
        """Returns once no call has come for a moment: grpcio queues calls unseen."""
        refused = -1
        while refused != self._refused or self._calls:
            refused = self._refused
            await asyncio.sleep(_QUIET_SECONDS)

    def _unary(self, rpc: UnaryRpc) -> _Handler:
        metrics = self._metrics.rpc(SERVICE, rpc.method)

        async def handle(data: bytes, context: _Context) -> Message:
            with metrics.call() as outcome, self._under_way():
                try:
                    self._require_open()
                    call = self._call(context)
                    reply = await rpc.handle(_parse(rpc.request, data), call)
                except ExecutionError as error:
                    await _abort(context, error, outcome)
                except Exception:  # noqa: BLE001 - the boundary: a bug must not kill the server
                    await _abort_unforeseen(context, rpc.method, outcome)
                outcome.code = StatusCode.OK
                return reply

        return handle

    def _stream(self, rpc: StreamRpc) -> _StreamHandler:
        metrics = self._metrics.rpc(SERVICE, rpc.method, "server_stream")

        async def handle(data: bytes, context: _Context) -> None:
            with metrics.call() as outcome, self._under_way():
                try:
                    self._require_open()
                    async with self._until_drained():
                        request, call = _parse(rpc.request, data), self._call(context)
                        await rpc.handle(request, call, _Replies(context))
                except ExecutionError as error:
                    await _abort(context, error, outcome)
                except Exception:  # noqa: BLE001 - the boundary: a bug must not kill the server
                    await _abort_unforeseen(context, rpc.method, outcome)
                outcome.code = StatusCode.OK

        return handle

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
            raise _draining() from None

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[None]:
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def _require_open(self) -> None:
        if self._draining:
            self._refused += 1
            raise _draining()

    def _call(self, context: _Context) -> Call:
        left = context.time_remaining()
        deadline_ns = (
            None if left is None else self._clock.monotonic_ns() + int(left * 1_000_000_000)
        )
        if self._tokens is None:
            return Call(deadline_ns)
        metadata = dict(context.invocation_metadata() or ())
        authorization = metadata.get("authorization")
        text = authorization if isinstance(authorization, str) else None
        return Call(deadline_ns, self._tokens.users(text))


class _Replies:
    """The way back to the caller of a stream; see `execution.server.servicer.Replies`."""

    def __init__(self, context: _Context) -> None:
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


def _draining() -> Draining:
    return Draining("this replica is shutting down; retry with the same id")


def _parse(kind: type[Message], data: bytes) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise not_protobuf(kind.DESCRIPTOR.full_name) from error


def _serialize(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


async def _abort(context: _Context, error: ExecutionError, outcome: CallOutcome) -> NoReturn:
    outcome.code = error.code
    status = status_of(error)
    trailers: Any = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(_CODES[error.code.value], status.message, trailing_metadata=trailers)


async def _abort_unforeseen(context: _Context, method: str, outcome: CallOutcome) -> NoReturn:
    _log.exception("unforeseen failure in %s", method)
    outcome.code = StatusCode.INTERNAL
    await context.abort(grpc.StatusCode.INTERNAL, "a bug in execution-service; see its log")


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
