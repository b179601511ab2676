"""Reads a whole Redis, in an order that holds also while the service writes to it.

1. The ends of the streams, at one moment, and the streams up to them, updates first.
2. Every hash. One that tells more than the streams did so far has to wait.
3. The ends again, and the streams up to them: now what waited must be there.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from execution.verify import position_hashes
from execution.verify.contract import Keys, key_name
from execution.verify.findings import Findings, Name
from execution.verify.order_stream import NO_HASH, check_hash, read_orders
from execution.verify.reader import NOTHING, Content, Entry, Reader, WrongType
from execution.verify.records import read_report
from execution.verify.reject_stream import read_rejects
from execution.verify.resting import check_resting
from execution.verify.state import Counts, Options, Progress, State
from execution.verify.strict import Malformed
from execution.verify.trade_stream import read_trades

if TYPE_CHECKING:
    from redis import Redis

_Read: TypeAlias = Callable[[State, Iterable[Entry]], None]


@dataclass(slots=True)
class Proof:
    """What was read, and what contradicts it."""

    findings: Findings
    counts: Counts = field(default_factory=Counts)
    trimmed: dict[str, int] = field(default_factory=dict)
    """Streams that lack their beginning, and how many entries of it."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings.counts


def prove(redis: "Redis", options: Options, progress: Progress) -> Proof:
    """Proves everything the service wrote to this Redis.

    `redis` decodes responses, with surrogate escapes. Raises
    `redis.exceptions.RedisError`: then nothing is proven.
    """
    began = time.monotonic()
    reader, proof = Reader(redis, options.page), Proof(Findings(options.shown_max))
    for tag in _tags(reader, progress):
        keys = Keys(tag)
        _prove(State(keys, reader, options, proof.findings, proof.counts, progress), proof)
    proof.seconds = time.monotonic() - began
    return proof


def _tags(reader: Reader, progress: Progress) -> list[str]:
    """The partitions that have any key of ours; "" is that of a single node."""
    found: set[str] = set()
    seen, total = 0, reader.key_count()
    for page in reader.scanned():
        found |= {name.tag for name in map(key_name, page) if name is not None}
        seen += len(page)
        progress("keys", seen, total)
    return sorted(found)


def _prove(state: State, proof: Proof) -> None:
    keys = state.keys
    for stream in (keys.orders, keys.trades, keys.rejects):
        found = state.reader.state(stream)
        if isinstance(found, WrongType):
            state.findings.add(Name.WRONG_TYPE, stream, "it is a stream")
            continue
        state.streams[stream] = found
        if state.trimmed(stream):
            proof.trimmed[stream] = found.lost
            if not state.options.trimmed:
                message = f"{found.lost} entries before {found.first_id} are gone"
                state.findings.add(Name.STREAM_TRIMMED, stream, message)
    read = _read_streams(state, {})
    for holding in state.holdings.values():
        holding.expected = True
    waiting = _read_hashes(state)
    _read_streams(state, read)
    _conclude_hashes(state, waiting)
    _conclude_trails(state)
    check_resting(state)
    position_hashes.conclude(state)


def _read_streams(state: State, after: dict[str, str]) -> dict[str, str]:
    """Reads what was added since, up to ends that agree with each other; answers these."""
    ends = state.reader.ends(state.keys)
    reading: tuple[tuple[str, _Read], ...] = (
        (state.keys.orders, read_orders),
        (state.keys.trades, read_trades),
        (state.keys.rejects, read_rejects),
    )
    for stream, read in reading:
        if stream not in ends or stream not in state.streams:
            continue
        done = 0
        for page in state.reader.pages(stream, after.get(stream, NOTHING), ends[stream]):
            read(state, page)
            done += len(page)
            state.progress(stream, done, state.streams[stream].length)
    return ends


def _read_hashes(state: State) -> dict[str, str | None]:
    """Judges positions; answers the orders whose hash tells more than their updates."""
    waiting: dict[str, str | None] = {}
    seen, total = 0, state.reader.key_count()
    for page in state.reader.scanned():
        names = {key: name for key in page if (name := key_name(key)) is not None}
        names = {key: name for key, name in names.items() if name.tag == state.keys.tag}
        orders = [key for key, name in names.items() if name.kind == "ORDER"]
        for key, version in state.reader.values(orders, "version"):
            _note_order(state, names[key].order_id, version, waiting)
        positions = [key for key, name in names.items() if name.kind == "POSITION"]
        for key, content in state.reader.hashes(positions):
            position_hashes.compare(state, names[key].user, names[key].symbol, content)
        seen += len(page)
        state.progress("hashes", seen, total)
    return waiting


def _note_order(
    state: State, order_id: str, version: object, waiting: dict[str, str | None]
) -> None:
    trail = state.trails.get(order_id)
    if trail is not None and not trail.hashed:
        trail.hashed = True
        state.counts.orders += 1
    if isinstance(version, WrongType):
        if trail is None:
            state.findings.add(Name.WRONG_TYPE, state.keys.order(order_id), NO_HASH)
    elif trail is None or version != str(trail.version):
        waiting[order_id] = version if isinstance(version, str) else None


def _conclude_hashes(state: State, waiting: dict[str, str | None]) -> None:
    """Every change that a hash told must have come in the stream by now."""
    late = {
        state.keys.order(order_id): order_id
        for order_id, version in waiting.items()
        if (trail := state.trails.get(order_id)) is None or _count(version) > trail.version
    }
    for key, content in state.reader.hashes(list(late)):
        order_id = late[key]
        trail = state.trails.get(order_id)
        if trail is None:
            check_hash(state, order_id, content)
            has = "no update of it"
        elif _told(content) > trail.version:
            has = f"none after version {trail.version}"
        else:
            continue  # its flat version alone is wrong, which was found
        if trail is None and state.trimmed(state.keys.orders):
            state.counts.unproven += 1
            continue
        message = f"it has version {waiting[order_id]}; {state.keys.orders} has {has}"
        state.findings.add(Name.UPDATE_MISSING, key, message)


def _conclude_trails(state: State) -> None:
    for order_id, trail in state.trails.items():
        key = state.keys.order(order_id)
        if trail.owed_trade and not trail.traded:
            message = f"it is {trail.status}; {state.keys.trades} has no trade of it"
            state.findings.add(Name.TRADE_MISSING, key, message)
        if trail.owed_reject and not trail.rejected:
            message = f"it is REJECTED; {state.keys.rejects} has no entry of it"
            state.findings.add(Name.REJECT_MISSING, key, message)


def _told(content: Content) -> int:
    """The version of the report in a hash; 0 for one that cannot be read."""
    try:
        return 0 if isinstance(content, WrongType) else read_report(content["report"]).version
    except (KeyError, Malformed):
        return 0


def _count(version: str | None) -> int:
    """A version's number; 0 for a text that is none, which its hash was found with."""
    return int(version) if version and version.isascii() and version.isdigit() else 0
