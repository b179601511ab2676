"""From a decision to a kept record: takes the liquidity, commits, decides again.

What a decision rests on may change before it is committed: the position, by an
order of another replica, or the order itself, by a cancel that was faster. The
ledger tells; here it is decided again on the same book until it holds.

Told by callbacks: an order on its way is this object and nothing else, no task.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, TypeAlias

from execution.engine import Execution
from execution.errors import DeadlineTooShort, PositionContended
from execution.model import ExecutionReport, Position, Quote, Unusable
from execution.ports import (
    Clock,
    CommitResult,
    Committed,
    Entry,
    Ledger,
    Record,
    Stored,
)
from execution.pricing import Liquidity
from execution.waiting import resolve

RECOMPUTED_MAX: Final = 8
"""Of one order whose position keeps moving, before it is given up for now (SEMANTICS.md,
Exactly once). Where two replicas are busy with one user, each loses about every other time.
"""
ATTEMPTS_MAX: Final = 1 + RECOMPUTED_MAX

Decide: TypeAlias = Callable[[Position], Execution | None]
"""What to do, given the position; None: nothing, for now."""

Kept: TypeAlias = ExecutionReport | Record | None
"""The report that was committed, or the record that was there instead.

A record means that the order id was taken, or that the stored order is no
longer at the version the write follows. None: there was nothing to do.
"""


class Subject(NamedTuple):
    """Which order is written, and what the write follows."""

    order_id: str
    user_id: str
    symbol: str
    payload: str
    follows: int | None = None
    """The version that is stored now; None: the order is new."""


class Commitments:
    """Keeps decisions in the ledger, and the account of liquidity true to what was kept."""

    def __init__(self, ledger: Ledger, liquidity: Liquidity, clock: Clock, reserve_ns: int) -> None:
        self.ledger = ledger
        self.liquidity = liquidity
        self._clock = clock
        self._reserve_ns = reserve_ns

    async def keep(
        self,
        subject: Subject,
        market: Quote | Unusable | None,
        decide: Decide,
        deadline_ns: int | None = None,
    ) -> Kept:
        """Decides and commits; a caller that is cancelled does not stop the commit.

        Raises `PositionContended`, `DeadlineTooShort`, and what `decide` and the
        ledger raise.
        """
        keeping = _Awaited(self, subject, market, decide, deadline_ns)
        keeping.attempt()
        return await keeping.outcome

    def has_time(self, deadline_ns: int) -> bool:
        """Whether a commit could be answered in time."""
        return deadline_ns - self._clock.monotonic_ns() >= self._reserve_ns

    def require_time(self, deadline_ns: int) -> None:
        """Raises `DeadlineTooShort` where a commit could not be answered in time."""
        if not self.has_time(deadline_ns):
            raise DeadlineTooShort(
                "no time was left to finish the commit; nothing was sent, retry with the same id"
                " and a longer deadline"
            )


class Whose(Protocol):
    """The order that a decision is about: an `Order`, or a `Subject`."""

    @property
    def order_id(self) -> str:
        """Its id."""

    @property
    def user_id(self) -> str:
        """Whose order it is."""

    @property
    def symbol(self) -> str:
        """What it trades."""


class Keeping:
    """One decision on its way to a kept record; who has it says what is decided, and hears.

    `attempt` begins. It goes on whatever becomes of those who asked, and ends
    with one call of `kept`, possibly before `attempt` returns.
    """

    _attempts = 0
    _report: ExecutionReport | None = None
    _taken: tuple[int, ...] = ()
    _follows: int | None = None

    def __init__(
        self,
        commitments: Commitments,
        whose: Whose,
        payload: str,
        side: Quote | Unusable | None,
        deadline_ns: int | None,
    ) -> None:
        self._commitments = commitments
        self._whose = whose
        self._payload = payload
        self._side = side
        self._deadline_ns = deadline_ns

    def decide(self, position: Position) -> Execution | None:
        """What to do, given the position; None: nothing, for now."""
        raise NotImplementedError

    def kept(self, outcome: Kept | Exception) -> None:
        """What was kept, or why nothing is known to be. Must not raise."""
        raise NotImplementedError

    def attempt(self) -> None:
        """Decides on the position as it is believed to be, and sends that."""
        self._attempts += 1
        whose, commitments = self._whose, self._commitments
        ledger = commitments.ledger
        try:
            basis = ledger.recall(whose.user_id, whose.symbol)
            execution = self.decide(basis)
            if execution is not None:
                if self._deadline_ns is not None:
                    commitments.require_time(self._deadline_ns)
                entry = execution.entry(self._payload, basis)
                if self._follows is not None:
                    entry = _following(entry, self._follows)
                self._report = entry.report
                if execution.taken:
                    self._take(execution.taken)
                ledger.submit(entry, self._answered)
                return
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            self._give_back()
            self.kept(error)
            return
        self.kept(None)

    def _answered(self, result: CommitResult | Exception) -> None:
        if isinstance(result, Committed):
            self.kept(self._report)
            return
        self._give_back()
        if isinstance(result, Exception):
            self.kept(result)
        elif isinstance(result, Stored):
            self.kept(result.record)
        elif self._attempts < ATTEMPTS_MAX:
            self.attempt()
        else:
            self.kept(self._contended())

    def go_on(self, result: CommitResult | Exception, attempts: int) -> None:
        """From so many attempts that were made elsewhere; the last was answered so."""
        self._attempts = attempts
        self._answered(result)

    def _take(self, taken: tuple[int, ...]) -> None:
        assert isinstance(self._side, Quote), "only a quote has something to take"
        self._commitments.liquidity.take(self._side, taken)
        self._taken = taken

    def _give_back(self) -> None:
        if self._taken and isinstance(self._side, Quote):
            self._commitments.liquidity.give_back(self._side, self._taken)
            self._taken = ()

    def _contended(self) -> PositionContended:
        whose = self._whose
        return PositionContended(
            f"the position of {whose.user_id} in {whose.symbol} changed under"
            f" {ATTEMPTS_MAX} attempts to commit order {whose.order_id};"
            " retry with the same id"
        )


class _Awaited(Keeping):
    """For those who wait in a coroutine."""

    def __init__(
        self,
        commitments: Commitments,
        subject: Subject,
        side: Quote | Unusable | None,
        decide: Decide,
        deadline_ns: int | None,
    ) -> None:
        super().__init__(commitments, subject, subject.payload, side, deadline_ns)
        self._follows = subject.follows
        self._decide = decide
        self.outcome: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()

    def decide(self, position: Position) -> Execution | None:
        return self._decide(position)

    def kept(self, outcome: Kept | Exception) -> None:
        resolve(self.outcome, outcome)


def _following(entry: Entry, follows: int) -> Entry:
    """The same at the version after the one it follows."""
    version, resting = follows + 1, entry.resting
    return replace(
        entry,
        report=replace(entry.report, version=version),
        follows=follows,
        resting=resting and replace(resting, version=version),
    )
