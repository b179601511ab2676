"""Orders that wait for the same book share one fetch, which began after each of them arrived."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from execution.adapters.fetch import Outcome, SharedFetches
from execution.errors import Overloaded, SymbolServiceUnavailable
from execution.model import Snapshot, SymbolSpec
from execution.testing import SimulatedClock


class Source:
    """Answers a fetch when the test says so; books carry the number of their fetch."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self._changed = asyncio.Condition()
        self._answers: list[asyncio.Future[Outcome]] = []

    async def fetch(self, symbol: str, started_ns: int) -> Outcome:
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        async with self._changed:
            self.begun.append((symbol, started_ns))
            self._changed.notify_all()
        return await answer

    async def reached(self, count: int) -> None:
        async with self._changed, asyncio.timeout(5):
            await self._changed.wait_for(lambda: len(self.begun) >= count)

    def answer(self, number: int, outcome: Outcome = None) -> None:
        """Ends the n-th fetch, counted from 1, with a book of that sequence or with `outcome`."""
        symbol, _ = self.begun[number - 1]
        self._answers[number - 1].set_result(outcome or snapshot(symbol, number))

    def fail(self, number: int, error: Exception) -> None:
        self._answers[number - 1].set_exception(error)


def snapshot(symbol: str, sequence: int) -> Snapshot:
    empty = np.array([], dtype=np.int64)
    return Snapshot(SymbolSpec(symbol), "source", sequence, None, empty, empty, empty, empty)


class World:
    def __init__(self, symbols_max: int) -> None:
        self.clock = SimulatedClock()
        self.source = Source()
        self.fetches = SharedFetches(self.source.fetch, self.clock, symbols_max)

    def order(self, symbol: str = "A") -> "asyncio.Task[tuple[int, Outcome]]":
        """An order that arrives now."""
        return asyncio.create_task(self.fetches.get(symbol, self.clock.monotonic_ns()))

    async def orders(
        self, count: int, symbol: str = "A"
    ) -> list["asyncio.Task[tuple[int, Outcome]]"]:
        """Orders that arrive a millisecond later and have begun to wait."""
        self.clock.advance(1_000_000)
        waiting = self.fetches.counts.orders + count
        tasks = [self.order(symbol) for _ in range(count)]
        while self.fetches.counts.orders < waiting:
            await asyncio.sleep(0)
        return tasks


@asynccontextmanager
async def world(symbols_max: int = 100) -> AsyncIterator[World]:
    it = World(symbols_max)
    try:
        yield it
    finally:
        await it.fetches.close()


def sequence(served: tuple[int, Outcome]) -> int:
    outcome = served[1]
    assert isinstance(outcome, Snapshot)
    return outcome.sequence


async def test_orders_of_one_moment_share_one_fetch() -> None:
    async with world() as it:
        orders = await it.orders(100)
        await it.source.reached(1)
        it.source.answer(1)
        served = await asyncio.gather(*orders)
        assert len({id(book) for _, book in served}) == 1
        assert (it.fetches.counts.fetches, it.fetches.counts.orders) == (1, 100)


async def test_orders_that_arrive_during_a_fetch_share_the_next() -> None:
    async with world() as it:
        early = await it.orders(1)
        await it.source.reached(1)
        late = [*await it.orders(40), *await it.orders(40)]
        it.source.answer(1)
        assert sequence(await early[0]) == 1
        await it.source.reached(2)
        it.source.answer(2)
        served = await asyncio.gather(*late)
        assert {sequence(one) for one in served} == {2}
        assert it.source.begun[1][1] >= it.source.begun[0][1] + 2_000_000
        assert it.fetches.counts.fetches == 2


async def test_an_order_may_use_a_fetch_that_began_at_its_very_moment() -> None:
    async with world() as it:
        first = await it.orders(1)
        await it.source.reached(1)
        arrived_ns = it.source.begun[0][1]
        second = asyncio.create_task(it.fetches.get("A", arrived_ns))
        third = asyncio.create_task(it.fetches.get("A", arrived_ns + 1))
        while it.fetches.counts.orders < 3:
            await asyncio.sleep(0)
        it.source.answer(1)
        assert sequence(await first[0]) == sequence(await second) == 1
        await it.source.reached(2)
        it.source.answer(2)
        assert sequence(await third) == 2


