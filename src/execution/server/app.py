"""The wiring of one service, from configuration to a drained exit."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from execution.adapters.commit_limits import CommitLimits
from execution.adapters.ledger import LedgerConfig, RedisLedger
from execution.adapters.order_stream import OrderStreamConfig, RedisOrderStream
from execution.adapters.redis_url import redacted_url
from execution.adapters.stop_stream import RedisStopStream, StopStreamConfig
from execution.adapters.symbol_service import SymbolServiceBooks, SymbolServiceConfig
from execution.embedded.market.simulate import simulated_feeds
from execution.embedded.market.symbol_service import SymbolService
from execution.embedded.redis import EmbeddedRedis, EmbeddedRedisConfig
from execution.errors import SymbolServiceUnavailable
from execution.executor import Executor, Terms
from execution.pricing import Liquidity
from execution.server.admission import InFlight, Tokens
from execution.server.clock import SystemClock, order_ids
from execution.server.config import ServeConfig, host_port
from execution.server.garbage import collect_when_quiet, freeze
from execution.server.health import HealthMonitor
from execution.server.observe import Metrics, MetricsServer
from execution.server.open_files import room_for_connections
from execution.server.orders import Orders
from execution.server.servicer import SERVICE, ExecutionServicer
from execution.server.transports import GATHER_MS, transport_of
from execution.server.transports.calls import Calls
from execution.server.transports.tls import Tls
from execution.stop_orders import StopOrders
from execution.stop_watch import StopWatch, WatchConfig

STOP_SECONDS_MAX: Final = 5.0
"""What stopping may take beyond the drain."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a service that executes orders is found."""

    grpc: str
    metrics: str
    redis: str
    symbols: tuple[str, ...]

    def line(self) -> str:
        """The one line `serve` prints; CONTRACT.md section 4."""
        symbols = ",".join(self.symbols)
        return f"ready grpc={self.grpc} metrics={self.metrics} redis={self.redis} symbols={symbols}"


