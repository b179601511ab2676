"""The bounds of group commit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """Bounds of group commit; none is reached in ordinary times."""

    commit_timeout_ms: int = 2_000
    """From `commit` to its answer or error, however often it was sent."""
    orders_per_call_max: int = 128
    orders_at_once: int = 16
    """When so many wait they leave before the tick ends: in a long tick Redis would have
    nothing to do.
    """
    calls_in_flight_max: int = 4
    """Beyond it entries wait, and the next call is fuller. While Redis works on one the next
    are on their way; with more, calls would be smaller, and orders dearer.
    """
    gather_ms: float = 0.0
    """How long orders wait for others when the loop has no time left; 0: never. See `gathering`."""
    busy_poll_us: int = 0
    """How long the loop stays awake for Redis' answer to an order that is alone, and for the next
    order after it; 0: never. See `wakefulness`.
    """
    queue_max: int = 20_000
    retry_pause_ms: int = 25
    """Between attempts while Redis says that it cannot right now."""
