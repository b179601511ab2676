"""Our gRPC client over ngh2, against a server that is told what to do with each frame."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import uvloop
from scripted_http2 import OK, Http2Server, Peer, Request, serving, silence

from execution.http2.answers import CallError
from execution.http2.client import Channel
from execution.http2.client_link import ClientConfig
from execution.http2.wire import framed, timeout_seconds

Code = grpc.StatusCode
PATH = b"/test.Service/Call"


@asynccontextmanager
async def channel(target: str, **config: float) -> AsyncIterator[Channel]:
    it = Channel(target, ClientConfig(**config), jitter=lambda: 0.0)  # type: ignore[arg-type]  # floats and ints alike
    try:
        yield it
    finally:
        await it.close()


async def call(it: Channel, request: bytes = b"hello", seconds: float = 5.0) -> bytes:
    async with asyncio.timeout(10):
        return await it.unary(PATH, request, seconds)


async def failure(it: Channel, seconds: float = 5.0) -> CallError:
    with pytest.raises(CallError) as caught:
        await call(it, seconds=seconds)
    return caught.value


# Calls


async def test_a_call_says_what_grpc_wants_to_hear() -> None:
    async with serving() as server, channel(server.target) as it:
        assert await call(it, seconds=1.5) == b"hello"
        request = server.requests[0]
        assert request.headers[b":path"] == PATH
        assert request.headers[b":authority"] == server.target.encode()
        assert request.headers[b"content-type"] == b"application/grpc"
        assert request.headers[b"te"] == b"trailers"
        assert 1.0 < timeout_seconds(request.headers[b"grpc-timeout"]) <= 1.5
        assert request.body == framed(b"hello")


async def test_all_calls_of_one_tick_leave_in_one_write() -> None:
    async with serving() as server, channel(server.target) as it:
        await call(it)
        answers = await asyncio.gather(*(call(it, b"%d" % number) for number in range(64)))
        assert answers == [b"%d" % number for number in range(64)]
        assert server.peers[0].seen.requests_by_read == [1, 64]


async def test_calls_before_the_connection_wait_for_it_on_a_unix_socket(tmp_path: Path) -> None:
    async with serving(str(tmp_path / "h2")) as server, channel(server.target) as it:
        answers = await asyncio.gather(*(call(it, b"%d" % number) for number in range(5)))
        assert answers == [b"%d" % number for number in range(5)]
        assert server.requests[0].headers[b":authority"] == b"localhost"


def test_uvloop_does_as_well() -> None:
    async def main() -> None:
        async with serving() as server, channel(server.target) as it:
            assert await call(it) == b"hello"
            server.answer = silence
            assert (await failure(it, seconds=0.05)).code is Code.DEADLINE_EXCEEDED
            await server.stop()
            assert (await failure(it)).code is Code.UNAVAILABLE

    uvloop.run(main())


async def test_more_calls_than_the_server_allows_at_once_wait_their_turn() -> None:
    async with serving(max_concurrent_streams=2) as server, channel(server.target) as it:
        assert len(await asyncio.gather(*(call(it) for _ in range(20)))) == 20


async def test_more_calls_than_are_allowed_here_are_refused_at_once() -> None:
    async with serving() as server, channel(server.target, calls_max=3) as it:
        server.answer = silence
        calls = [asyncio.create_task(call(it)) for _ in range(3)]
        await server.until(lambda: len(server.requests) == 3)
        assert (await failure(it)).code is Code.RESOURCE_EXHAUSTED
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_large_messages_pass_both_ways_within_the_windows() -> None:
    message = bytes(range(256)) * 8_192
    async with serving() as server, channel(server.target) as it:
        assert await call(it, message) == message


async def test_a_message_beyond_the_limit_fails_its_call_alone() -> None:
    async with serving() as server, channel(server.target, message_bytes_max=1_000) as it:
        server.answer = lambda peer, request: peer.reply(request, b"x" * 1_001)
        assert (await failure(it)).code is Code.RESOURCE_EXHAUSTED
        server.answer = lambda peer, request: peer.reply(request, b"x" * 1_000)
        assert len(await call(it)) == 1_000
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("answer", "code", "details"),
    [
        (
            lambda peer, request: peer.headers_only(
                request, *OK, (b"grpc-status", b"12"), (b"grpc-message", b"not%20here")
            ),
            Code.UNIMPLEMENTED,
            "not here",
        ),
        (lambda peer, request: peer.reply(request, b"x", status=b"13"), Code.INTERNAL, ""),
        (
            lambda peer, request: peer.headers_only(request, (b":status", b"503")),
            Code.UNAVAILABLE,
            "HTTP status 503",
        ),
        (
            lambda peer, request: peer.h2.reset_stream(request.stream_id, 7),
            Code.UNAVAILABLE,
            "HTTP/2 error 7",
        ),
    ],
    ids=["trailers only", "trailers", "a proxy", "refused"],
)
async def test_a_failure_is_the_status_that_the_server_means(
    answer: Callable[[Peer, Request], None], code: grpc.StatusCode, details: str
) -> None:
    async with serving() as server, channel(server.target) as it:
        server.answer = answer
        error = await failure(it)
        assert error.code is code
        assert details in error.details


# Deadlines and those who go away


async def test_a_deadline_ends_the_call_here_and_there() -> None:
    async with serving() as server, channel(server.target) as it:
        server.answer = silence
        late, later = await asyncio.gather(failure(it, seconds=0.2), failure(it, seconds=0.1))
        assert late.code is later.code is Code.DEADLINE_EXCEEDED
        await server.until(lambda: server.peers[0].seen.resets == [8, 8])
        server.answer = lambda peer, request: peer.reply(request, b"still here")
        assert await call(it) == b"still here"


async def test_a_deadline_applies_while_there_is_no_connection() -> None:
    async with serving() as server:
        server.speaks = False
        async with channel(server.target, connect_seconds=5) as it:
            assert (await failure(it, seconds=0.05)).code is Code.DEADLINE_EXCEEDED
            assert not it.connected


async def test_a_server_that_gives_up_at_our_deadline_has_kept_it() -> None:
    async with serving() as server, channel(server.target) as it:
        await call(it)
        server.answer = lambda peer, request: peer.h2.reset_stream(request.stream_id, 8)
        assert (await failure(it, seconds=0.004)).code is Code.DEADLINE_EXCEEDED
        assert (await failure(it, seconds=60)).code is Code.CANCELLED


async def test_a_caller_that_goes_away_takes_its_call_along() -> None:
    async with serving() as server, channel(server.target) as it:
        server.answer = silence
        waiting = asyncio.create_task(call(it))
        await server.until(lambda: len(server.requests) == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await server.until(lambda: server.peers[0].seen.resets == [8])


# Streams


async def test_a_stream_hands_over_each_message_as_it_comes_and_ends() -> None:
    got: list[bytes] = []
    async with serving() as server, channel(server.target) as it:
        server.answer = lambda peer, request: peer.begin(request, b"one", b"", b"two")
        reading = asyncio.create_task(it.stream(PATH, b"", got.append))
        await server.until(lambda: got == [b"one", b"", b"two"])
        peer, request = server.peers[0], server.requests[0]
        assert b"grpc-timeout" not in request.headers
        peer.h2.send_trailers(request.stream_id, [(b"grpc-status", b"0")])
        peer.flush()
        async with asyncio.timeout(5):
            await reading


async def test_what_a_reader_raises_ends_its_stream() -> None:
    def refuse(message: bytes) -> None:
        raise LookupError(message)

    async with serving() as server, channel(server.target) as it:
        server.answer = lambda peer, request: peer.begin(request, b"one", b"two")
        with pytest.raises(LookupError, match="one"):
            await it.stream(PATH, b"", refuse)
        await server.until(lambda: server.peers[0].seen.resets == [8])


# The connection


async def test_nobody_there_is_unavailable_at_once_and_met_again_when_back() -> None:
    async with serving() as server, channel(server.target) as it:
        heard: list[bool] = []
        watching = asyncio.create_task(it.watch(heard.append))
        await server.until(lambda: heard == [True])
        await server.stop()
        await server.until(lambda: heard == [True, False])
        error = await failure(it)
        assert error.code is Code.UNAVAILABLE
        assert "connect" in error.details
        await server.start()
        await server.until(lambda: heard == [True, False, True])
        assert await call(it) == b"hello"
        await it.close()
        await watching
        assert (await failure(it)).code is Code.CANCELLED


async def test_a_connection_that_breaks_ends_its_calls() -> None:
    async with serving() as server, channel(server.target) as it:
        server.answer = lambda peer, _: peer.transport.abort()
        assert (await failure(it)).code is Code.UNAVAILABLE


async def test_what_is_no_http2_is_unavailable() -> None:
    async with serving() as server, channel(server.target) as it:
        await call(it)
        server.answer = silence
        waiting = asyncio.create_task(failure(it))
        await server.until(lambda: len(server.requests) == 2)
        server.peers[0].transport.write(b"\xff" * 100)
        error = await waiting
        assert error.code is Code.UNAVAILABLE
        assert "HTTP/2" in error.details


async def test_calls_after_a_goaway_go_elsewhere_and_those_before_end_as_usual() -> None:
    async with serving() as server, channel(server.target) as it:
        server.answer = silence
        served, unseen = asyncio.create_task(call(it)), asyncio.create_task(failure(it))
        await server.until(lambda: len(server.requests) == 2)
        peer, (first, _) = server.peers[0], server.requests
        peer.h2.send_goaway(0, last_stream_id=first.stream_id, debug_data=b"maintenance")
        peer.flush()
        error = await unseen
        assert error.code is Code.UNAVAILABLE
        assert "maintenance" in error.details
        server.answer = lambda peer, request: peer.reply(request, b"the new one")
        assert await call(it) == b"the new one"
        assert len(server.peers) == 2
        peer.reply(first, b"the old one")
        peer.flush()
        assert await served == b"the old one"
        await server.until(lambda: peer.seen.closed)


async def test_a_goaway_and_the_last_answers_may_come_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As of a grpcio server that stops: then there is no connection left to reset a stream of."""
    async with serving() as server, channel(server.target) as it:
        await call(it)
        server.answer = silence
        calls = [asyncio.create_task(call(it)) for _ in range(3)]
        await server.until(lambda: len(server.requests) == 4)
        peer, (_, *requests) = server.peers[0], server.requests
        peer.h2.send_goaway(0, last_stream_id=requests[-1].stream_id)
        for request in requests:
            peer.reply(request, b"the last")
        peer.flush()
        assert await asyncio.gather(*calls) == [b"the last"] * 3
        await server.until(lambda: peer.seen.closed)
    assert not caplog.records


