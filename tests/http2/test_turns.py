"""Nobody keeps the others waiting: what one client may have done in one turn of the loop."""

import asyncio
import random
from functools import partial
from typing import Any

import ngh2
import pytest
from http2.conftest import Serve
from http2.raw_client import ACK, PING, RST_STREAM, Answer, RawClient, request_headers
from http2.service import path

from execution.http2.wire import framed, inflated
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.session import _LOOKS, Session

INITIAL_WINDOW_SIZE = 4
INTERNAL_ERROR = 2
OK, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 8, 12
GZIP = (b"grpc-encoding", b"gzip")


def _has_all(answer: Answer, count: int) -> bool:
    return len(answer.messages) == count


def _has_pongs(client: RawClient, count: int) -> bool:
    return len(client.heard(PING, ACK)) == count


async def test_many_small_requests_are_begun_by_turns(serve: Serve) -> None:
    served = await serve(Limits(messages_a_turn=10))
    client, other = await served.connect(), await served.connect()
    streams = [client.request(path("PlainStream"), end=False) for _ in range(3)]
    messages = [b"%d" % number for number in range(2_000)]
    for stream in streams:
        client.send(stream, b"".join(map(framed, messages)), end=True)
    await client.writer.drain()
    assert (await other.call(path("Plain"), b"x")).messages == [b"x"]
    assert served.service.entered < 3 * 2_000
    for stream in streams:
        answer = await client.answer(stream)
        await client.until(partial(_has_all, answer, 2_000))
        assert answer.messages == messages, "in the order sent"
        assert answer.status == OK


async def test_no_turn_begins_more_than_its_share(serve: Serve) -> None:
    served = await serve(Limits(messages_a_turn=10))
    client = await served.connect()
    stream = client.request(path("PlainStream"), end=False)
    client.send(stream, framed(b"x") * 2_000, end=True)
    shares, before = [], 0
    async with asyncio.timeout(10):
        while before < 2_000:
            if not before:
                await client.writer.drain()
            await asyncio.sleep(0)
            shares.append(served.service.entered - before)
            before = served.service.entered
    assert max(shares) <= 2 * 10, "one share for what is read, and one for what is left"


async def test_no_more_is_begun_than_has_room_for_its_replies(serve: Serve) -> None:
    served = await serve(Limits(unsent_bytes_max=1_000))
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
    stream = client.request(path("PlainStream"), end=False)
    client.send(stream, framed(b"x") * 10_000, end=True)
    await client.call("/none", b"")
    assert 1_000 // 6 < served.service.entered <= 1_000 // 6 + 2
    client.h2.set_local_window_size(1 << 20, stream_id=stream)
    client.write()
    answer = await client.answer(stream)
    await client.until(partial(_has_all, answer, 10_000))
    assert answer.status == OK


async def test_no_more_is_begun_than_may_be_under_way(serve: Serve) -> None:
    served = await serve(Limits(unanswered_max=5))
    client = await served.connect()
    stream = client.request(path("PlainStream"), *[b"hold"] * 100, end=False)
    await client.call("/none", b"")
    assert served.service.entered == 5
    held: Any
    (held,) = served.service.open
    for number in range(1, 96):
        held.send(b"")
        await client.call("/none", b"")
        assert served.service.entered == 5 + number
    client.cancel(stream)
    await served.service.until(lambda: served.service.gone)


async def test_a_call_that_ends_begins_nothing_more(serve: Serve) -> None:
    served = await serve(Limits(messages_a_turn=1))
    client = await served.connect()
    messages = [b"x"] * 10 + [b"fail"] + [b"x"] * 1_000
    answer = await client.call(path("PlainStream"), *messages)
    assert len(answer.messages) == 10
    await client.call("/none", b"")
    assert served.service.entered == 11


