"""When a call waits for company: the rule by itself, on clocks of the test."""

from dataclasses import dataclass

import pytest

from execution.adapters.gathering import Gathering

MOST = 16


@dataclass
class Clocks:
    """Time that passes, and how much of it the loop computed."""

    now: float = 100.0
    spent: float = 5.0

    def passes(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.spent += seconds * share


def begun(clocks: Clocks, share: float = 1.0) -> Gathering:
    """One that has seen company come while the loop computed for this share of the time."""
    gathering = Gathering(MOST, lambda: clocks.now, lambda: clocks.spent)
    clocks.passes(0.1, share)
    assert gathering.enough(1, calls_under_way=1)
    return gathering


def test_who_is_alone_never_waits_however_busy_the_loop() -> None:
    clocks = Clocks()
    gathering = Gathering(MOST, lambda: clocks.now, lambda: clocks.spent)
    for _ in range(1_000):
        clocks.passes(0.001, share=1.0)
        assert gathering.enough(1, calls_under_way=0)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.69])
def test_a_loop_that_has_time_left_never_waits(share: float) -> None:
    clocks = Clocks()
    gathering = begun(clocks, share)
    for _ in range(1_000):
        clocks.passes(0.001, share)
        assert gathering.enough(1, calls_under_way=3)


def test_a_busy_loop_with_company_waits_for_as_many_as_travel_together() -> None:
    clocks = Clocks()
    gathering = begun(clocks)
    for _ in range(3):
        assert [gathering.enough(n, 1) for n in range(1, MOST + 1)] == [False] * 15 + [True]


def test_once_it_waits_it_goes_on_until_there_is_much_time_again() -> None:
    clocks = Clocks()
    gathering = begun(clocks)
    clocks.passes(0.1, share=0.4)
    assert gathering.enough(MOST, 1)
    assert not gathering.enough(1, 1)
    clocks.passes(0.1, share=0.2)
    assert gathering.enough(MOST, 1)
    assert gathering.enough(1, 1)


def test_a_wait_in_vain_says_how_many_to_wait_for() -> None:
    clocks = Clocks()
    gathering = begun(clocks)
    gathering.in_vain(10)
    assert [gathering.enough(n, 0) for n in (9, 10)] == [False, True]
    # All who could come had come: nobody is on the way beside them.
    assert [gathering.enough(n, 0) for n in (9, 10)] == [False, True]
    # Somebody is: there may be more.
    gathering.enough(1, 1)
    assert gathering.enough(10, 1)
    assert [gathering.enough(n, 1) for n in (10, 15, 16)] == [False, False, True]


@pytest.mark.parametrize("came", [0, 1, 7])
def test_too_few_are_let_go_and_not_waited_for_again_for_a_while(came: int) -> None:
    clocks = Clocks()
    gathering = begun(clocks)
    gathering.in_vain(came)
    for _ in range(9):
        clocks.passes(0.05, share=1.0)
        assert gathering.enough(1, 1)
    clocks.passes(0.06, share=1.0)
    assert gathering.enough(1, 1)
    assert not gathering.enough(1, 1)
