"""The machine's clock and the ids made from it; everything else is given them."""

import secrets
import time
from collections.abc import Callable

from execution.ids import RANDOM_BITS, uuid7


class SystemClock:
    """`execution.ports.Clock` over the operating system.

    The system's own functions, without one of ours around them: every order asks
    several times.
    """

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


def order_ids(clock: SystemClock) -> Callable[[], str]:
    """Makes ids for orders that come without one; sorted by time."""
    return lambda: str(uuid7(clock.time_ns(), secrets.randbits(RANDOM_BITS)))
