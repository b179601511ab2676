"""How connections are greeted, watched, drained and ended."""

import asyncio
from typing import Any

import grpc
import pytest
from http2.conftest import Serve, Served
from http2.raw_client import (
    ACK,
    DATA,
    GOAWAY,
    PING,
    RST_STREAM,
    SETTINGS,
    Answer,
    RawClient,
    frame,
    request_headers,
)
from http2.service import NAME, path

from execution.http2.wire import framed
from execution.server.transports.http2.limits import Limits

ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM = 11, 0, 7
EVERY_STREAM = (1 << 31) - 1
UNAVAILABLE, OK = 14, 0
WATCHFUL = Limits(keepalive_seconds=0.1, keepalive_timeout_seconds=1.0, check_seconds=0.02)


async def test_a_server_says_its_limits(serve: Serve) -> None:
    served = await serve(Limits(calls_max=7, header_bytes_max=9_000, stream_window_bytes=70_000))
    client = await served.connect()
    await client.until(lambda: client.heard(SETTINGS))
    assert {3: 7, 6: 9_000, 4: 70_000}.items() <= client.h2.remote_settings.items()


# Drain.


async def test_a_drain_has_two_steps_and_loses_no_call(served: Served, client: RawClient) -> None:
    first = client.request(path("PlainHold"), b"first")
    await served.service.until(lambda: served.service.entered == 1)
    noticing = asyncio.create_task(served.server.notify_of_shutdown())
    await asyncio.sleep(0)
    # The notice is on its way, unread: this call crosses with it.
    second = client.request(path("PlainHold"), b"second")
    await served.service.until(lambda: served.service.entered == 2)
    assert not noticing.done(), "the client has not answered that it has read the notice"
    await client.until(lambda: client.heard(PING))
    await noticing
    assert client.goaways == [(EVERY_STREAM, NO_ERROR)]
    order = [one.kind for one in client.frames if one.kind in {GOAWAY, PING}]
    assert order == [GOAWAY, PING], "who answers the ping has read the notice"
    served.server.go_away()
    await client.until(lambda: len(client.goaways) == 2)
    assert client.goaways[1] == (second, NO_ERROR)
    for call in served.service.open:
        call.reply(b"answer")  # type: ignore[union-attr]  # the held ones are unary
    await client.until_closed()
    assert [client.answers[stream].messages for stream in (first, second)] == [[b"answer"]] * 2


async def test_a_call_after_the_last_is_not_executed(served: Served, client: RawClient) -> None:
    client.request(path("PlainHold"), b"x")
    await served.service.until(lambda: served.service.entered == 1)
    served.server.go_away()
    late = client.request(path("PlainHold"), b"late")
    await client.until(lambda: client.goaways)
    client.h2.ping()
    client.write()
    await client.until(lambda: client.heard(PING, ACK))
    assert served.service.entered == 1
    assert client.goaways[-1][0] < late, "so the client knows that it may try elsewhere"
    served.service.open[0].reply(b"")  # type: ignore[union-attr]  # as above
    await client.until_closed()


async def test_a_notice_waits_for_no_client_that_is_deaf(serve: Serve) -> None:
    served = await serve()
    for _ in range(3):
        await served.connect(speaks=False)
    await until_connected(served, 3)
    async with asyncio.timeout(5):
        await served.server.notify_of_shutdown()


@pytest.mark.asyncio(loop_factories=["asyncio"])  # the one that grpc.aio knows best
async def test_grpcio_goes_elsewhere_in_a_drain_and_no_call_fails(serve: Serve) -> None:
    servers = [await serve(reuse_port=True)]
    servers.append(await serve(listen=servers[0].address, reuse_port=True))
    answered, ended = 0, False
    async with grpc.aio.insecure_channel(servers[0].address) as channel:
        method: Any = channel.unary_unary(path("Unary"))

        async def load() -> None:
            nonlocal answered
            while not ended:
                assert await method(b"x", wait_for_ready=True) == b"x"
                answered += 1

        async def until_answered(more: int) -> None:
            enough = answered + more
            while answered < enough:
                await asyncio.sleep(0.005)
                assert not any(one.done() for one in loads), "a call failed"

        loads = [asyncio.create_task(load()) for _ in range(8)]
        for _ in range(3):
            await until_answered(100)
            for served in servers:
                await served.server.notify_of_shutdown()
                served.server.go_away()
        await until_answered(100)
        ended = True
        await asyncio.gather(*loads)


async def test_a_client_that_says_goodbye_is_let_go(served: Served, client: RawClient) -> None:
    await client.call(path("Plain"), b"x")
    client.h2.send_goaway()
    client.write()
    await client.until_closed()


# Limits.


