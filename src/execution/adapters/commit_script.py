"""commit.lua seen from Python: what goes in, what comes out.

Each entry is turned into RESP bytes once, when it is committed; a batch, and
the same batch again after a lost connection, is then only joined.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeAlias

from execution import _order
from execution._order import Packed
from execution.adapters import keys
from execution.adapters.entries import check_entry
from execution.adapters.records import position_from_texts, report_from_json
from execution.adapters.resting import stop_from_text, stop_to_text
from execution.adapters.wire import Reply, bulk
from execution.model import Position
from execution.ports import Entry, Record

__all__ = [
    "SHA",
    "SOURCE",
    "Answer",
    "Fence",
    "Packed",
    "WasMoved",
    "WasRefused",
    "WasStored",
    "pack_batch",
    "pack_entry",
    "read_answers",
    "read_position",
    "read_record",
]

SOURCE: Final = files("execution.adapters").joinpath("commit.lua").read_text("utf-8")
SHA: Final = hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()

_SHARED_KEYS: Final = (
    keys.TRADE_STREAM,
    keys.REJECT_STREAM,
    keys.ORDER_STREAM,
    keys.FENCE,
    keys.STOP_STREAM,
    keys.STOPS_RESTING,
)
_ORDER_KEYS: Final = 2
_ORDER_ARGUMENTS: Final = 27
_HEAD: Final = bulk("EVALSHA", SHA)
_KEYS_HEAD: Final = bulk(*_SHARED_KEYS)
_POSITION_TEXTS: Final = 5

_COMMITTED: Final = 1
"""What the script answers for an order it has written."""
_STORED: Final = 2
_CONFLICT: Final = 3
_REFUSED: Final = 4


class Fence(Enum):
    """When the script writes the fence key."""

    NEVER = ""
    WHERE_STORED = "stored"
    ALWAYS = "always"


_FENCES: Final = {fence: bulk(fence.value) for fence in Fence}


@dataclass(frozen=True, slots=True)
class WasStored:
    """The order id has this record, or this is what the order has become."""

    payload: bytes
    report: bytes
    resting: bytes
    """Empty if the order does not rest."""


@dataclass(frozen=True, slots=True)
class WasMoved:
    """The position is this one."""

    state: tuple[str, str, str, str]
    entry_price: str


@dataclass(frozen=True, slots=True)
class WasRefused:
    """An error reply that concerns this order alone."""

    message: str


Answer: TypeAlias = WasStored | WasMoved | WasRefused
"""What becomes of an order that was not committed."""


def pack_entry(entry: Entry) -> Packed:
    """The entry's keys and arguments.

    Raises `ValueError` for an entry that contradicts itself, or a report that
    could not be published truthfully.
    """
    check_entry(entry)
    return _order.pack(entry, _stop_argument(entry), keys.ORDER_PREFIX, keys.POSITION_PREFIX)


def pack_batch(entries: list[Packed], fence: Fence) -> bytes:
    """One request for all entries; with none it only checks, and fences."""
    return _order.join_entries(entries, _head(len(entries)), _FENCES[fence])


@lru_cache(maxsize=1_024)
def _head(entries: int) -> bytes:
    """What stands before the keys of so many entries."""
    key_count = len(_SHARED_KEYS) + _ORDER_KEYS * entries
    # EVALSHA, the digest, the number of keys, the keys, the fence, the rest.
    count = 3 + key_count + 1 + _ORDER_ARGUMENTS * entries
    return b"*%d\r\n%b%b%b" % (count, _HEAD, bulk(str(key_count)), _KEYS_HEAD)


def read_answers(reply: Reply, count: int) -> list[tuple[int, Answer]]:
    """The answers for the entries that were not committed, in order, with the place of each.

    Raises `ValueError` or `TypeError` for a reply that is none to so many entries.
    """
    if not isinstance(reply, list) or len(reply) != count:
        raise ValueError(f"commit.lua answered {str(reply)[:200]!r} to {count} orders")
    if reply == [_COMMITTED] * count:
        return []  # what nearly every call gets
    return [(at, _answer(item)) for at, item in enumerate(reply) if item != _COMMITTED]


def read_record(payload: bytes, report: bytes, resting: bytes | None) -> Record:
    """The record of the stored texts. Raises `ValueError`."""
    read = report_from_json(report)
    stop = stop_from_text(read.order_id, resting.decode()) if resting else None
    return Record(payload.decode(), read, stop)


def read_position(user_id: str, symbol: str, moved: WasMoved) -> Position:
    """The position of the stored texts. Raises `ValueError`."""
    return position_from_texts(user_id, symbol, moved.state, moved.entry_price)


def _stop_argument(entry: Entry) -> str:
    if entry.follows is None and entry.resting is None:
        return ""
    follows = "" if entry.follows is None else str(entry.follows)
    resting = "" if entry.resting is None else stop_to_text(entry.resting)
    return f"{entry.report.order_id} {follows} {resting}"


def _answer(item: Reply) -> Answer:
    match item:
        case [int(kind), bytes(payload), bytes(report), bytes(resting)] if kind == _STORED:
            return WasStored(payload, report, resting)
        case [int(kind), *texts] if kind == _CONFLICT and len(texts) == _POSITION_TEXTS:
            version, quantity, cost, pnl, price = map(_text, texts)
            return WasMoved((version, quantity, cost, pnl), price)
        case [int(kind), bytes(message)] if kind == _REFUSED:
            return WasRefused(message.decode(errors="replace"))
    raise ValueError(f"commit.lua answered {str(item)[:200]!r} for an order")


def _text(item: Reply) -> str:
    if not isinstance(item, bytes):
        raise TypeError(f"{item!r} is not text")
    return item.decode()
