"""The resting stops of a `SimulatedStore`, as `ports.StopStream` tells of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from execution.ports import StopChange, StopEvent, StopsAnew, StopsKnown
from execution.testing.ledger import SimulatedStore


class SimulatedStopStream:
    """What one process hears of the stops of a store, and when.

    Changes come in the next turn of the event loop, unless the test holds them
    back; `interrupt` is a gap, after which everything is told anew.
    """

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._open = asyncio.Event()
        self._open.set()
        self._gap = False

    def hold(self) -> None:
        """Lets nothing more be heard until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Lets what was held back be heard."""
        self._open.set()

    def interrupt(self) -> None:
        """Begins anew, unless held back."""
        self._gap = True
        self._store.wake()

    async def follow(self) -> AsyncIterator[Sequence[StopEvent]]:
        """All resting stops, then every change, for good; see `ports.StopStream`."""
        while True:
            self._gap = False
            await self._open.wait()
            told = len(self._store.stop_changes)
            yield [StopsAnew()]
            resting = self._store.resting
            if resting:
                yield [StopChange(order_id, stop) for order_id, stop in resting.items()]
            yield [StopsKnown()]
            while not self._gap:
                changed = self._store.changed
                await self._open.wait()
                if changes := self._store.stop_changes[told:]:
                    told += len(changes)
                    yield changes
                else:
                    await changed.wait()
