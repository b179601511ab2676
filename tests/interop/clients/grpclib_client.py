"""The cases by grpclib, which has HTTP/2 from h2 and nothing from the gRPC project."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from grpclib import GRPCError, Status
from grpclib.client import (
    Channel,
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from interop import cases
from interop.cases import CALL_SECONDS, zeros
from interop.clients import requests as req
from interop.clients.requests import METADATA, size_of
from interop.clients.running import certificate, chosen, expect, reported, target
from interop.v1.testing_pb2 import (
    Empty,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

SERVICE: Final = "/grpc.testing.TestService"


async def main() -> None:
    async with channel_to(target(), certificate()) as channel:
        for case in chosen(CASES):
            with reported(case):
                await case(channel)


def channel_to(address: str, certificate: bytes | None) -> Channel:
    if address.startswith("unix:"):
        return Channel(path=address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    if certificate is None:
        return Channel(host, int(port))
    context = ssl.create_default_context(cadata=certificate.decode())
    context.set_alpn_protocols(["h2"])
    return Channel(host, int(port), ssl=context)


def empty_call(
    channel: Channel, path: str = f"{SERVICE}/EmptyCall"
) -> UnaryUnaryMethod[Empty, Empty]:
    return UnaryUnaryMethod(channel, path, Empty, Empty)


def unary_call(channel: Channel) -> UnaryUnaryMethod[SimpleRequest, SimpleResponse]:
    return UnaryUnaryMethod(channel, f"{SERVICE}/UnaryCall", SimpleRequest, SimpleResponse)


def input_call(
    channel: Channel,
) -> StreamUnaryMethod[StreamingInputCallRequest, StreamingInputCallResponse]:
    path = f"{SERVICE}/StreamingInputCall"
    return StreamUnaryMethod(channel, path, StreamingInputCallRequest, StreamingInputCallResponse)


def output_call(
    channel: Channel,
) -> UnaryStreamMethod[StreamingOutputCallRequest, StreamingOutputCallResponse]:
    path = f"{SERVICE}/StreamingOutputCall"
    return UnaryStreamMethod(channel, path, StreamingOutputCallRequest, StreamingOutputCallResponse)


def duplex_call(
    channel: Channel,
) -> StreamStreamMethod[StreamingOutputCallRequest, StreamingOutputCallResponse]:
    path = f"{SERVICE}/FullDuplexCall"
    request = StreamingOutputCallRequest
    return StreamStreamMethod(channel, path, request, StreamingOutputCallResponse)


async def empty_unary(channel: Channel) -> None:
    expect(await empty_call(channel)(Empty(), timeout=CALL_SECONDS), Empty())


async def large_unary(channel: Channel) -> None:
    response = await unary_call(channel)(req.large(), timeout=CALL_SECONDS)
    expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


async def server_compressed_unary(channel: Channel) -> None:
    """It announces no compression, so that the server may not use any."""
    request = req.large()
    request.response_compressed.value = True
    response = await unary_call(channel)(request, timeout=CALL_SECONDS)
    expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


async def client_streaming(channel: Channel) -> None:
    requests = list(req.inputs(cases.REQUEST_BYTES, compressed=False))
    response = await input_call(channel)(requests, timeout=CALL_SECONDS)
    expect(response.aggregated_payload_size, sum(cases.REQUEST_BYTES))


async def server_streaming(channel: Channel) -> None:
    request = req.outputs(cases.RESPONSE_BYTES)
    responses = await output_call(channel)(request, timeout=CALL_SECONDS)
    expect(tuple(map(size_of, responses)), cases.RESPONSE_BYTES)


async def server_compressed_streaming(channel: Channel) -> None:
    """As for the unary one."""
    request = req.compressed_outputs(cases.COMPRESSED_RESPONSE_BYTES)
    responses = await output_call(channel)(request, timeout=CALL_SECONDS)
    expect(tuple(map(size_of, responses)), cases.COMPRESSED_RESPONSE_BYTES)


async def ping_pong(channel: Channel) -> None:
    async with duplex_call(channel).open(timeout=CALL_SECONDS) as stream:
        for ping, pong in zip(cases.REQUEST_BYTES, cases.RESPONSE_BYTES, strict=True):
            await stream.send_message(req.ping(ping, pong))
            response = await stream.recv_message()
            assert response is not None
            expect(size_of(response), pong)
        await stream.end()
        expect(await stream.recv_message(), None)


async def empty_stream(channel: Channel) -> None:
    async with duplex_call(channel).open(timeout=CALL_SECONDS) as stream:
        await stream.send_request(end=True)
        expect(await stream.recv_message(), None)


async def custom_metadata(channel: Channel) -> None:
    async with unary_call(channel).open(timeout=CALL_SECONDS, metadata=METADATA) as unary:
        await unary.send_message(req.large(), end=True)
        await unary.recv_message()
        await unary.recv_trailing_metadata()
    expect_metadata(unary)
    async with duplex_call(channel).open(timeout=CALL_SECONDS, metadata=METADATA) as duplex:
        await duplex.send_message(req.ping(1, 1), end=True)
        expect([size_of(response) async for response in duplex], [1])
        await duplex.recv_trailing_metadata()
    expect_metadata(duplex)


async def status_code_and_message(channel: Channel) -> None:
    with refused(Status.UNKNOWN, cases.STATUS_MESSAGE):
        await unary_call(channel)(SimpleRequest(response_status=req.STATUS), timeout=CALL_SECONDS)
    request = StreamingOutputCallRequest(response_status=req.STATUS)
    with refused(Status.UNKNOWN, cases.STATUS_MESSAGE):
        await duplex_call(channel)([request], timeout=CALL_SECONDS)


async def special_status_message(channel: Channel) -> None:
    request = SimpleRequest(response_status=req.SPECIAL_STATUS)
    with refused(Status.UNKNOWN, cases.SPECIAL_STATUS_MESSAGE):
        await unary_call(channel)(request, timeout=CALL_SECONDS)


async def unimplemented_method(channel: Channel) -> None:
    with refused(Status.UNIMPLEMENTED):
        await empty_call(channel, f"{SERVICE}/UnimplementedCall")(Empty(), timeout=CALL_SECONDS)


async def unimplemented_service(channel: Channel) -> None:
    path = "/grpc.testing.UnimplementedService/UnimplementedCall"
    with refused(Status.UNIMPLEMENTED):
        await empty_call(channel, path)(Empty(), timeout=CALL_SECONDS)


async def cancel_after_begin(channel: Channel) -> None:
    """It makes no status of its own cancelling; its connection must serve on."""
    async with input_call(channel).open(timeout=CALL_SECONDS) as stream:
        await stream.send_request()
        await stream.cancel()
    await empty_unary(channel)


async def cancel_after_first_response(channel: Channel) -> None:
    async with duplex_call(channel).open(timeout=CALL_SECONDS) as stream:
        await stream.send_message(req.ping(cases.REQUEST_BYTES[0], cases.RESPONSE_BYTES[0]))
        response = await stream.recv_message()
        assert response is not None
        expect(size_of(response), cases.RESPONSE_BYTES[0])
        await stream.cancel()
    await empty_unary(channel)


async def timeout_on_sleeping_server(channel: Channel) -> None:
    """Whoever sees first that the time is up says so, the client by a TimeoutError."""
    try:
        async with duplex_call(channel).open(timeout=cases.TIMEOUT_SECONDS) as stream:
            await stream.send_message(req.SLEEP)
            await stream.recv_message()
    except TimeoutError:
        return
    except GRPCError as error:
        expect(error.status, Status.DEADLINE_EXCEEDED)
        return
    raise AssertionError("the time was not up")


CASES: Final[tuple[Callable[[Channel], Awaitable[None]], ...]] = (
    empty_unary,
    large_unary,
    server_compressed_unary,
    client_streaming,
    server_streaming,
    server_compressed_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
)


@contextmanager
def refused(status: Status, message: str | None = None) -> Iterator[None]:
    """What is inside must be answered with this status."""
    try:
        yield
    except GRPCError as error:
        expect(error.status, status)
        if message is not None:
            expect(error.message, message)
    else:
        raise AssertionError(f"no {status}")


def expect_metadata(stream: Any) -> None:
    expect(stream.initial_metadata.get(cases.INITIAL_KEY), cases.INITIAL_VALUE)
    expect(stream.trailing_metadata.get(cases.TRAILING_KEY), cases.TRAILING_VALUE)


if __name__ == "__main__":
    asyncio.run(main())
