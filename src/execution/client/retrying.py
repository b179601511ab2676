"""When a call is tried again, and when it is given up. Waits for nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from execution.errors import ExecutionError, StatusCode

RETRIED: Final = frozenset(
    {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED}
)
"""What may pass by itself. Safe to retry because the order id stays the same."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a call may take, and how it is tried again. In seconds.

    The wait after the n-th failure is what the service asks for (RetryInfo)
    plus a random part of `backoff_initial_seconds` x 2^n, which is never more
    than `backoff_max_seconds`: callers that failed together come back apart.

    >>> patient = RetryPolicy(timeout_seconds=60)
    >>> never = RetryPolicy(attempts_max=1)
    """

    timeout_seconds: float = 10.0
    """The call as a whole, waits included."""
    attempt_timeout_seconds: float = 3.0
    """One attempt; the service is told as its deadline."""
    backoff_initial_seconds: float = 0.05
    backoff_max_seconds: float = 2.0
    attempts_max: int | None = None
    """None: as many as the time allows."""

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "attempt_timeout_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above zero")
        if not 0 <= self.backoff_initial_seconds <= self.backoff_max_seconds:
            raise ValueError("backoff_initial_seconds: must be from 0 to backoff_max_seconds")
        if self.attempts_max is not None and self.attempts_max < 1:
            raise ValueError("attempts_max: must be at least 1")


DEFAULT_POLICY: Final = RetryPolicy()


class Attempts:
    """The attempts of one call. `now` is any clock that never goes back, in seconds."""

    def __init__(
        self,
        policy: RetryPolicy,
        now: float,
        randomness: Callable[[], float],
        timeout_seconds: float | None = None,
    ) -> None:
        if timeout_seconds is None:
            timeout_seconds = policy.timeout_seconds
        elif not timeout_seconds > 0:
            raise ValueError("timeout_seconds: must be above zero")
        self._policy = policy
        self._ends = now + timeout_seconds
        self._randomness = randomness
        self._failures = 0

    def attempt_seconds(self, now: float) -> float:
        """How long the next attempt may take."""
        return min(self._policy.attempt_timeout_seconds, max(self._ends - now, 0.0))

    def wait_seconds(self, error: ExecutionError, now: float) -> float | None:
        """How long to wait before the next attempt; None if there is to be none."""
        self._failures += 1
        if error.code not in RETRIED or self._failures == self._policy.attempts_max:
            return None
        wait = (error.retry_after_ms or 0) / 1000 + self._backoff() * self._randomness()
        return wait if now + wait < self._ends else None

    def _backoff(self) -> float:
        policy = self._policy
        # Beyond 2^30 the longest wait has long been reached.
        doubled = policy.backoff_initial_seconds * 2.0 ** min(self._failures - 1, 30)
        return min(doubled, policy.backoff_max_seconds)
