"""The same handlers under grpc.aio and under our server: callers and handlers see the same."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.server import Http2Server

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Run: TypeAlias = Callable[[Handler], AbstractAsyncContextManager["grpc.aio.Channel"]]
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # the one that grpc.aio knows best
NAME: Final = "test.Contexts"
METHOD: Final = f"/{NAME}/Method"
CODE: Final = grpc.StatusCode.FAILED_PRECONDITION


def grpcio_server() -> grpc.aio.Server:
    return grpc.aio.server(options=(("grpc.so_reuseport", 0),))


async def start(server: Any) -> str:
    if isinstance(server, Http2Server):
        return await server.start("127.0.0.1:0")
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return f"127.0.0.1:{port}"


@pytest.fixture(params=[grpcio_server, Http2Server], ids=["grpcio", "http2"])
def server(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return request.param  # type: ignore[no-any-return]  # a fixture's is Any


@pytest.fixture
def run(server: Callable[[], Any]) -> Run:
    """Serves one handler, and gives a channel to it."""

    @asynccontextmanager
    async def running(handler: Handler) -> AsyncIterator[grpc.aio.Channel]:
        one = server()
        one.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(NAME, {"Method": handler}),)
        )
        address = await start(one)
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
        await one.stop(None)

    return running


class Outcome:
    """Of one unary call."""

    def __init__(self) -> None:
        self.reply: bytes | None = None
        self.code = grpc.StatusCode.OK
        self.details: str | None = ""
        self.initial: dict[str, str | bytes] = {}
        self.trailing: dict[str, str | bytes] = {}


async def call(
    channel: grpc.aio.Channel, request: bytes = b"x", **options: Any
) -> tuple[Outcome, Any]:
    outcome = Outcome()
    method: Any = channel.unary_unary(METHOD)
    under_way = method(request, **options)
    try:
        outcome.reply = await under_way
    except grpc.aio.AioRpcError:
        outcome.reply = None
    outcome.code, outcome.details = await under_way.code(), await under_way.details()
    outcome.initial = dict(await under_way.initial_metadata())
    outcome.trailing = dict(await under_way.trailing_metadata())
    return outcome, under_way


async def stream(channel: grpc.aio.Channel, request: bytes = b"x") -> tuple[list[bytes], Any]:
    method: Any = channel.unary_stream(METHOD)
    under_way = method(request)
    replies = []
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for reply in under_way:
            replies.append(reply)  # noqa: PERF401 - what came before an error counts
    return replies, under_way


unary = grpc.unary_unary_rpc_method_handler
unary_stream = grpc.unary_stream_rpc_method_handler
stream_stream = grpc.stream_stream_rpc_method_handler
stream_unary = grpc.stream_unary_rpc_method_handler


async def test_a_reply(run: Run) -> None:
    async def handle(request: bytes, _context: Any) -> bytes:
        return request

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel, b"hello")
    assert (outcome.reply, outcome.code, outcome.details) == (b"hello", grpc.StatusCode.OK, "")


async def test_abort(run: Run) -> None:
    seen: list[Any] = []

    async def handle(_request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda context: seen.append(context.code()))
        try:
            await context.abort(CODE, "no, 100 % ü", trailing_metadata=(("x-why", "so"),))
        except grpc.aio.AbortError as error:
            seen.append(type(error))
            raise
        return b""

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
        async with asyncio.timeout(5):
            # grpcio calls it once the client has its answer, now or a moment later.
            while len(seen) < 2:
                await asyncio.sleep(0.001)
    assert (outcome.reply, outcome.code, outcome.details) == (None, CODE, "no, 100 % ü")
    assert outcome.trailing["x-why"] == "so"
    assert grpc.aio.AbortError in seen
    assert len(seen) == 2, "the callback was called"


async def test_abort_keeps_metadata_that_was_set_before(run: Run) -> None:
    async def handle(_request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-before", "1"),))
        await context.abort(CODE, "")
        return b""

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert (outcome.code, outcome.trailing["x-before"]) == (CODE, "1")


async def test_abort_with_a_rich_status(run: Run) -> None:
    info = error_details_pb2.ErrorInfo(reason="WHY", domain="test")
    rich = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="rich")
    rich.details.add().Pack(info)

    class Rich(grpc.Status):
        code = CODE
        details = rich.message
        trailing_metadata = (("grpc-status-details-bin", rich.SerializeToString()),)

    async def handle(_request: bytes, context: Any) -> bytes:
        await context.abort_with_status(Rich())
        return b""

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert (outcome.code, outcome.details) == (CODE, "rich")
    assert outcome.trailing["grpc-status-details-bin"] == rich.SerializeToString()


async def test_code_and_details_without_abort(run: Run) -> None:
    async def handle(_request: bytes, context: Any) -> bytes:
        context.set_code(CODE)
        context.set_details("as set")
        assert (context.code(), context.details()) == (CODE, "as set")
        return b"not sent"

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert (outcome.reply, outcome.code, outcome.details) == (None, CODE, "as set")


async def test_an_exception_is_unknown(run: Run) -> None:
    async def handle(_request: bytes, _context: Any) -> bytes:
        raise LookupError("of a handler")

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert outcome.code is grpc.StatusCode.UNKNOWN
    assert (outcome.details or "").startswith("Unexpected")


async def test_an_exception_after_a_code_has_that_code(run: Run) -> None:
    async def handle(_request: bytes, context: Any) -> bytes:
        context.set_code(CODE)
        context.set_details("known before")
        context.set_trailing_metadata((("x-also", "1"),))
        raise LookupError("of a handler")

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert outcome.code is CODE
    # grpcio puts the exception here, which is not for strangers to read.
    assert outcome.details in {"known before", "Unexpected <class 'LookupError'>: of a handler"}
    assert outcome.trailing["x-also"] == "1"


async def test_metadata_both_ways(run: Run) -> None:
    async def handle(request: bytes, context: Any) -> bytes:
        sent = [pair for pair in context.invocation_metadata() if pair[0].startswith("x-")]
        await context.send_initial_metadata(sent)
        context.set_trailing_metadata(tuple(sent))
        assert tuple(context.trailing_metadata()) == tuple(sent)
        return request

    metadata = (("x-text", "a, b"), ("x-raw-bin", bytes(range(256))))
    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel, metadata=metadata)
    assert outcome.reply == b"x"
    for found in (outcome.initial, outcome.trailing):
        assert [found["x-text"], found["x-raw-bin"]] == ["a, b", bytes(range(256))]


async def test_initial_metadata_is_sent_once(run: Run) -> None:
    seen: list[str] = []

    async def handle(request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("x-first", "1"),))
        try:
            await context.send_initial_metadata((("x-second", "2"),))
        except Exception:  # noqa: BLE001 - grpcio has its own
            seen.append("refused")
        return request

    async with run(unary(handle)) as channel:
        outcome, _ = await call(channel)
    assert seen == ["refused"]
    assert (outcome.reply, outcome.initial["x-first"]) == (b"x", "1")


async def test_the_user_agent_and_peer_are_told(run: Run) -> None:
    seen: list[str] = []

    async def handle(request: bytes, context: Any) -> bytes:
        seen.append(dict(context.invocation_metadata())["user-agent"])
        seen.append(context.peer())
        return request

    async with run(unary(handle)) as channel:
        await call(channel)
    assert seen[0].startswith("grpc-python-asyncio/")
    assert seen[1].startswith("ipv4:127.0.0.1:")


async def test_time_remaining(run: Run) -> None:
    seen: list[float | None] = []

    async def handle(request: bytes, context: Any) -> bytes:
        seen.append(context.time_remaining())
        return request

    async with run(unary(handle)) as channel:
        await call(channel, timeout=50)
        await call(channel)
    assert seen[0] is not None
    assert 40 < seen[0] <= 50.1
    assert seen[1] is None


@pytest.mark.parametrize("end", ["deadline", "cancel"])
async def test_a_handler_learns_that_nobody_waits(run: Run, end: str) -> None:
    began, cancelled, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(_request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda _: done.set())
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    async with run(unary(handle)) as channel, asyncio.timeout(10):
        method: Any = channel.unary_unary(METHOD)
        under_way = method(b"x", timeout=0.2 if end == "deadline" else None)
        await began.wait()
        if end == "cancel":
            under_way.cancel()
        await cancelled.wait()
        await done.wait()
        code = await under_way.code()
    expected = {"deadline": "DEADLINE_EXCEEDED", "cancel": "CANCELLED"}
    assert code is grpc.StatusCode[expected[end]]


async def test_done_callbacks_are_called_at_the_end(run: Run) -> None:
    seen: list[Any] = []
    done = asyncio.Event()

    async def handle(request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda one: seen.append(one is context))
        context.add_done_callback(lambda _: done.set())
        assert not context.done()
        assert not context.cancelled()
        return request

    async with run(unary(handle)) as channel, asyncio.timeout(10):
        await call(channel)
        await done.wait()
    assert seen == [True]


async def test_a_stream_by_yields(run: Run) -> None:
    async def handle(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number
        context.set_trailing_metadata((("x-end", "1"),))

    async with run(unary_stream(handle)) as channel:
        replies, under_way = await stream(channel)
        assert dict(await under_way.trailing_metadata())["x-end"] == "1"
    assert replies == [b"0", b"1", b"2"]


async def test_a_stream_by_writes(run: Run) -> None:
    async def handle(_request: bytes, context: Any) -> None:
        for number in range(3):
            await context.write(b"%d" % number)

    async with run(unary_stream(handle)) as channel:
        replies, under_way = await stream(channel)
        assert await under_way.code() is grpc.StatusCode.OK
    assert replies == [b"0", b"1", b"2"]


@pytest.mark.parametrize("how", ["abort", "set_code", "raise"])
async def test_a_stream_may_fail_after_replies(run: Run, how: str) -> None:
    async def handle(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        if how == "abort":
            await context.abort(CODE, "then")
        context.set_code(CODE)
        context.set_details("then")
        if how == "raise":
            raise LookupError

    async with run(unary_stream(handle)) as channel:
        replies, under_way = await stream(channel)
        assert await under_way.code() is CODE
        assert how == "raise" or await under_way.details() == "then"
    assert replies == [b"first"]


async def test_a_chat_by_iterating_and_by_reading(run: Run) -> None:
    async def iterate(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def read(_requests: Any, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request)

    for handle in (iterate, read):
        async with run(stream_stream(handle)) as channel:
            chat: Any = channel.stream_stream(METHOD)()
            for number in range(3):
                await chat.write(b"%d" % number)
                assert await chat.read() == b"%d" % number
            await chat.done_writing()
            assert await chat.read() is grpc.aio.EOF
            assert await chat.code() is grpc.StatusCode.OK


async def test_a_handler_may_read_and_write_at_once(run: Run) -> None:
    async def handle(_requests: Any, context: Any) -> None:
        async def read() -> None:
            while await context.read() is not grpc.aio.EOF:
                pass

        reading = asyncio.create_task(read())
        for _ in range(200):
            await context.write(bytes(10_000))
        await reading

    async with run(stream_stream(handle)) as channel, asyncio.timeout(20):
        chat: Any = channel.stream_stream(METHOD)()
        for _ in range(50):
            await chat.write(bytes(10_000))
        received = 0
        while received < 200 and await chat.read() is not grpc.aio.EOF:
            received += 1
        await chat.done_writing()
        assert await chat.code() is grpc.StatusCode.OK
    assert received == 200


@pytest.mark.parametrize("asked", [grpc.Compression.Gzip, grpc.Compression.NoCompression, None])
async def test_compression(run: Run, asked: grpc.Compression | None) -> None:
    async def handle(request: bytes, context: Any) -> bytes:
        if asked is not None:
            context.set_compression(asked)
        return request

    for sent in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        async with run(unary(handle)) as channel:
            outcome, _ = await call(channel, b"again " * 10_000, compression=sent)
        assert outcome.reply == b"again " * 10_000


async def test_a_request_that_cannot_be_read_is_the_callers_fault(server: Any) -> None:
    """grpcio says UNKNOWN; ours says whose fault it is."""
    one = server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), one)
    address = await start(one)
    async with grpc.aio.insecure_channel(address) as channel:
        method: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"\xff\xff")
    await one.stop(None)
    ours = isinstance(one, Http2Server)
    expected = grpc.StatusCode.INVALID_ARGUMENT if ours else grpc.StatusCode.UNKNOWN
    assert caught.value.code() is expected


# Handlers that are no coroutines.


async def test_handlers_in_threads(run: Run) -> None:
    def one(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-thread", "1"),))
        return request

    async with run(unary(one)) as channel:
        outcome, _ = await call(channel)
    assert (outcome.reply, outcome.trailing["x-thread"]) == (b"x", "1")

    def fail(_request: bytes, context: Any) -> bytes:
        context.abort(CODE, "from a thread")
        return b""

    async with run(unary(fail)) as channel:
        outcome, _ = await call(channel)
    assert (outcome.code, outcome.details) == (CODE, "from a thread")


async def test_contexts_in_threads_are_those_of_threaded_grpcio() -> None:
    """More than grpc.aio gives such handlers: all that servicers for threads ask."""
    seen: list[Any] = []
    resumed, ended = threading.Event(), threading.Event()

    def handle(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        seen.append((context.is_active(), 0 < context.time_remaining() <= 30.1))
        seen.append(context.add_callback(ended.set))
        yield next(requests)
        resumed.set()
        try:
            next(requests)
        except grpc.RpcError:
            seen.append(context.is_active())
            seen.append(ended.wait(10))

    def bug(_request: bytes, _context: Any) -> bytes:
        raise StopIteration

    server = Http2Server()
    handlers: dict[str, Handler] = {"Method": stream_stream(handle), "Bug": unary(bug)}
    server.add_registered_method_handlers(NAME, handlers)
    address = await start(server)
    async with grpc.aio.insecure_channel(address) as channel:
        method: Any = channel.stream_stream(METHOD)
        chat = method(timeout=30)
        await chat.write(b"x")
        assert await chat.read() == b"x"
        assert await asyncio.to_thread(resumed.wait, 10)
        chat.cancel()
        buggy: Any = channel.unary_unary(f"/{NAME}/Bug")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await buggy(b"x")
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    await server.stop()
    assert seen == [(True, True), True, False, True]


async def test_calls_in_threads_are_bounded() -> None:
    free = threading.Event()

    def handle(request: bytes, _context: Any) -> bytes:
        free.wait(10)
        return request

    server = Http2Server(Limits(threads_max=2))
    server.add_registered_method_handlers(NAME, {"Method": unary(handle)})
    address = await start(server)
    async with grpc.aio.insecure_channel(address) as channel:
        method: Any = channel.unary_unary(METHOD)
        calls = [method(b"%d" % number) for number in range(3)]
        done, held = await asyncio.wait(
            [asyncio.ensure_future(one.code()) for one in calls],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert [one.result() for one in done] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
        free.set()
        assert [await one for one in held] == [grpc.StatusCode.OK] * 2
    await server.stop()


async def test_streams_in_threads(run: Run) -> None:
    def chat(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        yield from requests

    async with run(stream_stream(chat)) as channel:
        method: Any = channel.stream_stream(METHOD)
        under_way = method(iter([b"a", b"b"]))
        assert [reply async for reply in under_way] == [b"a", b"b"]

    def collect(requests: Iterator[bytes], _context: Any) -> bytes:
        return b"|".join(requests)

    async with run(stream_unary(collect)) as channel:
        method = channel.stream_unary(METHOD)
        assert await method(iter([b"a", b"b"])) == b"a|b"


async def test_standard_services(server: Any) -> None:
    """Health as asyncio has it, and reflection, which picks a servicer in threads for ours."""
    one = server()
    checks = health.aio.HealthServicer()
    await checks.set("up", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, one)
    reflection.enable_server_reflection(["grpc.health.v1.Health"], one)
    address = await start(one)
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(service="up"))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="up"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await checks.set("up", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        of_channel: Any = reflection_pb2_grpc.ServerReflectionStub
        chat = of_channel(channel).ServerReflectionInfo()
        messages: Any = reflection_pb2
        await chat.write(messages.ServerReflectionRequest(list_services=""))
        names = [service.name for service in (await chat.read()).list_services_response.service]
        await chat.done_writing()
    assert names == ["grpc.health.v1.Health"]
    await one.stop(None)
