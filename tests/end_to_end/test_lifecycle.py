"""`serve` from its first line to its exit, as an operator meets it."""

import asyncio
import signal
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import redis
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from processes import Running, kill, running, serve_flags, start, stop, wait_ready
from redis_server import RedisServer

from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

SERVICE = "execution.v1.ExecutionService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def order(order_id: str = "o-1", symbol: str = "BTC-USDT") -> pb.OrderRequest:
    return pb.OrderRequest(
        order_id=order_id,
        user_id="u1",
        symbol=symbol,
        direction=pb.DIRECTION_BUY,
        quantity="1",
    )


async def execute(target: str, request: pb.OrderRequest) -> pb.ExecutionReport:
    async with grpc.aio.insecure_channel(target) as channel:
        service = execution_pb2_grpc.ExecutionServiceStub(channel)
        return await service.ExecuteMarketOrder(request, timeout=10)


def health_stub(channel: grpc.aio.Channel) -> Any:
    """The health package's types know its stub only as a name."""
    return health_pb2_grpc.HealthStub(channel)


async def health(target: str, service: str) -> int:
    async with grpc.aio.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int((await health_stub(channel).Check(request, timeout=5)).status)


def children(command: Running) -> list[psutil.Process]:
    return psutil.Process(command.process.pid).children(recursive=True)


async def gone(processes: list[psutil.Process]) -> None:
    """Returns when none of them runs any more."""
    async with asyncio.timeout(10):
        while any(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            for process in processes
        ):
            await asyncio.sleep(0.02)