@pytest.mark.parametrize("method", ["/none", *map(path, ("Plain", "PlainStream", "Unary", "Chat"))])
@pytest.mark.parametrize("end", [True, False])
async def test_who_begins_a_call_and_ends_all_in_one_breath_is_let_go(
    client: RawClient, method: str, end: bool
) -> None:
    await client.call(path("Plain"), b"x")
    stream = client.h2.send_request(request_headers(method))
    client.answers[stream] = Answer()
    asked = client.h2.data_to_send()
    body = frame(DATA, int(end), stream, framed(b"x"))
    reset, goodbye = frame(RST_STREAM, 0, stream, bytes(4)), frame(GOAWAY, 0, 0, bytes(8))
    client.silent = True
    client.writer.write(asked + body + reset + goodbye)
    await client.until_closed()
    assert client.goaways in ([], [(stream, NO_ERROR)])


async def test_a_connection_too_many_is_sent_away(serve: Serve) -> None:
    served = await serve(Limits(connections_max=2))
    first, second = [await served.connect() for _ in range(2)]
    assert (await first.call(path("Plain"), b"x")).status == OK
    assert (await second.call(path("Plain"), b"x")).status == OK
    third = await served.connect(speaks=False)
    await third.until_closed()
    assert third.goaways == [(0, ENHANCE_YOUR_CALM)]
    assert (await first.call(path("Plain"), b"x")).status == OK
    await second.close()
    await until_connected(served, 1)
    fourth = await served.connect()
    assert (await fourth.call(path("Plain"), b"x")).status == OK


async def test_a_call_too_many_is_refused(serve: Serve) -> None:
    served = await serve(Limits(calls_max=2))
    client = await served.connect()
    streams = [client.request(path("PlainHold"), b"x") for _ in range(3)]
    answer = client.answers[streams[2]]
    await client.until(lambda: answer.reset is not None)
    assert answer.reset == REFUSED_STREAM
    assert served.service.entered == 2
    served.service.open[0].reply(b"")  # type: ignore[union-attr]  # the held ones are unary
    await client.answer(streams[0])
    assert (await client.call(path("Plain"), b"x")).status == OK


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n"])
async def test_who_does_not_begin_is_not_waited_for(serve: Serve, said: bytes) -> None:
    served = await serve(Limits(handshake_seconds=0.1, check_seconds=0.02))
    client = await served.connect(speaks=False)
    client.writer.write(said)
    await client.until_closed()


# Keepalive and age.


async def test_a_silent_client_that_answers_stays(serve: Serve) -> None:
    served = await serve(WATCHFUL)
    client = await served.connect()
    await client.until(lambda: len(client.heard(PING)) == 5)
    assert (await client.call(path("Plain"), b"x")).status == OK


async def test_a_client_that_does_not_answer_is_given_up(serve: Serve) -> None:
    served = await serve(WATCHFUL)
    client = await served.connect()
    client.request(path("Hold"), b"x")
    await served.service.until(lambda: served.service.entered)
    client.silent = True
    await client.until_closed()
    assert len(client.heard(PING)) == 1
    assert served.service.gone == ["Hold"]


async def test_an_old_connection_is_drained_in_two_steps(serve: Serve) -> None:
    served = await serve(Limits(age_seconds_max=0.1, check_seconds=0.02))
    client = await served.connect()
    stream = client.request(path("PlainHold"), b"x")
    await client.until(lambda: len(client.goaways) == 2)
    assert client.goaways == [(EVERY_STREAM, NO_ERROR), (stream, NO_ERROR)]
    served.service.open[0].reply(b"in time")  # type: ignore[union-attr]  # the held one is unary
    await client.until_closed()
    assert client.answers[stream].messages == [b"in time"]


async def test_calls_of_an_old_connection_have_their_time(serve: Serve) -> None:
    served = await serve(Limits(age_seconds_max=0.1, age_grace_seconds=0.1, check_seconds=0.02))
    client = await served.connect()
    client.request(path("PlainHold"), b"x")
    await client.until_closed()
    assert served.service.gone == ["PlainHold"]


# Other ends.


async def test_a_bug_in_a_handler_harms_its_call_alone(
    served: Served, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> None:
        raise LookupError("secret")

    class Bug:
        message = end = gone = bug

    served.server.add_plain_handlers(NAME, {"Bug": bug})
    served.server.add_plain_streams(NAME, {"BugStream": lambda _: Bug()})
    held = client.request(path("PlainHold"), b"x")
    for method in ("Bug", "BugStream"):
        answer = await client.call(path(method), b"x")
        assert (answer.status, answer.message) == (2, "Unexpected LookupError")
    assert caplog.text.count("LookupError: secret") == 2
    served.service.open[0].reply(b"")  # type: ignore[union-attr]  # the held one is unary
    assert (await client.answer(held)).status == OK


async def until_connected(served: Served, number: int) -> None:
    async with asyncio.timeout(5):
        while served.server.connections != number:
            await asyncio.sleep(0.005)
