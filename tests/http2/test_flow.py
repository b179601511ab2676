"""Flow control both ways: whoever does not read stops only itself, and what waits is bounded."""

import asyncio
import socket
from functools import partial
from typing import Any

import pytest
from http2.conftest import Serve, Served
from http2.raw_client import DATA, Answer, RawClient, frame
from http2.service import path

from execution.http2.wire import PREFIX_BYTES, framed
from execution.server.transports.http2 import library
from execution.server.transports.http2.limits import Limits

INITIAL_WINDOW_SIZE = 4
OK, RESOURCE_EXHAUSTED = 0, 8
IMPATIENT = Limits(
    keepalive_seconds=0.2, keepalive_timeout_seconds=0.6, check_seconds=0.05, updates=(10**6, 10**6)
)


async def test_replies_wait_for_the_window_of_the_client(served: Served) -> None:
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 1_000})
    client.opens_windows = False
    stream = client.request(path("Replies"), b"1000,10000")
    answer = client.answers[stream]
    await client.until(lambda: len(answer.body) == 1_000)
    await client.call(path("Unary"), b"x")
    assert len(answer.body) == 1_000
    # 64 KiB wait in the call; the handler waits with the next.
    assert served.service.sent <= 1_000 // 10_000 + 65_536 // 10_000 + 2
    client.opens_windows = True
    for _ in range(100):
        client.h2.set_local_window_size(10**6, stream_id=stream)
    client.write()
    client.h2.set_local_window_size(10**7)
    client.h2.acknowledge_received_data(1_000, stream)
    client.write()
    await client.answer(stream)
    assert len(answer.messages) == 1_000


async def test_a_chat_without_readers_reads_no_more(served: Served) -> None:
    """Requests answered one by one: the client that reads no replies can send no requests."""
    for kind in ("PlainStream", "Chat"):
        client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
        stream = client.request(path(kind), end=False)
        client.send(stream, framed(bytes(1_000)) * 2_000)
        await client.call("/none", b"")
        waiting = client.h2.queued_body_size(stream)
        assert waiting > 1_000_000, "of 2 MB no more than windows and queues were taken"
        client.h2.set_local_window_size(1 << 24, stream_id=stream)
        client.h2.set_local_window_size(1 << 24)
        client.write()
        client.h2.end_stream(stream)
        client.write()
        await client.answer(stream)
        assert len(client.answers[stream].messages) == 2_000


async def test_a_handler_that_reads_nothing_stops_only_its_client(served: Served) -> None:
    client = await served.connect()
    stuck = client.request(path("HoldStream"), end=False)
    client.send(stuck, framed(bytes(100_000)) * 100)
    await served.service.until(lambda: served.service.entered)
    assert (await client.call(path("Unary"), bytes(200_000))).status == OK
    assert client.h2.queued_body_size(stuck) > 9_000_000
    client.cancel(stuck)
    await served.service.until(lambda: served.service.gone)
    # Its bytes were given back to the connection's window.
    for _ in range(10):
        assert (await client.call(path("Collect"), bytes(900_000))).status == OK


async def test_the_window_is_given_back_whatever_becomes_of_calls(serve: Serve) -> None:
    served = await serve(Limits(connection_window_bytes=100_000, message_bytes_max=60_000))
    client = await served.connect()
    for kind in ("Plain", "PlainStream", "Unary", "Collect", "Chat", "HoldStream", "None"):
        for size in (50_000, 61_000):
            for _ in range(4):
                stream = client.request(path(kind), bytes(size), end=False)
                await _until_sent(client, stream)
                client.cancel(stream)
    assert (await client.call(path("Plain"), bytes(60_000))).status == OK


@pytest.mark.skipif(not library._DIRECT, reason="ngh2 tells nobody of the part of a frame")
async def test_the_window_is_given_back_for_a_frame_whose_stream_ends_within_it(
    serve: Serve,
) -> None:
    served = await serve(Limits(connection_window_bytes=100_000, message_bytes_max=60_000))
    client = await served.connect()
    await client.call(path("Plain"), b"x")  # whatever there is to say at first has been said
    too_large = b"\0" + (60_001).to_bytes(4, "big")
    for _ in range(20):
        stream = client.request(path("Unary"), end=False)
        whole = frame(DATA, 0, stream, bytes(16_000))
        client.write(frame(DATA, 0, stream, too_large) + whole[:8_000])
        answer = client.answers[stream]
        await client.until(partial(getattr, answer, "closed"))
        assert answer.status == RESOURCE_EXHAUSTED
        client.write(whole[8_000:])
    # Half of the window is always open: less is not worth an update.
    assert (await client.call(path("Plain"), bytes(40_000))).status == OK


async def test_requests_that_never_become_whole_are_bounded(serve: Serve) -> None:
    served = await serve(Limits(held_bytes_max=100_000))
    client = await served.connect()
    streams = []
    for kind in ("Plain", "Unary", "PlainStream", "HoldStream") * 3:
        stream = client.request(path(kind), end=False)
        streams.append(stream)
        client.send(stream, framed(bytes(20_000))[:-1])
    answers = [client.answers[stream] for stream in streams]
    await client.until(lambda: sum(answer.closed for answer in answers) >= 7)
    refused = [answer for answer in answers if answer.closed]
    assert {answer.status for answer in refused} == {RESOURCE_EXHAUSTED}
    for stream in streams:
        client.cancel(stream)
    assert (await client.call(path("Plain"), bytes(90_000))).status == OK


