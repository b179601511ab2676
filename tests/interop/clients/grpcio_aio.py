"""The cases by grpcio's asyncio client, without retries."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
from grpc import Compression, StatusCode
from interop import cases
from interop.cases import CALL_SECONDS, zeros
from interop.clients import requests as req
from interop.clients.requests import METADATA, size_of
from interop.clients.running import certificate, chosen, expect, reported, target
from interop.v1.testing_pb2 import Empty, SimpleRequest, StreamingOutputCallRequest
from interop.v1.testing_pb2_grpc import TestServiceStub, UnimplementedServiceStub

if TYPE_CHECKING:  # the stub file knows a class that does not exist
    from interop.v1.testing_pb2_grpc import TestServiceAsyncStub

Channel: TypeAlias = grpc.aio.Channel

SLEEP_SECONDS: Final = 0.5
OPTIONS: Final = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


async def main() -> None:
    async with channel_to(target(), certificate()) as channel:
        for case in chosen(CASES):
            with reported(case):
                await case(channel)


def channel_to(address: str, certificate: bytes | None) -> Channel:
    if certificate is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(certificate)
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def service(channel: Channel) -> "TestServiceAsyncStub":
    return TestServiceStub(channel)


async def empty_unary(channel: Channel) -> None:
    expect(await service(channel).EmptyCall(Empty(), timeout=CALL_SECONDS), Empty())


async def large_unary(channel: Channel) -> None:
    response = await service(channel).UnaryCall(req.large(), timeout=CALL_SECONDS)
    expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


async def client_compressed_unary(channel: Channel) -> None:
    for compression in (Compression.Gzip, Compression.NoCompression):
        request = req.large()
        request.expect_compressed.value = compression is Compression.Gzip
        response = await service(channel).UnaryCall(
            request, timeout=CALL_SECONDS, compression=compression
        )
        expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


async def server_compressed_unary(channel: Channel) -> None:
    for compressed in (True, False):
        request = req.large()
        request.response_compressed.value = compressed
        response = await service(channel).UnaryCall(request, timeout=CALL_SECONDS)
        expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


async def client_streaming(channel: Channel) -> None:
    requests = req.inputs(cases.REQUEST_BYTES, compressed=False)
    response = await service(channel).StreamingInputCall(requests, timeout=CALL_SECONDS)
    expect(response.aggregated_payload_size, sum(cases.REQUEST_BYTES))


async def client_compressed_streaming(channel: Channel) -> None:
    requests = req.inputs(cases.COMPRESSED_REQUEST_BYTES, compressed=True)
    response = await service(channel).StreamingInputCall(
        requests, timeout=CALL_SECONDS, compression=Compression.Gzip
    )
    expect(response.aggregated_payload_size, sum(cases.COMPRESSED_REQUEST_BYTES))


async def server_streaming(channel: Channel) -> None:
    request = req.outputs(cases.RESPONSE_BYTES)
    responses = service(channel).StreamingOutputCall(request, timeout=CALL_SECONDS)
    expect(tuple([size_of(response) async for response in responses]), cases.RESPONSE_BYTES)


async def server_compressed_streaming(channel: Channel) -> None:
    request = req.compressed_outputs(cases.COMPRESSED_RESPONSE_BYTES)
    responses = service(channel).StreamingOutputCall(request, timeout=CALL_SECONDS)
    sizes = tuple([size_of(response) async for response in responses])
    expect(sizes, cases.COMPRESSED_RESPONSE_BYTES)


async def ping_pong(channel: Channel) -> None:
    call: Any = service(channel).FullDuplexCall(timeout=CALL_SECONDS)
    for ping, pong in zip(cases.REQUEST_BYTES, cases.RESPONSE_BYTES, strict=True):
        await call.write(req.ping(ping, pong))
        expect(size_of(await call.read()), pong)
    await call.done_writing()
    expect(await call.read(), grpc.aio.EOF)
    expect(await call.code(), StatusCode.OK)


async def empty_stream(channel: Channel) -> None:
    call = service(channel).FullDuplexCall(timeout=CALL_SECONDS)
    await call.done_writing()
    expect(await call.read(), grpc.aio.EOF)
    expect(await call.code(), StatusCode.OK)


async def custom_metadata(channel: Channel) -> None:
    unary = service(channel).UnaryCall(req.large(), timeout=CALL_SECONDS, metadata=METADATA)
    await unary
    await expect_metadata(unary)
    duplex = service(channel).FullDuplexCall(
        iter((req.ping(1, 1),)), timeout=CALL_SECONDS, metadata=METADATA
    )
    expect([size_of(response) async for response in duplex], [1])
    await expect_metadata(duplex)


async def status_code_and_message(channel: Channel) -> None:
    with refused(StatusCode.UNKNOWN, cases.STATUS_MESSAGE):
        await service(channel).UnaryCall(
            SimpleRequest(response_status=req.STATUS), timeout=CALL_SECONDS
        )
    request = StreamingOutputCallRequest(response_status=req.STATUS)
    with refused(StatusCode.UNKNOWN, cases.STATUS_MESSAGE):
        await service(channel).FullDuplexCall(iter((request,)), timeout=CALL_SECONDS).read()


async def special_status_message(channel: Channel) -> None:
    request = SimpleRequest(response_status=req.SPECIAL_STATUS)
    with refused(StatusCode.UNKNOWN, cases.SPECIAL_STATUS_MESSAGE):
        await service(channel).UnaryCall(request, timeout=CALL_SECONDS)


async def unimplemented_method(channel: Channel) -> None:
    with refused(StatusCode.UNIMPLEMENTED):
        await service(channel).UnimplementedCall(Empty(), timeout=CALL_SECONDS)


async def unimplemented_service(channel: Channel) -> None:
    call: Any = UnimplementedServiceStub(channel).UnimplementedCall(Empty(), timeout=CALL_SECONDS)
    with refused(StatusCode.UNIMPLEMENTED):
        await call


async def cancel_after_begin(channel: Channel) -> None:
    call = service(channel).StreamingInputCall(timeout=CALL_SECONDS)
    await call.wait_for_connection()
    call.cancel()
    expect(await call.code(), StatusCode.CANCELLED)


async def cancel_after_first_response(channel: Channel) -> None:
    call: Any = service(channel).FullDuplexCall(timeout=CALL_SECONDS)
    await call.write(req.ping(cases.REQUEST_BYTES[0], cases.RESPONSE_BYTES[0]))
    expect(size_of(await call.read()), cases.RESPONSE_BYTES[0])
    call.cancel()
    expect(await call.code(), StatusCode.CANCELLED)


async def timeout_on_sleeping_server(channel: Channel) -> None:
    async def sleep() -> Any:
        yield req.SLEEP
        await asyncio.Event().wait()

    # grpcio calls it INTERNAL where the time is up before its own message is sent.
    call = service(channel).FullDuplexCall(sleep(), timeout=SLEEP_SECONDS)
    with refused(StatusCode.DEADLINE_EXCEEDED):
        await call.__aiter__().__anext__()


CASES: Final[tuple[Callable[[Channel], Awaitable[None]], ...]] = (
    empty_unary,
    large_unary,
    client_compressed_unary,
    server_compressed_unary,
    client_streaming,
    client_compressed_streaming,
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
def refused(code: StatusCode, details: str | None = None) -> Iterator[None]:
    """What is inside must be answered with this status."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        expect(error.code(), code)
        if details is not None:
            expect(error.details(), details)
    else:
        raise AssertionError(f"no {code}")


async def expect_metadata(call: Any) -> None:
    initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
    expect(initial.get(cases.INITIAL_KEY), cases.INITIAL_VALUE)
    expect(trailing.get(cases.TRAILING_KEY), cases.TRAILING_VALUE)


if __name__ == "__main__":
    asyncio.run(main())
