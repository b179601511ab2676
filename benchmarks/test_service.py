"""The service over a socket: gRPC in, a real Redis behind, a pushed market beside.

    pytest benchmarks/test_service.py

Client, service and market share this process, so a round counts the CPU of all
of them; it is for comparing two states of this code in one run.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from redis_server import RedisServer
from world import World, order, running_world

from execution.pricing import LiquidityMode
from execution.v1 import execution_pb2 as pb

IN_FLIGHT = 64

Run = Callable[[Callable[[World], Awaitable[int]]], int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a round of calls against one service, on its event loop."""
    with RedisServer() as server, asyncio.Runner() as runner:
        serving = running_world(server, liquidity=LiquidityMode.SNAPSHOT)
        world = runner.run(serving.__aenter__())
        yield lambda calls: runner.run(_awaited(calls(world)))
        runner.run(_awaited(serving.__aexit__(None, None, None)))


async def _awaited(work: Awaitable[int | bool | None]) -> int:
    return int(await work or 0)


@pytest.mark.parametrize("in_flight", [1, IN_FLIGHT])
def test_market_orders(benchmark: BenchmarkFixture, run: Run, in_flight: int) -> None:
    numbers = count()

    async def calls(world: World) -> int:
        reports = await asyncio.gather(
            *(
                world.market_order(order_id=f"m{in_flight}-{next(numbers)}", user_id=f"u{user}")
                for user in range(in_flight)
            )
        )
        return sum(report.status == pb.ORDER_STATUS_FILLED for report in reports)

    assert benchmark(run, calls) == in_flight


def test_stops_that_come_to_rest(benchmark: BenchmarkFixture, run: Run) -> None:
    numbers = count()

    async def calls(world: World) -> int:
        reports = await asyncio.gather(
            *(
                world.service.ExecuteSLOrder(
                    order(order_id=f"s-{next(numbers)}", trigger_price="900"), timeout=10
                )
                for _ in range(IN_FLIGHT)
            )
        )
        return sum(report.status == pb.ORDER_STATUS_UNTRIGGERED for report in reports)

    assert benchmark(run, calls) == IN_FLIGHT


def test_reading_an_order(benchmark: BenchmarkFixture, run: Run) -> None:
    async def placed(world: World) -> int:
        return (await world.market_order(order_id="read")).status

    async def calls(world: World) -> int:
        request = pb.GetOrderRequest(order_id="read", user_id="u1")
        return (await world.service.GetOrder(request, timeout=10)).status

    assert run(placed) == benchmark(run, calls) == pb.ORDER_STATUS_FILLED
