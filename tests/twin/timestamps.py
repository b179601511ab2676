"""RFC 3339 text of nanoseconds since the epoch, by the library."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_NS_PER_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_SECOND: Final = timedelta(seconds=1)


def rfc3339(time_ns: int) -> str:
    """UTC text with nine digits of a second, or none where they are zero.

    Raises `OverflowError` beyond the years 1 to 9999.

    """
    seconds, nanos = divmod(time_ns, _NS_PER_SECOND)
    text = _second(seconds)
    return f"{text}.{nanos:09d}Z" if nanos else f"{text}Z"


def utc_seconds(time_ns: int) -> str:
    """UTC text in kline-service's format, `YYYY-MM-DD HH:MM:SS`."""
    return _second(time_ns // _NS_PER_SECOND).replace("T", " ")


# Times of one load lie in few seconds; the calendar is the costly part.
@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + seconds * _ONE_SECOND).isoformat(timespec="seconds")[: -len("+00:00")]
