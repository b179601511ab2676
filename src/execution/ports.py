"""What the executor needs from the world, as protocols.

The adapters implement them over gRPC and Redis, `execution.testing` in memory.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from execution._order import CommitQueue, Entry, PositionKnowledge
from execution.errors import Unavailable
from execution.model import ExecutionReport, Position, ReferencePrices, RestingStop, Snapshot

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "BookListener",
    "BookSource",
    "BookWatch",
    "Clock",
    "CommitResult",
    "Committed",
    "Conflict",
    "Entry",
    "Ledger",
    "LedgerLane",
    "OnResult",
    "OrderStream",
    "OrderUpdate",
    "OrderWatch",
    "Record",
    "StopChange",
    "StopEvent",
    "StopStream",
    "StopsAnew",
    "StopsKnown",
    "Stored",
]


class Clock(Protocol):
    """Time, as an argument."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back; ages and deadlines count by it."""

    def time_ns(self) -> int:
        """Wall clock, nanoseconds since 1970-01-01 UTC."""


BookListener: TypeAlias = Callable[[str], None]
"""Told the symbol of every new book."""


class BookSource(Protocol):
    """Where books come from."""

    def newest(self, symbol: str) -> Snapshot | None:
        """The newest book of a live pushed feed; None if only `snapshot` can tell.

        What `snapshot` would answer without waiting, for whom a task costs more
        than the answer.
        """

    async def snapshot(self, symbol: str, arrived_ns: int) -> Snapshot | None:
        """A book an order that arrived at `arrived_ns` (monotonic) may meet.

        Either the newest book of a live pushed feed, or one whose fetch began
        no earlier than `arrived_ns`; never older than the age limit. None if
        the source knows no such symbol.

        Raises `SymbolServiceUnavailable` or `StaleBook`.
        """


class BookWatch(Protocol):
    """The pushed books of a source, as they come."""

    def listen(self, listener: BookListener) -> None:
        """Calls `listener` with the symbol of every book that is pushed, at once."""

    def pushed(self, symbol: str) -> ReferencePrices | None:
        """The prices of the newest pushed book; None if the symbol is not pushed."""


@dataclass(frozen=True, slots=True)
class Record:
    """An order as the ledger keeps it."""

    payload: str
    """Of the original request."""
    report: ExecutionReport
    resting: RestingStop | None = None
    """None unless the order rests."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The entry is in the ledger, durable as configured."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The order was already there, or is not at the version followed; nothing was written."""

    record: Record


@dataclass(frozen=True, slots=True)
class Conflict:
    """The position is no longer the entry's basis; nothing was written.

    `Ledger.recall` now knows better.
    """


CommitResult: TypeAlias = Committed | Stored | Conflict

OnResult: TypeAlias = Callable[[CommitResult | Unavailable], None]
"""Called once with what became of a commit, or why that is not known; must not raise."""


@dataclass(frozen=True, slots=True)
class LedgerLane:
    """What a ledger lets `_order.Lane` use of it, to save the usual order its steps."""

    knowledge: PositionKnowledge
    """What `Ledger.recall` answers from, and `Ledger.submit` chains on."""
    order_prefix: str
    """Of the keys of orders."""
    position_prefix: str
    """Of the keys of positions."""
    queue: CommitQueue
    """Where `Ledger.submit` puts an entry that is packed and chained."""


class Ledger(Protocol):
    """The one place where orders, positions and trades are kept."""

    def lane(self) -> LedgerLane | None:
        """The short way for the usual order; None if there is none."""

    def recall(self, user_id: str, symbol: str) -> Position:
        """The position as this process last knew or predicted it; flat if never seen.

        Only ever a basis to compute from: the commit checks it.
        """

    def submit(self, entry: Entry, done: OnResult) -> None:
        """Commits the entry whole or not at all, once for ever.

        A callback and not a coroutine, so that an order needs no task; never
        called before this returns. It gets `LedgerUnavailable` when the outcome
        is unknown or nothing was sent, `LedgerRefused` when Redis will not write,
        or has lost the order that the entry follows.
        """

    def commit(self, entry: Entry) -> "asyncio.Future[CommitResult]":
        """As `submit`, to be awaited."""

    async def order(self, order_id: str) -> Record | None:
        """The record of an order, None if there is none."""

    async def position(self, user_id: str, symbol: str) -> Position:
        """The committed position; version 0 if there is none."""


@dataclass(frozen=True, slots=True)
class StopChange:
    """A resting stop as it is now; None if the order rests no more."""

    order_id: str
    stop: RestingStop | None


@dataclass(frozen=True, slots=True)
class StopsAnew:
    """Whatever was known before is void: all resting stops follow, then `StopsKnown`."""


@dataclass(frozen=True, slots=True)
class StopsKnown:
    """Every stop that rested has been named; from here on come changes."""


StopEvent: TypeAlias = StopsAnew | StopsKnown | StopChange


class StopStream(Protocol):
    """Every resting stop of the deployment, whichever replica armed it."""

    def follow(self) -> AsyncIterator[Sequence[StopEvent]]:
        """All of them, then every change, for good; begins anew after a gap.

        Events come in batches, never empty, so that many stops load quickly. The
        changes of one order come in the order of their versions, none older than
        what was told before; one may come twice. A ledger that is away is waited
        for. Whoever follows closes the iterator, or is cancelled waiting for it.
        """


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One status change of an order."""

    token: str
    """Where to go on from after this update."""
    report: ExecutionReport


class OrderWatch(Protocol):
    """The updates of one watch, in the order in which they were committed.

    Ends only by raising: `SlowReader` if its updates were not taken in time,
    `Unavailable` if they can no longer be heard.
    """

    @property
    def token(self) -> str:
        """Where to go on from: that of the update told last; at first, where it began."""

    def __aiter__(self) -> AsyncIterator[OrderUpdate]:
        """The updates."""


class OrderStream(Protocol):
    """Every status change of every order, kept in the order of the commits."""

    def watch(
        self, user_id: str, order_ids: frozenset[str], after: str | None
    ) -> AbstractAsyncContextManager[OrderWatch]:
        """What is committed for a user after the token, no gap, no double.

        `order_ids` empty: all orders of the user. `after` None: what is
        committed after this was entered. Entering raises `ResumeTokenGone`,
        `Overloaded` for one watch too many, and `Unavailable`.
        """
