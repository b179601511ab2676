"""What is asked of the stream of status changes, and what Redis may answer.

Everything it says is checked here: nothing else than these forms goes on.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from hiredis import ReplyError

from execution.adapters import keys
from execution.adapters.redis_replies import redis_error
from execution.adapters.wire import Connection, Reply, pack
from execution.errors import Unavailable

Place: TypeAlias = tuple[int, int]
"""The id of an entry, and so a place in the stream: later entries have higher ids."""

BEGINNING: Final[Place] = (0, 0)

# As `records.report_to_json` begins; neither id can hold anything to escape.
_OWNER: Final = re.compile(rb'\{"order_id":"([^"\\]+)","user_id":"([^"\\]+)"')
_STATE: Final = pack("XINFO", "STREAM", keys.ORDER_STREAM)
_NO_STREAM: Final = "ERR no such key"

_log = logging.getLogger(__name__)


class Change(NamedTuple):
    """One status change, its report not read yet."""

    place: Place
    order_id: str
    user_id: str
    report: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """What the stream holds; as it is here, of a stream that never was."""

    first: Place | None = None
    """Of the oldest entry that is still there."""
    last: Place = BEGINNING
    """Of the newest entry there ever was."""
    added: int = 0
    """How many entries there ever were."""
    length: int = 0
    """How many are still there."""

    def has_all_after(self, place: Place) -> bool:
        """Whether every entry after this one is still there.

        What followed an entry that is no longer there itself may be gone with
        it: Redis cannot tell, so then it is not taken to be there.
        """
        if place == BEGINNING:
            return self.added == self.length
        # Beyond the last: written to another Redis, or what was written is lost.
        return place == self.last or (self.first is not None and self.first <= place < self.last)


class Page(NamedTuple):
    """Entries one after the other, and the stream's extent just after they were read."""

    changes: list[Change]
    entries: int
    """How many were read, also those that are no change."""
    end: Place
    """Of the last of them; where the page began if there is none."""
    extent: Extent


def place_of(token: str) -> Place:
    """The place that a resume token names. Raises `ValueError`."""
    milliseconds, number = token.split("-")
    return int(milliseconds), int(number)


def token_of(place: Place) -> str:
    """The opposite of `place_of`."""
    return f"{place[0]}-{place[1]}"


async def read_extent(connection: Connection, where: str) -> Extent:
    """How far the stream reaches. Raises `ConnectionLost` and `Unavailable`."""
    return _extent(await connection.ask(_STATE), where)


async def read_page(connection: Connection, where: str, after: Place, count: int) -> Page:
    """What is there after this place. Raises `ConnectionLost` and `Unavailable`."""
    request = pack("XRANGE", keys.ORDER_STREAM, f"({token_of(after)}", "+", "COUNT", str(count))
    entries, state = await asyncio.gather(connection.ask(request), connection.ask(_STATE))
    return _page(_list(entries, where), after, _extent(state, where))


async def read_on(
    connection: Connection, where: str, after: Place, count: int, block_ms: int
) -> Page:
    """What comes after this place, waited for. Raises `ConnectionLost` and `Unavailable`."""
    request = pack(
        *("XREAD", "COUNT", str(count), "BLOCK", str(block_ms)),
        *("STREAMS", keys.ORDER_STREAM, token_of(after)),
    )
    reply, state = await asyncio.gather(connection.ask(request), connection.ask(_STATE))
    entries: list[Reply] = []
    if reply is not None:
        match _list(reply, where):
            case [[bytes(), list(found)]]:
                entries = found
            case _:
                raise _nonsense(reply, where)
    return _page(entries, after, _extent(state, where))


def _page(entries: list[Reply], after: Place, extent: Extent) -> Page:
    changes, end = [], after
    for entry in entries:
        match entry:
            case [bytes(text), fields]:
                end = _place(text)
            case _:
                raise _nonsense(entry, keys.ORDER_STREAM)
        if (change := _change(end, fields)) is not None:
            changes.append(change)
    return Page(changes, len(entries), end, extent)


def _change(place: Place, fields: Reply) -> Change | None:
    match fields:
        case [b"order", bytes(report)] if owner := _OWNER.match(report):
            return Change(place, owner[1].decode(), owner[2].decode(), report)
    _log.error("%s holds an entry of somebody else: %s", keys.ORDER_STREAM, token_of(place))
    return None


def _extent(reply: Reply, where: str) -> Extent:
    if isinstance(reply, ReplyError) and str(reply) == _NO_STREAM:
        return Extent()
    words = iter(_list(reply, where))
    told = {name: value for name, value in _pairs(words) if isinstance(name, bytes)}
    match [told.get(name) for name in _EXTENT_NAMES]:
        case [None, bytes(last), int(length), int(added)]:
            return Extent(None, _place(last), added, length)
        case [[bytes(first), *_], bytes(last), int(length), int(added)]:
            return Extent(_place(first), _place(last), added, length)
    raise _nonsense(reply, where)


_EXTENT_NAMES: Final = (b"first-entry", b"last-generated-id", b"length", b"entries-added")


def _pairs(words: Iterator[Reply]) -> Iterator[tuple[Reply, Reply]]:
    return zip(words, words, strict=True)


def _place(text: bytes) -> Place:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number)


def _list(reply: Reply, where: str) -> list[Reply]:
    if isinstance(reply, ReplyError):
        raise redis_error(str(reply), f"{where}, reading {keys.ORDER_STREAM}")
    if not isinstance(reply, list):
        raise _nonsense(reply, where)
    return reply


def _nonsense(reply: object, where: str) -> Unavailable:
    return redis_error(f"ERR {str(reply)[:200]!r} answers a read of {keys.ORDER_STREAM}", where)
