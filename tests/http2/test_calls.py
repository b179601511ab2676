"""Calls at the wire, by "gRPC over HTTP2" (PROTOCOL-HTTP2.md)."""

import base64
import gzip

import pytest
from http2.conftest import Serve, Served
from http2.raw_client import PREFACE, SETTINGS, Answer, RawClient, frame, request_headers
from http2.service import path

from execution.http2.wire import framed
from execution.server.transports.http2.limits import Limits

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 2, 3, 4
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL = 8, 9, 12, 13
GZIP = (b"grpc-encoding", b"gzip")
ACCEPTS_GZIP = (b"grpc-accept-encoding", b"identity, deflate, gzip")
KINDS = ["Plain", "Unary", "PlainStream", "Chat", "Collect"]


def gzipped(message: bytes) -> bytes:
    """With its prefix."""
    packed = gzip.compress(message)
    return b"\1" + len(packed).to_bytes(4, "big") + packed


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_call_is_answered(client: RawClient, kind: str) -> None:
    answer = await client.call(path(kind), b"hello")
    assert answer.headers == {b":status": b"200", b"content-type": b"application/grpc"}
    assert answer.messages == [b"hello"]
    assert answer.trailers == {b"grpc-status": b"0"}
    assert answer.reset is None


async def test_replies_stream(client: RawClient) -> None:
    answer = await client.call(path("Replies"), b"3,10")
    assert (answer.messages, answer.status) == ([bytes(10)] * 3, OK)


async def test_a_chat_is_answered_while_it_goes_on(client: RawClient) -> None:
    for kind in ("Chat", "PlainStream"):
        stream = client.request(path(kind), b"one", end=False)
        answer = client.answers[stream]
        while answer.messages != [b"one"]:
            await client.read()
        client.send(stream, framed(b"two"), end=True)
        await client.answer(stream)
        assert (answer.messages, answer.status) == ([b"one", b"two"], OK)


@pytest.mark.parametrize("kind", ["Plain", "Unary"])
async def test_an_empty_message_is_a_message(client: RawClient, kind: str) -> None:
    answer = await client.call(path(kind), b"")
    assert (answer.messages, answer.status) == ([b""], OK)


@pytest.mark.parametrize("kind", ["Collect", "Chat", "PlainStream"])
async def test_a_stream_without_messages_ends_well(client: RawClient, kind: str) -> None:
    answer = await client.call(path(kind))
    assert answer.status == OK


@pytest.mark.parametrize("kind", ["Plain", "Unary"])
@pytest.mark.parametrize("number", [0, 2])
async def test_a_unary_call_takes_one_message(client: RawClient, kind: str, number: int) -> None:
    answer = await client.call(path(kind), *[b"x"] * number)
    assert answer.status == UNIMPLEMENTED
    assert "exactly one" in answer.message


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_may_come_byte_by_byte(client: RawClient, kind: str) -> None:
    stream = client.request(path(kind), end=False)
    for byte in framed(b"hello"):
        client.send(stream, bytes((byte,)))
    client.send(stream, b"", end=True)
    answer = await client.answer(stream)
    assert (answer.messages, answer.status) == ([b"hello"], OK)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_exchange_may_come_byte_by_byte(served: Served, kind: str) -> None:
    client = await served.connect(speaks=False)
    client.h2.initiate_connection({})
    stream = client.h2.send_request(_headers(kind))
    client.h2.send_data(stream, framed(b"hello"), end_stream=True)
    for byte in client.h2.data_to_send():
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
    answer = client.answers.setdefault(stream, Answer())
    await client.answer(stream)
    assert (answer.messages, answer.status) == ([b"hello"], OK)


@pytest.mark.parametrize("kind", ["Collect", "Chat", "PlainStream"])
async def test_one_frame_may_hold_many_messages(client: RawClient, kind: str) -> None:
    stream = client.request(path(kind), end=False)
    client.send(stream, b"".join(map(framed, [b"a", b"b", b"", b"c"])), end=True)
    answer = await client.answer(stream)
    assert b"|".join(answer.messages) == b"a|b||c"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_may_fill_many_frames_and_windows(client: RawClient, kind: str) -> None:
    message = bytes(range(256)) * 2_000
    answer = await client.call(path(kind), message)
    assert (answer.messages, answer.status) == ([message], OK)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_that_ends_inside_a_message_is_invalid(
    client: RawClient, kind: str
) -> None:
    stream = client.request(path(kind), end=False)
    client.send(stream, framed(b"hello")[:-1], end=True)
    assert (await client.answer(stream)).status == INVALID_ARGUMENT


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_may_end_with_trailers(client: RawClient, kind: str) -> None:
    stream = client.request(path(kind), b"hello", end=False)
    client.h2.send_trailers(stream, [(b"x-more", b"1")])
    client.write()
    answer = await client.answer(stream)
    assert (answer.messages, answer.status) == ([b"hello"], OK)


# Metadata and statuses.


