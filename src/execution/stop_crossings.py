"""Sees every crossing and expiry through, until it was committed, by whomever.

Many stops may cross at one price: they wait in a queue, in the order in which
they crossed, for one of a few workers. What fails because Redis or the market
is away is tried again; a price that was seen stays seen.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from execution.errors import ExecutionError
from execution.stop_orders import StopOrders

WORKERS_MAX: Final = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """A stop, at the version it was known at, and what is to be done with it."""

    order_id: str
    version: int
    price: str | None
    """What crossed its trigger; None: its time is up."""


class Crossings:
    """What is under way, one thing at a time for each order."""

    def __init__(self, orders: StopOrders) -> None:
        self._orders = orders
        self._under_way: dict[str, Due] = {}
        self._queue: deque[Due] = deque()
        self._failed: list[Due] = []
        self._failing = False
        self._workers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, due: Due) -> None:
        """Sees to it, unless something of that order is under way."""
        if due.order_id not in self._under_way:
            self._under_way[due.order_id] = due
            self._enqueue(due)

    def forget(self, order_id: str) -> None:
        """The order has ended or changed: nothing is left to try."""
        self._under_way.pop(order_id, None)

    def newer(self, order_id: str, version: int) -> None:
        """The order is at this version: what was to be done to an older one is void."""
        due = self._under_way.get(order_id)
        if due is not None and due.version < version:
            del self._under_way[order_id]

    def again(self) -> None:
        """Tries again what has failed; to be called now and then."""
        failed, self._failed = self._failed, []
        self._failing = bool(failed)
        for due in failed:
            self._enqueue(due)

    async def close(self) -> None:
        """Stops trying. What was sent may still be committed."""
        self._queue.clear()
        self._failed.clear()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _enqueue(self, due: Due) -> None:
        self._queue.append(due)
        if len(self._workers) < WORKERS_MAX:
            self._employ()

    def _employ(self) -> None:
        worker = asyncio.create_task(self._work(), name="stops that were crossed")
        self._workers.add(worker)
        worker.add_done_callback(self._left)

    def _left(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            _log.error("a stop that was crossed could not be executed", exc_info=error)
        if self._queue:
            # It came after the last look of the workers, or theirs was cut short.
            self._employ()

    async def _work(self) -> None:
        while self._queue:
            due = self._queue.popleft()
            if self._under_way.get(due.order_id) is due:
                await self._see_to(due)

    async def _see_to(self, due: Due) -> None:
        failed = False
        try:
            if due.price is None:
                await self._orders.expire(due.order_id, due.version)
            else:
                await self._orders.trigger(due.order_id, due.version, due.price)
        except ExecutionError as error:
            failed = True
            self._failed.append(due)
            if not self._failing:
                # Said once for all that fail for as long as any does.
                self._failing = True
                _log.warning("stop %s is tried again: %s", due.order_id, error.message)
        finally:
            if not failed and self._under_way.get(due.order_id) is due:
                del self._under_way[due.order_id]
