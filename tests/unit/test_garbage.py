"""When old memory is searched: in a moment of quiet, and seldom if there is none."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator

import pytest

from execution.server import garbage
from execution.server.garbage import LOOKS_MAX, collect_when_quiet


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often all of it was searched; a look takes one turn of the event loop."""
    monkeypatch.setattr(garbage, "_LOOK_SECONDS", 0)
    found = [0]

    def count(phase: str, info: dict[str, int]) -> None:
        found[0] += phase == "start" and info["generation"] == 2

    gc.callbacks.append(count)
    yield found
    gc.callbacks.remove(count)


async def look(times: int, done: Callable[[int], int], under_way: int = 0) -> None:
    """`done` says how many orders were, by the number of the look."""
    looks, seen = -1, asyncio.Event()

    def counted() -> int:
        nonlocal looks
        looks += 1
        if looks == times:
            seen.set()
        return done(looks)

    looking = asyncio.create_task(collect_when_quiet(counted, lambda: under_way))
    await seen.wait()
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking


async def test_without_any_quiet_it_is_searched_now_and_then(searches: list[int]) -> None:
    await look(3 * LOOKS_MAX, lambda number: number)
    assert searches == [3]


async def test_one_order_that_hangs_is_no_reason_to_wait_for_ever(searches: list[int]) -> None:
    await look(2 * LOOKS_MAX, lambda _: 7, under_way=1)
    assert searches == [2]


async def test_it_is_searched_once_after_each_spell_of_work(searches: list[int]) -> None:
    await look(100, lambda number: min(number, 10))
    assert searches == [1]
    await look(100, lambda number: min(number, 10) + min(max(number - 50, 0), 10))
    assert searches == [1 + 2]


async def test_a_search_in_quiet_puts_off_the_next(searches: list[int]) -> None:
    quiet_at = LOOKS_MAX // 2

    def done(number: int) -> int:
        return number if number < quiet_at else number - 1

    await look(quiet_at + LOOKS_MAX - 2, done)
    assert searches == [1]
