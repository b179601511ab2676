"""What the servers of these tests answer, and what their handlers saw."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc

from execution.errors import StatusCode
from execution.server.transports.call import PlainCall, StreamCall
from execution.server.transports.http2.server import Http2Server

NAME: Final = "test.Test"


def path(method: str) -> str:
    return f"/{NAME}/{method}"


class Service:
    """Messages are bytes."""

    def __init__(self) -> None:
        self.entered = 0
        """Calls whose handlers were called, of the kinds that hold."""
        self.gone: list[str] = []
        """Handlers that were told that nobody waits any more, by method."""
        self.open: list[PlainCall | StreamCall] = []
        """Calls of plain handlers that were not answered at once."""
        self.sent = 0
        """Messages that a stream of replies has written."""
        self.changed = asyncio.Event()

    async def until(self, true: Callable[[], object]) -> None:
        """Returns when that is so; looks when a handler has done anything."""
        async with asyncio.timeout(10):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    def add_to(self, server: Http2Server) -> None:
        server.add_plain_handlers(
            NAME, {"Plain": self.plain, "PlainHold": self.plain_hold, "PlainBig": self.plain_big}
        )
        server.add_plain_streams(NAME, {"PlainStream": lambda stream: PlainEcho(self, stream)})
        server.add_registered_method_handlers(
            NAME,
            {
                "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                "Hold": grpc.unary_unary_rpc_method_handler(self.hold),
                "HoldStream": grpc.stream_unary_rpc_method_handler(self.hold_stream),
                "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
                "Replies": grpc.unary_stream_rpc_method_handler(self.replies),
                "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
                "Metadata": grpc.unary_unary_rpc_method_handler(self.metadata),
                "Abort": grpc.unary_unary_rpc_method_handler(self.abort),
                "Raise": grpc.unary_unary_rpc_method_handler(self.raises),
            },
        )

    # Without a task.

    def plain(self, data: bytes, call: PlainCall) -> None:
        call.reply(data)

    def plain_hold(self, _data: bytes, call: PlainCall) -> None:
        self.entered += 1
        self.open.append(call)
        call.on_gone(lambda: self._gone("PlainHold"))
        self.changed.set()

    def plain_big(self, data: bytes, call: PlainCall) -> None:
        call.reply(bytes(int(data)))

    # With a task.

    async def unary(self, data: bytes, _context: Any) -> bytes:
        return data

    async def hold(self, data: bytes, _context: Any) -> bytes:
        await self._hold("Hold")
        return data

    async def hold_stream(self, _requests: AsyncIterator[bytes], _context: Any) -> bytes:
        """Reads nothing."""
        await self._hold("HoldStream")
        return b""

    async def collect(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return b"|".join([message async for message in requests])

    async def replies(self, data: bytes, _context: Any) -> AsyncIterator[bytes]:
        """As `number,bytes` says."""
        number, size = map(int, data.split(b","))
        try:
            for _ in range(number):
                yield bytes(size)
                self.sent += 1
                self.changed.set()
        finally:
            if self.sent < number:
                self._gone("Replies")

    async def chat(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for message in requests:
            yield message

    async def metadata(self, data: bytes, context: Any) -> bytes:
        """Sends what it gets back, before and after."""
        found = [pair for pair in context.invocation_metadata() if pair[0].startswith("x-")]
        await context.send_initial_metadata(found)
        context.set_trailing_metadata(found)
        return data

    async def abort(self, _data: bytes, context: Any) -> bytes:
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            "zu spät, 100 %",
            trailing_metadata=(("grpc-status-details-bin", b"\0\1\2"),),
        )
        raise AssertionError

    async def raises(self, _data: bytes, _context: Any) -> bytes:
        raise LookupError("secret")

    async def _hold(self, method: str) -> None:
        self.entered += 1
        self.changed.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._gone(method)
            raise

    def _gone(self, method: str) -> None:
        self.gone.append(method)
        self.changed.set()


class PlainEcho:
    """Answers each message with itself; b"hold" with nothing, b"fail" with a status."""

    def __init__(self, service: Service, stream: StreamCall) -> None:
        self._service = service
        self._stream = stream
        service.open.append(stream)

    def message(self, data: bytes) -> None:
        self._service.entered += 1
        self._service.changed.set()
        if data == b"fail":
            self._stream.fail(StatusCode.FAILED_PRECONDITION, "as told")
        elif data != b"hold":
            self._stream.send(data)

    def end(self) -> None:
        self._stream.finish()

    def gone(self) -> None:
        self._service.gone.append("PlainStream")
        self._service.changed.set()
