"""Crossings are seen through in order, a bounded number at once, and none is left lying."""

import asyncio
from typing import Any

import pytest

from execution.errors import LedgerUnavailable
from execution.stop_crossings import WORKERS_MAX, Crossings, Due


class Orders:
    """Takes what is triggered; waits while `gate` is closed, fails while told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.at_once = self.most_at_once = 0

    async def trigger(self, order_id: str, *_: object) -> None:
        self.begun.append(order_id)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            if not self.gate.is_set():
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            self.done.append(order_id)
        finally:
            self.at_once -= 1


def crossings_of(orders: Orders) -> Crossings:
    stub: Any = orders
    return Crossings(stub)


def due(number: int, version: int = 1) -> Due:
    return Due(f"o-{number}", version, "100")


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_comes_when_all_workers_are_leaving_is_not_left_lying() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    for number in range(WORKERS_MAX + 50):
        crossings.begin(due(number))
    # After the workers' last step, and before anybody noticed that they are gone.
    asyncio.get_running_loop().call_soon(crossings.begin, due(9_999))
    await turns()
    assert orders.done[-1] == "o-9999"
    assert len(crossings) == 0
    await crossings.close()


async def test_many_wait_in_the_order_in_which_they_came() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    orders.gate.clear()
    for number in range(1_000):
        crossings.begin(due(number))
    await turns()
    assert orders.at_once == WORKERS_MAX
    orders.gate.set()
    await turns()
    assert orders.begun == [f"o-{number}" for number in range(1_000)]
    assert sorted(orders.done) == sorted(orders.begun)
    assert orders.most_at_once == WORKERS_MAX
    await crossings.close()


async def test_one_order_is_seen_to_once_at_a_time() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    crossings.begin(due(1))
    crossings.begin(due(1))
    await turns()
    assert orders.done == ["o-1"]
    crossings.begin(due(1))
    await turns()
    assert orders.done == ["o-1", "o-1"]
    await crossings.close()


async def test_what_was_forgotten_or_replaced_meanwhile_is_not_begun() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    for number in range(3):
        crossings.begin(due(number))
    crossings.forget("o-0")
    crossings.newer("o-1", 2)
    crossings.newer("o-2", 1)
    await turns()
    assert orders.done == ["o-2"]
    await crossings.close()


async def test_what_failed_is_tried_again_when_it_is_time() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    orders.error = LedgerUnavailable("gone")
    crossings.begin(due(1))
    await turns()
    orders.error = None
    await turns()
    assert orders.done == []
    crossings.again()
    await turns()
    assert (orders.done, len(crossings)) == (["o-1"], 0)
    await crossings.close()


async def test_a_mistake_of_ours_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    orders.gate.clear()
    for number in range(WORKERS_MAX + 5):
        crossings.begin(due(number))
    await turns()
    orders.error = RuntimeError("a mistake of ours")
    orders.gate.set()
    await asyncio.sleep(0)
    orders.error = None
    await turns()
    assert len(orders.done) >= 5
    assert len(crossings) == 0
    assert "could not be executed" in caplog.text
    await crossings.close()


async def test_closed_it_leaves_no_task() -> None:
    orders = Orders()
    crossings = crossings_of(orders)
    orders.gate.clear()
    for number in range(600):
        crossings.begin(due(number))
    await turns()
    await crossings.close()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert orders.done == []
