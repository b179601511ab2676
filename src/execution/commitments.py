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
from execution.errors import DeadlineTooShort, PositionContended, Unavailable
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

ATTEMPTS_MAX: Final = 8
"""Commits of one order before a contended position is given up for now."""

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

    def require_time(self, deadline_ns: int) -> None:
        """Raises `DeadlineTooShort` where a commit could not be answered in time."""
        left_ns = deadline_ns - self._clock.monotonic_ns()
        if left_ns < self._reserve_ns:
            raise DeadlineTooShort("no time was left to finish the commit; nothing was sent")


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

    def __init__(
        self,
        commitments: Commitments,
        whose: Whose,
        side: Quote | Unusable | None,
        deadline_ns: int | None,
    ) -> None:
        self._commitments = commitments
        self._whose = whose
        self._side = side
        self._deadline_ns = deadline_ns

    def decide(self, position: Position) -> Execution | None:
        """What to do, given the position; None: nothing, for now."""
        raise NotImplementedError

    def entry(self, execution: Execution, basis: Position) -> Entry:
        """What is written of it."""
        raise NotImplementedError

    def kept(self, outcome: Kept | Exception) -> None:
        """What was kept, or why nothing is known to be. Must not raise."""
        raise NotImplementedError

    def attempt(self) -> None:
        """Decides on the position as it is believed to be, and sends that."""
        self._attempts += 1
        try:
            sent = self._send()
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            self._give_back()
            self.kept(error)
            return
        if not sent:
            self.kept(None)

    def _send(self) -> bool:
        """Whether there was anything to send."""
        whose, commitments = self._whose, self._commitments
        ledger = commitments.ledger
        basis = ledger.recall(whose.user_id, whose.symbol)
        execution = self.decide(basis)
        if execution is None:
            return False
        if self._deadline_ns is not None:
            commitments.require_time(self._deadline_ns)
        entry = self.entry(execution, basis)
        self._report = entry.report
        taken = execution.taken
        if taken:
            assert isinstance(self._side, Quote), "only a quote has something to take"
            commitments.liquidity.take(self._side, taken)
            self._taken = taken
        ledger.submit(entry, self._answered)
        return True

    def _answered(self, result: CommitResult | Unavailable) -> None:
        if isinstance(result, Committed):
            self.kept(self._report)
            return
        self._give_back()
        if isinstance(result, Unavailable):
            self.kept(result)
        elif isinstance(result, Stored):
            self.kept(result.record)
        elif self._attempts < ATTEMPTS_MAX:
            self.attempt()
        else:
            self.kept(self._contended())

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
        super().__init__(commitments, subject, side, deadline_ns)
        self._subject = subject
        self._decide = decide
        self.outcome: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()

    def decide(self, position: Position) -> Execution | None:
        return self._decide(position)

    def entry(self, execution: Execution, basis: Position) -> Entry:
        """At the version after the one it follows."""
        subject, report, resting = self._subject, execution.report, execution.resting
        if subject.follows is not None:
            version = subject.follows + 1
            report = replace(report, version=version)
            resting = resting and replace(resting, version=version)
        return Entry(
            payload=subject.payload,
            report=report,
            basis=basis if execution.rests_on_position else None,
            position=execution.position,
            follows=subject.follows,
            resting=resting,
        )

    def kept(self, outcome: Kept | Exception) -> None:
        resolve(self.outcome, outcome)
