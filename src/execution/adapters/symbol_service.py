"""`BookSource` over gRPC: the newest pushed book, or one fetched for those who wait.

Works with a plain `snapshot.SymbolSnapshotService` and with our depth and push
extension, and finds out which it faces. Rules: SEMANTICS, Price discovery.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Final

import grpc

from execution.adapters.book_messages import Listing, book_snapshot, l1_snapshot
from execution.adapters.feed import FeedCounts, PushedBooks
from execution.adapters.fetch import FetchCounts, Outcome, SharedFetches
from execution.adapters.market_channel import CallFailed, Connect, MarketChannel
from execution.adapters.market_probe import MarketProbe, Way
from execution.errors import StaleBook, SymbolServiceUnavailable, Unavailable
from execution.model import ReferencePrices, Snapshot
from execution.ports import BookListener, Clock
from execution.v1 import marketdata_pb2, snapshot_pb2

HEARTBEAT_SECONDS_MIN: Final = 0.01
TIMER_NS: Final = 5_000_000
"""How early the timer of a call's deadline may ring."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SymbolServiceConfig:
    """Where symbol-service is, and how patient we are with it."""

    target: str
    """HOST:PORT, or any gRPC target."""
    max_snapshot_age_ms: int = 500
    depth: int = 0
    """Levels asked for on each side; 0 = all."""
    probe_interval_ms: int = 1_000
    """How often it is asked what it lists while it pushes nothing."""
    probe_timeout_ms: int = 2_000
    """How long it may leave that unanswered before it counts as unreachable."""
    message_bytes_max: int = 16 * 1024 * 1024
    symbols_fetched_max: int = 1_024
    """Symbols that are fetched at the same moment."""


