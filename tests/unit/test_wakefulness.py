"""Staying awake: for how long, and when it does not pay."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from execution.adapters.wakefulness import _SKIPPED_MAX, Wakefulness


class Loop:
    """Turns when it is told to; every turn takes 10 ms."""

    def __init__(self) -> None:
        self.now = 1.0
        self.due: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.due.append(callback)

    def turns(self, most: int = 1_000) -> int:
        """Turns until the loop may sleep; how many it were."""
        count = 0
        while self.due and count < most:
            due, self.due = self.due, []
            self.now += 0.010
            for callback in due:
                callback()
            count += 1
        return count


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return loop


def test_it_stays_awake_for_so_long_and_no_longer(loop: Loop) -> None:
    awake = Wakefulness(0.095)
    awake.expect()
    assert loop.turns() == 10
    assert loop.turns() == 0


def test_it_may_sleep_once_that_has_come(loop: Loop) -> None:
    awake = Wakefulness(0.095)
    for _ in range(5):
        awake.expect()
        assert loop.turns(3) == 3
        awake.came()
        assert loop.turns() == 1
    awake.expect()
    awake.came()
    awake.expect()
    assert loop.turns() == 10, "one turn of each, however often it is asked"


def test_waits_in_vain_become_rare(loop: Loop) -> None:
    awake = Wakefulness(0.015)
    waited = []
    for number in range(1_500):
        awake.expect()
        if loop.turns():
            waited.append(number)
    gaps = [after - before for before, after in pairwise(waited)]
    assert gaps[:8] == [2, 4, 8, 16, 32, 64, 128, 256]
    assert set(gaps[8:]) == {_SKIPPED_MAX + 1}


def test_one_that_comes_in_time_is_waited_for_again(loop: Loop) -> None:
    awake = Wakefulness(0.015)
    for _ in range(3):  # in vain, and skipped once
        awake.expect()
        loop.turns()
    awake.came()
    skipped = 0
    while not loop.due:
        awake.expect()
        skipped += 1
    assert skipped > 1
    awake.came()
    loop.turns()
    awake.expect()
    assert loop.turns() == 2
    awake.expect()
    assert loop.turns() == 0, "in vain for the first time again"
    awake.expect()
    assert loop.turns() == 2


def test_nought_is_never(loop: Loop) -> None:
    awake = Wakefulness(0.0)
    awake.expect()
    awake.came()
    assert not loop.due
