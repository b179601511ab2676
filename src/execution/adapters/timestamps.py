"""RFC 3339 text of nanoseconds since the epoch, and back, exactly."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from execution._order import rfc3339, utc_seconds

__all__ = ["from_rfc3339", "rfc3339", "utc_seconds"]

_NS_PER_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_SECOND: Final = timedelta(seconds=1)
_RFC3339: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z", re.ASCII)


def from_rfc3339(text: str) -> int:
    """Nanoseconds of what `rfc3339` wrote. Raises `ValueError`."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time in UTC")
    moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    nanos = int((match[2] or "").ljust(9, "0"))
    return (moment - _EPOCH) // _ONE_SECOND * _NS_PER_SECOND + nanos