async def test_a_server_that_hangs_up_on_everybody_is_asked_less_and_less() -> None:
    async with serving() as server, channel(server.target) as it:
        begun = asyncio.get_running_loop().time()
        watching = asyncio.create_task(it.watch(lambda _: None))
        for _ in range(4):
            await server.until(lambda: it.connected)
            peer = server.peers[-1]
            peer.transport.abort()
            await server.until(lambda peer=peer: server.peers[-1] is not peer)  # type: ignore[misc]  # the peer of this round
        # 50 + 100 + 200 + 250 ms from each beginning to the next.
        assert asyncio.get_running_loop().time() - begun >= 0.5
        await it.close()
        await watching


async def test_a_silent_server_is_asked_whether_it_lives_and_given_up() -> None:
    limits = {"keepalive_seconds": 0.05, "keepalive_timeout_seconds": 0.1}
    async with serving() as server, channel(server.target, **limits) as it:
        server.answer = silence
        waiting = asyncio.create_task(failure(it, seconds=9))
        peer = await lively(server)
        server.deaf = True
        error = await waiting
        assert error.code is Code.UNAVAILABLE
        assert "no sign of life" in error.details
        await server.until(lambda: peer.seen.closed)


async def lively(server: Http2Server) -> Peer:
    """The one connection, which has answered pings for a while and stood."""
    await server.until(lambda: bool(server.peers) and server.peers[0].seen.pings >= 3)
    assert len(server.peers) == 1
    return server.peers[0]


async def test_a_quiet_connection_without_calls_is_left_alone() -> None:
    limits = {"keepalive_seconds": 0.01, "keepalive_timeout_seconds": 0.01}
    async with serving() as server, channel(server.target, **limits) as it:
        await call(it)
        await asyncio.sleep(0.1)  # nothing announces what does not happen
        assert server.peers[0].seen.pings == 0
        assert await call(it) == b"hello"
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "target", ["dns:///market:1", "dns:1", "market", "market:70000", "ipv4:1.2.3.4:5", "", ":1"]
)
def test_a_target_for_grpcio_is_no_target_of_ours(target: str) -> None:
    with pytest.raises(ValueError, match="neither HOST:PORT nor unix:PATH"):
        Channel(target)


@pytest.mark.parametrize("target", ["market:1", "127.0.0.1:50061", "[::1]:50061", "unix:///a/b"])
def test_a_plain_target_is_ours(target: str) -> None:
    assert not Channel(target).connected
