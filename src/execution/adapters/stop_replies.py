"""What is asked of Redis about resting stops, and what it may answer.

Everything it says is checked here: nothing else than these forms goes on.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias, TypeGuard

from hiredis import ReplyError

from execution.adapters import keys
from execution.adapters.redis_replies import redis_error
from execution.adapters.wire import Connection, ConnectionLost, Reply, pack
from execution.errors import LedgerRefused


class StreamEntry(NamedTuple):
    """An entry of the stream of changes, its fields as Redis says them."""

    id: bytes
    fields: Reply


BEFORE_ANY: Final = StreamEntry(b"0-0", [])
"""Stands for the last entry of a stream that has none."""

Named: TypeAlias = tuple[bytes, bytes]
"""An order id and its stop's text, empty if it rests no more."""

Replies: TypeAlias = list["Reply | ConnectionLost"]

NEWEST: Final = pack("XREVRANGE", keys.STOP_STREAM, "+", "-", "COUNT", "1")
"""Asks for the newest entry."""


def hscan(cursor: bytes, count: int) -> bytes:
    """Asks for a page of the index."""
    return pack("HSCAN", keys.STOPS_RESTING, cursor, "COUNT", str(count))


def xread(last: StreamEntry, count: int, block_ms: int | None = None) -> bytes:
    """Asks for what came after that entry, and waits up to `block_ms` for any."""
    block = () if block_ms is None else ("BLOCK", str(block_ms))
    return pack("XREAD", "COUNT", str(count), *block, "STREAMS", keys.STOP_STREAM, last.id)


def xrange(last: StreamEntry) -> bytes:
    """Asks for that one entry."""
    return pack("XRANGE", keys.STOP_STREAM, last.id, last.id)


def send(connection: Connection, *requests: bytes) -> asyncio.Future[Replies]:
    """Sends the requests at once; their replies, or what became of them.

    The future has no exception, so that nobody has to await it. Raises
    `ConnectionLost`.
    """
    replies: Replies = []
    answer: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()

    def on_reply(reply: Reply | ConnectionLost) -> None:
        replies.append(reply)
        if len(replies) == len(requests) and not answer.done():
            answer.set_result(replies)

    connection.request(b"".join(requests), *[on_reply] * len(requests))
    # Redis works while we parse what came before.
    connection.flush()
    return answer


def checked(replies: Replies, where: str) -> list[Reply]:
    """The replies. Raises `ConnectionLost`, and `Unavailable` for an error reply."""
    good: list[Reply] = []
    for reply in replies:
        if isinstance(reply, ConnectionLost):
            raise reply
        if isinstance(reply, ReplyError):
            raise redis_error(str(reply), f"{where}, reading stops")
        good.append(reply)
    return good


def read_since(replies: list[Reply]) -> tuple[list[StreamEntry], list[StreamEntry]]:
    """The replies to `xread` and `xrange`. Raises `LedgerRefused`."""
    match replies:
        case [None, still_there]:
            return [], stream_entries(still_there)
        case [[[bytes(), entries]], still_there]:
            return stream_entries(entries), stream_entries(still_there)
    raise _nonsense(replies)


def stream_entries(reply: Reply) -> list[StreamEntry]:
    """The entries of a reply. Raises `LedgerRefused`."""
    entries: list[StreamEntry] = []
    for item in reply if isinstance(reply, list) else [reply]:
        match item:
            case [bytes(entry_id), fields]:
                entries.append(StreamEntry(entry_id, fields))
            case _:
                raise _nonsense(item)
    return entries


def read_page(reply: Reply) -> tuple[bytes, Iterable[Named]]:
    """The next cursor, and ids with their texts. Raises `LedgerRefused`."""
    match reply:
        case [bytes(cursor), list(items)] if _all_bytes(items) and len(items) % 2 == 0:
            return cursor, zip(items[::2], items[1::2], strict=True)
    raise _nonsense(reply)


def _all_bytes(items: list[Reply]) -> TypeGuard[list[bytes]]:
    return all(type(item) is bytes for item in items)


def _nonsense(reply: object) -> LedgerRefused:
    return LedgerRefused(f"Redis answered {str(reply)[:200]!r} to a read of resting stops")
