"""The requests of the cases, for every client in Python."""

from collections.abc import Iterator
from typing import Final

from interop import cases
from interop.cases import wanting, wanting_compressed, zeros
from interop.v1.testing_pb2 import (
    BoolValue,
    EchoStatus,
    SimpleRequest,
    StreamingInputCallRequest,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

METADATA: Final = (
    (cases.INITIAL_KEY, cases.INITIAL_VALUE),
    (cases.TRAILING_KEY, cases.TRAILING_VALUE),
)
STATUS: Final = EchoStatus(code=cases.STATUS_CODE, message=cases.STATUS_MESSAGE)
SPECIAL_STATUS: Final = EchoStatus(code=cases.STATUS_CODE, message=cases.SPECIAL_STATUS_MESSAGE)
SLEEP: Final = StreamingOutputCallRequest(payload=zeros(cases.REQUEST_BYTES[0]))
"""It asks for no response, so none comes."""


def large() -> SimpleRequest:
    return SimpleRequest(
        response_size=cases.LARGE_RESPONSE_BYTES, payload=zeros(cases.LARGE_REQUEST_BYTES)
    )


def inputs(sizes: tuple[int, ...], *, compressed: bool) -> Iterator[StreamingInputCallRequest]:
    for size in sizes:
        expect_compressed = BoolValue(value=compressed)
        yield StreamingInputCallRequest(payload=zeros(size), expect_compressed=expect_compressed)


def outputs(sizes: tuple[int, ...]) -> StreamingOutputCallRequest:
    return StreamingOutputCallRequest(response_parameters=wanting(*sizes))


def compressed_outputs(sizes: tuple[int, ...]) -> StreamingOutputCallRequest:
    """The first is to come compressed."""
    return StreamingOutputCallRequest(response_parameters=wanting_compressed(*sizes))


def ping(size: int, response_size: int) -> StreamingOutputCallRequest:
    return StreamingOutputCallRequest(
        response_parameters=wanting(response_size), payload=zeros(size)
    )


def size_of(response: StreamingOutputCallResponse) -> int:
    return len(response.payload.body)
