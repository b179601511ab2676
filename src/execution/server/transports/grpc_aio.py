"""The servicers over grpcio's asyncio server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc

from execution.errors import StartupError, StatusCode
from execution.server.rpcs import PipelineRpc, PlainRpc, Rpc, UnaryRpc
from execution.server.servicer import SERVICE
from execution.server.transports.answers import status_parts
from execution.server.transports.call import (
    AGE_GRACE_SECONDS,
    MESSAGE_BYTES_MAX,
    REPLY_BYTES_MAX,
    Counted,
    Metadata,
    PlainHandler,
    PlainStreamHandler,
)
from execution.server.transports.calls import Calls, ContextHandler, OfContext, rpc_code, serialize
from execution.server.transports.tls import Tls

STREAM_UNANSWERED_MAX: Final = 1_024
"""Requests of one stream under way; more are read once some are answered."""

_REFUSE_SECONDS_MAX: Final = 1.0
"""How long calls that keep coming are told to go elsewhere before the port closes."""
_HOLD_SECONDS: Final = 0.1
"""In which who was told last is back, if he repeats at once."""
_FLUSH_SECONDS: Final = 0.25
"""For answers that are written but not sent when the port closes."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", REPLY_BYTES_MAX),
    ("grpc.keepalive_permit_without_calls", 1),
    # Bursts wait: who is one too many is told so by `--max-in-flight`, with details.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GrpcAioTransport:
    """One grpc.aio server; standard generated servicers can be added to `server`."""

    def __init__(
        self, calls: Calls, *, age_seconds_max: float | None = None, share_port: bool = False
    ) -> None:
        self._calls = calls
        # A port that is taken is an error, not a port shared in secret.
        options = [*_OPTIONS, ("grpc.so_reuseport", int(share_port))]
        if age_seconds_max is not None:
            options.append(("grpc.max_connection_age_ms", int(age_seconds_max * 1_000)))
            options.append(("grpc.max_connection_age_grace_ms", int(AGE_GRACE_SECONDS * 1_000)))
        self.server = grpc.aio.server(options=options)
        self._held: asyncio.Future[None] | None = None
        """What calls wait for that come when the port is about to close."""
        self._holds = 0

    def serve(self, rpcs: Sequence[Rpc]) -> None:
        """Adds the rpcs of ExecutionService."""
        handlers = {rpc.method: self._handler(rpc) for rpc in rpcs}
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, handlers),)
        )

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
        await self._calls.drain(seconds)
        # grpcio queues calls unseen.
        await self._calls.quiet(min(seconds, _REFUSE_SECONDS_MAX))
        # Callers who repeat at once are never quiet. Their next call is told the same when the
        # port has closed, so that they are back on a connection of which they know that it ends.
        self._held = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REFUSE_SECONDS_MAX):
                held = -1
                while held != self._holds:
                    held = self._holds
                    await asyncio.sleep(_HOLD_SECONDS)

    async def stop(self) -> None:
        """Closes the port and ends what is left, watches of health included."""
        stopping = asyncio.ensure_future(self.server.stop(_FLUSH_SECONDS))
        if self._held is not None and not self._held.done():
            await asyncio.sleep(0)
            self._held.set_result(None)
        await stopping

    def _handler(self, rpc: Rpc) -> "grpc.RpcMethodHandler[Any, Any]":
        calls, held = self._calls, self._unless_closing
        if isinstance(rpc, PlainRpc):
            return grpc.unary_unary_rpc_method_handler(held(_awaited(calls.plain(rpc))))
        if isinstance(rpc, PipelineRpc):
            return grpc.stream_stream_rpc_method_handler(held(_streamed(calls.pipeline(rpc))))
        if isinstance(rpc, UnaryRpc):
            return grpc.unary_unary_rpc_method_handler(held(calls.unary(rpc)))
        return grpc.unary_stream_rpc_method_handler(
            held(calls.stream(rpc)), response_serializer=serialize
        )

    def _unless_closing(self, handle: ContextHandler) -> ContextHandler:
        async def handle_or_wait(request: Any, context: Any) -> Any:
            if self._held is not None:
                self._holds += 1
                await asyncio.shield(self._held)
            return await handle(request, context)

        return handle_or_wait


class _Ended(Exception):
    """How a call ended that was not answered OK."""

    def __init__(self, code: StatusCode, message: str, metadata: Metadata) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.metadata = metadata

    async def abort(self, context: _Context) -> None:
        """Tells the caller."""
        trailers: Any = self.metadata
        await context.abort(rpc_code(self.code), self.message, trailing_metadata=trailers)


class _Call(Counted, OfContext):
    """`call.PlainCall` over a context; `answer` is what it came to."""

    def __init__(self, context: _Context) -> None:
        super().__init__(context)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.gone: list[Callable[[], object]] = []

    def reply(self, message: bytes) -> None:
        self.count_out(StatusCode.OK)
        if not self.answer.done():
            self.answer.set_result(message)

    def fail(self, error: Exception) -> None:
        code, message, metadata = status_parts(error)
        self.count_out(code)
        if not self.answer.done():
            self.answer.set_exception(_Ended(code, message, metadata))

    def on_gone(self, callback: Callable[[], object]) -> None:
        if not self.answer.done():
            self.gone.append(callback)


def _awaited(handle: PlainHandler) -> ContextHandler:
    async def unary(data: bytes, context: _Context) -> bytes:
        call = _Call(context)
        handle(data, call)
        try:
            return await call.answer
        except _Ended as ended:
            await ended.abort(context)
            raise
        except asyncio.CancelledError:
            for callback in call.gone:
                callback()
            raise

    return unary


class _Stream(OfContext):
    """`call.StreamCall` over a context; what it sends waits in `answers`."""

    def __init__(self, context: _Context) -> None:
        super().__init__(context)
        self.answers: asyncio.Queue[bytes | _Ended | None] = asyncio.Queue()
        self.room = asyncio.Semaphore(STREAM_UNANSWERED_MAX)

    def send(self, message: bytes) -> None:
        self.answers.put_nowait(message)

    def finish(self) -> None:
        self.answers.put_nowait(None)

    def fail(self, code: StatusCode, message: str, metadata: Metadata = ()) -> None:
        self.answers.put_nowait(_Ended(code, message, metadata))


def _streamed(begin: PlainStreamHandler) -> Any:
    async def stream(requests: AsyncIterator[bytes], context: _Context) -> None:
        stream = _Stream(context)
        handler = begin(stream)

        async def read() -> None:
            async for data in requests:
                await stream.room.acquire()
                handler.message(data)
            handler.end()

        reading = asyncio.create_task(read())
        try:
            while (answer := await stream.answers.get()) is not None:
                if isinstance(answer, _Ended):
                    await answer.abort(context)
                    return
                await context.write(answer)
                stream.room.release()
        finally:
            handler.gone()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    return stream


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
