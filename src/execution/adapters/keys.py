"""The names of everything this service keeps in Redis.

The one place where keys are built, so that Redis Cluster's partition tags can
be added here alone. Source: CONTRACT, Redis.
"""

from typing import Final

TRADE_STREAM: Final = "STREAM:TRADE"
REJECT_STREAM: Final = "STREAM:REJECT"
ORDER_STREAM: Final = "STREAM:ORDER"

STOP_STREAM: Final = "STREAM:STOP"
"""Every change of what rests: fields `order_id`, `stop` (see `resting`; '' if it
rests no more). A way for replicas to hear of each other's stops, not a record:
only some 100,000 of the latest changes are kept.
"""

STOPS_RESTING: Final = "STOPS:RESTING"
"""Hash of all stops that rest: order id to its text (see `resting`).

The same text is in the `resting` field of the order's hash, which is the truth
for one order; this is where all are found at start.
"""

FENCE: Final = "EXECUTION:FENCE"
"""A key written only to prove that something can be written and confirmed.

It expires by itself and holds nothing anybody reads.
"""


ORDER_PREFIX: Final = "ORDER:"
"""Before the order id."""

POSITION_PREFIX: Final = "POSITION:"
"""Before the user id, a colon, and the symbol."""


def order_key(order_id: str) -> str:
    """The hash of one order."""
    return f"{ORDER_PREFIX}{order_id}"


def position_key(user_id: str, symbol: str) -> str:
    """The hash of one user's position in one symbol.

    Unambiguous because neither name may contain a colon.
    """
    return f"{POSITION_PREFIX}{user_id}:{symbol}"
