"""Time that moves only when a test moves it."""

from typing import Final

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""The wall clock of a new `SimulatedClock`: 2023-11-14T22:13:20Z."""


class SimulatedClock:
    """A `ports.Clock` under the control of the test.

    The two readings are apart on purpose: a real wall clock is set, and steps
    back; a monotonic one never does. It drives no asyncio timer: what waits in
    the simulated world waits for an event, not for time.

    >>> clock = SimulatedClock(time_ns=1_000)
    >>> clock.advance(250)
    >>> clock.monotonic_ns(), clock.time_ns()
    (250, 1250)
    >>> clock.set_time(900)
    >>> clock.monotonic_ns(), clock.time_ns()
    (250, 900)
    """

    def __init__(self, time_ns: int = EPOCH_NS, monotonic_ns: int = 0) -> None:
        self._time_ns = time_ns
        self._monotonic_ns = monotonic_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds advanced so far, from where the clock began."""
        return self._monotonic_ns

    def time_ns(self) -> int:
        """Wall clock, nanoseconds since 1970-01-01 UTC."""
        return self._time_ns

    def advance(self, duration_ns: int) -> None:
        """Lets time pass, on both clocks. Raises `ValueError` if it would go back."""
        if duration_ns < 0:
            raise ValueError(f"time cannot advance by {duration_ns} ns; set_time steps it back")
        self._monotonic_ns += duration_ns
        self._time_ns += duration_ns

    def set_time(self, time_ns: int) -> None:
        """Sets the wall clock alone, also back, as an operator or NTP would."""
        self._time_ns = time_ns
