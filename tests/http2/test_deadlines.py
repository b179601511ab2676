"""The deadlines of a connection: who expires when, over one timer, in bounded memory."""

import asyncio
import random
from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution._call import Deadlines


class Timer:
    def __init__(self, callback: Any) -> None:
        self.callback, self.cancelled = callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock of the test's, and the timers that are set on it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, int, Timer]] = []
        self.numbers = count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any) -> Timer:
        timer = Timer(callback)
        heappush(self.timers, (when, next(self.numbers), timer))
        return timer

    @property
    def set_timers(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self.timers)

    def pass_to(self, now: float) -> None:
        while self.timers and self.timers[0][0] <= now:
            self.now, _, timer = heappop(self.timers)
            if not timer.cancelled:
                timer.callback()
        self.now = now


class Call:
    def __init__(self, number: int, loop: Loop) -> None:
        self.stream_id, self.over, self._loop = number, False, loop
        self.expired_at: float | None = None

    def expire(self) -> None:
        assert not self.over, "an answered call does not expire"
        self.over, self.expired_at = True, self._loop.now


@pytest.fixture
def loop() -> Loop:
    return Loop()


def of(loop: Loop) -> Deadlines:
    return Deadlines(loop)  # type: ignore[arg-type]  # as much of a loop as it needs


steps = st.lists(
    st.tuples(st.sampled_from(["call", "answer", "wait"]), st.integers(0, 50)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_each_expires_at_its_time_unless_it_was_answered(program: list[tuple[str, int]]) -> None:
    loop = Loop()
    deadlines, calls, due = of(loop), list[Call](), dict[int, float]()
    for what, number in program:
        if what == "call":
            call = Call(len(calls), loop)
            calls.append(call)
            due[call.stream_id] = deadlines.add(call, number / 8)
            assert due[call.stream_id] == loop.now + number / 8
        elif what == "answer" and calls:
            calls[number % len(calls)].over = True
        elif what == "wait":
            loop.pass_to(loop.now + number / 16)
        assert loop.set_timers <= 1
        for call in calls:
            assert call.over or due[call.stream_id] > loop.now - 1e-9 or what != "wait"
    loop.pass_to(loop.now + 100)
    for call in calls:
        assert call.over
        assert call.expired_at in (None, due[call.stream_id])
    assert (len(deadlines), loop.set_timers) == (0, 0)


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_answered_calls_are_not_kept_until_a_late_deadline(loop: Loop, step: int) -> None:
    deadlines = of(loop)
    for number in range(20_000):
        call = Call(number, loop)
        deadlines.add(call, 36_000 + step * number)
        call.over = True
    assert len(deadlines) <= 1_100


@pytest.mark.parametrize("sooner", [lambda left: left - 0.01, lambda left: left * 0.99])
def test_ever_sooner_deadlines_set_few_timers(loop: Loop, sooner: Any) -> None:
    """asyncio keeps cancelled timers until its next turn, and a turn may bring thousands."""
    deadlines, left, calls = of(loop), 10_000.0, list[Call]()
    for number in range(5_000):
        calls.append(Call(number, loop))
        deadlines.add(calls[-1], left)
        left = sooner(left)
    assert len(loop.timers) <= 100
    loop.pass_to(loop.now + 10_000)
    assert [call.expired_at is None for call in calls] == [False] * 5_000
    assert len(loop.timers) == 0


def test_a_deadline_wakes_the_loop_once_before_its_time(loop: Loop) -> None:
    deadlines, call = of(loop), Call(1, loop)
    deadlines.add(call, 16)
    woken = 0
    while not call.over:
        loop.pass_to(loop.timers[0][0])
        woken += 1
    assert (woken, call.expired_at) == (2, 116.0)


def test_many_that_wait_are_looked_at_no_more_often_than_they_double(loop: Loop) -> None:
    deadlines, looks = of(loop), count()

    class Waiting(Call):
        @property
        def over(self) -> bool:
            next(looks)
            return False

        @over.setter
        def over(self, over: bool) -> None:
            assert not over

    for number in range(20_000):
        deadlines.add(Waiting(number, loop), 36_000 - number)
        deadlines.add(Waiting(number, loop), 72_000)
    assert len(deadlines) == 40_000
    assert next(looks) <= 2 * 40_000


@pytest.mark.parametrize("seed", range(5))
def test_those_who_wait_keep_their_deadlines_when_the_others_are_forgotten(
    loop: Loop, seed: int
) -> None:
    chance, deadlines = random.Random(seed), of(loop)
    calls = [Call(number, loop) for number in range(5_000)]
    due = {}
    for call in calls:
        due[call.stream_id] = deadlines.add(call, chance.randrange(1, 10**6))
        if chance.random() < 0.7:
            chance.choice(calls[: call.stream_id + 1]).over = True
    waiting = [call for call in calls if not call.over]
    assert len(waiting) > 1_000
    assert len(deadlines) < len(calls), "some were forgotten"
    loop.pass_to(loop.now + 10**6)
    assert [call.expired_at for call in waiting] == [due[call.stream_id] for call in waiting]
    assert len(deadlines) == 0


async def test_a_call_whose_end_fails_keeps_no_other_from_it(loop: Loop) -> None:
    deadlines, other = of(loop), Call(2, loop)

    class Failing(Call):
        def expire(self) -> None:
            raise RuntimeError("a bug")

    deadlines.add(Failing(1, loop), 1)
    deadlines.add(other, 2)
    with pytest.raises(RuntimeError, match="a bug"):
        loop.pass_to(loop.now + 1)
    loop.pass_to(loop.now + 5)
    assert other.expired_at == 102.0


def test_an_earlier_deadline_is_not_kept_waiting_by_a_later_one(loop: Loop) -> None:
    deadlines, late, soon = of(loop), Call(1, loop), Call(2, loop)
    deadlines.add(late, 10)
    deadlines.add(soon, 1)
    loop.pass_to(loop.now + 2)
    assert (soon.expired_at, late.expired_at) == (101.0, None)
    loop.pass_to(loop.now + 20)
    assert late.expired_at == 110.0


def test_who_expires_may_begin_another(loop: Loop) -> None:
    deadlines, second = of(loop), Call(2, loop)

    class First(Call):
        def expire(self) -> None:
            super().expire()
            deadlines.add(second, 5)

    third = Call(3, loop)
    deadlines.add(First(1, loop), 1)
    deadlines.add(third, 2)
    deadlines.add(Call(4, loop), 50)
    loop.pass_to(loop.now + 7)
    assert (second.expired_at, third.expired_at) == (106.0, 102.0)
    assert loop.set_timers == 1


def test_closed_it_expires_nobody(loop: Loop) -> None:
    deadlines, call = of(loop), Call(1, loop)
    deadlines.add(call, 1)
    deadlines.close()
    deadlines.close()
    loop.pass_to(loop.now + 2)
    assert (call.expired_at, loop.set_timers) == (None, 0)


async def test_on_a_real_loop() -> None:
    running = asyncio.get_running_loop()
    deadlines, expired = Deadlines(running), asyncio.Event()

    class Real:
        stream_id, over = 1, False

        def expire(self) -> None:
            expired.set()

    begun = running.time()
    deadlines.add(Real(), 0.02)
    await asyncio.wait_for(expired.wait(), 5)
    assert running.time() - begun >= 0.019
