"""The kinds of rpc a servicer may list, as every transport serves them.

Where an order is executed nothing waits in a task: the request's bytes come in
by a call, the answer's bytes go out by a call. Everything else is a coroutine.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from google.protobuf.message import Message

from execution.server.admission import Call

REPLY_BYTES_MAX: Final = 16_777_216
"""Of a reply, before compression, on either transport."""


class Answer(Protocol):
    """The way back to the caller of a unary rpc; exactly one of these is called, once."""

    def reply(self, message: bytes) -> None:
        """Answers with this serialised message."""

    def fail(self, error: Exception) -> None:
        """Answers with the status of a foreseen failure; INTERNAL for any other."""

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Calls this if the caller goes away before it has its answer."""


@dataclass(frozen=True, slots=True)
class PlainRpc:
    """A unary rpc that needs no task.

    `handle` gets the message as it came, and answers now or later; what it
    raises is answered too.
    """

    method: str
    handle: Callable[[bytes, Call, Answer], None]


class PipelineReplies(Protocol):
    """The way back to the caller of a stream of requests."""

    def send(self, message: bytes) -> None:
        """Answers the oldest request that has no answer yet."""

    def finish(self) -> None:
        """Ends the stream, OK."""

    def fail(self, error: Exception) -> None:
        """Ends the stream with the status of this failure."""


class Pipeline(Protocol):
    """One stream of requests, each answered by one reply, in the order sent."""

    def message(self, data: bytes) -> None:
        """One request has come."""

    def end(self) -> None:
        """There will be no more; the stream ends with the last reply."""

    def drain(self, error: Exception) -> None:
        """No more is taken; the stream ends with `error` once all is answered."""

    def gone(self) -> None:
        """The caller is gone; what was begun is finished for nobody."""


@dataclass(frozen=True, slots=True)
class PipelineRpc:
    """A stream of requests answered one by one; `open` begins one."""

    method: str
    open: Callable[[Call, PipelineReplies], Pipeline]


@dataclass(frozen=True, slots=True)
class UnaryRpc:
    """A unary rpc that is a coroutine."""

    method: str
    request: type[Message]
    handle: Callable[[Any, Call], Awaitable[Message]]


class Replies(Protocol):
    """The way back to the caller of a stream of replies."""

    async def begin(self, token: str) -> None:
        """Tells the caller that the stream stands, and where it begins."""

    async def send(self, message: Message) -> None:
        """Waits until there is room for the message. Raises `SlowReader`."""


@dataclass(frozen=True, slots=True)
class StreamRpc:
    """One rpc with one request and many replies; it ends when `handle` does.

    What `handle` waits for may be broken off at any moment, by a caller that
    goes away or a replica that shuts down.
    """

    method: str
    request: type[Message]
    handle: Callable[[Any, Call, Replies], Awaitable[None]]


Rpc: TypeAlias = PlainRpc | PipelineRpc | UnaryRpc | StreamRpc
