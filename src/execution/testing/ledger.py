"""A ledger in memory, with the contract of `ports.Ledger` and every fault of a real one.

`SimulatedStore` is what survives a crash; `SimulatedLedger` is one process's
way to it. Two ledgers on one store are two replicas; a new ledger on an old
store is a restart.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from execution.adapters.entries import check_entry
from execution.errors import LedgerRefused, LedgerUnavailable, Unavailable
from execution.model import TRANSITIONS, OrderStatus, Position, RestingStop
from execution.ports import (
    CommitResult,
    Committed,
    Conflict,
    Entry,
    LedgerLane,
    OnResult,
    Record,
    StopChange,
    Stored,
)
from execution.testing.arrivals import Arrivals
from execution.testing.faults import Fault, FaultScript, FaultSource
from execution.waiting import resolve


@dataclass(slots=True)
class SimulatedStore:
    """Orders, positions and every write in its order: what is durable."""

    orders: dict[str, Record] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    """One record a write, oldest first: the stream of all orders."""
    stop_changes: list[StopChange] = field(default_factory=list)
    """Every change of what rests, oldest first."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the next `wake`; then another takes its place."""

    @property
    def resting(self) -> dict[str, RestingStop]:
        """Every stop that rests, by order id."""
        return {
            order_id: record.resting
            for order_id, record in self.orders.items()
            if record.resting is not None
        }

    def wake(self) -> None:
        """Wakes whoever waits for a change of what rests."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def position(self, user_id: str, symbol: str) -> Position:
        """The committed position; version 0 if there is none."""
        return self.positions.get((user_id, symbol)) or Position(user_id, symbol)

    def apply(self, entry: Entry) -> CommitResult:
        """The atomic step: all of the entry is written, or nothing is.

        A basis is compared whole, not by its version alone: a basis may have
        been a prediction, and another replica may have used the same version.
        Raises `LedgerRefused` for a write that follows an order which is not
        there, `ValueError` for an entry that no executor should make.
        """
        check_entry(entry)
        report = entry.report
        record = self.orders.get(report.order_id)
        if record is None and entry.follows is not None:
            raise LedgerRefused(f"order {report.order_id} is not there")
        if record is not None and record.report.version != entry.follows:
            return Stored(record)
        before = OrderStatus.RECEIVED if record is None else record.report.status
        if report.status not in TRANSITIONS[before]:
            raise ValueError(f"an order cannot become {report.status.name} from {before.name}")
        if entry.basis is not None:
            present = self.position(report.user_id, report.symbol)
            if present != entry.basis:
                return Conflict()
        if entry.position is not None:
            if entry.basis is None or entry.position.version != entry.basis.version + 1:
                raise ValueError(f"a position that does not follow from its basis: {entry}")
            self.positions[report.user_id, report.symbol] = entry.position
        payload = entry.payload if record is None else record.payload
        written = Record(payload, report, entry.resting)
        self.orders[report.order_id] = written
        self.history.append(written)
        if entry.resting is not None or entry.follows is not None:
            self.stop_changes.append(StopChange(report.order_id, entry.resting))
            self.wake()
        return Committed()


class SimulatedLedger:
    """A `ports.Ledger` under the control of the test.

    Commits of one turn of the event loop reach the store together, in order, on
    the next. `faults` decides what befalls each; after `hold()` they wait in
    `pending` instead, and the test says what reaches the store, when, and what
    the caller hears.
    """

    def __init__(
        self, store: SimulatedStore | None = None, faults: FaultSource | None = None
    ) -> None:
        self.store = store if store is not None else SimulatedStore()
        self.arrivals = Arrivals()
        """Counts commits, those of held ones included."""
        self.connected = True
        """While False every call raises `LedgerUnavailable` at once."""
        self._script = FaultScript()
        self._faults = faults
        self._held = False
        self._pending: list[PendingCommit] = []
        self._confirmed: dict[tuple[str, str], Position] = {}
        self._predicted: dict[tuple[str, str], Position] = {}

    def inject(self, *faults: Fault) -> None:
        """Lets the next commits meet these faults, one each, before any others.

        A `Fault.CONFLICT` waits for a commit that rests on a position.
        """
        self._script.add(*faults)

    def hold(self) -> None:
        """Lets every commit wait in `pending` from now on."""
        self._held = True

    def release(self) -> None:
        """Applies and answers all that wait, oldest first, and lets no more wait."""
        self._held = False
        for pending in self.pending:
            pending.reply()

    @property
    def pending(self) -> tuple["PendingCommit", ...]:
        """The commits that are neither answered nor lost, oldest first."""
        return tuple(self._pending)

    def recall(self, user_id: str, symbol: str) -> Position:
        """The position after all that was committed or is under way, as known here."""
        key = (user_id, symbol)
        known = self._predicted.get(key) or self._confirmed.get(key)
        return known or Position(user_id, symbol)

    def lane(self) -> LedgerLane | None:
        """None: a test sees every step."""
        return None

    def submit(self, entry: Entry, done: OnResult) -> None:
        """Commits the entry whole or not at all; see `ports.Ledger`.

        Raises `ValueError` for an entry that contradicts itself.
        """
        check_entry(entry)
        commit = PendingCommit(self, entry, done)
        if not self.connected:
            asyncio.get_running_loop().call_soon(done, _not_connected())
            return
        self._pending.append(commit)
        if entry.position is not None:
            self._predicted[commit.key] = entry.position
        if not self._held:
            meets = _FATES[self._next_fault(entry)]
            asyncio.get_running_loop().call_soon(meets, commit)
        self.arrivals.note()

    def commit(self, entry: Entry) -> "asyncio.Future[CommitResult]":
        """As `submit`, to be awaited."""
        answer: asyncio.Future[CommitResult] = asyncio.get_running_loop().create_future()
        self.submit(entry, partial(resolve, answer))
        return answer

    async def order(self, order_id: str) -> Record | None:
        """The record of an order, None if there is none."""
        await asyncio.sleep(0)
        self._require_connection()
        return self.store.orders.get(order_id)

    async def position(self, user_id: str, symbol: str) -> Position:
        """The committed position; version 0 if there is none."""
        await asyncio.sleep(0)
        self._require_connection()
        return self.store.position(user_id, symbol)

    def _next_fault(self, entry: Entry) -> Fault:
        fault = self._script.next_fault(entry)
        if fault is Fault.NONE and self._faults is not None:
            return self._faults.next_fault(entry)
        return fault

    def _require_connection(self) -> None:
        if not self.connected:
            raise _not_connected()

    def _learn(self, commit: "PendingCommit", *, kept: bool, told: bool) -> None:
        """What this process knows of the position once the commit has ended."""
        entry = commit.entry
        if kept and entry.position is not None:
            confirmed = self._confirmed.get(commit.key)
            if confirmed is None or confirmed.version < entry.position.version:
                self._confirmed[commit.key] = entry.position
            if self._predicted.get(commit.key) is entry.position:
                del self._predicted[commit.key]
        elif not kept:
            # What was predicted on top of it will meet a conflict, too.
            self._predicted.pop(commit.key, None)
            if told:
                self._confirmed[commit.key] = self.store.position(*commit.key)


class PendingCommit:
    """A commit on its way: it reaches the store or not, then the caller hears or not."""

    def __init__(self, ledger: SimulatedLedger, entry: Entry, done: OnResult) -> None:
        self.entry = entry
        self.key = (entry.report.user_id, entry.report.symbol)
        self.outcome: CommitResult | Unavailable | None = None
        """What the caller was told; None while that is nothing."""
        self._done = done
        self.result: CommitResult | None = None
        """What the store said; None while the commit has not reached it."""
        self._refusal: LedgerRefused | None = None
        self._ledger = ledger
        self._stopped = False

    def apply(self) -> None:
        """Reaches the store, once; the caller does not know yet.

        Also after `lose`: what a client has given up may still arrive.
        """
        if self.result is None and not self._stopped:
            try:
                self.result = self._ledger.store.apply(self.entry)
            except LedgerRefused as error:
                self._refusal = error
                self._stopped = True

    def reply(self) -> None:
        """Answers the caller with what the store says, applying it first if need be."""
        self.apply()
        if self.result is not None:
            self._answer(self.result)
        elif self._refusal is not None:
            self._fail(self._refusal)

    def conflict(self) -> None:
        """Answers that the position changed; nothing is written, now or later."""
        self._stop()
        self._answer(Conflict())

    def lose(self) -> None:
        """The caller gets `LedgerUnavailable`, whatever the store did or still will do."""
        message = f"no answer to the commit of order {self.entry.report.order_id}"
        self._fail(LedgerUnavailable(message))

    def refuse(self) -> None:
        """The caller gets `LedgerRefused`; nothing is written, now or later."""
        self._stop()
        self._fail(LedgerRefused("the simulated ledger will not write"))

    def _stop(self) -> None:
        if self.result is not None:
            raise RuntimeError("this commit has reached the store already")
        self._stopped = True

    def _answer(self, result: CommitResult) -> None:
        if self._end():
            self._ledger._learn(self, kept=isinstance(result, Committed), told=True)
            self.outcome = result
            self._done(result)

    def _fail(self, error: LedgerUnavailable | LedgerRefused) -> None:
        if self._end():
            self._ledger._learn(self, kept=False, told=False)
            self.outcome = error
            self._done(error)

    def _end(self) -> bool:
        """Whether it was still to be answered; it no longer is."""
        if self not in self._ledger._pending:
            return False
        self._ledger._pending.remove(self)
        return True


def _not_connected() -> LedgerUnavailable:
    return LedgerUnavailable("the simulated ledger is not connected")


def _lose_after(commit: PendingCommit) -> None:
    commit.apply()
    commit.lose()


_FATES: Final[dict[Fault, Callable[[PendingCommit], None]]] = {
    Fault.NONE: PendingCommit.reply,
    Fault.LOST_BEFORE: PendingCommit.lose,
    Fault.LOST_AFTER: _lose_after,
    Fault.REFUSED: PendingCommit.refuse,
    Fault.CONFLICT: PendingCommit.conflict,
}
