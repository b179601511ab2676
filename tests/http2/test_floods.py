"""Clients that send much and want nothing: each is bounded, and ends only itself."""

import struct
from dataclasses import replace

import pytest
from http2.conftest import Serve, Served
from http2.raw_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    RawClient,
    frame,
    literal,
    request_headers,
)
from http2.service import path

from execution.http2.wire import framed
from execution.server.transports.http2.limits import Limits

ENHANCE_YOUR_CALM = 11
OK, RESOURCE_EXHAUSTED = 0, 8
STRICT = Limits(
    resets=(100, 1), glitches=(100, 1), controls=(100, 1), updates=(100, 1), continuations_max=4
)
BLOCK = b"".join(literal(*pair) for pair in request_headers(path("HoldStream")))


async def test_the_limits_let_an_ordinary_client_be(serve: Serve) -> None:
    served = await serve(STRICT)
    client = await served.connect()
    for _ in range(300):
        assert (await client.call(path("Unary"), b"x")).status == OK
    assert (await client.call(path("Replies"), b"20,100000")).status == OK


@pytest.mark.parametrize("gives_back", [False, True])
async def test_a_ping_for_every_answer_is_nothing_odd(serve: Serve, gives_back: bool) -> None:
    """As grpc-go and grpc-java measure how far away a server is."""
    generous = replace(STRICT, updates=(1_000, 1))
    served = await serve(generous)
    client = await served.connect()
    ping, size = frame(PING, 0, 0, bytes(8)), len(framed(b"x"))
    for _ in range(300):
        assert (await client.call(path("Unary"), b"x")).status == OK
        client.writer.write(ping)
        if gives_back:
            client.writer.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))
    assert (await client.call(path("Unary"), b"x")).status == OK
    assert client.goaways == []
    client.writer.write(ping * 200)
    await client.until_closed()


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS, 0, 0),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 70_000)),
        frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)),
        frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)),
        frame(DATA, 0, 1),
        frame(DATA, 8, 1, b"\x09" + bytes(9)),
        frame(PRIORITY, 0, 1, bytes(5)),
    ],
    ids=[
        "ping",
        "settings",
        "initial window",
        "window",
        "stream window",
        "no data",
        "padding",
        "priority",
    ],
)
async def test_frames_that_carry_nothing_end_the_connection(serve: Serve, flood: bytes) -> None:
    served = await serve(STRICT)
    client = await opened(served)
    client.writer.write(flood * 90)
    await until_answered(client)
    client.writer.write(flood * 20)
    await client.until_closed()
    assert client.goaways in ([(1, ENHANCE_YOUR_CALM)], [])
    await still_serves(served)


async def test_rapid_reset_ends_the_connection(serve: Serve) -> None:
    """CVE-2023-44487."""
    served = await serve(STRICT)
    client = await opened(served)
    for stream in range(3, 403, 2):
        client.writer.write(frame(HEADERS, END_HEADERS, stream, BLOCK))
        client.writer.write(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
    await client.until_closed()
    await still_serves(served)


async def test_resets_that_the_server_is_made_to_send_end_the_connection(serve: Serve) -> None:
    """CVE-2025-8671: frames that are errors of their stream, so that the server resets it."""
    served = await serve(STRICT)
    client = await opened(served)
    for stream in range(3, 403, 2):
        client.writer.write(frame(HEADERS, END_HEADERS, stream, BLOCK))
        client.writer.write(frame(WINDOW_UPDATE, 0, stream, bytes(4)))
    await client.until_closed()
    await still_serves(served)


async def test_too_many_continuations_end_the_connection(serve: Serve) -> None:
    """CVE-2024-27316."""
    served = await serve(STRICT)
    client = await opened(served)
    client.writer.write(frame(HEADERS, 0, 3, BLOCK))
    client.writer.write(frame(CONTINUATION, 0, 3, literal(b"x-a", b"b")) * 10)
    await client.until_closed()
    await still_serves(served)


async def test_unknown_frames_are_ignored(served: Served) -> None:
    client = await opened(served)
    client.writer.write(frame(0xEE, 0xFF, 1, bytes(100)) * 1_000)
    await until_answered(client)


# Headers.


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-large", bytes(100).replace(b"\0", b"a") * 170)],
        [(b"x-%d" % number, b"v") for number in range(130)],
    ],
    ids=["size", "count"],
)
async def test_more_headers_than_are_allowed_end_the_call(
    served: Served, headers: list[tuple[bytes, bytes]]
) -> None:
    client = await served.connect()
    answer = await client.call(path("Plain"), b"x", headers=headers)
    assert (answer.status, answer.only_trailers) == (RESOURCE_EXHAUSTED, True)
    assert (await client.call(path("Plain"), b"x")).status == OK, "on the same connection"