async def test_with_no_argument_it_brings_redis_and_a_market_along(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:
        symbols = service.ready["symbols"].split(",")
        assert len(symbols) >= 3
        for symbol in symbols:
            report = await execute(service.grpc, order(f"o-{symbol}".replace("/", "."), symbol))
            assert report.status in {pb.ORDER_STATUS_FILLED, pb.ORDER_STATUS_REJECTED}
            assert report.status == pb.ORDER_STATUS_FILLED or report.reason == pb.REASON_FILTER
        with redis.Redis.from_url(service.redis) as store:
            assert store.xlen("STREAM:ORDER") == len(symbols)
        assert await health(service.grpc, "") == SERVING
        assert await health(service.grpc, SERVICE) == SERVING
        text = await scrape(service)
        for family in (
            "grpc_server_started_total",
            "grpc_server_handled_total",
            "grpc_server_handling_seconds_bucket",
            "execution_orders_total",
            'execution_dependency_up{dependency="redis"} 1.0',
        ):
            assert family in text
        assert (tmp_path / "execution-data").is_dir()


async def test_connections_take_no_file_that_redis_is_reached_through(tmp_path: Path) -> None:
    """Silent ones, by the hundred, where 300 files may be open; Redis closes its connections."""
    with RedisServer() as store:
        flags = serve_flags(redis_url=store.url, transport="http2")  # grpc.aio has no such bound
        service = await start(*flags, cwd=tmp_path, open_files=300)
        host, port = service.grpc.split(":")
        async with grpc.aio.insecure_channel(service.grpc) as channel:
            stub = execution_pb2_grpc.ExecutionServiceStub(channel)
            await stub.ExecuteMarketOrder(order("o-1"), timeout=10)
            many = [await asyncio.open_connection(host, int(port)) for _ in range(400)]
            files_left = 300 - psutil.Process(service.process.pid).num_fds()
            store.command("CLIENT", "KILL", "TYPE", "normal")
            report = await stub.ExecuteMarketOrder(order("o-2"), timeout=10)
        for _, writer in many:
            writer.close()
        assert files_left >= 64
        assert report.status == pb.ORDER_STATUS_FILLED
        assert await stop(service) == 0
    assert "--max-connections 4096: there is room for 172" in service.log.read_text()


async def test_reflection_shows_the_api(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:

        def services() -> set[str]:
            with grpc.insecure_channel(service.grpc) as channel:
                database = ProtoReflectionDescriptorDatabase(channel)
                found = set(database.get_services())
                api = DescriptorPool(database).FindServiceByName(SERVICE)
                assert "ExecuteMarketOrder" in {method.name for method in api.methods}
            return found

        assert {SERVICE, "grpc.health.v1.Health"} <= await asyncio.to_thread(services)


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:
        first = await execute(service.grpc, order())
    async with running(*serve_flags(), cwd=tmp_path) as service:
        assert (await execute(service.grpc, order())).SerializeToString() == (
            first.SerializeToString()
        )


async def test_sigkill_leaves_no_orphan_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    service = await start(*serve_flags(), cwd=tmp_path)
    first = await execute(service.grpc, order())
    family = children(service)
    assert family, "the embedded Redis is a process of its own"
    await kill(service)
    await gone(family)
    async with running(*serve_flags(), cwd=tmp_path) as again:
        report = await execute(again.grpc, order())
        assert report.SerializeToString() == first.SerializeToString()
        with redis.Redis.from_url(again.redis) as store:
            assert store.xlen("STREAM:TRADE") == 1


async def test_a_second_service_on_the_data_dir_shares_its_redis(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as one:
        first = await execute(one.grpc, order())
        async with running(*serve_flags(), cwd=tmp_path) as two:
            assert two.redis == one.redis
            report = await execute(two.grpc, order())
            assert report.SerializeToString() == first.SerializeToString()


async def test_sigterm_finishes_what_is_under_way_and_exits_0(tmp_path: Path) -> None:
    service = await start(*serve_flags(), cwd=tmp_path)
    family = children(service)
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        stub = execution_pb2_grpc.ExecutionServiceStub(channel)
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        calls = [stub.ExecuteMarketOrder(order(f"o-{n}"), timeout=10) for n in range(200)]
        first = await asyncio.wait_for(asyncio.shield(calls[0]), 10)
        service.signal(signal.SIGTERM)
        assert (await watch.read()).status == NOT_SERVING
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert first.status == pb.ORDER_STATUS_FILLED
    for answer in answers:
        assert isinstance(answer, pb.ExecutionReport) or (
            isinstance(answer, grpc.aio.AioRpcError)
            and answer.code() == grpc.StatusCode.UNAVAILABLE
        ), answer
    assert await service.ended() == 0
    await stop(service)
    await gone(family)


async def test_who_repeats_at_once_while_a_replica_ends_is_never_told_that_he_cancelled(
    tmp_path: Path,
) -> None:
    """CANCELLED is what a client must not repeat: it cannot be told from a cancel of its own."""
    service = await start(*serve_flags(), cwd=tmp_path)
    told: Counter[str] = Counter()

    async def repeat(caller: int) -> None:
        async with grpc.aio.insecure_channel(
            service.grpc, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = execution_pb2_grpc.ExecutionServiceStub(channel)
            number = 0
            while told["over"] < 1:
                number += 1
                try:
                    await stub.ExecuteMarketOrder(order(f"o-{caller}-{number}"), timeout=10)
                    told["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    told[error.code().name] += 1
                    await asyncio.sleep(0.002)

    callers = [asyncio.create_task(repeat(caller)) for caller in range(24)]
    async with asyncio.timeout(20):
        while told["OK"] < 100:
            await asyncio.sleep(0.01)
    assert await stop(service) == 0
    told["over"] += 1
    await asyncio.gather(*callers)
    assert set(told) == {"OK", "UNAVAILABLE", "over"}


async def test_a_second_sigterm_ends_a_drain_that_waits(tmp_path: Path) -> None:
    with RedisServer() as server:
        service = await start(*serve_flags(redis_url=server.url), cwd=tmp_path)
        async with grpc.aio.insecure_channel(service.grpc) as channel:
            stub = execution_pb2_grpc.ExecutionServiceStub(channel)
            watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == SERVING
            server.pause()
            waiting = asyncio.ensure_future(stub.ExecuteMarketOrder(order(), timeout=10))
            await in_flight(service, 1)
            service.signal(signal.SIGTERM)
            while (await watch.read()).status != NOT_SERVING:
                pass
            service.signal(signal.SIGTERM)
            assert await service.ended() == 1
            with pytest.raises(grpc.aio.AioRpcError):
                await waiting
        await stop(service)


async def in_flight(service: Running, count: int) -> None:
    """Returns when so many orders are under way."""
    wanted = f"execution_orders_in_flight {count}.0"
    async with asyncio.timeout(10):
        while wanted not in await scrape(service):
            await asyncio.sleep(0.01)


async def scrape(service: Running) -> str:
    url = f"http://{service.metrics}/metrics"

    def read() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read(), "utf-8")

    return await asyncio.to_thread(read)


async def test_it_waits_for_its_dependencies_and_says_so(tmp_path: Path) -> None:
    with RedisServer() as server:
        server.stop()
        flags = serve_flags(redis_url=server.url)
        service = await start(*flags, cwd=tmp_path, wait=False)
        try:
            async with asyncio.timeout(10):
                while "not serving: redis" not in service.log.read_text():
                    await asyncio.sleep(0.02)
            server.start()
            await wait_ready(service)
            assert (await execute(service.grpc, order())).status == pb.ORDER_STATUS_FILLED
        finally:
            await stop(service)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--listen", "nonsense"], "--listen"),
        (["--redis-url", "http://x"], "--redis-url"),
        (["--durability", "replicated:0"], "--durability"),
        (["--taker-fee-bps", "1e3"], "--taker-fee-bps"),
        (["--taker-fee-bps", "-1"], "--taker-fee-bps"),
        (["--drain-seconds", "nan"], "--drain-seconds"),
        (["--trigger-retry-ms", "-5"], "--trigger-retry-ms"),
        (["--symbol-service", "nowhere"], "--symbol-service"),
        (["--tls-cert", "/nowhere.pem"], "--tls-cert"),
        (["--auth-tokens", "/nowhere.json"], "--auth-tokens"),
        (["--workers", "0"], "--workers"),
    ],
)
async def test_a_setting_that_cannot_work_is_named(
    tmp_path: Path, flags: list[str], says: str
) -> None:
    service = await start("serve", *flags, cwd=tmp_path, wait=False)
    assert await service.ended() != 0
    await stop(service)
    log = service.log.read_text()
    assert says in log
    assert "Traceback" not in log


async def test_the_environment_configures_too_and_secrets_stay_out_of_the_log(
    tmp_path: Path,
) -> None:
    with RedisServer() as server:
        server.command("CONFIG", "SET", "requirepass", "hunter2")
        url = server.url.replace("redis://", "redis://:hunter2@")
        env = {"EXECUTION_REDIS_URL": url, "EXECUTION_LOG_LEVEL": "debug"}
        async with running(*serve_flags(), cwd=tmp_path, env=env) as service:
            await execute(service.grpc, order())
            assert "hunter2" not in service.redis
            assert "hunter2" not in service.log.read_text()


async def test_a_taken_port_is_an_error_that_says_so(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:
        other = tmp_path / "other"
        other.mkdir()
        second = await start(*serve_flags(listen=service.grpc), cwd=other, wait=False)
        assert await second.ended() != 0
        await stop(second)
        assert "Port 0 picks a free one" in second.log.read_text()
