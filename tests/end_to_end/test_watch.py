"""Watches of whole services: two replicas on one Redis, and a replica that is told to end."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from processes import running, serve_flags, start
from redis_server import RedisServer
from refusals import reason

from execution.client import AsyncClient, RetryPolicy
from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

ORDER: dict[str, Any] = {
    "user_id": "u1",
    "symbol": "BTC-USDT",
    "direction": "BUY",
    "quantity": "0.01",
}


async def test_sigterm_ends_watches_promptly_and_the_exit_is_0(tmp_path: Path) -> None:
    service = await start(*serve_flags(), cwd=tmp_path)
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        stub = execution_pb2_grpc.ExecutionServiceStub(channel)
        watch = stub.WatchOrders(pb.WatchOrdersRequest(user_id="u1"))
        await watch.initial_metadata()
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(watch.read(), 10)
    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert await service.ended() == 0
    assert time.monotonic() - began < 5


async def test_what_one_replica_commits_is_watched_on_another_and_on_the_next(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """A watch moves from a replica that ends to one that takes its address."""
    patient = RetryPolicy(timeout_seconds=30)
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir()
    two.mkdir()
    flags = serve_flags(redis_url=redis_server.url)
    async with running(*flags, cwd=two) as other, AsyncClient(other.grpc, retry=patient) as there:
        first = await start(*flags, cwd=one)
        async with (
            AsyncClient(first.grpc, retry=patient) as here,
            here.watch_orders(user_id="u1") as watch,
        ):
            told = []
            placed = [(await there.execute_market_order(**ORDER)).order_id]
            told.append((await asyncio.wait_for(anext(watch), 10)).order_id)
            first.signal(signal.SIGTERM)
            assert await first.ended() == 0
            placed += [(await there.execute_market_order(**ORDER)).order_id for _ in range(20)]
            again = serve_flags(redis_url=redis_server.url, listen=first.grpc)
            async with running(*again, cwd=one):
                while len(told) < len(placed):
                    told.append((await asyncio.wait_for(anext(watch), 30)).order_id)
            assert told == placed
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await anext(watch)
