"""Reads resting stops over one connection: all of them, then every change, no gap.

The index of what rests is read in pages while orders go on changing, so what a
page shows is the truth of some moment during the load. The stream of changes is
therefore read along with the pages, from where it ended before the first, and
the last change of each order is told after them: it is as new as anything a
page could show of that order. From then on changes are told as they come.

A change is missed if the stream was trimmed beyond the entry read last, and
what was heard never was if Redis was flushed or went back to an older state.
Either way that entry is no longer in the stream. So it is asked for after every
read, and where it is gone everything is read anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from execution.adapters import keys
from execution.adapters.resting import stop_from_text
from execution.adapters.stop_replies import (
    BEFORE_ANY,
    NEWEST,
    Named,
    Replies,
    StreamEntry,
    checked,
    hscan,
    read_page,
    read_since,
    send,
    stream_entries,
    xrange,
    xread,
)
from execution.adapters.wire import Connection
from execution.ports import StopChange, StopEvent, StopsAnew, StopsKnown

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much is read at once, and how long Redis lets a read wait."""

    page_stops: int = 1_000
    """Stops asked for at once; parsing them holds the event loop a few milliseconds."""
    changes_max: int = 1_000
    """Changes read at once."""
    block_ms: int = 500
    """A quiet stream is asked again so often; a flush is noticed within it."""


class StopReader:
    """Remembers, from one connection to the next, what was read last."""

    def __init__(self, limits: ReadLimits, where: str) -> None:
        self._limits = limits
        self._where = where
        self._last: StreamEntry | None = None
        """None while not everything is known."""

    async def batches(self, connection: Connection) -> AsyncGenerator[list[StopEvent], None]:
        """All resting stops and then changes, or from where it ended; empty when quiet.

        Raises `ConnectionLost`, and `Unavailable` for an error reply.
        """
        while True:
            if self._last is None:
                load = _Load(connection, self._limits, self._where)
                await load.begin()
                # What was told before holds until Redis has answered.
                yield [StopsAnew(), *await load.page()]
                while not load.done:
                    yield await load.page()
                if load.gap:
                    continue
                for changes in _parts(load.changed.items(), self._limits.page_stops):
                    yield _changes(changes)
                    await asyncio.sleep(0)
                yield [StopsKnown()]
                self._last = load.last
            yield await self._changes_since(connection, self._last)

    async def _changes_since(self, connection: Connection, last: StreamEntry) -> list[StopEvent]:
        limits = self._limits
        replies = await send(
            connection,
            xread(last, limits.changes_max, limits.block_ms),
            xrange(last),
        )
        entries, still_there = read_since(checked(replies, self._where))
        if not _follows(last, entries, still_there):
            if last is not BEFORE_ANY:
                _log.warning(
                    "%s: %s no longer reaches back to what was read; all stops are read anew",
                    self._where,
                    keys.STOP_STREAM,
                )
            self._last = None
            return []
        if not entries:
            return []
        self._last = entries[-1]
        return _changes(_named(entries))


class _Load:
    """One reading of the index, with the changes made meanwhile."""

    def __init__(self, connection: Connection, limits: ReadLimits, where: str) -> None:
        self._connection = connection
        self._limits = limits
        self._where = where
        self._cursor: bytes | None = b"0"
        """Where the next page begins; None after the last."""
        self._asked: asyncio.Future[Replies] | None = None
        self.last = BEFORE_ANY
        self.changed: dict[bytes, bytes] = {}
        """The last change of each order that changed during the load."""
        self.gap = False
        """Whether changes were missed; then the load is void."""

    async def begin(self) -> None:
        """Finds out where the stream ends, before the first page."""
        (newest,) = checked(await send(self._connection, NEWEST), self._where)
        for entry in stream_entries(newest):
            self.last = entry
        self._ask()

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask for."""
        return self._asked is None

    async def page(self) -> list[StopEvent]:
        """The next stops of the index. The page after it is under way already."""
        assert self._asked is not None
        replies = checked(await self._asked, self._where)
        self._asked = None
        stops: Iterable[Named] = ()
        if self._cursor is not None:
            cursor, stops = read_page(replies.pop(0))
            self._cursor = None if cursor == b"0" else cursor
        entries, still_there = read_since(replies)
        self.gap = not _follows(self.last, entries, still_there)
        if self.gap:
            return []
        if entries:
            self.last = entries[-1]
            self.changed.update(_named(entries))
        if self._cursor is not None or len(entries) == self._limits.changes_max:
            self._ask()
        return _changes(stops)

    def _ask(self) -> None:
        requests = [xread(self.last, self._limits.changes_max), xrange(self.last)]
        if self._cursor is not None:
            requests.insert(0, hscan(self._cursor, self._limits.page_stops))
        self._asked = send(self._connection, *requests)


def _changes(named: Iterable[Named]) -> list[StopEvent]:
    """One event for each order id and text; those that cannot be read are left out."""
    found: list[StopEvent] = []
    unreadable: list[bytes] = []
    for name, text in named:
        try:
            order_id = name.decode()
            stop = stop_from_text(order_id, text.decode()) if text else None
        except ValueError:
            unreadable.append(name)
            continue
        found.append(StopChange(order_id, stop))
    if unreadable:
        _log.error(
            "%d resting stops cannot be read and are NOT watched; repair or cancel them: %s",
            len(unreadable),
            ", ".join(map(repr, unreadable[:10])),
        )
    return found


def _named(entries: Iterable[StreamEntry]) -> Iterator[Named]:
    """Order id and text of stream entries."""
    for entry in entries:
        match entry.fields:
            case [b"order_id", bytes(order_id), b"stop", bytes(text)]:
                yield order_id, text
            case _:
                _log.error("%s holds an entry of somebody else: %r", keys.STOP_STREAM, entry)


def _parts(named: Iterable[Named], size: int) -> Iterator[list[Named]]:
    rest = iter(named)
    while part := list(islice(rest, size)):
        yield part


def _follows(last: StreamEntry, entries: list[StreamEntry], still_there: list[StreamEntry]) -> bool:
    """Whether `entries` are all that came after `last`."""
    if last is BEFORE_ANY:
        # Nothing to recognise the stream by; there can be little to read anew.
        return not entries
    # By its content too: another history could have an entry of the same moment.
    return still_there == [last]
