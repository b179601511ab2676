"""Thousands of connections and calls leave nothing."""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from http2.conftest import Serve, Served
from http2.raw_client import RawClient
from http2.service import path

from execution.server.transports.http2.call import Call
from execution.server.transports.http2.connection import Connection
from execution.server.transports.http2.context import Context

CONNECTIONS = 150
CALLS = 40
KINDS = ("Plain", "Unary", "PlainStream", "Chat", "Collect", "Abort", "None")
HOLDING = ("PlainHold", "Hold", "HoldStream")
OBJECTS_GROWN_MAX = 300
BYTES_GROWN_MAX = 16 << 20


@pytest.mark.slow
async def test_memory_stays_flat(serve: Serve) -> None:
    served = await serve()
    for _ in range(2):
        await load(served)
    objects, rss = await measured(served)
    for _ in range(3):
        await load(served)
    objects_after, rss_after = await measured(served)
    assert objects_after - objects < OBJECTS_GROWN_MAX
    assert rss_after - rss < BYTES_GROWN_MAX


@pytest.fixture
def unsearched() -> Iterator[None]:
    """No search for cycles meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("unsearched")
async def test_calls_that_have_ended_need_no_search_for_cycles(serve: Serve) -> None:
    """Under load there is none of what is old, for minutes."""
    served = await serve()
    await load(served, 6)
    await until_left(served)
    assert living() == Counter()


@pytest.mark.usefixtures("unsearched")
@pytest.mark.parametrize("end", ["reply", "fail", "cancel"])
async def test_a_call_is_not_kept_by_whom_it_would_tell_that_it_is_gone(
    serve: Serve, end: str
) -> None:
    served = await serve()
    held: list[Any] = []

    def hold(_data: bytes, call: Any) -> None:
        held.append(call)
        call.on_gone(lambda: call.reply(b"nobody hears it"))

    served.server.add_plain_handlers("s.S", {"M": hold})
    client = await served.connect()
    stream = client.request("/s.S/M", b"x")
    await client.call("/none", b"")
    call = held.pop()
    if end == "cancel":
        client.cancel(stream)
    else:
        call.reply(b"") if end == "reply" else call.fail(RuntimeError())
        await client.answer(stream)
    await client.call("/none", b"")
    assert call.over
    del call
    assert living() == Counter({"Connection": 1})


def living() -> "Counter[str]":
    """What is there of calls and connections, by class."""
    kinds = (Call, Connection, Context)
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))


async def load(served: Served, connections: int = CONNECTIONS) -> None:
    """Calls that are answered, cancelled, overdue, and left behind."""
    for number in range(connections):
        client = await RawClient.connect(served.address)
        streams = [client.request(path(KINDS[i % len(KINDS)]), b"x" * i) for i in range(CALLS)]
        held = [client.request(path(kind), b"x") for kind in HOLDING]
        client.request(path("Hold"), b"x", headers=((b"grpc-timeout", b"1m"),))
        client.request(path("Unary"), b"half", end=False)
        for stream in streams:
            await client.answer(stream)
        client.cancel(held[0])
        client.writer.transport.abort() if number % 2 else await client.close()


async def until_left(served: Served) -> None:
    async with asyncio.timeout(10):
        while served.server.connections or served.server._tasks:
            await asyncio.sleep(0.01)
    served.service.gone.clear()
    served.service.open.clear()
    await asyncio.sleep(0)


async def measured(served: Served) -> tuple[int, int]:
    await until_left(served)
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    return len(gc.get_objects()), psutil.Process(os.getpid()).memory_info().rss
