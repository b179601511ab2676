"""What is due at the end of a read: when it runs, and what a failure does."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from execution.tick import Tick, running_tick


async def turn() -> None:
    await asyncio.sleep(0)


async def test_what_a_read_causes_runs_at_its_end_and_once() -> None:
    tick, ran = running_tick(), list[int]()
    with tick:
        tick.at_end(lambda: ran.append(1))
        tick.at_end(lambda: ran.append(2))
        assert ran == []
    assert ran == [1, 2]
    await turn()
    assert ran == [1, 2]


async def test_without_a_read_it_is_the_next_turn_of_the_loop() -> None:
    tick, ran = running_tick(), list[int]()
    tick.at_end(lambda: ran.append(1))
    tick.at_end(lambda: ran.append(2))
    assert ran == []
    await turn()
    assert ran == [1, 2]


async def test_what_was_due_before_a_read_runs_at_its_end_and_not_again() -> None:
    tick, ran = running_tick(), list[int]()
    tick.at_end(lambda: ran.append(1))
    with tick:
        tick.at_end(lambda: ran.append(2))
    assert ran == [1, 2]
    tick.at_end(lambda: ran.append(3))
    await turn()
    assert ran == [1, 2, 3]
    await turn()
    assert ran == [1, 2, 3]


async def test_what_it_causes_in_turn_waits_for_the_next_turn() -> None:
    tick, ran = running_tick(), list[int]()

    def again() -> None:
        ran.append(len(ran))
        if len(ran) < 3:
            tick.at_end(again)

    with tick:
        tick.at_end(again)
    assert ran == [0]
    for count in (2, 3, 3):
        await turn()
        assert len(ran) == count


async def test_a_read_that_fails_ends_all_the_same() -> None:
    tick, ran = running_tick(), list[int]()

    def read() -> None:
        with tick:
            tick.at_end(lambda: ran.append(1))
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        read()
    assert ran == [1]


async def test_one_that_fails_is_told_of_and_keeps_no_other() -> None:
    told, ran = list[dict[str, Any]](), list[int]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))

    def fails() -> None:
        raise ValueError("mine")

    tick = Tick()
    with tick:
        tick.at_end(fails)
        tick.at_end(lambda: ran.append(1))
    assert ran == [1]
    assert [str(context["exception"]) for context in told] == ["mine"]


async def test_a_loop_has_one() -> None:
    assert running_tick() is running_tick()

    async def other() -> Tick:
        return running_tick()

    assert await asyncio.to_thread(asyncio.run, other()) is not running_tick()


def test_a_loop_that_has_ended_is_let_go() -> None:
    async def used() -> "weakref.ref[asyncio.AbstractEventLoop]":
        with running_tick():
            running_tick().at_end(lambda: None)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(used())
    gc.collect()
    assert loop() is None
