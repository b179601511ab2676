"""The whole service in this process, around it a real Redis and a market moved by hand.

Calls go over real sockets: gRPC to the service, gRPC from it to the market.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from market import Market, spec
from redis.asyncio import Redis
from redis_server import RedisServer

from execution.embedded.market.feed import ManualFeed
from execution.server.app import App, Ready
from execution.server.config import ServeConfig
from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

SYMBOL = "BTC-USDT"
FILTERED = "ETH-USDT"
SPECS = (
    spec(SYMBOL, price_decimals=1),
    spec(
        FILTERED, min_quantity="0.01", max_quantity="100", quantity_step="0.01", min_notional="10"
    ),
)

BIDS = (("100", "1"), ("99.5", "2"), ("99", "3"))
ASKS = (("100.5", "1"), ("101", "2"), ("101.5", "3"))


@dataclass
class World:
    """A running service and everything around it."""

    app: App
    ready: Ready
    redis: RedisServer
    market: Market
    channel: grpc.aio.Channel
    store: Redis
    service: "execution_pb2_grpc.ExecutionServiceAsyncStub" = field(init=False)

    def __post_init__(self) -> None:
        self.service = execution_pb2_grpc.ExecutionServiceStub(self.channel)

    @property
    def feed(self) -> ManualFeed:
        """The book of BTC-USDT, to be moved."""
        return self.market.feeds[SYMBOL]

    async def market_order(self, **fields: Any) -> pb.ExecutionReport:
        return await self.service.ExecuteMarketOrder(order(**fields), timeout=10)

    async def book_arrived(self) -> None:
        """Returns once the service executes against the newest book of BTC-USDT."""
        async with asyncio.timeout(10):
            number = 0
            while True:
                number += 1
                # Rejected whatever the book, and says which book that was.
                probe = order(
                    order_id=f"probe-{self.feed.book.sequence}-{number}",
                    user_id="probe",
                    quantity="1000000",
                    time_in_force=pb.TIME_IN_FORCE_FOK,
                )
                report = await self.service.ExecuteMarketOrder(probe, timeout=10)
                if report.snapshot.sequence == self.feed.book.sequence:
                    return

    async def position(self, user_id: str = "u1", symbol: str = SYMBOL) -> pb.Position:
        request = pb.GetPositionRequest(user_id=user_id, symbol=symbol)
        return await self.service.GetPosition(request, timeout=10)

    async def wait_health(self, *, serving: bool, seconds: float = 10.0) -> None:
        """Returns when the health service says so; fails after `seconds`."""
        # The health package's types know its stub only as a name.
        health: Any = health_pb2_grpc.HealthStub(self.channel)
        wanted = (
            health_pb2.HealthCheckResponse.SERVING
            if serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        async with asyncio.timeout(seconds):
            watch = health.Watch(health_pb2.HealthCheckRequest())
            async for answer in watch:
                if answer.status == wanted:
                    watch.cancel()
                    return

    async def stored(self) -> dict[str, Any]:
        """Everything in Redis but what only proves that it can be written."""
        found: dict[str, Any] = {}
        async for key in self.store.scan_iter():
            kind = await self.store.type(key)
            if kind == "stream":
                entries: Any = await self.store.xrange(key)
                found[key] = [fields for _, fields in entries]
            elif kind == "hash":
                found[key] = await self.store.hgetall(key)
        return found


def order(**fields: Any) -> pb.OrderRequest:
    """BUY 1 BTC-USDT of user u1, with these fields instead."""
    settings: dict[str, Any] = {
        "order_id": "o-1",
        "user_id": "u1",
        "symbol": SYMBOL,
        "direction": pb.DIRECTION_BUY,
        "quantity": "1",
    }
    return pb.OrderRequest(**(settings | fields))


@asynccontextmanager
async def running_world(
    server: RedisServer, market: Market | None = None, **config: Any
) -> AsyncIterator[World]:
    """A service on this Redis and this market; `config` as `ServeConfig`'s."""
    market = market or Market(SPECS)
    for feed in market.feeds.values():
        feed.set_book(BIDS, ASKS)
    await market.start()
    transport = os.environ.get("EXECUTION_TRANSPORT", "auto")
    settings = {
        "redis_url": server.url,
        "symbol_service": market.address,
        "transport": transport,
        **config,
    }
    app = App(ServeConfig(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", **settings))
    try:
        await app.start()
        ready = await asyncio.wait_for(app.ready(), 10)
        store = Redis.from_url(server.url, decode_responses=True)
        async with grpc.aio.insecure_channel(ready.grpc) as channel, store:
            yield World(app, ready, server, market, channel, store)
        await app.drain(1)
    finally:
        await app.close()
        await market.stop()


@pytest.fixture
async def world(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[World]:
    """The service on an empty Redis; BTC-USDT shows BIDS and ASKS."""
    async with running_world(redis_server) as it:
        yield it
