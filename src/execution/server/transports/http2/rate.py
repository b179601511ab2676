"""What may come in a burst, and then at a steady rate."""


class Allowance:
    """A token bucket: `burst` at once, and `each_second` after that."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, limit: tuple[int, int], now: float) -> None:
        burst, rate = limit
        self._burst = self._left = float(burst)
        self._rate = rate
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is allowed."""
        earned = (now - self._at) * self._rate
        self._left = min(self._left + earned, self._burst) - 1.0
        self._at = now
        return self._left >= 0
