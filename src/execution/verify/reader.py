"""What is read of Redis: pages of streams and hashes, and nothing is ever written.

The ends of the three streams are taken in one transaction, and the service writes
an order's trade, rejection, update and hash in one script: up to those ends the
streams agree with each other, and a hash is never older than what they tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from redis.exceptions import ResponseError

from execution.verify.contract import Keys

if TYPE_CHECKING:
    from redis import Redis

PAGE: Final = 500
"""Entries or hashes in memory at a time, unless told otherwise."""

SCAN_COUNT: Final = 2_000
NOTHING: Final = "0-0"
_Item = TypeVar("_Item")
_WRONG_TYPE: Final = "WRONGTYPE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream; fields and values in their order, none merged."""

    id: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream as it is at one moment."""

    length: int = 0
    first_id: str = NOTHING
    last_id: str = NOTHING
    lost: int = 0
    """Entries that were added and are not there any more."""
    deleted: bool = False
    """Whether entries were deleted one by one, too: then `lost` may be these."""


class WrongType:
    """In the place of a key's content: it holds another type."""


Content: TypeAlias = dict[str, str] | WrongType


class Reader:
    """Pages of one Redis. Every method raises `redis.exceptions.RedisError`."""

    def __init__(self, redis: "Redis", page: int) -> None:
        self._redis = redis
        self._page = page
        # redis-py makes dictionaries of entries, which hides a field that is there twice.
        redis.set_response_callback("XRANGE", _as_is)
        redis.set_response_callback("XREVRANGE", _as_is)

    def key_count(self) -> int:
        """Keys of the database, of whatever kind."""
        return int(self._redis.dbsize())

    def scanned(self) -> Iterator[list[str]]:
        """Every key, a page at a time; a key may come twice."""
        cursor: Any = 0
        while True:
            page: Any = self._redis.scan(cursor, count=SCAN_COUNT)
            cursor, keys = page
            yield keys
            if not int(cursor):
                return

    def state(self, stream: str) -> StreamState | WrongType:
        """How far the stream reaches, and whether it lost anything."""
        try:
            info: Any = self._redis.xinfo_stream(stream)
        except ResponseError as error:
            if str(error).startswith(_WRONG_TYPE):
                return WrongType()
            if "no such key" in str(error):
                return StreamState()
            raise
        length = int(info["length"])
        return StreamState(
            length=length,
            first_id=info["first-entry"][0] if info["first-entry"] else info["last-generated-id"],
            last_id=info["last-generated-id"],
            lost=int(info.get("entries-added", length)) - length,
            deleted=info.get("max-deleted-entry-id", NOTHING) != NOTHING,
        )

    def ends(self, keys: Keys) -> dict[str, str]:
        """The last id of each stream, all at one moment."""
        streams = (keys.orders, keys.trades, keys.rejects)
        with self._redis.pipeline(transaction=True) as pipe:
            for stream in streams:
                pipe.xrevrange(stream, count=1)
            replies = pipe.execute(raise_on_error=False)
        return {
            stream: reply[0][0] if reply else NOTHING
            for stream, reply in zip(streams, map(_checked, replies), strict=True)
            if not isinstance(reply, WrongType)
        }

    def pages(self, stream: str, after: str, last: str) -> Iterator[list[Entry]]:
        """The entries after an id up to another, oldest first, a page at a time."""
        while after != last:
            found: Any = self._redis.xrange(stream, f"({after}", last, count=self._page)
            if not found:
                return
            yield [
                Entry(entry_id, tuple(zip(fields[::2], fields[1::2], strict=True)))
                for entry_id, fields in found
            ]
            after = found[-1][0]

    def hashes(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Each key with all of its hash, empty if there is none; a page at a time."""
        for page in self._paged(keys):
            with self._redis.pipeline(transaction=False) as pipe:
                for key in page:
                    pipe.hgetall(key)
                replies = pipe.execute(raise_on_error=False)
            yield from zip(page, map(_checked, replies), strict=True)

    def values(self, keys: Sequence[str], field: str) -> Iterator[tuple[str, Any]]:
        """Each key with one field of its hash: text, None, or `WrongType`."""
        for page in self._paged(keys):
            with self._redis.pipeline(transaction=False) as pipe:
                for key in page:
                    pipe.hget(key, field)
                replies = pipe.execute(raise_on_error=False)
            yield from zip(page, map(_checked, replies), strict=True)

    def members(self, key: str) -> Iterator[list[str]]:
        """The names in a hash, a page at a time; a name may come twice."""
        cursor: Any = 0
        while True:
            page: Any = self._redis.hscan(key, cursor, count=self._page)
            cursor, found = page
            yield list(found)
            if not int(cursor):
                return

    def pairs(self, pairs: Sequence[tuple[str, str, str]], fields: list[str]) -> Iterator[Any]:
        """For each (key, hash, name): these fields of the key, and the name in the hash.

        Both at one moment; None and `WrongType` as in `values`.
        """
        for page in self._paged(pairs):
            with self._redis.pipeline(transaction=True) as pipe:
                for key, of, name in page:
                    pipe.hmget(key, fields)
                    pipe.hget(of, name)
                replies = [_checked(reply) for reply in pipe.execute(raise_on_error=False)]
            yield from zip(replies[::2], replies[1::2], strict=True)

    def _paged(self, keys: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
        return (keys[begin : begin + self._page] for begin in range(0, len(keys), self._page))


def _checked(reply: Any) -> Any:
    """The reply; a wrong type is an answer like any other, other errors are raised."""
    if isinstance(reply, ResponseError) and str(reply).startswith(_WRONG_TYPE):
        return WrongType()
    if isinstance(reply, Exception):
        raise reply
    return reply


def _as_is(reply: Any, **_: Any) -> Any:
    return reply
