"""`serve --workers N`: several processes behind one port, one service to those outside."""

import asyncio
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import Running, running, serve_flags, start, stop
from redis_server import RedisServer

from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

COUNT = 2


def order(number: int) -> pb.OrderRequest:
    return pb.OrderRequest(
        order_id=f"o-{number}",
        user_id=f"u{number % 3}",
        symbol="BTC-USDT",
        direction=pb.DIRECTION_BUY,
        quantity="0.01",
    )


async def execute(target: str, request: pb.OrderRequest) -> pb.ExecutionReport:
    """On a connection of its own, so that any worker may get it."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = execution_pb2_grpc.ExecutionServiceStub(channel)
        return await stub.ExecuteMarketOrder(request, timeout=10)


async def answered(target: str, request: pb.OrderRequest) -> tuple[bytes, int]:
    """The answer to one who retries when told to, and how many calls it took.

    Two workers that are busy with one user may be in each other's way.
    """
    for calls in range(1, 20):
        try:
            return (await execute(target, request)).SerializeToString(), calls
        except grpc.aio.AioRpcError as error:
            if "retry with the same id" not in (error.details() or ""):
                raise
    raise AssertionError(f"{request.order_id} was never answered")


def workers(service: Running) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(service.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # a zombie is one of those, too
            if "serve" in child.cmdline():
                found.append(child)
    return found


async def scrape(service: Running) -> str:
    url = f"http://{service.metrics}/metrics"

    def read() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read(), "utf-8")

    return await asyncio.to_thread(read)


def started(metrics: str) -> float:
    (line,) = (
        line
        for line in metrics.splitlines()
        if line.startswith("grpc_server_started_total") and "ExecuteMarketOrder" in line
    )
    return float(line.split()[-1])


async def test_orders_reach_all_workers_and_are_executed_once(tmp_path: Path) -> None:
    async with running(*serve_flags(), "--workers", str(COUNT), cwd=tmp_path) as service:
        assert len(workers(service)) == COUNT
        first = await asyncio.gather(*(answered(service.grpc, order(n)) for n in range(60)))
        again = await asyncio.gather(*(answered(service.grpc, order(n)) for n in range(60)))
        for (report, _), (repeated, _) in zip(first, again, strict=True):
            assert report == repeated
        busy = [sum(worker.cpu_times()[:2]) for worker in workers(service)]
        assert all(busy)
        metrics = await scrape(service)
        assert started(metrics) == sum(calls for _, calls in first + again)
        assert 'execution_dependency_up{dependency="redis"} 1.0' in metrics
        with redis.Redis.from_url(service.redis) as store:
            assert store.xlen("STREAM:ORDER") == 60


async def test_a_worker_that_dies_is_replaced_and_the_service_goes_on(tmp_path: Path) -> None:
    async with running(*serve_flags(), "--workers", str(COUNT), cwd=tmp_path) as service:
        before = workers(service)
        before[0].kill()
        async with asyncio.timeout(20):
            while len(workers(service)) < COUNT or before[0] in workers(service):
                await asyncio.sleep(0.05)
        report = await execute(service.grpc, order(1))
        assert report.status in {pb.ORDER_STATUS_FILLED, pb.ORDER_STATUS_PARTIAL}


async def test_no_command_line_shows_the_password_of_redis(tmp_path: Path) -> None:
    """Every user of the machine can read those."""
    with RedisServer() as server:
        server.command("CONFIG", "SET", "requirepass", "hunter2")
        url = server.url.replace("redis://", "redis://:hunter2@")
        flags = (*serve_flags(), "--workers", str(COUNT))
        async with running(*flags, cwd=tmp_path, env={"EXECUTION_REDIS_URL": url}) as service:
            family = [psutil.Process(service.process.pid), *workers(service)]
            lines = [" ".join(process.cmdline()) for process in family]
            assert len(lines) == 1 + COUNT
            assert not [line for line in lines if "hunter2" in line]
            report = await execute(service.grpc, order(1))
            assert report.status in {pb.ORDER_STATUS_FILLED, pb.ORDER_STATUS_PARTIAL}
        assert "hunter2" not in service.log.read_text()


async def test_sigterm_drains_all_and_exits_0(tmp_path: Path) -> None:
    flags = (*serve_flags(log_level="error"), "--workers", str(COUNT))
    service = await start(*flags, cwd=tmp_path)
    family = psutil.Process(service.process.pid).children(recursive=True)
    service.signal(signal.SIGTERM)
    assert await service.ended() == 0
    await stop(service)
    assert not [process for process in family if process.is_running()]
    assert " INFO " not in service.log.read_text(), (
        "the level of the log is that of the workers, too"
    )


async def test_a_second_sigterm_ends_a_drain_that_waits(tmp_path: Path) -> None:
    with RedisServer() as server:
        flags = (*serve_flags(redis_url=server.url, drain_seconds="60"), "--workers", str(COUNT))
        service = await start(*flags, cwd=tmp_path)
        family = workers(service)
        async with grpc.aio.insecure_channel(service.grpc) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.pause()
            stub = execution_pb2_grpc.ExecutionServiceStub(channel)
            waiting = asyncio.ensure_future(stub.ExecuteMarketOrder(order(1), timeout=60))
            async with asyncio.timeout(10):
                while "execution_orders_in_flight 1.0" not in await scrape(service):
                    await asyncio.sleep(0.01)
            service.signal(signal.SIGTERM)
            while (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING:
                pass
            service.signal(signal.SIGTERM)
            assert await service.ended() == 1
            with pytest.raises(grpc.aio.AioRpcError):
                await waiting
        await stop(service)
    assert not [process for process in family if process.is_running()]


async def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    service = await start(*serve_flags(), "--workers", str(COUNT), cwd=tmp_path)
    family = workers(service)
    service.signal(signal.SIGKILL)
    ended, left = await asyncio.to_thread(psutil.wait_procs, family, 20)
    assert len(ended) == COUNT
    assert not left
    await stop(service)


async def test_a_taken_port_is_an_error_for_workers_too(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:
        other = tmp_path / "other"
        other.mkdir()
        flags = (*serve_flags(listen=service.grpc), "--workers", str(COUNT))
        second = await start(*flags, cwd=other, wait=False)
        assert await second.ended() == 2
        await stop(second)
        assert "Port 0 picks a free one" in second.log.read_text()
