"""Replicas of the service in memory that watch stops: one market, one ledger, moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from builders import BUY, SPEC, order

from execution import stop_watch
from execution.executor import Executor, Terms
from execution.model import ExecutionReport, OrderStatus
from execution.ports import StopStream
from execution.pricing import Liquidity
from execution.settlement import FeeRate
from execution.stop_orders import StopOrders
from execution.stop_watch import StopWatch, WatchConfig
from execution.testing import (
    SimulatedBooks,
    SimulatedClock,
    SimulatedLedger,
    SimulatedStopStream,
    SimulatedStore,
)

SYMBOL = SPEC.symbol
RETRY_MS = 5_000
TICK_SECONDS = 0.002
CALM = ([("100", "9")], [("101", "9")])
RISEN = ([("104", "9")], [("105", "9")])


@dataclass
class World:
    """One replica; several may share a store and the books."""

    store: SimulatedStore = field(default_factory=SimulatedStore)
    books: SimulatedBooks = field(default_factory=SimulatedBooks)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    stream: StopStream | None = None

    def __post_init__(self) -> None:
        self.ledger = SimulatedLedger(self.store)
        self.told = SimulatedStopStream(self.store)
        terms = Terms(FeeRate(), trigger_retry_ns=RETRY_MS * 1_000_000)
        self.executor = Executor(self.books, self.ledger, Liquidity(), self.clock, terms)
        self.orders = StopOrders(self.executor, self.ledger, self.clock, terms)
        self.watch = StopWatch(
            self.orders,
            self.stream or self.told,
            self.books,
            self.books,
            self.clock,
            WatchConfig(poll_interval_ms=5, trigger_retry_ms=RETRY_MS),
        )

    def show(self, levels: Any, **fields: Any) -> None:
        self.books.set_book(SYMBOL, *levels, spec=SPEC, **fields)

    async def stop(self, order_id: str = "o-1", trigger: str = "103", **fields: Any) -> None:
        """A BUY stop at 103 that rests, and is watched by everybody who watches."""
        settings = {"order_id": order_id, "trigger_price": trigger} | fields
        extra = {k: settings.pop(k) for k in ("expire_time_ns", "trigger_by") if k in settings}
        placed = replace(order(settings.pop("direction", BUY), **settings), **extra)
        report = await self.executor.execute(placed)
        assert report.status is OrderStatus.UNTRIGGERED
        await turns()

    def report(self, order_id: str = "o-1") -> ExecutionReport:
        return self.store.orders[order_id].report

    async def reaches(self, status: OrderStatus, order_id: str = "o-1") -> ExecutionReport:
        await until(lambda: self.report(order_id).status is status)
        return self.report(order_id)

    def statuses(self, order_id: str = "o-1") -> list[str]:
        written = [record.report for record in self.store.history]
        return [report.status.name for report in written if report.order_id == order_id]


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[World]:
    """It watches, with ticks short enough to wait for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stop_watch, "TICK_SECONDS", TICK_SECONDS)
        await world.watch.start()
        try:
            await asyncio.wait_for(world.watch.wait_until_known(), 5)
            yield world
        finally:
            await world.watch.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def turns(count: int = 60) -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ticks(count: int = 5) -> None:
    await asyncio.sleep(count * TICK_SECONDS)
    await turns()
