"""One fetch for all the orders that wait for the same book.

A fetch serves only orders that arrived before it began, so whoever comes while
one is under way shares the next. Nothing is kept: a book that was fetched is
handed to those who waited for it and forgotten.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from execution.errors import Overloaded, SymbolServiceUnavailable, Unavailable
from execution.model import Snapshot
from execution.ports import Clock

Outcome: TypeAlias = Snapshot | Unavailable | None
"""What a fetch brought: a book, no such symbol, or why neither is known."""

Fetch: TypeAlias = Callable[[str, int], Awaitable[Outcome]]
"""Asks the source for one symbol, once; is told when the fetch began (monotonic)."""


@dataclass(slots=True)
class FetchCounts:
    """Totals since the start, for metrics."""

    fetches: int = 0
    orders: int = 0
    """Orders that a fetch was made for: orders / fetches is how well they share."""


@dataclass(slots=True, eq=False)
class _Shared:
    """One fetch and those who wait for it."""

    waiters: list["asyncio.Future[tuple[int, Outcome]]"] = field(default_factory=list)
    """Of each order: when the fetch began (monotonic), and what it brought."""
    started_ns: int | None = None
    over: bool = False

    def serves(self, arrived_ns: int) -> bool:
        return self.started_ns is None or self.started_ns >= arrived_ns

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return any(not waiter.done() for waiter in self.waiters)

    def end(self, started_ns: int, outcome: Outcome) -> None:
        """Tells everybody, once."""
        if not self.over:
            self.over = True
            for waiter in self.waiters:
                if not waiter.done():
                    waiter.set_result((started_ns, outcome))


@dataclass(slots=True, eq=False)
class _Lane:
    """The fetches of one symbol: the one under way, and the next."""

    running: _Shared | None = None
    upcoming: _Shared | None = None


class SharedFetches:
    """Fetches by symbol, one at a time each, `symbols_max` symbols at most."""

    def __init__(self, fetch: Fetch, clock: Clock, symbols_max: int) -> None:
        self.counts = FetchCounts()
        self._fetch = fetch
        self._clock = clock
        self._symbols_max = symbols_max
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Kept, because before Python 3.12 to ask which loop runs is a system call."""
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, symbol: str, arrived_ns: int) -> tuple[int, Outcome]:
        """When the fetch that serves this order began (monotonic), and what it brought.

        The caller may be cancelled without harm to those who share its fetch.
        Raises `Overloaded` if too many symbols are being fetched already, and
        `SymbolServiceUnavailable` after `close`.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        shared = self._join(symbol, arrived_ns, loop)
        self.counts.orders += 1
        # A future of its own, so that who is cancelled takes nobody along.
        waiter: asyncio.Future[tuple[int, Outcome]] = loop.create_future()
        shared.waiters.append(waiter)
        try:
            return await waiter
        finally:
            waiter.cancel()  # where the caller has gone; no fetch is begun for such

    async def close(self) -> None:
        """Gives up every fetch; those who wait are told."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A task that was cancelled before its first step left its lane behind.
        for symbol in list(self._lanes):
            self._leave(symbol)

    def _join(self, symbol: str, arrived_ns: int, loop: asyncio.AbstractEventLoop) -> _Shared:
        lane = self._lanes.get(symbol)
        if lane is None:
            lane = self._open(symbol, loop)
        if lane.running is not None and lane.running.serves(arrived_ns):
            return lane.running
        if lane.upcoming is None:
            lane.upcoming = _Shared()
        return lane.upcoming

    def _open(self, symbol: str, loop: asyncio.AbstractEventLoop) -> _Lane:
        if self._closed:
            raise SymbolServiceUnavailable("no books are fetched any more: closing")
        if len(self._lanes) >= self._symbols_max:
            raise Overloaded(
                f"{self._symbols_max} symbols are being fetched from symbol-service already"
            )
        lane = self._lanes[symbol] = _Lane()
        task = loop.create_task(self._serve(symbol, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return lane

    async def _serve(self, symbol: str, lane: _Lane) -> None:
        """Fetches until nobody waits any more."""
        try:
            while lane.upcoming is not None and lane.upcoming.wanted:
                shared, lane.upcoming = lane.upcoming, None
                lane.running = shared
                started_ns = shared.started_ns = self._clock.monotonic_ns()
                self.counts.fetches += 1
                outcome = await self._fetch(symbol, started_ns)
                shared.end(started_ns, outcome)
        finally:
            self._leave(symbol)

    def _leave(self, symbol: str) -> None:
        """Forgets the symbol; tells whoever still waits for it that nothing will come."""
        lane = self._lanes.pop(symbol)
        for shared in (lane.running, lane.upcoming):
            if shared is not None and not shared.over:
                given_up = f"the fetch of the book of {symbol} was given up"
                shared.end(self._clock.monotonic_ns(), SymbolServiceUnavailable(given_up))
