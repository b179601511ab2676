"""The published interop cases that apply to us, and what each of them sends.

Source: "gRPC Interop Test Case Descriptions" of the gRPC project
(doc/interop-test-descriptions.md). Left out: what is about authentication,
load balancing, ORCA and the cacheable GET, and the part of the client
compression cases in which the server refuses what is not compressed as
announced, because grpc.aio shows no handler how a message came.
"""

from typing import Final

from interop.v1.testing_pb2 import BoolValue, Payload, ResponseParameters

CASES: Final = (
    "empty_unary",
    "large_unary",
    "client_compressed_unary",
    "server_compressed_unary",
    "client_streaming",
    "client_compressed_streaming",
    "server_streaming",
    "server_compressed_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
)
"""Every client program has a function of each name."""

NOT_FOR: Final = {
    ("grpclib", "client_compressed_unary"): ("grpcio", "http2"),
    ("grpclib", "client_compressed_streaming"): ("grpcio", "http2"),
    # grpcio's server compresses also for a client that does not say it can read that.
    ("grpclib", "server_compressed_unary"): ("grpcio",),
    ("grpclib", "server_compressed_streaming"): ("grpcio",),
}
"""(client, case): over which transports it cannot be; grpclib knows no compression."""

LARGE_REQUEST_BYTES: Final = 271_828
LARGE_RESPONSE_BYTES: Final = 314_159
REQUEST_BYTES: Final = (27_182, 8, 1_828, 45_904)
"""Of client_streaming, and of each ping."""
RESPONSE_BYTES: Final = (31_415, 9, 2_653, 58_979)
"""Of server_streaming, and of each pong."""
COMPRESSED_REQUEST_BYTES: Final = (27_182, 45_904)
COMPRESSED_RESPONSE_BYTES: Final = (31_415, 92_653)

INITIAL_KEY: Final = "x-grpc-test-echo-initial"
INITIAL_VALUE: Final = "test_initial_metadata_value"
TRAILING_KEY: Final = "x-grpc-test-echo-trailing-bin"
TRAILING_VALUE: Final = b"\xab\xab\xab"

STATUS_CODE: Final = 2
STATUS_MESSAGE: Final = "test status message"
SPECIAL_STATUS_MESSAGE: Final = (
    "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \N{SMILING FACE WITH HORNS}\t\n"
)

TIMEOUT_SECONDS: Final = 0.001
"""Of the call that sleeps."""
CALL_SECONDS: Final = 20.0
"""Of every other call; it ends in good time or the case has failed."""

HOLD_KEY: Final = "x-hold-until"
"""Ours, not published: no call that carries it is answered before so many of them are under way."""


def zeros(size: int) -> Payload:
    return Payload(body=bytes(size))


def wanting(*sizes: int) -> list[ResponseParameters]:
    """Parameters of responses of these sizes."""
    return [ResponseParameters(size=size) for size in sizes]


def wanting_compressed(*sizes: int) -> list[ResponseParameters]:
    """The same, of which the first is to come compressed and those after it as they are."""
    return [
        ResponseParameters(size=size, compressed=BoolValue(value=index == 0))
        for index, size in enumerate(sizes)
    ]
