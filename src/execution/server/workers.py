"""`serve --workers N`: several processes behind one port, each a whole service.

The kernel deals connections out among them (SO_REUSEPORT). They share Redis and
symbol-service, and the account of taken liquidity they do not share: it is one
a process. This process starts and ends them, and adds up their metrics.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Final

from execution.embedded.market.simulate import simulated_feeds
from execution.embedded.market.symbol_service import SymbolService
from execution.embedded.redis import EmbeddedRedis, EmbeddedRedisConfig
from execution.errors import StartupError
from execution.server.config import ServeConfig, host_port
from execution.server.observe import MetricsServer
from execution.server.worker_metrics import worker_registry

_RESTART_SECONDS: Final = 0.5
_STOP_SECONDS_MAX: Final = 10.0
"""What ending a worker may take beyond its drain."""
_INSIST_SECONDS: Final = 5.0
"""What it may take after a second signal."""
_READY_BYTES_MAX: Final = 1024 * 1024
"""A `ready` line: 10,000 symbols of 32 characters, and then some."""
_SHOWN_MAX: Final = 80

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Worker:
    """One process, and what it said when it was ready."""

    number: int
    process: asyncio.subprocess.Process
    ready: dict[str, str]


async def serve_workers(config: ServeConfig, announce: Callable[[str], None]) -> int:
    """Runs the workers until SIGTERM or SIGINT; returns the exit status.

    0 after all have drained, not 0 if a second signal or the time limit cut it
    short. Raises `StartupError`.
    """
    config.check()
    async with AsyncExitStack() as closing:
        shared = await _shared(config, closing)
        workers = Workers(shared, config.workers)
        ended, insisted = asyncio.Event(), asyncio.Event()

        def arrived() -> None:
            (insisted if ended.is_set() else ended).set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, arrived)
        host, port = host_port(config.metrics_listen, "--metrics-listen")
        metrics = MetricsServer(worker_registry(workers.metrics_addresses), host, port)
        closing.callback(metrics.close)
        try:
            ready = await workers.start(ended)
            if ready is not None:
                shown = ready | {"metrics": metrics.address}
                announce(" ".join(["ready", *(f"{name}={text}" for name, text in shown.items())]))
            await ended.wait()
        finally:
            status = await workers.stop(insisted)
        return status


async def _shared(config: ServeConfig, closing: AsyncExitStack) -> ServeConfig:
    """What every worker is told: one port, one Redis, one market."""
    listen, redis_url, market = config.listen, config.redis_url, config.symbol_service
    if host_port(listen, "--listen")[0] == "unix":
        raise StartupError("--workers: share a port, not a unix socket; use HOST:PORT")
    durability = str(config.durability_of_commits())
    if redis_url is None:
        settings = EmbeddedRedisConfig(config.data_dir, appendfsync=config.appendfsync())
        redis = await closing.enter_async_context(EmbeddedRedis(settings))
        redis_url = redis.url
    if market is None:
        service = SymbolService(simulated_feeds())
        market = await service.start("127.0.0.1:0")
        closing.push_async_callback(service.stop)
    reserved = _reserve(listen)
    closing.callback(reserved.close)
    return replace(
        config,
        listen=f"{listen.rpartition(':')[0]}:{reserved.getsockname()[1]}",
        redis_url=redis_url,
        symbol_service=market,
        durability=durability,
        metrics_listen="127.0.0.1:0",
        workers=1,
        share_port=True,
    )


def _reserve(listen: str) -> socket.socket:
    """Keeps the port for the workers without listening on it. Raises `StartupError`."""
    host, port = host_port(listen, "--listen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Bound for ourselves first: a port that is taken is an error, not one shared in secret.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
            port = probe.getsockname()[1]
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host.strip("[]"), port))
    except (OSError, TypeError) as error:  # the latter for a name that none can have
        reserved.close()
        raise StartupError(
            f"--listen {listen}: {getattr(error, 'strerror', None) or error}; use an address of"
            " this machine and a port that is not taken. Port 0 picks a free one"
        ) from error
    return reserved


class Workers:
    """Keeps so many workers running."""

    def __init__(self, config: ServeConfig, count: int) -> None:
        self._config = config
        self._count = count
        self._workers: dict[int, _Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def metrics_addresses(self) -> list[str]:
        """Where the metrics of each are found now."""
        return [worker.ready["metrics"] for worker in self._workers.values() if worker.ready]

    async def start(self, ended: asyncio.Event) -> dict[str, str] | None:
        """What they said when all were ready, None if `ended` came first.

        Raises `StartupError` if one cannot start.
        """
        starts = [asyncio.create_task(self._start(number)) for number in range(self._count)]
        stopping = asyncio.create_task(ended.wait())
        everything = asyncio.gather(*starts)
        try:
            await asyncio.wait((everything, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not everything.done():
                everything.cancel()
                return None
            workers = everything.result()
        finally:
            stopping.cancel()
            await asyncio.gather(everything, stopping, return_exceptions=True)
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in workers]
        return workers[0].ready

    async def stop(self, insisted: asyncio.Event) -> int:
        """Drains all, until `insisted` at most; the worst of their exit statuses."""
        # First, so that none is started anew while the others drain.
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._signal(signal.SIGTERM)
        limit = self._config.drain_seconds + _STOP_SECONDS_MAX
        ends = asyncio.gather(*(self._ended(worker, limit) for worker in self._workers.values()))
        insisting = asyncio.create_task(insisted.wait())
        await asyncio.wait((ends, insisting), return_when=asyncio.FIRST_COMPLETED)
        insisting.cancel()
        if ends.done():
            return max(ends.result(), default=0)
        _log.warning("stopping with orders under way; their callers retry with the same id")
        # To a worker it is the same, but a second SIGTERM could merge with the first.
        self._signal(signal.SIGINT)
        await asyncio.wait((ends,), timeout=_INSIST_SECONDS)
        self._signal(signal.SIGKILL)
        await ends
        return 1

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(number)

    async def _ended(self, worker: _Worker, limit: float) -> int:
        try:
            async with asyncio.timeout(limit):
                status = await worker.process.wait()
        except TimeoutError:
            worker.process.kill()
            status = await worker.process.wait()
        return abs(status)

    async def _keep(self, worker: _Worker) -> None:
        """Starts another in its place whenever it ends."""
        while True:
            status = await worker.process.wait()
            _log.error("worker %d ended with status %d; starting another", worker.number, status)
            worker = await self._start_again(worker.number)

    async def _start_again(self, number: int) -> _Worker:
        """Tries until one is ready: a worker that is missing is not noticed otherwise."""
        while True:
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                return await self._start(number)
            except StartupError as error:
                _log.error("worker %d: %s", number, error)
            except Exception:  # noqa: BLE001 - or the worker would be missing for good
                _log.exception("worker %d: not started", number)

    async def _start(self, number: int) -> _Worker:
        """Returns when it is ready. Raises `StartupError`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "execution", "serve", "--share-port"),
                # It ends when this process does, however that comes: the pipe closes.
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment(self._config),
                start_new_session=True,
                limit=_READY_BYTES_MAX,
            )
        except OSError as error:
            raise StartupError(f"worker {number} cannot be started: {error}") from error
        worker = self._workers[number] = _Worker(number, process, {})
        assert process.stdout is not None, "its output is piped"
        try:
            line = (await process.stdout.readline()).decode()
            if line:
                worker.ready = _parse_ready(line)
                return worker
        except ValueError as error:  # a line that is too long is one, too
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Its output is read to the end, or its pipes would stay open.
            await process.communicate()
            raise StartupError(f"worker {number} does not say where it is: {error}") from error
        status = await process.wait()
        raise StartupError(f"worker {number} ended with status {status}; its log says why")


def _parse_ready(line: str) -> dict[str, str]:
    """What `ready a=b c=d` says. Raises `ValueError` for anything else."""
    word, *pairs = line.split()
    if word != "ready":
        raise ValueError(f"it said {line[:_SHOWN_MAX]!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def environment(config: ServeConfig) -> dict[str, str]:
    """All of it as a worker reads it; a command line would show it to every user."""
    inherited = {name: text for name, text in os.environ.items() if name not in _VARIABLES.values()}
    settings = {variable: getattr(config, name) for name, variable in _VARIABLES.items()}
    return inherited | {
        variable: str(value.value if isinstance(value, Enum) else value)
        for variable, value in settings.items()
        if value is not None
    }


_VARIABLES: Final = {
    # Whether the port is shared is told by a flag: nothing else may set it.
    field.name: "EXECUTION_" + field.name.upper()
    for field in fields(ServeConfig)
    if field.name != "share_port"
}
