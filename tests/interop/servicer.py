"""The test service: an ordinary asyncio servicer, in every style that grpc.aio knows."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, TypeAlias

import grpc
from interop.cases import HOLD_KEY, INITIAL_KEY, TRAILING_KEY, zeros
from interop.v1.testing_pb2 import (
    EchoStatus,
    Empty,
    ResponseParameters,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)
from interop.v1.testing_pb2_grpc import TestServiceServicer
from typing_extensions import override

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class Servicer(TestServiceServicer):
    """Implements all but UnimplementedCall, which it has from the generated code."""

    def __init__(self) -> None:
        self._barriers: dict[int, asyncio.Barrier] = {}

    @override
    async def EmptyCall(self, request: Empty, context: Context) -> Empty:
        return Empty()

    @override
    async def UnaryCall(self, request: SimpleRequest, context: Context) -> SimpleResponse:
        compressed = request.response_compressed.value
        if compressed:
            context.set_compression(grpc.Compression.Gzip)
        # grpc.aio compresses a unary response only where its headers went before it.
        await echo_metadata(context, begin=compressed)
        await abort_if_told(request.response_status, context)
        await self._hold(context)
        return SimpleResponse(payload=zeros(request.response_size))

    @override
    async def StreamingOutputCall(
        self, request: StreamingOutputCallRequest, context: Context
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        choose_compression(request, context)
        await abort_if_told(request.response_status, context)
        for parameters in request.response_parameters:
            yield await response(parameters, context)

    @override
    async def StreamingInputCall(
        self, request_iterator: AsyncIterable[StreamingInputCallRequest], context: Context
    ) -> StreamingInputCallResponse:
        size = 0
        async for request in request_iterator:
            size += len(request.payload.body)
        return StreamingInputCallResponse(aggregated_payload_size=size)

    @override
    async def FullDuplexCall(  # type: ignore[override]  # the call is read and written by its context
        self, request_iterator: object, context: Context
    ) -> None:
        await echo_metadata(context)
        while (request := await context.read()) is not grpc.aio.EOF:
            await abort_if_told(request.response_status, context)
            for parameters in request.response_parameters:
                await context.write(await response(parameters, context))

    async def _hold(self, context: Context) -> None:
        for key, value in context.invocation_metadata() or ():
            if key == HOLD_KEY:
                number = int(value)
                await self._barriers.setdefault(number, asyncio.Barrier(number)).wait()


async def echo_metadata(context: Context, *, begin: bool = False) -> None:
    """Sends the two test keys back, one in front and one at the end."""
    sent = [(str(key), value) for key, value in context.invocation_metadata() or ()]
    initial = [item for item in sent if item[0] == INITIAL_KEY]
    trailing = [item for item in sent if item[0] == TRAILING_KEY]
    if initial or begin:
        await context.send_initial_metadata(initial)
    if trailing:
        context.set_trailing_metadata(trailing)


async def abort_if_told(status: EchoStatus, context: Context) -> None:
    if status.code:
        await context.abort(CODES[status.code], status.message)


def choose_compression(request: StreamingOutputCallRequest, context: Context) -> None:
    if any(parameters.compressed.value for parameters in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)


async def response(parameters: ResponseParameters, context: Context) -> StreamingOutputCallResponse:
    """A response as asked for, after the interval asked for."""
    if parameters.interval_us:
        await asyncio.sleep(parameters.interval_us / 1e6)
    if parameters.HasField("compressed") and not parameters.compressed.value:
        context.disable_next_message_compression()
    return StreamingOutputCallResponse(payload=zeros(parameters.size))