async def test_metadata_goes_both_ways(client: RawClient) -> None:
    raw = bytes(range(256))
    padded, bare = base64.b64encode(raw), base64.b64encode(raw).rstrip(b"=")
    sent = ((b"x-text", b"a b~"), (b"x-raw-bin", padded))
    answer = await client.call(path("Metadata"), b"m", headers=sent)
    for headers in (answer.headers, answer.trailers):
        assert headers[b"x-text"] == b"a b~"
        assert headers[b"x-raw-bin"] == bare
    two = ((b"x-raw-bin", b"AAA,AQ=="),)
    answer = await client.call(path("Metadata"), b"m", headers=two)
    assert answer.headers[b"x-raw-bin"] == b"AQ", "both values came, the last is in the dict"


async def test_metadata_that_is_no_base64_is_invalid(client: RawClient) -> None:
    answer = await client.call(path("Metadata"), b"m", headers=((b"x-raw-bin", b"!"),))
    assert (answer.status, answer.only_trailers) == (INVALID_ARGUMENT, True)


async def test_a_status_has_message_and_details(client: RawClient) -> None:
    answer = await client.call(path("Abort"), b"")
    assert answer.only_trailers, "without a message there is one block of headers"
    assert answer.headers[b":status"] == b"200"
    assert answer.headers[b"content-type"] == b"application/grpc"
    assert answer.status == FAILED_PRECONDITION
    assert answer.message == "zu sp%C3%A4t, 100 %25"
    assert answer.headers[b"grpc-status-details-bin"] == b"AAEC"


async def test_a_handler_that_raises_is_unknown_and_tells_no_secret(
    client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.call(path("Raise"), b"")
    assert answer.status == UNKNOWN
    assert "secret" not in answer.message
    assert "secret" in caplog.text


async def test_a_stream_may_fail_after_replies(client: RawClient) -> None:
    answer = await client.call(path("PlainStream"), b"one", b"fail", b"two")
    assert (answer.messages, answer.status, answer.message) == (
        [b"one"],
        FAILED_PRECONDITION,
        "as told",
    )


# Compression.


@pytest.mark.parametrize("kind", KINDS)
async def test_gzip_in_and_out(client: RawClient, kind: str) -> None:
    message = b"again and again " * 200
    stream = client.request(path(kind), headers=(GZIP, ACCEPTS_GZIP), end=False)
    client.send(stream, gzipped(message), end=True)
    answer = await client.answer(stream)
    assert answer.status == OK
    assert answer.headers[b"grpc-encoding"] == b"gzip"
    assert b"gzip" in answer.headers[b"grpc-accept-encoding"]
    assert answer.body[:1] == b"\1"
    assert [gzip.decompress(packed) for packed in answer.messages] == [message]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_accepts_no_gzip_gets_none(client: RawClient, kind: str) -> None:
    message = b"again and again " * 200
    stream = client.request(path(kind), headers=(GZIP,), end=False)
    client.send(stream, gzipped(message), end=True)
    answer = await client.answer(stream)
    assert (answer.messages, answer.status) == ([message], OK)
    assert b"grpc-encoding" not in answer.headers


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_encoding_is_unimplemented_and_the_known_are_named(
    client: RawClient, kind: str
) -> None:
    answer = await client.call(path(kind), b"x", headers=((b"grpc-encoding", b"br"),))
    assert (answer.status, answer.only_trailers) == (UNIMPLEMENTED, True)
    assert answer.headers[b"grpc-accept-encoding"] == b"identity,gzip"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), gzipped(b"x")),
        (((b"grpc-encoding", b"identity"),), gzipped(b"x")),
        ((GZIP,), b"\1\0\0\0\3abc"),
        ((GZIP,), gzipped(b"x" * 99)[:1] + b"\0\0\0\x14" + gzip.compress(b"x" * 99)[:20]),
        ((), b"\2\0\0\0\1x"),
    ],
    ids=["unsaid", "identity", "no gzip", "half a gzip", "unknown flag"],
)
async def test_a_compressed_message_must_be_what_it_says(
    client: RawClient, kind: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> None:
    """Source: the status codes page of gRPC has INTERNAL for these."""
    stream = client.request(path(kind), headers=headers, end=False)
    client.send(stream, body, end=True)
    assert (await client.answer(stream)).status == INTERNAL


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bomb_bursts_at_the_limit(serve: Serve, kind: str) -> None:
    served = await serve(Limits(message_bytes_max=10_000))
    client = await served.connect()
    stream = client.request(path(kind), headers=(GZIP,), end=False)
    client.send(stream, gzipped(bytes(5_000_000)), end=True)
    answer = await client.answer(stream)
    assert answer.status == RESOURCE_EXHAUSTED
    assert (await client.call(path(kind), b"x")).status == OK


# Sizes.


@pytest.mark.parametrize("kind", KINDS)
async def test_a_large_request_is_refused_when_its_length_is_known(serve: Serve, kind: str) -> None:
    served = await serve(Limits(message_bytes_max=1_000))
    client = await served.connect()
    stream = client.request(path(kind), end=False)
    client.send(stream, b"\0" + (1_001).to_bytes(4, "big"))
    answer = await client.answer(stream)
    assert (answer.status, answer.only_trailers) == (RESOURCE_EXHAUSTED, True)
    assert "1001" in answer.message
    assert (await client.call(path(kind), bytes(1_000))).messages == [bytes(1_000)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_large_reply_is_refused(serve: Serve, kind: str) -> None:
    served = await serve(Limits(reply_bytes_max=5_000))
    client = await served.connect()
    answer = await client.call(path(kind), bytes(5_001))
    assert (answer.status, answer.messages) == (RESOURCE_EXHAUSTED, [])
    assert (await client.call(path(kind), bytes(5_000))).messages == [bytes(5_000)]


# What is no call of ours.


async def test_an_unknown_method_is_unimplemented(client: RawClient) -> None:
    for unknown in ("/test.Test/None", "/none.None/Unary", "/", "/\u00fc"):
        answer = await client.call(unknown, b"x")
        assert (answer.status, answer.only_trailers) == (UNIMPLEMENTED, True)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"application/grpc-web",
        b"application/grpcx",
        b"application/grpc x",
        b"",
    ],
)
async def test_another_content_type_is_415(client: RawClient, content_type: bytes) -> None:
    answer = await _call_with(client, {b"content-type": content_type})
    assert answer == (b"415", None)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/grpc+proto",
        b"application/grpc;x=y",
        b"application/grpc ; x",
        b"Application/GRPC",
    ],
)
async def test_a_content_type_may_say_more(client: RawClient, content_type: bytes) -> None:
    assert await _call_with(client, {b"content-type": content_type}) == (b"200", OK)


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"OPTIONS"])
async def test_another_http_method_is_405(client: RawClient, method: bytes) -> None:
    assert await _call_with(client, {b":method": method}) == (b"405", None)