async def test_streams_that_wait_for_a_window_are_looked_at_by_turns(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, is_sent = [0], Session._is_sent

    def counted(self: Session, stream_id: int) -> bool:
        looks[0] += 1
        return is_sent(self, stream_id)

    monkeypatch.setattr(Session, "_is_sent", counted)
    served = await serve(Limits())
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
    streams = [client.request("/none", b"x", end=False) for _ in range(500)]
    answers = [client.answers[stream] for stream in streams]
    await client.until(lambda: all(answer.status == UNIMPLEMENTED for answer in answers))
    for number in range(1, 11):
        looks[0] = 0
        client.h2.ping(bytes(8))
        client.write()
        await client.until(partial(_has_pongs, client, number))
        assert 0 < looks[0] <= 2 * _LOOKS
    client.h2.update_settings({ngh2.Setting.INITIAL_WINDOW_SIZE: 1_000})
    client.write()
    await client.until(lambda: len(client.heard(RST_STREAM)) == len(streams))
    assert {frame.stream_id for frame in client.heard(RST_STREAM)} == set(streams)


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every message that was unpacked, in order."""
    sizes: list[int] = []

    def counted(packed: bytes, bytes_max: int) -> bytes:
        message = inflated(packed, bytes_max)
        sizes.append(len(message))
        return message

    monkeypatch.setattr("execution.http2.wire.inflated", counted)
    return sizes


@pytest.mark.parametrize("method", ["Plain", "Unary", "PlainStream"])
async def test_packed_requests_are_unpacked_by_turns(
    serve: Serve, unpacked: list[int], method: str
) -> None:
    """A kilobyte may become a megabyte: what comes in one read would be hundreds of them."""
    served = await serve()
    client, other = await served.connect(), await served.connect()
    message = b"x" * 1_000_000
    body, count = framed(message, compress=True), 30
    began = [client.h2.send_request(request_headers(path(method), GZIP)) for _ in range(count)]
    for stream in began:
        client.answers[stream] = Answer()
        client.h2.send_data(stream, body, end_stream=True)
    client.write()
    most, before = 0, 0
    asked = asyncio.create_task(other.call(path("Plain"), b"x"))
    left_when_answered = 0
    while len(unpacked) < count:
        await asyncio.sleep(0)
        most, before = max(most, len(unpacked) - before), len(unpacked)
        if asked.done():
            left_when_answered = left_when_answered or count - len(unpacked)
        assert all(
            c.held <= served.server.limits.held_bytes_max for c in served.server._connections
        )
    assert (await asked).messages == [b"x"]
    assert most <= 4, "a million bytes, and as much of what is read"
    assert left_when_answered > count // 2
    for stream in began:
        assert (await client.answer(stream)).messages == [message]


async def test_packed_requests_that_wait_are_bounded(serve: Serve) -> None:
    served = await serve(Limits(held_bytes_max=1_000_000))
    client = await served.connect()
    body = framed(random.Random(1).randbytes(100_000) + bytes(800_000), compress=True)
    began = [client.h2.send_request(request_headers(path("Plain"), GZIP)) for _ in range(40)]
    for stream in began:
        client.answers[stream] = Answer()
        client.h2.send_data(stream, body, end_stream=True)
    client.write()
    statuses = [(await client.answer(stream)).status for stream in began]
    assert set(statuses) == {OK, RESOURCE_EXHAUSTED}
    assert (await client.call(path("Plain"), b"x")).status == OK
    assert [connection.held for connection in served.server._connections] == [0]


@pytest.mark.parametrize("method", ["Plain", "PlainStream"])
async def test_a_bug_in_a_later_turn_ends_its_connection_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    def broken(packed: bytes, bytes_max: int) -> bytes:
        message = inflated(packed, bytes_max)
        if message == bytes(2_000):
            raise ZeroDivisionError("a bug")
        return message

    monkeypatch.setattr("execution.http2.wire.inflated", broken)
    served = await serve(Limits(messages_a_turn=1))
    client, other = await served.connect(), await served.connect()
    for size in (20_000, 2_000):
        stream = client.h2.send_request(request_headers(path(method), GZIP))
        client.answers[stream] = Answer()
        client.h2.send_data(stream, framed(bytes(size), compress=True), end_stream=True)
    client.write()
    await client.until_closed()
    assert client.goaways[-1][1] == INTERNAL_ERROR
    assert "a bug" in caplog.text
    assert (await other.call(path("Plain"), b"x")).status == OK
    assert served.server.connections == 1
