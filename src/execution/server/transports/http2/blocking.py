"""Handlers that are no coroutines run in threads, as they do on a grpc.aio server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc

from execution.http2.wire import WireError

_NOTHING: Final = object()
_STOPPED: Final = object()
_POLL_SECONDS: Final = 0.005
_BUSY: Final = "all threads for calls of this kind are in use"


class Threads:
    """Of one server, for such handlers alone: whoever else needs a thread is not kept waiting."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._pool = ThreadPoolExecutor(calls_max, "grpc-handler")
        self._calls: set[_Call] = set()
        """Those that hold a thread, or may want one again."""

    def run(
        self, handle: Callable[[Any, Any], Any], request_streaming: bool, response_streaming: bool
    ) -> Callable[[Any, Any], Any]:
        """The same handler as a coroutine function, or an asynchronous generator."""

        async def begin(call: _Call, request: Any, context: Any) -> Any:
            loop = asyncio.get_running_loop()
            if request_streaming:
                request = _Requests(loop, context)
            return await call.run(handle, request, _Context(loop, context))

        async def unary(request: Any, context: Any) -> Any:
            with self._call() as call:
                return await begin(call, request, context)

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._call() as call:
                replies = iter(await begin(call, request, context))
                while (reply := await call.run(next, replies, _NOTHING)) is not _NOTHING:
                    yield reply

        return stream if response_streaming else unary

    async def stop(self, seconds: float) -> None:
        """Waits for handlers whose calls have ended, for so long at most."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._calls:  # noqa: ASYNC110 - they end in threads
                    await asyncio.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _call(self) -> Iterator["_Call"]:
        if len(self._calls) >= self._calls_max:
            raise WireError(grpc.StatusCode.RESOURCE_EXHAUSTED, _BUSY)
        call = _Call(self._pool)
        self._calls.add(call)
        try:
            yield call
        finally:
            # A thread cannot be cancelled, only not waited for: it is free once it comes back.
            call.when_free(lambda: self._calls.discard(call))


class _Call:
    """One call's use of threads, one at a time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: Future[Any] | None = None

    async def run(self, do: Callable[..., Any], *what: Any) -> Any:
        self._running = self._pool.submit(_unless_stopped, do, *what)
        reply = await asyncio.wrap_future(self._running)
        if reply is _STOPPED:
            raise RuntimeError("a handler raised StopIteration")
        return reply

    def when_free(self, then: Callable[[], None]) -> None:
        if self._running is None:
            then()
        else:
            self._running.add_done_callback(lambda _: then())


def _unless_stopped(do: Callable[..., Any], *what: Any) -> Any:
    """No future can hold a StopIteration."""
    try:
        return do(*what)
    except StopIteration:
        return _STOPPED


class _Cancelled(grpc.RpcError):
    """What a handler meets that reads on although its caller is gone."""


class _Requests(Iterator[Any]):
    """The messages of a client, waited for in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Any) -> None:
        self._loop = loop
        self._context = context

    def __next__(self) -> Any:
        message = asyncio.run_coroutine_threadsafe(self._context.read(), self._loop).result()
        if message is grpc.aio.EOF:
            if self._context.cancelled():
                raise _Cancelled
            raise StopIteration
        return message


class _Context:
    """A context as handlers in threads expect it: what waits, waits there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Any) -> None:
        self._loop = loop
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Ends the call with this status."""
        self._run(self._context.abort(code, details))
        raise AssertionError("an aborted call went on")

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """As `abort`."""
        self._run(self._context.abort_with_status(status))
        raise AssertionError("an aborted call went on")

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Sends headers now, before any message."""
        self._run(self._context.send_initial_metadata(initial_metadata))

    def is_active(self) -> bool:
        """Whether the caller still waits."""
        return not self._context.done()

    def time_remaining(self) -> float | None:
        """Until the caller's deadline, None if it set none."""

        async def ask() -> float | None:
            left: float | None = self._context.time_remaining()
            return left

        left: float | None = self._run(ask())
        return left

    def cancel(self) -> None:
        """Ends the call, CANCELLED."""
        with contextlib.suppress(grpc.aio.AbortError):
            self._run(self._context.abort(grpc.StatusCode.CANCELLED, "cancelled by the handler"))

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Calls this when the call is over; whether it will."""

        async def add() -> bool:
            if self._context.done():
                return False
            self._context.add_done_callback(lambda _: callback())
            return True

        return bool(self._run(add()))

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()