class SymbolServiceBooks:
    """Books from one symbol-service, depth or top of book, pushed or fetched.

    >>> async def best_ask(books: SymbolServiceBooks, clock: Clock) -> int:
    ...     await books.start()
    ...     await books.wait_until_answered()
    ...     snapshot = await books.snapshot("BTC-USDT", clock.monotonic_ns())
    ...     await books.close()
    ...     return int(snapshot.ask_prices[0])  # scaled by snapshot.spec.price_decimals
    """

    def __init__(
        self,
        config: SymbolServiceConfig,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
        connect: Connect | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._age_ns_max = config.max_snapshot_age_ms * 1_000_000
        self._channel = MarketChannel(config.target, config.message_bytes_max, connect)
        self._probe = MarketProbe(
            self._channel, clock, config.probe_timeout_ms / 1_000, self._listed
        )
        self._feed = PushedBooks(
            self._channel, config.depth, clock, jitter, self._age_ns_max, self._probe.wake
        )
        self.newest = self._feed.newest
        """The newest pushed book, if it is fresh; None where only `snapshot` can tell."""
        self._fetches = SharedFetches(self._fetch, clock, config.symbols_fetched_max)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def reachable(self) -> bool:
        """Whether symbol-service answers, as last seen."""
        return self._probe.reachable

    @property
    def problem(self) -> str:
        """Why it is not reachable; empty while it is."""
        return self._probe.problem

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it lists now; empty where it has no listing, which forbids no symbol."""
        return tuple(self._probe.listed)

    @property
    def fetch_counts(self) -> FetchCounts:
        """Fetches and the orders they served."""
        return self._fetches.counts

    @property
    def feed_counts(self) -> FeedCounts:
        """Streams opened, books pushed, and what was odd about their sequences."""
        return self._feed.counts

    @property
    def feed_age_ns(self) -> int | None:
        """Since the feed last showed that it lives; None while nothing is pushed."""
        return self._feed.age_ns

    @property
    def connections(self) -> int:
        """Connections made since the start; all but the first are reconnects."""
        return self._channel.connections

    async def start(self) -> None:
        """Begins to ask; returns before there is an answer."""
        self._run(self._channel.watch(self._connection_changed))
        self._run(self._probe.run(self._probe_pause_seconds))

    async def wait_until_answered(self) -> None:
        """Returns when symbol-service has answered once."""
        await self._probe.answered.wait()

    async def close(self) -> None:
        """Ends every call and the connection; orders that wait are told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._fetches.close()
        await self._feed.close()
        await self._channel.close()

    async def snapshot(self, symbol: str, arrived_ns: int) -> Snapshot | None:
        """A book an order that arrived at `arrived_ns` (monotonic) may meet.

        Does not suspend where a fresh pushed book is held. None if the source
        knows no such symbol. Raises `SymbolServiceUnavailable`, `StaleBook`, and
        `Overloaded` if too many symbols are being fetched.
        """
        pushed = self.newest(symbol)
        if pushed is not None:
            return pushed
        started_ns, outcome = await self._fetches.get(symbol, arrived_ns)
        now_ns = self._clock.monotonic_ns()
        # The feed may have come alive meanwhile. Its book is then what the next
        # order meets; to hand out another one would restore taken liquidity.
        pushed = self.newest(symbol)
        if pushed is not None:
            return pushed
        if isinstance(outcome, Unavailable):
            # One error for each caller: a traceback grows with every raise.
            raise type(outcome)(outcome.message, outcome.metadata)
        if now_ns - started_ns > self._age_ns_max:
            raise self._too_late(symbol, now_ns - started_ns)
        return outcome

    def listen(self, listener: BookListener) -> None:
        """Calls `listener` with the symbol of every book that is pushed, at once."""
        self._feed.listener = listener

    def pushed(self, symbol: str) -> ReferencePrices | None:
        """The prices of the newest pushed book; None if there is none that is fresh."""
        return self._feed.prices(symbol)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("symbol-service client: %s has failed", task.get_coro(), exc_info=error)

    def _probe_pause_seconds(self) -> float:
        """The probe is also the heartbeat of the feed, which must not grow stale."""
        pause = self._config.probe_interval_ms / 1_000
        if not self._feed.live:
            return pause
        half_age = self._config.max_snapshot_age_ms / 2_000
        return min(pause, max(half_age, HEARTBEAT_SECONDS_MIN))

    def _connection_changed(self, connected: bool) -> None:
        if connected:
            self._feed.reconnected()
        self._probe.wake()

    def _listed(self, listed: Mapping[str, Listing], started_ns: int) -> None:
        self._feed.follow(listed)
        self._feed.beat(started_ns)

    async def _fetch(self, symbol: str, started_ns: int) -> Outcome:
        try:
            return await self._either_way(symbol, started_ns)
        except CallFailed as failure:
            return self._unavailable(symbol, failure, self._clock.monotonic_ns() - started_ns)

    async def _either_way(self, symbol: str, started_ns: int) -> Snapshot | None:
        """By the way that is known to work; by the other if it is not served any more."""
        first = self._probe.way or Way.BOOK
        try:
            return await self._one_way(first, symbol, started_ns)
        except CallFailed as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
        self._probe.wake()
        return await self._one_way(Way.L1 if first is Way.BOOK else Way.BOOK, symbol, started_ns)

    async def _one_way(self, way: Way, symbol: str, started_ns: int) -> Snapshot | None:
        source, left = self._config.target, self._seconds_left(started_ns)
        answer: snapshot_pb2.L1SnapshotResponse | marketdata_pb2.Book | None
        try:
            if way is Way.L1:
                answer = await self._channel.get_l1(symbol, left)
            else:
                answer = await self._channel.get_book(symbol, self._config.depth, left)
        except CallFailed as failure:
            if failure.code is not grpc.StatusCode.NOT_FOUND:
                raise
            answer = None
        self._probe.proven(way)
        if answer is None:
            return None
        if isinstance(answer, snapshot_pb2.L1SnapshotResponse):
            return l1_snapshot(answer, symbol, source)
        listing = await self._probe.listing(symbol, self._seconds_left(started_ns))
        return book_snapshot(answer, symbol, listing, source)

    def _seconds_left(self, started_ns: int) -> float:
        """Until the book would be too old. Raises `CallFailed` when it is."""
        left_ns = started_ns + self._age_ns_max - self._clock.monotonic_ns()
        if left_ns <= 0:
            raise CallFailed("", grpc.StatusCode.DEADLINE_EXCEEDED, "no time is left")
        return left_ns / 1e9

    def _unavailable(self, symbol: str, failure: CallFailed, took_ns: int) -> Unavailable:
        expired = failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if expired and self._channel.connected and took_ns + TIMER_NS >= self._age_ns_max:
            return self._too_late(symbol, took_ns)
        return SymbolServiceUnavailable(
            f"symbol-service {self._config.target} did not give the book of {symbol}: {failure};"
            " check that it runs and that --symbol-service names it",
            self._metadata(failure.code, failure.details),
        )

    def _too_late(self, symbol: str, took_ns: int) -> StaleBook:
        limit = self._config.max_snapshot_age_ms
        return StaleBook(
            f"no book of {symbol} younger than {limit} ms was to be had: its fetch from"
            f" symbol-service {self._config.target} took {took_ns // 1_000_000} ms; check the load"
            " of both and the network between them, or raise --max-snapshot-age-ms",
            self._metadata(grpc.StatusCode.DEADLINE_EXCEEDED, "the fetch took too long"),
        )

    def _metadata(self, code: grpc.StatusCode, details: str) -> dict[str, str]:
        return {"source": self._config.target, "status": code.name, "details": details}
