"""What is known of one partition while it is read: it grows by the order, not by the entry."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from execution.verify.contract import Keys
from execution.verify.findings import SHOWN_MAX, Findings, Name, quoted
from execution.verify.positions import Holding
from execution.verify.reader import PAGE, Entry, Reader, StreamState
from execution.verify.updates import Trail

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is read, how much of it, and how much there was at the start."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator knows and the record does not say."""

    fee_bps: Fraction | None = None
    """The taker fee; None: fees are compared with each other only."""
    trimmed: bool = False
    """Streams are limited on purpose: what precedes their beginning is not missed."""
    shown_max: int = SHOWN_MAX
    """Findings to keep in full."""
    page: int = PAGE
    """Entries or hashes in memory at a time."""


@dataclass(slots=True)
class Counts:
    """How much was proven."""

    trades: int = 0
    orders: int = 0
    positions: int = 0
    updates: int = 0
    rejects: int = 0
    unproven: int = 0
    """Orders and positions that began before a trimmed stream does."""
    users: set[str] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)


@dataclass(slots=True)
class State:
    """One partition, between what was read and what it has to agree with."""

    keys: Keys
    reader: Reader
    options: Options
    findings: Findings
    counts: Counts
    progress: Progress
    streams: dict[str, StreamState] = field(default_factory=dict)
    """As they were at the start; those of a wrong type are left out."""
    trails: dict[str, Trail] = field(default_factory=dict)
    """By order id."""
    orphans: set[str] = field(default_factory=set)
    """Orders that were published and have no update in the stream."""
    holdings: dict[tuple[str, str], Holding] = field(default_factory=dict)
    """By user and symbol."""

    def trimmed(self, stream: str) -> bool:
        """Whether the stream lacks its beginning, other than by deletions one by one."""
        state = self.streams.get(stream, StreamState())
        return state.lost > 0 and (self.options.trimmed or not state.deleted)

    def reaches(self, stream: str, entry_id: str) -> bool:
        """Whether what was written together with an entry of another stream is still there."""
        if not self.trimmed(stream):
            return True
        return _milliseconds(entry_id) > _milliseconds(self.streams[stream].first_id)

    def text_of(self, stream: str, entry: Entry, names: tuple[str, ...]) -> str | None:
        """The JSON of an entry, whose fields have to be these in this order.

        Consumers take the first field's value; a wrong order is a finding, and
        the JSON is then looked for by its name.
        """
        found = tuple(name for name, _ in entry.fields)
        if found == names:
            return entry.fields[0][1]
        self.findings.add(
            Name.FIELD_ORDER,
            f"{stream} {entry.id}",
            f"its fields are {quoted(', '.join(found))}, not {', '.join(names)}",
        )
        return dict(entry.fields).get(names[0])


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