async def test_requests_of_a_stream_that_wait_are_bounded_as_they_are_unpacked(
    serve: Serve,
) -> None:
    """What a window has room for may be a thousand times as much in memory."""
    served = await serve(Limits(held_bytes_max=100_000, unanswered_max=1))
    client = await served.connect()
    gzip = ((b"grpc-encoding", b"gzip"),)
    streams = [client.request(path("PlainStream"), b"hold", headers=gzip, end=False) for _ in "ab"]
    for stream in streams:
        client.send(stream, framed(bytes(20_000), compress=True) * 3)
    answers = [client.answers[stream] for stream in streams]
    await client.until(lambda: any(answer.ended for answer in answers))
    assert [answer.status for answer in answers] == [None, RESOURCE_EXHAUSTED]
    (connection,) = served.server._connections
    assert connection.held == 60_000, "the one that was refused keeps nothing"
    client.cancel(streams[0])
    assert (await client.call(path("Plain"), bytes(90_000))).status == OK
    assert connection.held == 0


async def test_a_window_of_small_requests_may_wait(serve: Serve) -> None:
    served = await serve(Limits(held_bytes_max=15_000, unanswered_max=1))
    client = await served.connect()
    stream = client.request(path("PlainStream"), b"hold", end=False)
    client.send(stream, framed(b"x") * 10_000 + framed(b"y")[:-1])
    await client.call("/none", b"")
    (connection,) = served.server._connections
    assert connection.held == 10_000 + PREFIX_BYTES, "those that wait, and what is not whole"
    client.send(stream, b"y", end=True)
    held: Any
    (held,) = served.service.open
    held.send(b"")
    answer = await client.answer(stream)
    assert (answer.status, len(answer.messages)) == (OK, 10_002)
    assert connection.held == 0


async def test_replies_that_nobody_reads_are_bounded(serve: Serve) -> None:
    served = await serve(Limits(connection_unsent_bytes_max=1_000_000))
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
    streams = [client.request(path("PlainBig"), b"300000") for _ in range(10)]
    await client.until(lambda: sum(bool(client.answers[s].status) for s in streams) == 6)
    (connection,) = served.server._connections
    assert connection.h2.queued_body_size() < 1_300_100
    other = await served.connect()
    assert (await other.call(path("PlainBig"), b"300000")).status == OK


async def test_streams_that_nobody_reads_are_bounded_together(serve: Serve) -> None:
    served = await serve(Limits(connection_unsent_bytes_max=200_000))
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
    for _ in range(100):
        client.request(path("Replies"), b"1000,10000")
    await served.service.until(lambda: served.service.sent > 15)
    refused = await client.call(path("Plain"), b"x")
    assert refused.status == RESOURCE_EXHAUSTED
    (connection,) = served.server._connections
    assert connection.h2.queued_body_size() <= 200_000 + 100 * 10_005


async def test_who_opens_no_window_is_given_up(serve: Serve) -> None:
    served = await serve(IMPATIENT)
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 0})
    client.request(path("PlainBig"), b"100000")
    replies = client.request(path("Replies"), b"1000,10000")
    assert client.answers[replies].status is None
    await client.until_closed()
    await served.service.until(lambda: served.service.gone == ["Replies"])


async def test_a_slow_reader_is_one_who_reads(serve: Serve) -> None:
    served = await serve(IMPATIENT)
    client = await served.connect(settings={INITIAL_WINDOW_SIZE: 1_000})
    client.opens_windows = False
    stream = client.request(path("PlainBig"), b"9995")
    answer = client.answers[stream]
    for number in range(1, 11):
        await client.until(partial(_has, answer, number * 1_000))
        await asyncio.sleep(0.1)  # the rate is the point
        client.h2.acknowledge_received_data(1_000, stream)
        client.write()
    await client.answer(stream)
    assert answer.status == OK


async def test_who_reads_no_bytes_is_given_up_and_stops_nobody(serve: Serve) -> None:
    served = await serve(IMPATIENT)
    deaf = await _deaf(served)
    deaf.h2.set_local_window_size((1 << 31) - 1)
    for _ in range(20):
        deaf.request(path("PlainBig"), b"1000000")
    deaf.request(path("Replies"), b"100000,10000")
    await deaf.writer.drain()
    other = await served.connect()
    for number in range(200):
        assert (await other.call(path("Plain"), b"%d" % number)).messages == [b"%d" % number]
    await served.service.until(lambda: served.service.gone == ["Replies"])
    while served.server.connections > 1:
        assert (await other.call(path("Plain"), b"x")).status == OK
    assert served.service.sent < 5_000, "all would be 1 GB"


async def test_what_waits_for_a_deaf_client_is_bounded(serve: Serve) -> None:
    limits = Limits(connection_unsent_bytes_max=4_000_000)
    served = await serve(limits)
    deaf = await _deaf(served)
    deaf.h2.set_local_window_size((1 << 31) - 1)
    for _ in range(400):
        deaf.request(path("PlainBig"), b"200000")
    await deaf.writer.drain()
    other = await served.connect()
    for _ in range(50):
        assert (await other.call(path("Plain"), b"x")).status == OK
    connection = max(served.server._connections, key=lambda one: one.h2.queued_body_size())
    transport = connection._transport
    assert transport is not None
    assert connection.h2.queued_body_size() <= 4_200_010
    assert transport.get_write_buffer_size() <= 600_000
    deaf.writer.transport.abort()


async def _deaf(served: Served) -> RawClient:
    """A client that leaves everything in its socket, which is small."""
    host, _, port = served.address.rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1_024)
    client = RawClient(reader, writer)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's can
    client.h2.initiate_connection({INITIAL_WINDOW_SIZE: (1 << 31) - 1})
    client.write()
    served.clients.append(client)
    return client


def _has(answer: Answer, size: int) -> bool:
    return len(answer.body) == size


async def _until_sent(client: RawClient, stream: int) -> None:
    """Until all of the request is written, or nobody wants it."""
    await client.until(
        lambda: not client.h2.queued_body_size(stream) or client.answers[stream].closed
    )
