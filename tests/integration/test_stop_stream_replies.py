"""What is not as it should be is told, waited out, and hides nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from ledger_orders import open_ledger
from ledger_stops import arm
from redis_server import RedisServer
from scripted_redis import Command, scripted_redis
from stop_follower import (
    BOUND_SECONDS,
    failure_of,
    following,
    stop_stream,
    stops_of,
)

from execution.adapters.ledger import RedisLedger
from execution.adapters.stop_stream import RedisStopStream
from execution.errors import LedgerRefused


@pytest.fixture
async def ledger(redis_server: RedisServer) -> AsyncIterator[RedisLedger]:
    async with open_ledger(redis_server.url) as ledger:
        yield ledger


@pytest.mark.parametrize("key", ["STREAM:STOP", "STOPS:RESTING"])
async def test_a_wrong_typed_key_is_a_failure_until_it_is_repaired(
    redis_server: RedisServer, key: str
) -> None:
    redis_server.command("SET", key, "somebody else's")
    stream = stop_stream(redis_server.url)
    async with following(stream) as follower:
        await _until_refused(stream, "WRONGTYPE")
        assert follower.events == []
        redis_server.command("DEL", key)
        await follower.until_knows({})
        assert stream.failure is None


async def test_a_missing_right_is_a_failure_until_it_is_granted(redis_server: RedisServer) -> None:
    redis_server.command("ACL", "SETUSER", "reader", "on", ">pw", "+@all", "-hscan", "allkeys")
    try:
        stream = stop_stream(f"redis://reader:pw@127.0.0.1:{redis_server.port}")
        async with following(stream) as follower:
            await _until_refused(stream, "NOPERM")
            redis_server.command("ACL", "SETUSER", "reader", "+hscan")
            await follower.until_knows({})
    finally:
        redis_server.command("ACL", "DELUSER", "reader")


async def _until_refused(stream: RedisStopStream, code: str) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while code not in failure_of(stream):
            await asyncio.sleep(0.005)
    assert isinstance(stream.failure, LedgerRefused)


async def test_a_text_that_cannot_be_read_is_told_to_the_operator_and_hides_no_other(
    ledger: RedisLedger, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    records = await arm(ledger, "s-1")
    redis_server.command("HSET", "STOPS:RESTING", "s-bad", "what is this?")
    redis_server.command("HSET", "STOPS:RESTING", b"s-\xff", "1|1||||")
    async with following(stop_stream(redis_server.url)) as follower:
        await follower.until_knows(stops_of(*records))
        assert "2 resting stops cannot be read and are NOT watched" in caplog.text
        redis_server.command("XADD", "STREAM:STOP", "*", "order_id", "s-worse", "stop", "x")
        redis_server.command("XADD", "STREAM:STOP", "*", "some", "thing")
        records += await arm(ledger, "s-2")
        await follower.until_knows(stops_of(*records))
    errors = "\n".join(r.message for r in caplog.records if r.levelno == logging.ERROR)
    assert "s-worse" in errors
    assert "STREAM:STOP holds an entry of somebody else" in errors


def _speak(wrong: bytes, command_name: bytes) -> Callable[[Command], bytes]:
    """A Redis where nothing rests, but for what it says to one command."""
    right = {
        b"XREVRANGE": b"*0\r\n",
        b"HSCAN": b"*2\r\n$1\r\n0\r\n*0\r\n",
        b"XREAD": b"*-1\r\n",
        b"XRANGE": b"*0\r\n",
    }

    def speak(command: Command) -> bytes:
        return wrong if command[0] == command_name else right.get(command[0], b"+OK\r\n")

    return speak


@pytest.mark.parametrize(
    ("command_name", "wrong"),
    [
        (b"XREVRANGE", b"+OK\r\n"),
        (b"XREVRANGE", b"*1\r\n:1\r\n"),
        (b"XREVRANGE", b"*1\r\n*1\r\n$3\r\n1-1\r\n"),
        (b"HSCAN", b":1\r\n"),
        (b"HSCAN", b"*-1\r\n"),
        (b"HSCAN", b"*2\r\n:0\r\n*0\r\n"),
        (b"HSCAN", b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
        (b"HSCAN", b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n:1\r\n"),
        (b"HSCAN", b"-ERR it is\r\n"),
        (b"XREAD", b":1\r\n"),
        (b"XREAD", b"*1\r\n:1\r\n"),
        (b"XREAD", b"*1\r\n*2\r\n$1\r\ns\r\n:1\r\n"),
        (b"XREAD", b"-UNBLOCKED it is\r\n"),
        (b"XRANGE", b"$-1\r\n"),
    ],
)
async def test_what_no_redis_would_say_is_a_failure_and_tried_again_without_haste(
    command_name: bytes, wrong: bytes
) -> None:
    async with scripted_redis(_speak(wrong, command_name)) as server:
        stream = stop_stream(f"redis://127.0.0.1:{server.port}")
        async with following(stream) as follower:
            async with asyncio.timeout(BOUND_SECONDS):
                while server.connections < 4:
                    await asyncio.sleep(0.005)
            assert stream.failure is not None
            assert stream.failure.message
        assert not follower.known or command_name == b"XREAD"
        assert server.connections < 10
