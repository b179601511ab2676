"""The machine's clock and the ids made from it; everything else is given them."""

import secrets
import time
from collections.abc import Callable

from execution.ids import RANDOM_BITS, uuid7


class SystemClock:
    """`execution.ports.Clock` over the operating system."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return time.monotonic_ns()

    def time_ns(self) -> int:
        """Wall clock, nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()


def order_ids(clock: SystemClock) -> Callable[[], str]:
    """Makes ids for orders that come without one; sorted by time."""
    return lambda: str(uuid7(clock.time_ns(), secrets.randbits(RANDOM_BITS)))
