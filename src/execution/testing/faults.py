"""What can befall a commit on its way, scripted or drawn from a seed."""

from collections import deque
from enum import Enum
from random import Random
from typing import Protocol

from execution.ports import Entry


class Fault(Enum):
    """What happens to one commit."""

    NONE = "reaches the ledger, and the answer comes back"
    LOST_BEFORE = "never reaches the ledger; the caller learns only that no answer came"
    LOST_AFTER = "is written, and the answer is lost on the way back"
    REFUSED = "the ledger answers that it will not write"
    CONFLICT = "meets a position that is not its basis, though only by chance"


class FaultSource(Protocol):
    """Decides what befalls each commit."""

    def next_fault(self, entry: Entry) -> Fault:
        """The fault that the commit of `entry` meets."""


class FaultScript:
    """Faults in the order given, one a commit; none after the last.

    >>> script = FaultScript(Fault.CONFLICT, Fault.LOST_AFTER)
    >>> script.left
    2
    """

    def __init__(self, *faults: Fault) -> None:
        self._faults = deque(faults)

    @property
    def left(self) -> int:
        """Faults that no commit has met yet."""
        return len(self._faults)

    def add(self, *faults: Fault) -> None:
        """Appends faults to what is left."""
        self._faults.extend(faults)

    def next_fault(self, entry: Entry) -> Fault:
        """The next fault; a conflict waits for a commit that rests on a position."""
        if not self._faults:
            return Fault.NONE
        if self._faults[0] is Fault.CONFLICT and entry.basis is None:
            return Fault.NONE
        return self._faults.popleft()


class SeededFaults:
    """Faults drawn from a seed: the same seed, the same faults.

    `rate` is the share of commits that meet one, all kinds alike. The seed is
    in the text of the object, so that it stands in the report of a failed test.

    >>> SeededFaults(seed=7, rate=0.2)
    SeededFaults(seed=7, rate=0.2)
    """

    def __init__(self, seed: int, rate: float) -> None:
        self.seed = seed
        self.rate = rate
        self._random = Random(seed)  # noqa: S311 - repeatable is what it has to be
        self._kinds = tuple(fault for fault in Fault if fault is not Fault.NONE)

    def __repr__(self) -> str:
        return f"SeededFaults(seed={self.seed}, rate={self.rate})"

    def next_fault(self, entry: Entry) -> Fault:
        """The next draw; what cannot befall the entry (see `FaultScript`) does not."""
        fault = self._random.choice(self._kinds)
        if self._random.random() >= self.rate:
            return Fault.NONE
        if fault is Fault.CONFLICT and entry.basis is None:
            return Fault.NONE
        return fault
