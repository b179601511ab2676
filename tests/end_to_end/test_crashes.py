"""Everything that can be killed is killed, under load; every order executes exactly once."""

import asyncio
import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import grpc
import redis
from processes import Running, assert_proven, kill, running, serve_flags, start, stop
from redis_server import RedisServer

from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

SYMBOL = "BTC-USDT"
USERS = 6
ORDERS_PER_USER = 50
SEED = 7
RETRIED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def insist(targets: list[str], request: pb.OrderRequest) -> pb.ExecutionReport:
    """Sends the order to one replica after the other, under one id, until it is answered."""
    async with asyncio.timeout(60):
        attempt = 0
        while True:
            target = targets[attempt % len(targets)]
            attempt += 1
            async with grpc.aio.insecure_channel(target) as channel:
                service = execution_pb2_grpc.ExecutionServiceStub(channel)
                try:
                    return await service.ExecuteMarketOrder(request, timeout=1)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in RETRIED:
                        raise
                    await asyncio.sleep(0.02)


async def trade(user: int, targets: list[str], seed: int) -> list[pb.ExecutionReport]:
    rng = random.Random(seed + user)
    reports = []
    for number in range(ORDERS_PER_USER):
        rng.shuffle(targets)
        request = pb.OrderRequest(
            order_id=f"o-{user}-{number}",
            # Neighbours share a position, so that replicas contend for it.
            user_id=f"u{user // 2}",
            symbol=SYMBOL,
            direction=rng.choice([pb.DIRECTION_BUY, pb.DIRECTION_SELL]),
            quantity=f"0.{rng.randint(1, 99):03}",
            reduce_only=rng.random() < 0.2,
        )
        reports.append(await insist(list(targets), request))
    return reports


async def wreck(replicas: list[Running], server: RedisServer, cwd: Path, source: str) -> None:
    """Kills each replica and the Redis in turn, and brings each back where it was."""
    flags = {"redis_url": server.url, "symbol_service": source}
    for turn in range(4):
        victim = replicas[turn % 2]
        await kill(victim)
        await asyncio.sleep(0.1)
        replicas[turn % 2] = await start(*serve_flags(listen=victim.grpc, **flags), cwd=cwd)
        server.kill()
        await asyncio.sleep(0.1)
        server.start()
        await asyncio.sleep(0.3)


async def test_kills_of_replicas_and_of_redis_neither_lose_nor_double_an_order(
    tmp_path: Path,
) -> None:
    market = ("symbol-service", "--listen", "127.0.0.1:0", "--simulate", SYMBOL)
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        async with running(*market, cwd=tmp_path) as source:
            flags = serve_flags(redis_url=server.url, symbol_service=source.grpc)
            replicas = [await start(*flags, cwd=tmp_path), await start(*flags, cwd=tmp_path)]
            targets = [replica.grpc for replica in replicas]
            try:
                wrecking = asyncio.create_task(wreck(replicas, server, tmp_path, source.grpc))
                first = await asyncio.gather(
                    *(trade(user, list(targets), SEED) for user in range(USERS))
                )
                await wrecking
                # Everything again: each order is answered with what it did.
                again = await asyncio.gather(
                    *(trade(user, list(targets), SEED) for user in range(USERS))
                )
            finally:
                for replica in replicas:
                    await stop(replica)
            for before, after in zip(first, again, strict=True):
                assert [r.SerializeToString() for r in before] == [
                    r.SerializeToString() for r in after
                ], f"seed {SEED}"
            check(server, [report for reports in first for report in reports])
            await assert_proven(server.url)


def check(server: RedisServer, reports: list[pb.ExecutionReport]) -> None:
    """The streams, the hashes and the positions say what the clients were told."""
    with redis.Redis.from_url(server.url, decode_responses=True) as store:
        trades = [
            json.loads(entry["trade"], parse_float=Decimal, parse_int=Decimal)
            for _, entry in store.xrange("STREAM:TRADE")
        ]
        updates = Counter(
            json.loads(entry["order"])["order_id"] for _, entry in store.xrange("STREAM:ORDER")
        )
        positions = {
            f"u{user}": store.hgetall(f"POSITION:u{user}:{SYMBOL}") for user in range(USERS // 2)
        }
    assert updates == Counter(report.order_id for report in reports)
    filled = [report for report in reports if report.fills]
    assert len(filled) > len(reports) / 2, "the test would prove little"
    assert Counter(t["order_id"] for t in trades) == Counter(r.order_id for r in filled)
    for user, position in positions.items():
        own = [trade for trade in trades if trade["user"] == user]
        signed = [t["qty"] if t["side"] == "BUY" else -t["qty"] for t in own]
        assert Decimal(position["qty"]) == sum(signed)
        assert Decimal(position["realized_pnl"]) == sum(trade["pnl"] for trade in own)
        assert int(position["version"]) == len(own)
