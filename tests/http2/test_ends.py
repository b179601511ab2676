"""How calls end before they are answered: deadlines, cancellation, clients and servers that go."""

import asyncio
from typing import Any

import ngh2
import pytest
from http2.conftest import Serve, Served
from http2.harness import MemoryTransport
from http2.raw_client import RawClient
from http2.service import path

from execution.http2.wire import framed
from execution.server.transports.http2.connection import _WRITE_BYTES, Connection
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.server import Http2Server

CANCEL = 8
INVALID_ARGUMENT, DEADLINE_EXCEEDED, UNAVAILABLE = 3, 4, 14
SHORT = (b"grpc-timeout", b"50m")
HOLDING = {
    "PlainHold": [b"x"],
    "PlainStream": [b"hold"],
    "Hold": [b"x"],
    "HoldStream": [b"x"],
    "Replies": [b"100,50000"],
}
"""Rpcs that do not end by themselves, and the messages that begin them."""
_WINDOW = 2**31 - 1
holding = pytest.mark.parametrize("kind", HOLDING)


async def begin(served: Served, client: RawClient, kind: str, *headers: tuple[bytes, bytes]) -> int:
    """A call that its handler holds."""
    client.opens_windows = False
    before = served.service.entered + served.service.sent
    stream = client.request(path(kind), *HOLDING[kind], headers=headers, end=kind != "PlainStream")
    await served.service.until(lambda: served.service.entered + served.service.sent > before)
    return stream


@holding
async def test_a_deadline_ends_the_call_and_tells_its_handler(
    served: Served, client: RawClient, kind: str
) -> None:
    stream = await begin(served, client, kind, SHORT)
    await served.service.until(lambda: served.service.gone)
    assert served.service.gone == [kind]
    client.opens_windows = True
    client.h2.set_local_window_size(1 << 20, stream_id=stream)
    client.h2.set_local_window_size(1 << 20)
    client.write()
    answer = await client.answer(stream)
    assert answer.status == DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", ["Plain", "Unary", "PlainStream", "Chat"])
async def test_a_deadline_may_pass_before_the_request_is_whole(
    client: RawClient, kind: str
) -> None:
    stream = client.request(path(kind), headers=(SHORT,), end=False)
    answer = client.answers[stream]
    await client.until(lambda: answer.closed)
    assert (answer.status, answer.reset) == (DEADLINE_EXCEEDED, 0)


async def test_a_deadline_that_is_met_is_no_more(served: Served, client: RawClient) -> None:
    answer = await client.call(path("PlainStream"), b"x", headers=((b"grpc-timeout", b"10S"),))
    assert answer.status == 0
    assert served.service.gone == []


async def test_each_call_has_its_own_deadline_though_all_else_repeats(
    served: Served, client: RawClient
) -> None:
    for timeouts in ([b"100S"], [b"200S"], [], [b"300S"], [b"1S", b"400S"], [b"1S", b"500S"]):
        await begin(served, client, "PlainHold", *((b"grpc-timeout", text) for text in timeouts))
    now = asyncio.get_running_loop().time()
    deadlines = [call.deadline for call in served.service.open]
    left = [None if at is None else round((at - now) / 100) * 100 for at in deadlines]
    # Of several, the last counts.
    assert left == [100, 200, None, 300, 400, 500]


async def test_a_timeout_that_is_none_is_told_among_calls_that_repeat_all_else(
    client: RawClient,
) -> None:
    for text, status in (
        (b"1S", 0),
        (b"x", INVALID_ARGUMENT),
        (b"2S", 0),
        (b"3S", 0),
        (b"", INVALID_ARGUMENT),
    ):
        answer = await client.call(path("Plain"), b"x", headers=((b"grpc-timeout", text),))
        assert answer.status == status


@holding
async def test_a_cancelled_call_tells_its_handler(
    served: Served, client: RawClient, kind: str
) -> None:
    client.cancel(await begin(served, client, kind))
    await served.service.until(lambda: served.service.gone)
    assert served.service.gone == [kind]
    assert (await client.call(path("Plain"), b"next")).messages == [b"next"]


