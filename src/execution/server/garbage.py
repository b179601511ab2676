"""When memory is searched for cycles: not while orders are under way.

What an order leaves behind holds no cycles and goes at once. What lives as long
as the process (modules, classes, connections) is set aside after the start, and
a search of everything, which takes milliseconds, waits for a moment of quiet.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_THRESHOLDS: Final = (20_000, 50, 1_000_000)
"""Young objects are searched often enough for errors' tracebacks; old ones never by count."""
_LOOK_SECONDS: Final = 1.0


def freeze() -> None:
    """Sets aside what the start has made, for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def collect_when_quiet(done: Callable[[], int], under_way: Callable[[], int]) -> None:
    """Searches everything once after each spell of work. `done` counts what was ever done."""
    searched_at = done()
    before = searched_at
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = done()
        if now == before and now != searched_at and not under_way():
            gc.collect()
            searched_at = now
        before = now
