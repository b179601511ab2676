"""How long a client is waited for: until it speaks, answers, and reads."""

from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.session import Session


class Patience:
    """With one client; all times are of the event loop's clock."""

    __slots__ = ("_limits", "_pinged_at", "_queued_at", "_unwritten", "_unwritten_at")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pinged_at: float | None = None
        self._queued_at: float | None = None
        """Since when something waits for the client to open a window."""
        self._unwritten: int | None = None
        self._unwritten_at = 0.0
        """When the client last read a part of what its socket had no room for."""

    def lost(
        self, session: Session, opened_at: float, unwritten: int | None, now: float
    ) -> str | None:
        """Why the client is given up, None if it is not.

        `unwritten`: bytes that the socket does not take, None if it takes all.
        """
        if not session.spoken and now - opened_at > self._limits.handshake_seconds:
            return "did not begin to speak HTTP/2 in time"
        if self._does_not_read(session, unwritten, now):
            return "does not read what it is sent"
        if self._pinged_at is None:
            return None
        if session.heard_at >= self._pinged_at:
            self._pinged_at = None
        elif now - self._pinged_at > self._limits.keepalive_timeout_seconds:
            return "does not answer"
        return None

    def is_due(self, session: Session, now: float) -> bool:
        """Whether the client is to be asked if it is still there."""
        if self._pinged_at is not None or now - session.heard_at <= self._limits.keepalive_seconds:
            return False
        self._pinged_at = now
        return True

    def _does_not_read(self, session: Session, unwritten: int | None, now: float) -> bool:
        patience = self._limits.keepalive_timeout_seconds
        before, self._unwritten = self._unwritten, unwritten
        if unwritten is not None:
            # A slow reader is one who reads.
            self._queued_at = None
            if before is None or unwritten < before:
                self._unwritten_at = now
            return now - self._unwritten_at > patience
        if not session.h2.queued_body_size():
            self._queued_at = None
            return False
        # Its windows are closed; it may well answer pings.
        if self._queued_at is None or session.granted_at > self._queued_at:
            self._queued_at = now
        return now - self._queued_at > patience