@pytest.mark.parametrize(
    "block",
    [
        b"".join(literal(b"x-%d" % number, b"v") for number in range(1_000)),
        # Once into the table of HPACK, and then a byte for each repetition.
        b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4_000 + b"\xbe" * 12_000,
    ],
    ids=["count", "hpack bomb"],
)
async def test_headers_far_beyond_that_end_the_connection(served: Served, block: bytes) -> None:
    client = await opened(served)
    client.writer.write(frame(HEADERS, END_HEADERS, 3, BLOCK + block[:16_000]))
    await client.until_closed()
    assert client.goaways in ([(1, ENHANCE_YOUR_CALM)], [])
    await still_serves(served)


@pytest.mark.parametrize(
    "block",
    [
        literal(b"X-Upper", b"v"),
        literal(b"connection", b"close"),
        literal(b"x-nul", b"a\0b"),
        literal(b"x-line", b"a\r\nb: c"),
        literal(b":late", b"v"),
        literal(b"content-length", b"7") + literal(b"content-length", b"8"),
    ],
)
async def test_malformed_headers_end_the_stream(served: Served, block: bytes) -> None:
    client = await opened(served)
    client.writer.write(frame(HEADERS, END_HEADERS, 3, BLOCK + block))
    await client.until(lambda: [one.stream_id for one in client.heard(RST_STREAM)] == [3])
    assert served.service.entered == 1, "only the call before"


@pytest.mark.parametrize(
    "wrong",
    [
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 99, b"x"),
        frame(HEADERS, END_HEADERS, 2, BLOCK),
        frame(HEADERS, END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff"),
        frame(CONTINUATION, END_HEADERS, 3, BLOCK),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(PING, 0, 0, b"1234567"),
        frame(WINDOW_UPDATE, 0, 0, bytes(4)),
        frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
        frame(RST_STREAM, 0, 99, bytes(4)),
        frame(5, END_HEADERS, 1, bytes(4) + BLOCK),
        b"\xff\xff\xff" + bytes((DATA, 0)) + (1).to_bytes(4, "big"),
    ],
    ids=[
        "data on 0", "data on idle", "even stream", "no hpack", "continuation", "settings size",
        "ping size", "no increment", "window overflow", "reset idle", "push", "frame size",
    ],
)  # fmt: skip
async def test_what_breaks_http_2_ends_the_connection(served: Served, wrong: bytes) -> None:
    client = await opened(served)
    client.writer.write(wrong)
    await client.until_closed()
    assert [code for _, code in client.goaways] != [0]
    await served.service.until(lambda: served.service.gone == ["HoldStream"])
    await still_serves(served)


async def opened(served: Served) -> RawClient:
    """A client that writes its frames itself; stream 1 is a call that is held, and open."""
    client = await served.connect()
    assert client.request(path("HoldStream"), end=False) == 1
    await served.service.until(lambda: served.service.entered)
    return client


async def until_answered(client: RawClient) -> None:
    client.writer.write(frame(PING, 0, 0, b"are you?"))
    await client.until(lambda: [p for p in client.heard(PING, ACK) if p.payload == b"are you?"])


async def still_serves(served: Served) -> None:
    other = await served.connect()
    assert (await other.call(path("Plain"), b"x")).messages == [b"x"]
