"""Ids for orders that have none yet. Time and chance come in as arguments."""

from uuid import UUID

RANDOM_BITS = 74
"""What a UUIDv7 holds besides its time and its marks."""


def uuid7(time_ns: int, randomness: int) -> UUID:
    """A UUIDv7 of a wall-clock time and `RANDOM_BITS` random bits; sorts by time.

    Source: RFC 9562, 5.7.

    >>> str(uuid7(1_645_557_742_000_000_000, 0))
    '017f22e2-79b0-7000-8000-000000000000'
    """
    milliseconds = (time_ns // 1_000_000) & ((1 << 48) - 1)
    head = (milliseconds << 16) | (7 << 12) | ((randomness >> 62) & 0xFFF)
    tail = (0b10 << 62) | (randomness & ((1 << 62) - 1))
    return UUID(int=(head << 64) | tail)
