"""What handlers without a task of their own may do with their call, on any transport."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from execution._call import CallCounts, Counted
from execution.errors import StatusCode
from execution.server.rpcs import REPLY_BYTES_MAX

__all__ = [
    "AGE_GRACE_SECONDS", "MESSAGE_BYTES_MAX", "REPLY_BYTES_MAX", "AnyCall", "Counted", "Metadata",
    "PlainCall", "PlainHandler", "PlainStreamHandler", "StreamCall", "StreamHandler",
]  # fmt: skip

MESSAGE_BYTES_MAX: Final = 1_048_576
"""Of a request, after decompression, on either transport."""
AGE_GRACE_SECONDS: Final = 30
"""What calls under way get on a connection that is too old."""

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


class AnyCall(Protocol):
    """What every call can tell."""

    @property
    def deadline(self) -> float | None:
        """On the event loop's clock, None if the caller set none."""

    def header(self, name: str) -> str | None:
        """A value of the metadata the caller sent, None if there is none, or several."""


class PlainCall(AnyCall, Protocol):
    """One unary call under way; answered once, by `reply` or `fail`.

    It is what a servicer answers through: see `execution.server.rpcs.Answer`.
    """

    metrics: CallCounts | None
    """Where it is counted once it is answered, None if nobody counts."""
    since: float
    """When it began, by `perf_counter`."""

    def reply(self, message: bytes) -> None:
        """Answers OK with this serialised message; nothing if the caller is gone."""

    def fail(self, error: Exception) -> None:
        """Answers with the status of a foreseen failure; INTERNAL for any other."""

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away, or its time is up, before the answer."""


class StreamCall(AnyCall, Protocol):
    """A stream of requests under way, each answered once, in the order they came."""

    def fail(self, code: StatusCode, message: str, metadata: Metadata = ()) -> None:
        """Ends the stream with another status than OK; nothing if the caller is gone."""

    def send(self, message: bytes) -> None:
        """Answers the oldest request that has no answer yet."""

    def finish(self) -> None:
        """Ends the stream, OK."""


class StreamHandler(Protocol):
    """What answers one stream of requests."""

    def message(self, data: bytes) -> None:
        """One request has come."""

    def end(self) -> None:
        """There will be no more."""

    def gone(self) -> None:
        """The caller is gone, or its time is up."""


PlainHandler: TypeAlias = Callable[[bytes, PlainCall], None]
"""Answers a unary call from its message, now or later."""

PlainStreamHandler: TypeAlias = Callable[[StreamCall], StreamHandler]
"""Begins to answer one stream."""
