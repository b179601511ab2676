"""From a decision to a kept record: takes the liquidity, commits, decides again.

What a decision rests on may change before it is committed: the position, by an
order of another replica, or the order itself, by a cancel that was faster. The
ledger tells; here it is decided again on the same book until it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from execution.engine import Execution
from execution.errors import DeadlineTooShort, PositionContended
from execution.model import ExecutionReport, Position, Quote, Unusable
from execution.ports import (
    Clock,
    CommitResult,
    Committed,
    Conflict,
    Entry,
    Ledger,
    Record,
    Stored,
)
from execution.pricing import Liquidity

ATTEMPTS_MAX: Final = 8
"""Commits of one order before a contended position is given up for now."""

Decide: TypeAlias = Callable[[Position], Execution | None]
"""What to do, given the position; None: nothing, for now."""


@dataclass(frozen=True, slots=True)
class Subject:
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
        self._ledger = ledger
        self._liquidity = liquidity
        self._clock = clock
        self._reserve_ns = reserve_ns

    async def keep(
        self,
        subject: Subject,
        market: Quote | Unusable | None,
        decide: Decide,
        deadline_ns: int | None = None,
    ) -> ExecutionReport | Record | None:
        """The report that was committed, or the record that was there instead.

        None if there was nothing to do.

        A record means that the order id was taken, or that the stored order is
        no longer at the version this follows. Raises `PositionContended`,
        `DeadlineTooShort`, and what `decide` and the ledger raise.
        """
        for _ in range(ATTEMPTS_MAX):
            basis = self._ledger.recall(subject.user_id, subject.symbol)
            execution = decide(basis)
            if execution is None:
                return None
            self._require_time(deadline_ns)
            entry = _entry(subject, execution, basis)
            match await self._commit(entry, market, execution.taken):
                case Committed():
                    return entry.report
                case Stored(record):
                    return record
                case Conflict():
                    continue
        raise PositionContended(
            f"the position of {subject.user_id} in {subject.symbol} changed under"
            f" {ATTEMPTS_MAX} attempts to commit order {subject.order_id};"
            " retry with the same id"
        )

    async def _commit(
        self, entry: Entry, market: Quote | Unusable | None, taken: tuple[int, ...]
    ) -> CommitResult:
        """Commits with the liquidity taken; what is not kept is given back."""
        if not isinstance(market, Quote):
            return await self._ledger.commit(entry)
        self._liquidity.take(market, taken)
        kept = False
        try:
            result = await self._ledger.commit(entry)
            kept = isinstance(result, Committed)
            return result
        finally:
            if not kept:
                self._liquidity.give_back(market, taken)

    def _require_time(self, deadline_ns: int | None) -> None:
        if deadline_ns is None:
            return
        left_ns = deadline_ns - self._clock.monotonic_ns()
        if left_ns < self._reserve_ns:
            raise DeadlineTooShort("no time was left to finish the commit; nothing was sent")


def _entry(subject: Subject, execution: Execution, basis: Position) -> Entry:
    report, resting = execution.report, execution.resting
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
