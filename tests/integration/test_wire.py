"""The connection: replies in order, one write a tick, and limits that end it in time."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvloop
from redis_server import RedisServer
from scripted_redis import Speak, scripted_redis

from execution.adapters.redis_url import RedisAddress
from execution.adapters.wire import (
    Connection,
    ConnectionLost,
    Reply,
    WireLimits,
    bulk,
    connect,
    pack,
)

LIMITS = WireLimits(connect_timeout_ms=500, request_timeout_ms=100)


def echo(words: list[bytes]) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(words[1]), words[1])


@asynccontextmanager
async def connected(port: int, limits: WireLimits = LIMITS) -> AsyncIterator[Connection]:
    connection = await connect(RedisAddress("127.0.0.1", port), limits)
    try:
        yield connection
    finally:
        connection.abort("the test is over")
        await connection.lost


def silent(_: list[bytes]) -> bytes:
    return b""


def test_a_request_made_of_parts_is_the_request_made_whole() -> None:
    whole = pack("SET", "key", b"\x00\xff", "é")
    assert whole == b"*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n\x00\xff\r\n$2\r\n\xc3\xa9\r\n"
    assert b"*4\r\n" + bulk("SET") + bulk("key", b"\x00\xff") + bulk("é") == whole


async def test_requests_of_one_tick_leave_in_one_write_and_replies_come_in_order() -> None:
    async with scripted_redis(echo) as server, connected(server.port) as connection:
        asked = [connection.ask(pack("ECHO", str(number))) for number in range(100)]
        assert await asyncio.gather(*asked) == [str(number).encode() for number in range(100)]
        assert server.chunks == [100]


async def test_a_lost_connection_is_told_to_everyone_in_order_and_once() -> None:
    async with scripted_redis(silent) as server, connected(server.port) as connection:
        told: list[tuple[int, object]] = []

        def listener(number: int) -> Callable[[Reply | ConnectionLost], None]:
            return lambda reply: told.append((number, type(reply)))

        for number in range(3):
            connection.request(pack("PING"), listener(number))
        connection.abort("enough")
        assert await connection.lost == "enough"
        await asyncio.sleep(0)
        assert told == [(number, ConnectionLost) for number in range(3)]
        with pytest.raises(ConnectionLost, match="enough"):
            await connection.ask(pack("PING"))


async def lost(
    port: int, ask: Callable[[Connection], Awaitable[object]], limits: WireLimits
) -> str:
    """Why the connection ended."""
    async with connected(port, limits) as connection:
        with pytest.raises(ConnectionLost) as error:
            await asyncio.wait_for(ask(connection), 5)
        assert not connection.usable
        return str(error.value)


async def test_a_request_without_reply_ends_the_connection_in_time() -> None:
    async with scripted_redis(silent) as server:
        why = await lost(server.port, lambda c: c.ask(pack("PING")), LIMITS)
    assert why == "no reply within 100 ms"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stall_of_ours_is_no_silence_of_redis(loop: Any, redis_server: RedisServer) -> None:
    """While a read of another socket takes too long, Redis answers."""

    async def ask_and_stall() -> list[Reply]:
        mine, others = socket.socketpair()

        def stall() -> None:
            others.recv(1)
            time.sleep(0.3)

        asyncio.get_running_loop().add_reader(others, stall)
        with mine, others:
            async with connected(redis_server.port, LIMITS) as connection:
                replies = []
                for _ in range(5):
                    asked = asyncio.create_task(connection.ask(pack("PING")))
                    mine.send(b"x")
                    replies.append(await asked)
            asyncio.get_running_loop().remove_reader(others)
        return replies

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(ask_and_stall()) == [b"PONG"] * 5


async def test_a_reply_that_never_ends_is_not_waited_for() -> None:
    async with scripted_redis(lambda _: b"$1000000\r\n" + b"x" * 300_000) as server:
        limits = replace(LIMITS, reply_bytes_max=100_000)
        why = await lost(server.port, lambda c: c.ask(pack("PING")), limits)
    assert why == "a reply is longer than 100000 bytes"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n", b"?\r\n", b"$-9\r\n"])
async def test_what_is_not_the_protocol_ends_the_connection(garbage: bytes) -> None:
    async with scripted_redis(lambda _: garbage) as server:
        why = await lost(server.port, lambda c: c.ask(pack("PING")), LIMITS)
    assert why.startswith("Redis sent what is not its protocol")


async def test_a_reply_nobody_asked_for_ends_the_connection() -> None:
    async with (
        scripted_redis(lambda _: b"+A\r\n+B\r\n") as server,
        connected(server.port) as connection,
    ):
        assert await connection.ask(pack("PING")) == b"A"
        assert "nothing asked for" in await connection.lost


async def test_more_requests_than_may_wait_are_not_sent() -> None:
    async with scripted_redis(echo) as server:
        async with connected(server.port, replace(LIMITS, requests_max=2)) as connection:
            asked = [connection.ask(pack("ECHO", "x")) for _ in range(3)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert answers[:2] == [b"x", b"x"]
            assert isinstance(answers[2], ConnectionLost)
            assert await connection.ask(pack("ECHO", "again")) == b"again"
        assert server.count(b"ECHO") == 3


async def test_a_caller_that_goes_away_does_not_shift_the_replies() -> None:
    async with scripted_redis(echo) as server, connected(server.port) as connection:
        first = asyncio.create_task(connection.ask(pack("ECHO", "1")))
        second = asyncio.create_task(connection.ask(pack("ECHO", "2")))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"2"


async def test_nobody_there_is_told_with_the_address() -> None:
    with pytest.raises(ConnectionLost, match=r"Redis at redis://127\.0\.0\.1:1/0: "):
        await connect(RedisAddress("127.0.0.1", 1), LIMITS)
    with pytest.raises(ConnectionLost, match="unix:///nowhere/at/all"):
        await connect(RedisAddress(path="/nowhere/at/all"), LIMITS)
    with pytest.raises(ConnectionLost, match=r"redis://no\.\.name"):
        await connect(RedisAddress("no..name"), LIMITS)


async def test_a_certificate_that_is_not_trusted_is_told() -> None:
    speak: Speak = silent
    async with scripted_redis(speak) as server:
        address = RedisAddress("127.0.0.1", server.port, tls=True)
        with pytest.raises(ConnectionLost, match="rediss://127"):
            await connect(address, LIMITS)
