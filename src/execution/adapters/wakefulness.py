"""Staying awake for what is about to come.

An event loop with nothing to do sleeps, and the kernel wakes it: on a core that
fell idle meanwhile that takes longer than an order does. Where the wait tends
to be short, looking again and again is quicker, and costs nothing but time that
nobody else wanted.
"""

import asyncio
from typing import Final

_SKIPPED_MAX: Final = 255


class Wakefulness:
    """Keeps a loop awake, `seconds` at most, for one kind of thing that it waits for.

    It learns: after each wait in vain it sleeps through twice as many, up to
    255 before it tries again. So where Redis is far, is asked to wait for its
    disk, or has to share our core, next to nothing is lost.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = 0.0
        """On the loop's clock; 0: nothing is waited for."""
        self._turning = False
        self._in_vain = 0
        self._skips = 0

    def expect(self) -> None:
        """It is about to come."""
        if not self._seconds:
            return
        if self._skips:
            self._skips -= 1
            return
        self._until = self._loop.time() + self._seconds
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def came(self) -> None:
        """It has come, or is not worth waiting for any more."""
        if self._until:
            self._until = 0.0
            self._in_vain = 0

    def _turn(self) -> None:
        if self._until and self._loop.time() < self._until:
            self._loop.call_soon(self._turn)
            return
        self._turning = False
        if self._until:
            self._until = 0.0
            self._in_vain = self._skips = min(2 * self._in_vain + 1, _SKIPPED_MAX)