async def test_a_timeout_that_is_none_is_invalid(client: RawClient) -> None:
    for wrong in (b"", b"1", b"S", b"-1S", b"1x", b"123456789S", b"1 S", b"1S1S"):
        answer = await client.call(path("Plain"), b"x", headers=((b"grpc-timeout", wrong),))
        assert answer.status == INVALID_ARGUMENT, wrong
    for right in (b"1H", b"99999999H", b"00000001M", b"5S", b"5000m"):
        answer = await client.call(path("Plain"), b"x", headers=((b"grpc-timeout", right),))
        assert answer.status == OK, right


@pytest.mark.parametrize("kind", KINDS)
async def test_who_is_answered_early_is_told_to_stop(serve: Serve, kind: str) -> None:
    """RFC 9113, 8.1: a whole answer, then RST_STREAM with NO_ERROR."""
    served = await serve(Limits(message_bytes_max=1_000))
    client = await served.connect()
    stream = client.request(path(kind), end=False)
    client.send(stream, b"\0" + (1_001).to_bytes(4, "big"))
    answer = client.answers[stream]
    await client.until(lambda: answer.closed)
    assert (answer.status, answer.reset) == (RESOURCE_EXHAUSTED, 0)
    unknown = client.request("/none", b"x", end=False)
    await client.until(lambda: client.answers[unknown].closed)
    assert client.answers[unknown].reset == 0
    whole = client.request("/none", b"x")
    await client.until(lambda: client.answers[whole].closed)
    assert client.answers[whole].reset is None


async def test_calls_reset_in_the_same_breath_harm_no_other(client: RawClient) -> None:
    for method in ("/none", path("Plain"), path("Unary"), path("PlainStream"), path("Chat")):
        stream = client.h2.send_request(_headers(method.rpartition("/")[2]))
        client.answers[stream] = Answer()
        opening = client.h2.data_to_send()
        client.writer.write(opening + frame(3, 0, stream, (8).to_bytes(4, "big")))
    assert (await client.call(path("Plain"), b"still here")).messages == [b"still here"]


async def test_http_1_is_sent_away(served: Served) -> None:
    client = await served.connect(speaks=False)
    client.writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    await client.until_closed()


async def test_garbage_is_sent_away(served: Served) -> None:
    for garbage in (bytes(100), b"\x16\x03\x01" * 50, PREFACE[:-1] + b"x", PREFACE + bytes(200)):
        client = await served.connect(speaks=False)
        client.writer.write(garbage)
        await client.until_closed()
    client = await served.connect(speaks=False)
    client.writer.write(PREFACE + frame(SETTINGS, 0, 0))
    await client.reader.readexactly(9)


def _headers(kind: str) -> list[tuple[bytes, bytes]]:
    return request_headers(path(kind))


async def _call_with(
    client: RawClient, changed: dict[bytes, bytes]
) -> tuple[bytes | None, int | None]:
    headers = [(name, changed.get(name, value)) for name, value in _headers("Plain")]
    stream = client.h2.send_request([pair for pair in headers if pair[1]])
    client.answers[stream] = Answer()
    client.send(stream, framed(b"x"), end=True)
    answer = await client.answer(stream)
    return answer.headers.get(b":status"), answer.status
