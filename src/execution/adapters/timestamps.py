"""RFC 3339 text of nanoseconds since the epoch, and back, exactly."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_NS_PER_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_SECOND: Final = timedelta(seconds=1)
_RFC3339: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z", re.ASCII)


def rfc3339(time_ns: int) -> str:
    """UTC text with nine digits of a second, or none where they are zero.

    Raises `OverflowError` beyond the years 1 to 9999.

    >>> rfc3339(1_700_000_000_000_000_001), rfc3339(0)
    ('2023-11-14T22:13:20.000000001Z', '1970-01-01T00:00:00Z')
    """
    seconds, nanos = divmod(time_ns, _NS_PER_SECOND)
    text = _second(seconds)
    return f"{text}.{nanos:09d}Z" if nanos else f"{text}Z"


def from_rfc3339(text: str) -> int:
    """Nanoseconds of what `rfc3339` wrote. Raises `ValueError`."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time in UTC")
    moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    nanos = int((match[2] or "").ljust(9, "0"))
    return (moment - _EPOCH) // _ONE_SECOND * _NS_PER_SECOND + nanos


def utc_seconds(time_ns: int) -> str:
    """UTC text in kline-service's format, `YYYY-MM-DD HH:MM:SS`.

    >>> utc_seconds(1_700_000_000_999_999_999)
    '2023-11-14 22:13:20'
    """
    return _second(time_ns // _NS_PER_SECOND).replace("T", " ")


# Times of one load lie in few seconds; the calendar is the costly part.
@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + seconds * _ONE_SECOND).isoformat(timespec="seconds")[: -len("+00:00")]
