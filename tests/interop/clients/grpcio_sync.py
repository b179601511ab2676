"""The cases by grpcio's blocking client."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from grpc import Compression, StatusCode
from interop import cases
from interop.cases import CALL_SECONDS, zeros
from interop.clients import requests as req
from interop.clients.requests import METADATA, size_of
from interop.clients.running import certificate, chosen, expect, reported, target
from interop.v1.testing_pb2 import Empty, SimpleRequest, StreamingOutputCallRequest
from interop.v1.testing_pb2_grpc import TestServiceStub, UnimplementedServiceStub

OPTIONS: Final = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


def main() -> None:
    with channel_to(target(), certificate()) as channel:
        for case in chosen(CASES):
            with reported(case):
                case(channel)


def channel_to(address: str, certificate: bytes | None) -> grpc.Channel:
    if certificate is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(certificate)
    return grpc.secure_channel(address, credentials, options=OPTIONS)


def empty_unary(channel: grpc.Channel) -> None:
    expect(TestServiceStub(channel).EmptyCall(Empty(), timeout=CALL_SECONDS), Empty())


def large_unary(channel: grpc.Channel) -> None:
    response = TestServiceStub(channel).UnaryCall(req.large(), timeout=CALL_SECONDS)
    expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


def client_compressed_unary(channel: grpc.Channel) -> None:
    for compression in (Compression.Gzip, Compression.NoCompression):
        request = req.large()
        request.expect_compressed.value = compression is Compression.Gzip
        response = TestServiceStub(channel).UnaryCall(
            request, timeout=CALL_SECONDS, compression=compression
        )
        expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


def server_compressed_unary(channel: grpc.Channel) -> None:
    for compressed in (True, False):
        request = req.large()
        request.response_compressed.value = compressed
        response = TestServiceStub(channel).UnaryCall(request, timeout=CALL_SECONDS)
        expect(response.payload, zeros(cases.LARGE_RESPONSE_BYTES))


def client_streaming(channel: grpc.Channel) -> None:
    requests = req.inputs(cases.REQUEST_BYTES, compressed=False)
    response = TestServiceStub(channel).StreamingInputCall(requests, timeout=CALL_SECONDS)
    expect(response.aggregated_payload_size, sum(cases.REQUEST_BYTES))


def client_compressed_streaming(channel: grpc.Channel) -> None:
    requests = req.inputs(cases.COMPRESSED_REQUEST_BYTES, compressed=True)
    response = TestServiceStub(channel).StreamingInputCall(
        requests, timeout=CALL_SECONDS, compression=Compression.Gzip
    )
    expect(response.aggregated_payload_size, sum(cases.COMPRESSED_REQUEST_BYTES))


def server_streaming(channel: grpc.Channel) -> None:
    request = req.outputs(cases.RESPONSE_BYTES)
    responses = TestServiceStub(channel).StreamingOutputCall(request, timeout=CALL_SECONDS)
    expect(tuple(map(size_of, responses)), cases.RESPONSE_BYTES)


def server_compressed_streaming(channel: grpc.Channel) -> None:
    request = req.compressed_outputs(cases.COMPRESSED_RESPONSE_BYTES)
    responses = TestServiceStub(channel).StreamingOutputCall(request, timeout=CALL_SECONDS)
    expect(tuple(map(size_of, responses)), cases.COMPRESSED_RESPONSE_BYTES)


def ping_pong(channel: grpc.Channel) -> None:
    with pipe() as (put, requests):
        responses = TestServiceStub(channel).FullDuplexCall(requests, timeout=CALL_SECONDS)
        for ping, pong in zip(cases.REQUEST_BYTES, cases.RESPONSE_BYTES, strict=True):
            put(req.ping(ping, pong))
            expect(size_of(next(responses)), pong)
        put(None)
        expect(list(responses), [])


def empty_stream(channel: grpc.Channel) -> None:
    responses = TestServiceStub(channel).FullDuplexCall(iter(()), timeout=CALL_SECONDS)
    expect(list(responses), [])


def custom_metadata(channel: grpc.Channel) -> None:
    service = TestServiceStub(channel)
    _, unary = service.UnaryCall.with_call(req.large(), timeout=CALL_SECONDS, metadata=METADATA)
    expect_metadata(unary)
    duplex: Any = service.FullDuplexCall(
        iter((req.ping(1, 1),)), timeout=CALL_SECONDS, metadata=METADATA
    )
    expect(list(map(size_of, duplex)), [1])
    expect_metadata(duplex)


def status_code_and_message(channel: grpc.Channel) -> None:
    service = TestServiceStub(channel)
    with refused(StatusCode.UNKNOWN, cases.STATUS_MESSAGE):
        service.UnaryCall(SimpleRequest(response_status=req.STATUS), timeout=CALL_SECONDS)
    request = StreamingOutputCallRequest(response_status=req.STATUS)
    with refused(StatusCode.UNKNOWN, cases.STATUS_MESSAGE):
        next(service.FullDuplexCall(iter((request,)), timeout=CALL_SECONDS))


def special_status_message(channel: grpc.Channel) -> None:
    request = SimpleRequest(response_status=req.SPECIAL_STATUS)
    with refused(StatusCode.UNKNOWN, cases.SPECIAL_STATUS_MESSAGE):
        TestServiceStub(channel).UnaryCall(request, timeout=CALL_SECONDS)


def unimplemented_method(channel: grpc.Channel) -> None:
    with refused(StatusCode.UNIMPLEMENTED):
        TestServiceStub(channel).UnimplementedCall(Empty(), timeout=CALL_SECONDS)


def unimplemented_service(channel: grpc.Channel) -> None:
    with refused(StatusCode.UNIMPLEMENTED):
        UnimplementedServiceStub(channel).UnimplementedCall(Empty(), timeout=CALL_SECONDS)


def cancel_after_begin(channel: grpc.Channel) -> None:
    with pipe() as (_, requests):
        call = TestServiceStub(channel).StreamingInputCall.future(requests, timeout=CALL_SECONDS)
        call.cancel()
        expect(call.code(), StatusCode.CANCELLED)


def cancel_after_first_response(channel: grpc.Channel) -> None:
    with pipe() as (put, requests):
        responses = TestServiceStub(channel).FullDuplexCall(requests, timeout=CALL_SECONDS)
        put(req.ping(cases.REQUEST_BYTES[0], cases.RESPONSE_BYTES[0]))
        expect(size_of(next(responses)), cases.RESPONSE_BYTES[0])
        responses.cancel()
        with refused(StatusCode.CANCELLED):
            next(responses)


def timeout_on_sleeping_server(channel: grpc.Channel) -> None:
    with pipe() as (put, requests), refused(StatusCode.DEADLINE_EXCEEDED):
        put(req.SLEEP)
        next(TestServiceStub(channel).FullDuplexCall(requests, timeout=cases.TIMEOUT_SECONDS))


CASES: Final[tuple[Callable[[grpc.Channel], None], ...]] = (
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
def pipe() -> "Iterator[tuple[Callable[[StreamingOutputCallRequest | None], None], Iterator[Any]]]":
    """A function that sends a request, None being the end, and the iterator for the call."""
    requests: queue.SimpleQueue[StreamingOutputCallRequest | None] = queue.SimpleQueue()
    try:
        yield requests.put, iter(requests.get, None)
    finally:
        requests.put(None)  # grpcio reads it in a thread, which is to end


@contextmanager
def refused(code: StatusCode, details: str | None = None) -> Iterator[None]:
    """What is inside must be answered with this status."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error  # it is both, which its types cannot say
        expect(call.code(), code)
        if details is not None:
            expect(call.details(), details)
    else:
        raise AssertionError(f"no {code}")


def expect_metadata(call: grpc.Call) -> None:
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    expect(initial.get(cases.INITIAL_KEY), cases.INITIAL_VALUE)
    expect(trailing.get(cases.TRAILING_KEY), cases.TRAILING_VALUE)


if __name__ == "__main__":
    main()
