"""Servers over real sockets, on both event loops; whatever a test does, nothing is left of it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest
import uvloop
from http2.raw_client import RawClient
from http2.service import Service

from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.server import Http2Server
from execution.server.transports.tls import Tls


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Served:
    """One server under test."""

    def __init__(self, limits: Limits) -> None:
        self.service = Service()
        self.server = Http2Server(limits)
        self.service.add_to(self.server)
        self.address = ""
        self.clients: list[RawClient] = []

    async def connect(self, **options: Any) -> RawClient:
        client = await RawClient.connect(self.address, **options)
        self.clients.append(client)
        return client


Serve: TypeAlias = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server: `await serve(Limits(...), listen=..., tls=...)`."""
    running: list[Served] = []

    async def start(
        limits: Limits | None = None,
        *,
        listen: str = "127.0.0.1:0",
        tls: Tls | None = None,
        reuse_port: bool = False,
    ) -> Served:
        served = Served(limits or Limits())
        running.append(served)
        served.address = await served.server.start(listen, tls, reuse_port=reuse_port)
        return served

    yield start
    for served in running:
        await served.server.stop()
        assert served.server.connections == 0
        for client in served.clients:
            await client.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        # The event loop itself may still accept somebody.
        _, left = await asyncio.wait(left, timeout=1)
    assert not left, f"tasks are left: {left}"
    # What is destroyed unawaited or unread warns here, in the test that made it.
    gc.collect(1)


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server with the usual limits."""
    return await serve()


@pytest.fixture
async def client(served: Served) -> RawClient:
    return await served.connect()
