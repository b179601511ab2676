"""What is to be done once everything that came together has been looked at.

Many orders come in one read, and many answers; what they cause is sent in one
write when the last of them was looked at. Whoever reads says where that is
(`with tick:`), and saves its caller the turn of the event loop that `call_soon`
would wait for.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final
from weakref import WeakKeyDictionary


class Tick:
    """Of one event loop, which it does not keep alive; `with tick:` surrounds what is made of one
    read.
    """

    def __init__(self) -> None:
        self._reading = False
        self._due: list[Callable[[], object]] = []

    def at_end(self, callback: Callable[[], object]) -> None:
        """Calls it at the end of this read, or in the next turn of the loop if nobody reads."""
        due = self._due
        if not due and not self._reading:
            asyncio.get_running_loop().call_soon(self._run)
        due.append(callback)

    def __enter__(self) -> None:
        self._reading = True

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._reading = False
        if self._due:
            self._run()

    def _run(self) -> None:
        # What these cause in turn has to wait for its turn: others want to be read.
        due, self._due = self._due, []
        for callback in due:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - as the event loop does: others are due, too
                context = {"message": "unforeseen failure at the end of a tick", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


_TICKS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Tick]] = WeakKeyDictionary()


def running_tick() -> Tick:
    """The one of the running event loop."""
    loop = asyncio.get_running_loop()
    tick = _TICKS.get(loop)
    if tick is None:
        tick = _TICKS[loop] = Tick()
    return tick
