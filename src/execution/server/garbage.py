"""When memory is searched for cycles: not while orders are under way, if that can be.

What an order leaves behind holds no cycles and goes at once. What lives as long
as the process (modules, classes, connections) is set aside after the start, and
a search of everything, which takes milliseconds, waits for a moment of quiet.

A busy replica may have none for days. Not all that runs here is ours, errors
hold the frames they went through, and one forgotten cycle may hold a book or a
connection: so after five minutes without quiet everything is searched all the
same, and the orders of that moment wait for it.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_THRESHOLDS: Final = (20_000, 50, 1_000_000)
"""Young objects are searched often enough for errors' tracebacks; old ones never by count."""
_LOOK_SECONDS: Final = 1.0
LOOKS_MAX: Final = 300
"""Without a search: five minutes, in which even a megabyte a second can be lost and found."""


def freeze() -> None:
    """Sets aside what the start has made, for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def collect_when_quiet(done: Callable[[], int], under_way: Callable[[], int]) -> None:
    """Searches everything once after each spell of work, and at the latest after `LOOKS_MAX` looks.

    `done` counts what was ever done.
    """
    searched_at = before = done()
    looks = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        looks += 1
        now = done()
        is_quiet = now == before and not under_way()
        if looks >= LOOKS_MAX or (is_quiet and now != searched_at):
            gc.collect()
            searched_at, looks = now, 0
        before = now