@holding
async def test_a_client_that_is_gone_tells_every_handler(
    served: Served, client: RawClient, kind: str
) -> None:
    for _ in range(3):
        await begin(served, client, kind)
    client.writer.transport.abort()
    await served.service.until(lambda: len(served.service.gone) == 3)
    assert served.service.gone == [kind] * 3


async def test_an_answer_for_nobody_goes_nowhere(served: Served, client: RawClient) -> None:
    client.cancel(await begin(served, client, "PlainHold"))
    await served.service.until(lambda: served.service.gone)
    (call,) = served.service.open
    call.reply(b"late")  # type: ignore[union-attr]  # the held one is unary
    assert (await client.call(path("Plain"), b"next")).messages == [b"next"]


async def test_who_will_say_no_more_is_gone(served: Served, client: RawClient) -> None:
    await begin(served, client, "Hold")
    client.write_eof()
    await client.until_closed()
    assert served.service.gone == ["Hold"]


async def test_stop_ends_every_call_and_says_so(served: Served, client: RawClient) -> None:
    streams = [await begin(served, client, kind) for kind in HOLDING if kind != "Replies"]
    stopping = asyncio.create_task(served.server.stop())
    await client.until_closed()
    await stopping
    assert [client.answers[stream].status for stream in streams] == [UNAVAILABLE] * len(streams)
    assert sorted(served.service.gone) == sorted(set(HOLDING) - {"Replies"})


async def test_stop_gives_calls_their_grace(served: Served, client: RawClient) -> None:
    stream = await begin(served, client, "PlainHold")
    stopping = asyncio.create_task(served.server.stop(10))
    await client.until(lambda: client.goaways)
    (call,) = served.service.open
    call.reply(b"in time")  # type: ignore[union-attr]  # the held one is unary
    answer = await client.answer(stream)
    await client.until_closed()
    await stopping
    assert answer.messages == [b"in time"]


async def test_stop_in_the_middle_of_everything_leaves_nothing(serve: Serve) -> None:
    served = await serve(Limits(stream_window_bytes=65_535))
    clients = [await served.connect() for _ in range(10)]
    for client in clients:
        for kind, messages in HOLDING.items():
            for _ in range(10):
                client.request(path(kind), *messages, end=False)
                client.request(path(kind), *messages)
        half = client.request(path("Unary"), end=False)
        client.send(half, framed(bytes(1_000))[:500])
    for client in clients[:3]:
        client.writer.transport.abort()
    await served.service.until(lambda: served.service.entered > 100)
    await served.server.stop()
    assert served.server.connections == 0


async def test_an_answer_whose_end_a_write_cuts_off_is_sent_whole_before_the_end() -> None:
    # Some of these sizes put the end of a write into the trailers.
    for beyond in range(300, 360):
        assert await answered_late(2 * _WRITE_BYTES - beyond), beyond


async def answered_late(size: int) -> bool:
    """Whether an answer of this size arrives whole, of a connection that ends with it."""
    held: list[Any] = []
    server = Http2Server(Limits())
    server.add_plain_handlers("s.S", {"M": lambda _data, call: held.append(call)})
    connection = Connection(server)
    wire = MemoryTransport(connection)
    connection.connection_made(wire)
    client = ngh2.Connection(ngh2.Role.CLIENT)
    client.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: _WINDOW})
    client.set_local_window_size(_WINDOW)
    stream = client.send_request(
        [
            (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"t"),
            (b":path", b"/s.S/M"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
        ]
    )  # fmt: skip
    client.send_data(stream, framed(b""), end_stream=True)
    connection.data_received(client.data_to_send())
    connection.go_away()
    wire.reads = False
    held[0].reply(bytes(size))
    connection.flush()
    wire.read_on(reads=True)
    await asyncio.sleep(0)
    client.receive_data(bytes(wire.written))
    kinds = {type(event) for event in client.events()}
    assert wire.closing
    return {ngh2.TrailersReceived, ngh2.GoAwayReceived} <= kinds
