"""Health follows the checks of the dependencies, whatever becomes of those."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from execution.errors import LedgerUnavailable
from execution.server import health
from execution.server.health import HealthMonitor
from execution.server.observe import Metrics

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Dependency:
    """Answers its check, or fails as it is told."""

    def __init__(self) -> None:
        self.failure: Callable[[], BaseException] | None = None
        self.looks = asyncio.Semaphore(0)

    async def check(self) -> None:
        self.looks.release()
        if self.failure is not None:
            raise self.failure()

    async def looked_at(self, times: int) -> None:
        """Returns after so many more looks."""
        while not self.looks.locked():
            await self.looks.acquire()
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.looks.acquire()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_INTERVAL_SECONDS", 0.001)


@asynccontextmanager
async def monitored(dependency: Dependency, metrics: Metrics) -> AsyncIterator[HealthMonitor]:
    monitor = HealthMonitor(("a.Service",), {"redis": dependency.check}, metrics)
    await monitor.start()
    try:
        async with asyncio.timeout(5):
            await monitor.wait_until_serving()
            yield monitor
    finally:
        await monitor.close()


async def status(monitor: HealthMonitor) -> int:
    servicer: Any = monitor.servicer  # its types ask for the context of a call
    return int((await servicer.Check(health_pb2.HealthCheckRequest(), None)).status)


def up(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("execution_dependency_up", {"dependency": "redis"})


@pytest.mark.parametrize(
    "failure",
    [
        lambda: LedgerUnavailable("redis://h: silent"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        RuntimeError,
        asyncio.CancelledError,
    ],
)
async def test_a_check_that_fails_in_any_way_is_a_problem_until_it_does_not(
    failure: Callable[[], BaseException],
) -> None:
    dependency, metrics = Dependency(), Metrics()
    async with monitored(dependency, metrics) as monitor:
        assert (await status(monitor), up(metrics)) == (SERVING, 1)
        dependency.failure = failure
        await dependency.looked_at(2)
        assert (await status(monitor), up(metrics)) == (NOT_SERVING, 0)
        dependency.failure = None
        await dependency.looked_at(2)
        assert (await status(monitor), up(metrics)) == (SERVING, 1)


async def test_a_failure_nobody_foresaw_is_logged_whole_once_for_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dependency = Dependency()
    async with monitored(dependency, Metrics()):
        numbers = iter(range(1_000))
        for failure in (ValueError, KeyError, ValueError):
            dependency.failure = lambda kind=failure: kind(next(numbers))
            await dependency.looked_at(4)
    whole = [record for record in caplog.records if record.exc_info is not None]
    assert [record.exc_info[0] for record in whole if record.exc_info] == [ValueError, KeyError]
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) <= 3
    assert "redis" in warned[0].message


async def test_a_monitor_that_is_closed_looks_no_more() -> None:
    dependency = Dependency()
    async with monitored(dependency, Metrics()) as monitor:
        dependency.failure = asyncio.CancelledError
        await dependency.looked_at(2)
        await monitor.close()
        while not dependency.looks.locked():
            await dependency.looks.acquire()
        for _ in range(50):
            await asyncio.sleep(0)
        assert dependency.looks.locked()
