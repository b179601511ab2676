"""What goes over the wire, seen by nghttp: headers, messages and trailers, frame by frame."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import pytest
from interop import nghttp
from interop.cases import HOLD_KEY, TRAILING_KEY, zeros
from interop.nghttp import GRPC, Reply, framed
from interop.programs import need
from interop.v1.testing_pb2 import BoolValue, EchoStatus, Empty, SimpleRequest, SimpleResponse

BOTH: Final = pytest.mark.parametrize("transport", ["grpcio", "http2"])
OURS: Final = pytest.mark.parametrize("transport", ["http2"])
"""What the protocol says and grpcio does otherwise."""

UNIMPLEMENTED: Final = "12"
INTERNAL: Final = "13"
DEADLINE_EXCEEDED: Final = "4"
RESPONSE_BYTES: Final = 5_000


class Send(Protocol):
    """Sends a body to a method of the transport's server; headers are added to gRPC's own."""

    def __call__(
        self,
        body: bytes | None,
        *,
        method: str = "UnaryCall",
        more: Mapping[str, str] | None = None,
    ) -> Reply: ...


@pytest.fixture
def send(address: str, tmp_path: Path) -> Send:
    need("nghttp", "nghttp2-client")

    def send_one(
        body: bytes | None,
        *,
        method: str = "UnaryCall",
        more: Mapping[str, str] | None = None,
    ) -> Reply:
        return nghttp.request(address, method, body, tmp_path, {**GRPC, **(more or {})})

    return send_one


def wanting(size: int, *, compressed: bool = False) -> SimpleRequest:
    return SimpleRequest(response_size=size, response_compressed=BoolValue(value=compressed))


def answer_bytes(size: int) -> int:
    return len(framed(SimpleResponse(payload=zeros(size))))


def assert_trailers_only(reply: Reply, status: str) -> None:
    (block,) = reply.blocks
    assert (block[":status"], block["content-type"]) == ("200", "application/grpc")
    assert (block["grpc-status"], reply.ended_by, reply.data_bytes) == (status, "HEADERS", 0)


@BOTH
def test_a_reply_is_headers_a_message_and_trailers(send: Send) -> None:
    reply = send(framed(wanting(100)))
    headers, trailers = reply.blocks
    assert (headers[":status"], headers["content-type"]) == ("200", "application/grpc")
    assert "grpc-status" not in headers
    assert reply.data_bytes == answer_bytes(100)
    assert (trailers["grpc-status"], reply.ended_by) == ("0", "HEADERS")


@BOTH
@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc"])
def test_grpc_may_name_its_format(send: Send, content_type: str) -> None:
    reply = send(framed(Empty()), method="EmptyCall", more={"content-type": content_type})
    assert reply.blocks[-1]["grpc-status"] == "0"


@BOTH
def test_an_error_is_trailers_only_and_its_message_percent_encoded(send: Send) -> None:
    status = EchoStatus(code=5, message="50 %\t☺")
    reply = send(framed(SimpleRequest(response_status=status)))
    assert_trailers_only(reply, "5")
    assert reply.blocks[0]["grpc-message"] == "50 %25%09%E2%98%BA"


@BOTH
def test_an_unknown_method_is_trailers_only(send: Send) -> None:
    assert_trailers_only(send(framed(Empty()), method="Nope"), UNIMPLEMENTED)


@BOTH
def test_the_server_itself_ends_a_call_whose_time_is_up(send: Send) -> None:
    reply = send(framed(wanting(1)), more={"grpc-timeout": "100m", HOLD_KEY: "2"})
    assert_trailers_only(reply, DEADLINE_EXCEEDED)


@pytest.mark.parametrize(("transport", "status"), [("grpcio", "13"), ("http2", "3")])
def test_a_timeout_that_is_none_is_refused(send: Send, status: str) -> None:
    """INTERNAL or INVALID_ARGUMENT; the protocol does not say which."""
    assert_trailers_only(send(framed(wanting(1)), more={"grpc-timeout": "soon"}), status)


@BOTH
def test_a_compressed_request_is_read(send: Send) -> None:
    packed = gzip.compress(wanting(RESPONSE_BYTES).SerializeToString())
    body = framed(Empty(), flag=1, packed=packed)
    reply = send(body, more={"grpc-encoding": "gzip"})
    assert reply.blocks[-1]["grpc-status"] == "0"
    assert reply.data_bytes == answer_bytes(RESPONSE_BYTES)


@BOTH
def test_a_compressed_reply_says_so(send: Send) -> None:
    body = framed(wanting(RESPONSE_BYTES, compressed=True))
    reply = send(body, more={"grpc-accept-encoding": "identity,gzip"})
    assert reply.blocks[0]["grpc-encoding"] == "gzip"
    assert 0 < reply.data_bytes < RESPONSE_BYTES


@OURS
def test_a_client_that_names_no_compression_gets_none(send: Send) -> None:
    reply = send(framed(wanting(RESPONSE_BYTES, compressed=True)))
    assert reply.blocks[0].get("grpc-encoding", "identity") == "identity"
    assert reply.data_bytes == answer_bytes(RESPONSE_BYTES)


@BOTH
def test_a_compressed_message_without_an_encoding_is_refused(send: Send) -> None:
    packed = gzip.compress(wanting(1).SerializeToString())
    reply = send(framed(Empty(), flag=1, packed=packed))
    assert reply.blocks[-1]["grpc-status"] == INTERNAL


@OURS
def test_an_unknown_encoding_is_unimplemented_and_answered_with_the_known(send: Send) -> None:
    reply = send(framed(wanting(1)), more={"grpc-encoding": "snappy"})
    assert_trailers_only(reply, UNIMPLEMENTED)
    assert reply.blocks[0]["grpc-accept-encoding"] == "identity,gzip"


@BOTH
@pytest.mark.parametrize("sent", ["q6ur", "q6s", "q6s="])
def test_binary_metadata_comes_with_padding_or_without(send: Send, sent: str) -> None:
    reply = send(framed(wanting(1)), more={TRAILING_KEY: sent})
    assert reply.blocks[-1][TRAILING_KEY] == sent.rstrip("=")


@OURS
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/grpcx"])
def test_another_content_type_is_415(send: Send, content_type: str) -> None:
    reply = send(framed(wanting(1)), more={"content-type": content_type})
    (block,) = reply.blocks
    assert (block[":status"], reply.ended_by) == ("415", "HEADERS")
    assert "grpc-status" not in block


@OURS
def test_another_http_method_is_405(send: Send) -> None:
    (block,) = send(None, more={":method": "GET"}).blocks
    assert (block[":status"], block["allow"]) == ("405", "POST")


def test_nghttp_sees_no_reply_where_a_stream_was_reset() -> None:
    """The reader of the log itself: END_STREAM sent is not END_STREAM received."""
    log = "[ 0.001] send DATA frame <length=9, flags=0x01, stream_id=1>\n"
    log += "[ 0.002] recv RST_STREAM frame <length=4, flags=0x00, stream_id=1>\n"
    assert nghttp.parsed(log) == Reply()
