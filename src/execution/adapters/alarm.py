"""Calls for the operator when Redis refuses to write."""

import logging
from typing import Final

from execution.errors import Unavailable

_INTERVAL_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Alarm:
    """An ERROR in the log, at most once a second for each cause."""

    def __init__(self) -> None:
        self._sounded: dict[str, float] = {}

    def sound(self, error: Unavailable, now_seconds: float) -> None:
        """Logs the error; `now_seconds` is on any one monotonic clock."""
        cause = error.metadata.get("redis_error", "")
        if now_seconds - self._sounded.get(cause, float("-inf")) >= _INTERVAL_SECONDS:
            self._sounded[cause] = now_seconds
            _log.error("Redis refuses to commit: %s", error.message)
