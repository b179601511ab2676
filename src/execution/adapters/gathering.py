"""When a call waits for more orders, for transports that take up one call a turn of the loop.

There no tick ever has two orders, and under load every order would pay for a call
of its own. So a loop that has no time left waits for company; one that has time
left never does. Whether enough will come is found out by trying: orders that come
while others are on their way are a reason to, and a wait in vain says how many
there are.
"""

from collections.abc import Callable
from time import monotonic, thread_time
from typing import Final

_BUSY: Final = 0.7
"""Share of the time that the thread of the loop computes, from which it has none left."""
_AT_LEISURE: Final = 0.3
"""Below it has time again; far from the other, because calls in company cost half."""
_LOOK_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 0.5
"""Too few have come: so long nobody waits."""


class Gathering:
    """How many orders a call waits for: one, or between half of `most` and `most`.

    With fewer, all who could come would wait for one another, and Redis for them.
    `clock` and `spent` are seconds on a clock, and those of them that the thread
    of the loop has computed.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = monotonic,
        spent: Callable[[], float] = thread_time,
    ) -> None:
        self.wanted = 1
        self._most = most
        self._clock = clock
        self._spent = spent
        self._busy = False
        self._looked_at, self._spent_then = clock(), spent()
        self._tries_from = self._looked_at
        self._company = False
        """Whether one has come, since the latest call left, while others were on their way."""

    def enough(self, waiting: int, calls_under_way: int) -> bool:
        """One more waits: whether they leave now."""
        if calls_under_way:
            self._company = True
        if waiting < self.wanted:
            return False
        now = self._look()
        if self._company and self._busy and now >= self._tries_from:
            self.wanted = self._most
        self._company = False
        return True

    def in_vain(self, waiting: int) -> None:
        """The time is up, and only so many have come."""
        now = self._look()
        if 2 * waiting < self._most:
            self.wanted = 1
            self._tries_from = now + _AGAIN_SECONDS
        else:
            self.wanted = min(waiting, self.wanted)
        self._company = False

    def _look(self) -> float:
        now = self._clock()
        passed = now - self._looked_at
        if passed >= _LOOK_SECONDS:
            spent = self._spent()
            share = (spent - self._spent_then) / passed
            self._looked_at, self._spent_then = now, spent
            self._busy = share > (_AT_LEISURE if self._busy else _BUSY)
            if not self._busy:
                self.wanted = 1
        return now