class App:
    """One service: `start`, `ready`, `stop`."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self._clock = SystemClock()
        self._closing = AsyncExitStack()

    async def start(self) -> None:
        """Starts everything; the service listens, and says NOT_SERVING until it can execute.

        Raises `StartupError`.
        """
        config = self.config
        config.check()
        tls = config.tls()
        tokens = None if config.auth_tokens is None else Tokens.load(config.auth_tokens)
        if config.exposed() and tokens is None:
            _log.warning("--listen %s: open to the network without TLS or tokens", config.listen)
        redis_url, self._shown_redis_url = await self._redis()
        self._ledger = await self._start_ledger(redis_url)
        self._books = await self._start_books()
        await self._start_orders(redis_url)
        self._health = HealthMonitor(
            (SERVICE,),
            {
                "redis": self._ledger.probe,
                "symbol-service": self._check_books,
                "resting-stops": self._check_stops,
            },
            self.metrics,
        )
        await self._health.start()
        self._closing.push_async_callback(self._health.close)
        await self._start_serving(tls, tokens)

    async def ready(self) -> Ready:
        """Waits until the service can execute orders."""
        await self._health.wait_until_serving()
        collecting = asyncio.create_task(
            collect_when_quiet(lambda: self.metrics.outcomes.orders, lambda: self._in_flight.count)
        )
        self._closing.callback(collecting.cancel)
        return Ready(
            grpc=self._grpc_address,
            metrics=self._metrics_address,
            redis=self._shown_redis_url,
            symbols=self._books.symbols,
        )

    async def drain(self, drain_seconds: float) -> None:
        """Refuses new orders and lets those under way end, for so long at most."""
        await self._health.drain()
        await self._stop_watch.close()
        await self._transport.drain(drain_seconds)
        await self._executor.drain()
        await self._transport.stop()

    async def stop_serving_now(self) -> None:
        """Ends calls that a drain still waits for."""
        await self._transport.stop()

    async def close(self) -> None:
        """Closes everything that was started, last first."""
        await self._closing.aclose()

    async def _start_orders(self, redis_url: str) -> None:
        """What executes orders, and what watches those that rest."""
        config = self.config
        terms = Terms(config.fee_rate(), trigger_retry_ns=config.trigger_retry_ms * 1_000_000)
        self._executor = Executor(
            self._books, self._ledger, Liquidity(config.liquidity), self._clock, terms
        )
        self._stop_orders = StopOrders(self._executor, self._ledger, self._clock, terms)
        self._stop_stream = RedisStopStream(StopStreamConfig(redis_url))
        self._stop_watch = StopWatch(
            self._stop_orders,
            self._stop_stream,
            self._books,
            self._books,
            self._clock,
            WatchConfig(trigger_retry_ms=config.trigger_retry_ms),
        )
        await self._stop_watch.start()
        self._closing.push_async_callback(self._stop_watch.close)
        self.metrics.track_resting_stops(lambda: len(self._stop_watch))
        self._order_stream = RedisOrderStream(OrderStreamConfig(redis_url))
        self._closing.push_async_callback(self._order_stream.close)

    async def _start_serving(self, tls: Tls | None, tokens: Tokens | None) -> None:
        """Listens; from here on calls arrive."""
        config = self.config
        in_flight = self._in_flight = InFlight(config.max_in_flight)
        self.metrics.track_in_flight(lambda: in_flight.count)
        orders = Orders(
            self._executor, self._clock, order_ids(self._clock), in_flight, self.metrics
        )
        servicer = ExecutionServicer(orders, self._executor, self._stop_orders, self._order_stream)
        calls = Calls(self._clock, self.metrics, tokens)
        self._transport = transport_of(
            config.transport_in_use(),
            calls,
            connections_max=room_for_connections(config.max_connections),
            age_seconds_max=config.max_connection_age_seconds or None,
            share_port=config.share_port,
        )
        self._transport.serve(servicer.rpcs())
        server: Any = self._transport.server
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        add_reflection(
            reflection.aio.ReflectionServicer(
                (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME)
            ),
            server,
        )
        self._grpc_address = await self._transport.start(config.listen, tls)
        # Not every end comes by a drain.
        self._closing.push_async_callback(self._transport.stop)
        host, port = host_port(config.metrics_listen, "--metrics-listen")
        metrics_server = MetricsServer(self.metrics.registry, host, port)
        self._closing.callback(metrics_server.close)
        self._metrics_address = metrics_server.address

    async def _redis(self) -> tuple[str, str]:
        """URL for the ledger, and URL to show."""
        if self.config.redis_url is not None:
            return self.config.redis_url, redacted_url(self.config.redis_url)
        redis = EmbeddedRedis(
            EmbeddedRedisConfig(self.config.data_dir, appendfsync=self.config.appendfsync())
        )
        await self._closing.enter_async_context(redis)
        return redis.unix_url, redis.url

    async def _start_ledger(self, url: str) -> RedisLedger:
        config = self.config
        commit = CommitLimits(
            gather_ms=GATHER_MS[config.transport_in_use()], busy_poll_us=config.busy_poll_us
        )
        durability = config.durability_of_commits()
        ledger = RedisLedger(LedgerConfig(url, durability=durability, commit=commit))
        await ledger.start()
        self._closing.push_async_callback(ledger.close)
        return ledger

    async def _start_books(self) -> SymbolServiceBooks:
        target = self.config.symbol_service
        if target is None:
            market = SymbolService(simulated_feeds())
            target = await market.start("127.0.0.1:0")
            self._closing.push_async_callback(market.stop)
        books = SymbolServiceBooks(
            SymbolServiceConfig(
                target,
                max_snapshot_age_ms=self.config.max_snapshot_age_ms,
                depth=self.config.depth,
            ),
            self._clock,
        )
        await books.start()
        self._closing.push_async_callback(books.close)
        self._count_books(books)
        return books

    def _count_books(self, books: SymbolServiceBooks) -> None:
        feed, fetches, track = books.feed_counts, books.fetch_counts, self.metrics.track_total
        track("feed_books", "Books that were pushed.", lambda: feed.books)
        track("feed_streams", "Streams of books that were opened.", lambda: feed.streams)
        track("feed_gaps", "Pushed books before which some were left out.", lambda: feed.gaps)
        track("feed_restarts", "Pushed books whose sequence went back.", lambda: feed.restarts)
        track("feed_rewrites", "Pushed books that repeat a sequence.", lambda: feed.rewrites)
        track("book_fetches", "Books that were fetched.", lambda: fetches.fetches)
        track("book_fetch_orders", "Orders that a fetch was made for.", lambda: fetches.orders)

    async def _check_books(self) -> None:
        if not self._books.reachable:
            raise SymbolServiceUnavailable(self._books.problem)

    async def _check_stops(self) -> None:
        """A replica that cannot hear of stops would not watch those it accepts."""
        failure = self._stop_stream.failure
        if failure is not None:
            raise type(failure)(failure.message, failure.metadata)


async def serve(config: ServeConfig, announce: Callable[[str], None]) -> int:
    """Runs a service until SIGTERM or SIGINT; returns the exit status.

    0 after a drain, 1 if a second signal or the time limit cut it short. Raises
    `StartupError`.
    """
    signals = _Signals(worker=config.share_port)
    app = App(config)
    try:
        await app.start()
        ready = asyncio.create_task(app.ready())
        await _first(ready, signals.first.wait())
        if ready.done():
            freeze()
            announce(ready.result().line())
        else:
            ready.cancel()
        await signals.first.wait()
        return await _stop(app, signals)
    finally:
        await app.close()


async def _stop(app: App, signals: "_Signals") -> int:
    """Drains; a second signal or the limit ends what is left."""
    _log.info("draining for up to %s s", app.config.drain_seconds)
    drain = asyncio.create_task(app.drain(app.config.drain_seconds))
    limit = app.config.drain_seconds + STOP_SECONDS_MAX
    await _first(drain, signals.second.wait(), timeout_seconds=limit)
    if drain.done():
        await drain
        _log.info("drained")
        return 0
    _log.warning("stopping with orders under way; their callers retry with the same id")
    await app.stop_serving_now()
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
    return 1


async def _first(
    task: "asyncio.Task[Any]",
    other: Coroutine[Any, Any, Any],
    timeout_seconds: float | None = None,
) -> None:
    """Returns when `task` or `other` has ended or the time is up; ends `other` only."""
    watcher = asyncio.ensure_future(other)
    try:
        await asyncio.wait(
            (task, watcher), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        watcher.cancel()


class _Signals:
    """SIGTERM and SIGINT as events: the first asks, the second insists.

    A worker is also asked by the end of its standard input, which whoever
    started it holds open.
    """

    def __init__(self, *, worker: bool) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)
        if worker:
            loop.add_reader(sys.stdin.fileno(), self._left_alone)

    def _left_alone(self) -> None:
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.first.set()

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
