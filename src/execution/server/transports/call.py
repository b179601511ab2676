"""What handlers without a task of their own may do with their call, on any transport."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from execution.errors import StatusCode

MESSAGE_BYTES_MAX: Final = 1_048_576
"""Of a request, after decompression, on either transport."""
REPLY_BYTES_MAX: Final = 16_777_216
"""Of a reply, before compression."""

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


class _AnyCall(Protocol):
    """What every call can tell, and how it may end."""

    def fail(self, code: StatusCode, message: str, metadata: Metadata = ()) -> None:
        """Ends the call with another status than OK; nothing if the caller is gone."""

    def seconds_left(self) -> float | None:
        """Until the caller's deadline, None if it set none."""

    def header(self, name: str) -> str | None:
        """A value of the metadata the caller sent, None if there is none."""


class PlainCall(_AnyCall, Protocol):
    """One unary call under way; answered once, by `reply` or `fail`."""

    def reply(self, message: bytes) -> None:
        """Answers OK with this serialised message; nothing if the caller is gone."""

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away, or its time is up, before the answer."""


class StreamCall(_AnyCall, Protocol):
    """A stream of requests under way, each answered once, in the order they came."""

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
