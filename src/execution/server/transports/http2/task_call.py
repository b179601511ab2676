"""A call whose handler is a coroutine.

Its context knows the call, and the call knows its task but not the context: once the task
has ended nothing refers to itself, and all of it goes at once, without a search for garbage.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import grpc

from execution.http2.wire import MetadataItem, WireError
from execution.server.transports.http2.call import ONE_MESSAGE, UNFINISHED, Call, Link
from execution.server.transports.http2.context import Context
from execution.server.transports.http2.request import Request

_NOT_SERIALISED: Final = "the request is not a serialised message of this method"

_log = logging.getLogger(__name__)


class TaskCall(Call):
    """Messages queue for the handler; the client's window opens as they are taken."""

    def open(
        self, link: Link, stream_id: int, request: Request, timeout_seconds: float | None
    ) -> None:
        """Begins the call that this request asks for."""
        super().open(link, stream_id, request, timeout_seconds)
        self.code = grpc.StatusCode.OK
        self.message = ""
        self._messages: deque[bytes] = deque()
        self._queued = 0
        """Bytes of them."""
        self._unacknowledged = 0
        self._waiters: list[asyncio.Future[None]] = []
        """Of the handler, for a message or for room; it may read and write at once."""
        self._task: asyncio.Task[None] | None = None
        self.cancelled = False
        self.on_done: list[Callable[[], None]] = []
        if request.method.request_streaming:
            self._task = link.spawn(self)

    # From the connection.

    def received(self, data: bytes, end_stream: bool) -> None:
        """Takes a part of what the client sends."""
        self._in_turn(self._read_on, data, end_stream)

    def _read_on(self, data: bytes, end_stream: bool) -> None:
        self._unacknowledged += len(data)
        if self.over:
            self._release()
            return
        self.half_closed = end_stream
        try:
            self._take_in(data, end_stream)
        except WireError as error:
            self._release()
            self.refuse(error)

    def dropped(self) -> None:
        """The client is gone, or wants no answer."""
        if not self.over:
            self.cancelled = True
            self.code = grpc.StatusCode.CANCELLED
            super().dropped()
            self._cancel_task()

    def break_off(self, code: grpc.StatusCode, message: str) -> None:
        """Ends the call before its handler does; tells the handler."""
        if not self.over:
            self.cancelled = True
            super().break_off(code, message)
            self._cancel_task()

    def end(self, code: grpc.StatusCode, message: str, metadata: Iterable[MetadataItem]) -> None:
        """Ends the call with this status; nothing if it is over."""
        if not self.over:
            self.code, self.message = code, message
            super().end(code, message, metadata)

    def room_again(self) -> bool:
        """Lets the handler write on if there is room; whether it need not wait any more."""
        room = self.over or self._has_room()
        if room:
            self._wake()
        return room

    async def run(self) -> None:
        """Calls the handler and answers with what it returns."""
        method, context = self.request.method, Context(self)
        try:
            reply = await self._answer(context)
            if not method.response_streaming and self.code is grpc.StatusCode.OK:
                self.write(reply, gzip=context.compresses())
            self.end(self.code, self.message, context.trailing_metadata())
        except grpc.aio.AbortError:
            return
        except WireError as error:
            self.end(error.code, error.message, ())
        except asyncio.CancelledError:
            # Its caller or its server knows why; else the handler itself gave up.
            self.end(grpc.StatusCode.CANCELLED, "the handler gave up", ())
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: a bug must not kill the server
            self._raised(error, context)
        finally:
            self._task = None

    async def _answer(self, context: Context) -> Any:
        method = self.request.method
        assert method.handle is not None, "a method without a handler is plain"
        request = self._requests() if method.request_streaming else self._take()
        if not method.yields:
            return await method.handle(request, context)
        async with contextlib.aclosing(method.handle(request, context)) as replies:
            async for reply in replies:
                await context.write(reply)
        return None

    def _raised(self, error: Exception, context: Context) -> None:
        """A handler that raises may have said before with which status."""
        if self.over:
            return
        if self.code is grpc.StatusCode.OK:
            self.fallen(error)
        else:
            self.end(self.code, self.message, context.trailing_metadata())

    # For the context.

    async def read(self) -> Any:
        """The next message, `grpc.aio.EOF` when there will be none."""
        while not self._messages:
            if self.half_closed or self.over:
                return grpc.aio.EOF
            await self._wait()
        return self._take()

    def write(self, message: Any, *, gzip: bool) -> None:
        """Sends a message. Raises `WireError` if it is too large."""
        serialize = self.request.method.serialize
        data = message if serialize is None else serialize(message)
        self.send(data, gzip=gzip)

    async def room(self) -> None:
        """Waits while the client has too much to read."""
        while not (self.over or self._has_room()):
            self._link.wait_for_room(self)
            await self._wait()

    @property
    def begun(self) -> bool:
        """Whether the headers of the answer are sent."""
        return self._begun

    @property
    def peer(self) -> str:
        """Where the call comes from."""
        return self._link.peer

    # Receiving.

    def _take_in(self, data: bytes, end_stream: bool) -> None:
        messages = self._deframed(data) if data else []
        self._messages += messages
        self._queued += sum(map(len, messages))
        self._keep(self._queued + self._unfinished())
        if end_stream and self._unfinished():
            raise WireError(grpc.StatusCode.INVALID_ARGUMENT, UNFINISHED)
        if self.request.method.request_streaming:
            if not self._messages:
                self._release()
            self._wake()
            return
        self._release()
        if len(self._messages) > 1 or (end_stream and not self._messages):
            raise WireError(grpc.StatusCode.UNIMPLEMENTED, ONE_MESSAGE)
        if end_stream:
            self._task = self._link.spawn(self)

    def _take(self) -> Any:
        message = self._messages.popleft()
        self._queued -= len(message)
        self._keep(self._queued + self._unfinished())
        if not self._messages:
            self._release()
        deserialize = self.request.method.deserialize
        if deserialize is None:
            return message
        try:
            return deserialize(message)
        except Exception as error:
            raise WireError(grpc.StatusCode.INVALID_ARGUMENT, _NOT_SERIALISED) from error

    def _release(self) -> None:
        if self._unacknowledged:
            self._acknowledge(self._unacknowledged)
            self._unacknowledged = 0
            self._link.touch()

    async def _requests(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    # Ending and waiting.

    def _end(self) -> None:
        super()._end()
        self._messages.clear()
        self._release()
        callbacks, self.on_done = self.on_done, []
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the boundary, as above
                _log.exception("a callback of %s raised", self.request.method.path)
        self._wake()

    def _has_room(self) -> bool:
        limits = self._link.limits
        queued = self._link.h2.queued_body_size
        return (
            queued(self.stream_id) <= limits.unsent_bytes_max
            and queued() <= limits.connection_unsent_bytes_max
        )

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _cancel_task(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            # If it has not begun, it never will, and nobody else lets go of it.
            self._task = None
