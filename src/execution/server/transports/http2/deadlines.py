"""The deadlines of a connection's calls, over one timer.

Nearly every call of a client that sets deadlines is answered long before its own.
A timer for each would cost more than what the call itself does here; so an
answered call just stays where it is, until somebody comes across it.
"""

import asyncio
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

_KEPT_MIN: Final = 1_024
"""So many are kept before those that are over are looked for."""


class Expiring(Protocol):
    """A call, as far as its deadline goes."""

    stream_id: int
    over: bool

    def expire(self) -> None:
        """The time is up."""


class Deadlines:
    """When which call expires; all times are of the event loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Expiring]] = []
        self._kept_max = _KEPT_MIN
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Expiring, seconds: float) -> float:
        """Expires the call after so long, unless it is over by then; returns when that is."""
        deadline = self._loop.time() + seconds
        heap = self._heap
        heappush(heap, (deadline, call.stream_id, call))
        if self._timer is None or deadline < self._timer.when():
            self._set_timer(deadline)
        elif len(heap) > self._kept_max:
            self._tidy()
        return deadline

    def close(self) -> None:
        """No call expires any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        """How many are kept, over or not."""
        return len(self._heap)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        now, heap = self._loop.time(), self._heap
        while heap and (heap[0][2].over or heap[0][0] <= now):
            _, _, call = heappop(heap)
            if not call.over:
                call.expire()
        # To expire a call may have set the timer anew.
        if heap and self._timer is None:
            self._set_timer(heap[0][0])

    def _tidy(self) -> None:
        """Forgets who is over; no sooner again than as many have come."""
        self._heap[:] = [entry for entry in self._heap if not entry[2].over]
        heapify(self._heap)
        self._kept_max = max(_KEPT_MIN, 2 * len(self._heap))
