"""Thousands of connections and calls leave nothing."""

import asyncio
import gc
import os

import psutil
import pytest
from http2.conftest import Serve, Served
from http2.raw_client import RawClient
from http2.service import path

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


async def load(served: Served) -> None:
    """Calls that are answered, cancelled, overdue, and left behind."""
    for number in range(CONNECTIONS):
        client = await RawClient.connect(served.address)
        streams = [client.request(path(KINDS[i % len(KINDS)]), b"x" * i) for i in range(CALLS)]
        held = [client.request(path(kind), b"x") for kind in HOLDING]
        client.request(path("Hold"), b"x", headers=((b"grpc-timeout", b"1m"),))
        client.request(path("Unary"), b"half", end=False)
        for stream in streams:
            await client.answer(stream)
        client.cancel(held[0])
        client.writer.transport.abort() if number % 2 else await client.close()


async def measured(served: Served) -> tuple[int, int]:
    async with asyncio.timeout(10):
        while served.server.connections:
            await asyncio.sleep(0.01)
    served.service.gone.clear()
    served.service.open.clear()
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    return len(gc.get_objects()), psutil.Process(os.getpid()).memory_info().rss
