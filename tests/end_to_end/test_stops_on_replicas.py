"""Thousands of stops armed through two replicas: each triggers once, whoever is killed."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis.asyncio
from market import Market, spec
from processes import assert_proven, kill, serve_flags, start, stop
from redis_server import RedisServer

from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

SYMBOL = "BTC-USDT"
STOPS = 2_000
SEED = 11
SURVIVOR_SECONDS = 2.0
AT_ONCE = 64


def stop_order(number: int) -> pb.OrderRequest:
    """BUY stops from 101 upwards, SELL stops from 99 downwards, a cent apart."""
    buy = number % 2 == 0
    cents = 10_100 + number // 2 if buy else 9_900 - number // 2
    return pb.OrderRequest(
        order_id=f"s-{number}",
        user_id=f"u{number % 17}",
        symbol=SYMBOL,
        direction=pb.DIRECTION_BUY if buy else pb.DIRECTION_SELL,
        quantity="0.01",
        trigger_price=f"{cents // 100}.{cents % 100:02}",
    )


def book(bid_cents: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    def level(cents: int) -> list[tuple[str, str]]:
        return [(f"{cents // 100}.{cents % 100:02}", "100000")]

    return level(bid_cents), level(bid_cents + 1)


async def arm(targets: list[str]) -> None:
    """Every stop, through one replica or the other."""
    channels = [grpc.aio.insecure_channel(target) for target in targets]
    permits = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with permits:
            service = execution_pb2_grpc.ExecutionServiceStub(channels[number % 2])
            report = await service.ExecuteSLOrder(stop_order(number), timeout=20)
            assert report.status == pb.ORDER_STATUS_UNTRIGGERED

    await asyncio.gather(*(one(number) for number in range(STOPS)))
    for channel in channels:
        await channel.close()


def crossed(low_bid: int, high_ask: int) -> set[str]:
    """Ids of the stops that a market between these prices has crossed."""
    found = set()
    for number in range(STOPS):
        cents = 10_100 + number // 2 if number % 2 == 0 else 9_900 - number // 2
        if (number % 2 == 0 and high_ask >= cents) or (number % 2 and low_bid <= cents):
            found.add(f"s-{number}")
    return found


async def triggered(store: Any, expected: set[str], seconds: float) -> None:
    """Returns when every one of these has traded; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            entries = await store.xrange("STREAM:TRADE")
            done = {json.loads(entry["trade"])["order_id"] for _, entry in entries}
            if expected <= done:
                return
            await asyncio.sleep(0.05)


async def test_each_stop_triggers_exactly_once_though_replicas_are_killed(tmp_path: Path) -> None:
    market = Market([spec(SYMBOL, price_decimals=2, quantity_decimals=3)])
    feed = market.feeds[SYMBOL]
    feed.set_book(*book(10_000))
    rng = random.Random(SEED)
    with RedisServer("--appendonly", "yes") as server:
        async with market:
            flags = serve_flags(redis_url=server.url, symbol_service=market.address)
            replicas = [await start(*flags, cwd=tmp_path) for _ in range(2)]
            store = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
            try:
                await arm([replica.grpc for replica in replicas])
                low, high = 10_000, 10_001
                for step in range(6):
                    low -= rng.randint(20, 60)
                    high += rng.randint(20, 60)
                    feed.set_book(*book(high - 1))
                    await asyncio.sleep(rng.random() * 0.05)
                    feed.set_book(*book(low))
                    if step in {2, 4}:
                        # In the middle of it: what it had begun, the other one ends.
                        victim = (step // 2) % 2
                        await kill(replicas[victim])
                        await triggered(store, crossed(low, high), SURVIVOR_SECONDS)
                        replicas[victim] = await start(*flags, cwd=tmp_path)
                    await triggered(store, crossed(low, high), 10)
                await check(store, crossed(low, high))
                await cancel_elsewhere(replicas[1].grpc, crossed(low, high))
                await assert_proven(server.url)
            finally:
                await store.aclose()
                for replica in replicas:
                    await stop(replica)


async def check(store: Any, expected: set[str]) -> None:
    trades = await store.xrange("STREAM:TRADE")
    executed = Counter(json.loads(entry["trade"])["order_id"] for _, entry in trades)
    assert executed == Counter(expected), f"seed {SEED}"
    updates: dict[str, list[tuple[int, str]]] = {}
    for _, entry in await store.xrange("STREAM:ORDER"):
        update = json.loads(entry["order"])
        updates.setdefault(update["order_id"], []).append((update["version"], update["status"]))
    for number in range(STOPS):
        key = f"s-{number}"
        ended = [(2, "FILLED")] if key in expected else []
        assert updates[key] == [(1, "UNTRIGGERED"), *ended]
    assert await store.hlen("STOPS:RESTING") == STOPS - len(expected)


async def cancel_elsewhere(target: str, gone: set[str]) -> None:
    """A stop armed on one replica is cancelled on the other, once; a gone one is too late."""
    resting = next(f"s-{n}" for n in range(STOPS) if f"s-{n}" not in gone and n % 2 == 0)
    ended = next(iter(gone))
    async with grpc.aio.insecure_channel(target) as channel:
        service = execution_pb2_grpc.ExecutionServiceStub(channel)

        def request(order_id: str) -> pb.CancelOrderRequest:
            user = int(order_id.removeprefix("s-")) % 17
            return pb.CancelOrderRequest(order_id=order_id, user_id=f"u{user}")

        first = await service.CancelOrder(request(resting), timeout=10)
        again = await service.CancelOrder(request(resting), timeout=10)
        assert first.status == pb.ORDER_STATUS_CANCELED
        assert again.SerializeToString() == first.SerializeToString()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await service.CancelOrder(request(ended), timeout=10)
        assert late.value.code() == grpc.StatusCode.FAILED_PRECONDITION