async def test_nothing_fetched_is_kept_for_the_next_order() -> None:
    async with world() as it:
        for number in (1, 2, 3):
            orders = await it.orders(1)
            await it.source.reached(number)
            it.source.answer(number)
            started_ns, _ = await orders[0]
            assert started_ns == it.clock.monotonic_ns()
        assert it.fetches.counts.fetches == 3


async def test_a_caller_that_goes_away_takes_nobody_along() -> None:
    async with world() as it:
        leaving, staying = await it.orders(2)
        await it.source.reached(1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        it.source.answer(1)
        assert sequence(await staying) == 1


async def test_no_fetch_is_begun_for_callers_who_all_went_away() -> None:
    async with world() as it:
        first = await it.orders(1)
        await it.source.reached(1)
        waiting = await it.orders(5)
        for order in waiting:
            order.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        it.source.answer(1)
        await first[0]
        last = await it.orders(1)
        await it.source.reached(2)
        it.source.answer(2)
        assert sequence(await last[0]) == 2
        assert it.fetches.counts.fetches == 2


async def test_no_fetch_is_begun_for_a_caller_that_was_closed_while_it_waited() -> None:
    async with world() as it:
        closed = it.fetches.get("A", it.clock.monotonic_ns())
        closed.send(None)
        closed.close()
        orders = await it.orders(1, "B")
        await it.source.reached(1)
        it.source.answer(1)
        await orders[0]
        assert [symbol for symbol, _ in it.source.begun] == ["B"]


async def test_a_failure_is_shared_too_and_the_next_order_tries_again() -> None:
    async with world() as it:
        orders = await it.orders(3)
        await it.source.reached(1)
        it.source.answer(1, SymbolServiceUnavailable("down"))
        assert {type(outcome) for _, outcome in await asyncio.gather(*orders)} == {
            SymbolServiceUnavailable
        }
        again = await it.orders(1)
        await it.source.reached(2)
        it.source.answer(2)
        assert sequence(await again[0]) == 2


async def test_symbols_do_not_wait_for_each_other() -> None:
    async with world() as it:
        slow = await it.orders(1, "A")
        await it.source.reached(1)
        quick = await it.orders(1, "B")
        await it.source.reached(2)
        it.source.answer(2)
        assert sequence(await quick[0]) == 2
        it.source.answer(1)
        assert sequence(await slow[0]) == 1


async def test_the_symbols_under_way_are_limited_and_done_ones_do_not_count() -> None:
    async with world(symbols_max=2) as it:
        orders = [*await it.orders(1, "A"), *await it.orders(1, "B")]
        with pytest.raises(Overloaded, match="2 symbols"):
            await it.fetches.get("C", it.clock.monotonic_ns())
        await it.source.reached(2)
        it.source.answer(1)
        it.source.answer(2)
        await asyncio.gather(*orders)
        third = await it.orders(1, "C")
        await it.source.reached(3)
        it.source.answer(3)
        assert sequence(await third[0]) == 3


@pytest.mark.parametrize("begun", [True, False])
async def test_closing_tells_everybody_who_waits(begun: bool) -> None:
    async with world() as it:
        orders = await it.orders(2)
        if begun:
            await it.source.reached(1)
            orders += await it.orders(2)
        await it.fetches.close()
        async with asyncio.timeout(5):
            served = await asyncio.gather(*orders)
        assert {type(outcome) for _, outcome in served} == {SymbolServiceUnavailable}
        with pytest.raises(SymbolServiceUnavailable):
            await it.fetches.get("A", it.clock.monotonic_ns())


async def test_a_mistake_of_ours_leaves_nobody_waiting_and_is_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
    async with world() as it:
        orders = await it.orders(2)
        await it.source.reached(1)
        it.source.fail(1, RuntimeError("a bug"))
        async with asyncio.timeout(5):
            served = await asyncio.gather(*orders)
        assert {type(outcome) for _, outcome in served} == {SymbolServiceUnavailable}
    gc.collect()
    assert [str(what["exception"]) for what in reported] == ["a bug"]
