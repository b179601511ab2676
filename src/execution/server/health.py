"""Whether this replica can execute an order right now, as grpc.health.v1 says it.

SERVING needs a Redis that takes a write and a symbol-service that answers.
Looked at all the time, so that it becomes true again by itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from execution.errors import ExecutionError
from execution.server.observe import Metrics

CHECK_INTERVAL_SECONDS: Final = 0.25
START_INTERVAL_SECONDS: Final = 0.02
"""Until everything has answered once: a start should not wait for a timer."""

Check = Callable[[], Awaitable[None]]
"""Returns if the dependency is fine, raises `ExecutionError` if it is not.

Anything else it raises is a defect, and counts as a problem, too.
"""

_log = logging.getLogger(__name__)


class HealthMonitor:
    """Keeps the health service true to the dependencies' checks."""

    def __init__(self, services: tuple[str, ...], checks: Mapping[str, Check], metrics: Metrics):
        self.servicer = health_aio.HealthServicer()
        self._services = ("", *services)
        self._checks = checks
        self._metrics = metrics
        self._problems: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._unforeseen_kinds: set[tuple[str, type[BaseException]]] = set()
        self._serving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Says NOT_SERVING and begins to look."""
        await self._set(serving=False)
        self._task = asyncio.create_task(self._watch())

    async def wait_until_serving(self) -> None:
        """Returns once every dependency has answered."""
        await self._serving.wait()

    async def drain(self) -> None:
        """Says NOT_SERVING for good, watchers included."""
        await self.close()
        await self.servicer.enter_graceful_shutdown()

    async def close(self) -> None:
        """Stops looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        was_serving = False
        while True:
            problems = dict(
                found
                for found in await asyncio.gather(
                    *(self._look(name, check) for name, check in self._checks.items())
                )
                if found[1]
            )
            self._tell(problems)
            serving = not problems
            if serving != was_serving:
                await self._set(serving=serving)
                was_serving = serving
            if serving:
                self._serving.set()
            started = self._serving.is_set()
            await asyncio.sleep(CHECK_INTERVAL_SECONDS if started else START_INTERVAL_SECONDS)

    async def _look(self, name: str, check: Check) -> tuple[str, str]:
        problem = ""
        try:
            await check()
        except ExecutionError as error:
            problem = error.message or type(error).__name__
        except asyncio.CancelledError as error:
            looking = asyncio.current_task()
            if looking is None or looking.cancelling():
                raise
            problem = self._unforeseen(name, error)  # what it waited for was cancelled, not we
        except Exception as error:  # noqa: BLE001 - or health would stay for ever what it is now
            problem = self._unforeseen(name, error)
        self._metrics.dependency(name, up=not problem)
        return name, problem

    def _unforeseen(self, name: str, error: BaseException) -> str:
        """The problem in words that stay the same; the rest is logged once for each kind."""
        kind = type(error)
        if (name, kind) not in self._unforeseen_kinds:
            self._unforeseen_kinds.add((name, kind))
            _log.error("the check of %s failed in a way nobody foresaw", name, exc_info=error)
        return f"its check failed: {kind.__name__}"

    def _tell(self, problems: dict[str, str]) -> None:
        """Logs what changed, once; a problem when it is seen again: starting is none."""
        for name, message in problems.items():
            if name in self._problems and self._told.get(name) != message:
                _log.warning("not serving: %s: %s", name, message)
                self._told[name] = message
        for name in self._told.keys() - problems.keys():
            _log.info("%s is back", name)
            del self._told[name]
        self._problems = problems

    async def _set(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for service in self._services:
            await self.servicer.set(service, status.SERVING if serving else status.NOT_SERVING)
