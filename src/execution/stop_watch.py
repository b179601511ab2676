"""Watches the market for every resting stop.

Holds the stop book (from the stop stream: whichever replica armed a stop, all
watch it), looks at every book that is pushed, and polls the symbols that are
not. What it finds crossed or expired it hands on to `stop_crossings`, and that
is only ever a proposal: the conditional commit has the last word.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from execution.errors import ExecutionError
from execution.model import ReferencePrices, RestingStop
from execution.ports import (
    BookSource,
    BookWatch,
    Clock,
    StopChange,
    StopEvent,
    StopsAnew,
    StopsKnown,
    StopStream,
)
from execution.pricing import reference_prices
from execution.stop_book import StopBook
from execution.stop_crossings import Crossings, Due
from execution.stop_orders import StopOrders

TICK_SECONDS: Final = 0.1
"""How often expiries are looked for, and a crossing that failed is tried again."""
POLLS_AT_ONCE_MAX: Final = 64

_Loop: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """How patient the watch is."""

    poll_interval_ms: int = 200
    """Between two looks at a symbol that nobody pushes."""
    trigger_retry_ms: int = 5_000
    """As the executor's: a stop that waited so long for a book is ended."""


class StopWatch:
    """One per process; `start` when the ledger and the books are there, `close` before them."""

    def __init__(
        self,
        orders: StopOrders,
        stops: StopStream,
        books: BookSource,
        pushed: BookWatch,
        clock: Clock,
        config: WatchConfig,
    ) -> None:
        self._stops = stops
        self._books = books
        self._pushed = pushed
        self._clock = clock
        self._config = config
        self._book = StopBook()
        self._crossings = Crossings(orders)
        self._waiting: dict[str, dict[str, RestingStop]] = {}
        self._symbol_of_waiting: dict[str, str] = {}
        self._untold: set[str] = set()
        """While all is told anew: stops known from before that were not named yet."""
        self._unseen: set[str] = set()
        """Symbols whose stops changed, or were polled, while there was no pushed book."""
        self._loops: set[asyncio.Task[None]] = set()
        self._known = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Stops that rest, as far as this process knows."""
        return len(self._book) + len(self._symbol_of_waiting)

    async def start(self) -> None:
        """Begins to watch; `wait_until_known` tells when every stop is."""
        self._pushed.listen(self._on_book)
        for loop in (self._follow, self._tick, self._poll):
            self._keep_up(loop)

    async def wait_until_known(self) -> None:
        """Returns once every stop that rests in the ledger is watched."""
        await self._known.wait()

    async def close(self) -> None:
        """Stops watching; other replicas go on, and the next start does."""
        self._closed = True
        self._pushed.listen(_nobody)
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._crossings.close()

    async def _follow(self) -> None:
        async for events in self._stops.follow():
            for symbol in self._apply(events):
                self._look(symbol)

    def _apply(self, events: Sequence[StopEvent]) -> set[str]:
        """Takes the changes in; returns the symbols that have other stops now."""
        touched: set[str] = set()
        for event in events:
            match event:
                case StopsAnew():
                    # They are watched until it is known which of them still rest.
                    self._untold = {*self._book.order_ids, *self._symbol_of_waiting}
                case StopsKnown():
                    for order_id in self._untold:
                        self._forget(order_id)
                    self._untold = set()
                    self._known.set()
                case StopChange(order_id, stop):
                    if stop is None:
                        self._forget(order_id)
                        continue
                    if order_id in self._untold:
                        self._told_anew(order_id, stop)
                    touched |= self._rest(order_id, stop)
        return touched

    def _told_anew(self, order_id: str, stop: RestingStop) -> None:
        """Drops what was known, unless it is the same: the ledger may have gone back."""
        self._untold.discard(order_id)
        if self._book.version(order_id) != stop.version:
            self._forget(order_id)

    def _rest(self, order_id: str, stop: RestingStop) -> set[str]:
        """Watches the stop as it is now; returns its symbol, nothing if it cannot be read."""
        try:
            order = stop.order()
        except (ValueError, KeyError):
            _log.exception("resting stop %s cannot be read and is NOT watched", order_id)
            self._forget(order_id)
            return set()
        self._crossings.newer(order_id, stop.version)
        if stop.triggered_time_ns is None:
            self._book.add(order, stop.version)
        else:
            self._book.remove(order_id)
            self._waiting.setdefault(order.symbol, {})[order_id] = stop
            self._symbol_of_waiting[order_id] = order.symbol
        return {order.symbol}

    def _forget(self, order_id: str) -> None:
        self._book.remove(order_id)
        self._crossings.forget(order_id)
        symbol = self._symbol_of_waiting.pop(order_id, None)
        if symbol is not None:
            waiting = self._waiting[symbol]
            del waiting[order_id]
            if not waiting:
                del self._waiting[symbol]

    def _on_book(self, symbol: str) -> None:
        """Every pushed book comes by here: cheap for symbols without stops."""
        if symbol in self._waiting:
            self._serve_waiting(symbol)
        if symbol in self._book.symbols:
            self._look(symbol)

    def _look(self, symbol: str) -> None:
        prices = self._pushed.pushed(symbol)
        if prices is None:
            self._unseen.add(symbol)
        else:
            self._take_crossed(symbol, prices)

    def _take_crossed(self, symbol: str, prices: ReferencePrices) -> None:
        if not self._book.crosses(symbol, prices):
            return
        # A stop whose time was up before this price was seen is not crossed by it.
        self._take_expired()
        for crossing in self._book.take_crossed(symbol, prices):
            self._crossings.begin(Due(crossing.order_id, crossing.version, crossing.price))

    def _take_expired(self) -> None:
        for order_id, version in self._book.take_expired(self._clock.time_ns()):
            self._crossings.begin(Due(order_id, version, None))

    def _serve_waiting(self, symbol: str) -> None:
        for stop in self._waiting[symbol].values():
            self._crossings.begin(Due(stop.order_id, stop.version, stop.triggered_by_price))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._crossings.again()
            self._take_expired()
            overdue_ns = self._clock.time_ns() - self._config.trigger_retry_ms * 1_000_000
            for symbol, waiting in self._waiting.items():
                if any((stop.triggered_time_ns or 0) < overdue_ns for stop in waiting.values()):
                    self._serve_waiting(symbol)

    async def _poll(self) -> None:
        """One call per symbol and interval, however many stops it has."""
        permits = asyncio.Semaphore(POLLS_AT_ONCE_MAX)

        async def ask(symbol: str) -> None:
            async with permits:
                await self._ask(symbol)

        while True:
            unpushed = []
            for symbol in {*self._book.symbols, *self._waiting}:
                if self._pushed.pushed(symbol) is None:
                    self._unseen.add(symbol)
                    unpushed.append(symbol)
                elif symbol in self._unseen:
                    # A heartbeat made its book fresh again; no other book may come for long.
                    self._unseen.discard(symbol)
                    self._look(symbol)
            await asyncio.gather(
                asyncio.sleep(self._config.poll_interval_ms / 1_000),
                *(ask(symbol) for symbol in unpushed),
            )

    async def _ask(self, symbol: str) -> None:
        """Looks at a fetched book. What it crosses asks for the newest one again.

        To execute against this one, when it is its turn, could take back to it
        who has met a newer one meanwhile, and restore what was taken from both.
        """
        if symbol in self._waiting:
            self._serve_waiting(symbol)
        if symbol not in self._book.symbols:
            return
        try:
            snapshot = await self._books.snapshot(symbol, self._clock.monotonic_ns())
        except ExecutionError as error:
            # Health tells it once; here it would be told at every interval.
            _log.debug("no book of %s for its stops: %s", symbol, error.message)
            return
        if snapshot is not None:
            self._take_crossed(symbol, reference_prices(snapshot))

    def _keep_up(self, loop: _Loop) -> None:
        if not self._closed:
            task = asyncio.create_task(loop(), name="watching stops")
            self._loops.add(task)
            task.add_done_callback(partial(self._begin_again, loop))

    def _begin_again(self, loop: _Loop, task: "asyncio.Task[None]") -> None:
        """Stops are watched whatever happens, also after a mistake of ours."""
        self._loops.discard(task)
        if not task.cancelled():
            _log.error("watching stops failed and begins again", exc_info=task.exception())
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._keep_up, loop)


def _nobody(_: str) -> None:
    """Listens to nothing."""
