"""How long answers took, and how many came: of all of them, and of the newest."""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

RATE_WINDOW_SECONDS: Final = 5.0
RECENT: Final = 2_000
PERCENTILES: Final = (50, 95, 99)

_NS_PER_MS: Final = 1_000_000


class Latencies:
    """How long answers took: all of them for the summary, the newest for the screen."""

    def __init__(self) -> None:
        self._all_ns = array("q")
        self._recent_ns: deque[int] = deque(maxlen=RECENT)
        self._ends: deque[float] = deque()

    def add(self, latency_ns: int, now: float) -> None:
        """One call took `latency_ns` and ended at `now` (monotonic seconds)."""
        self._all_ns.append(latency_ns)
        self._recent_ns.append(latency_ns)
        self._ends.append(now)
        self._forget(now)

    def rate(self, now: float, begun: float) -> float:
        """Answers a second, over the last few seconds."""
        self._forget(now)
        return len(self._ends) / min(max(now - begun, 1.0), RATE_WINDOW_SECONDS)

    def recent_ms(self) -> tuple[float, ...]:
        """p50, p95, p99 of the newest answers, in milliseconds."""
        return percentiles_ms(self._recent_ns)

    def overall_ms(self) -> tuple[float, ...]:
        """p50, p95, p99 of all answers, in milliseconds."""
        return percentiles_ms(self._all_ns)

    def recent_histogram(self, bounds_ms: Sequence[float]) -> list[int]:
        """How many of the newest answers are below each bound, and beyond the last."""
        counts = [0] * (len(bounds_ms) + 1)
        for latency_ns in self._recent_ns:
            ms = latency_ns / _NS_PER_MS
            counts[next((i for i, bound in enumerate(bounds_ms) if ms < bound), -1)] += 1
        return counts

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0] <= now - RATE_WINDOW_SECONDS:
            self._ends.popleft()


def percentiles_ms(latencies_ns: Sequence[int]) -> tuple[float, ...]:
    """p50, p95, p99 by nearest rank, in milliseconds; empty without any latency."""
    ordered = sorted(latencies_ns)
    if not ordered:
        return ()
    return tuple(
        ordered[-(-percent * len(ordered) // 100) - 1] / _NS_PER_MS for percent in PERCENTILES
    )
