"""Orders in every order: one seed decides what happens next, and what goes wrong.

Two replicas of the service share one ledger and one market. Callers send
orders, send them again, and go away; books come late or not at all; commits
reach the ledger or not, and their callers hear of it or not. Nothing runs but
what the seed let run, so a seed replays its world exactly.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from builders import SPEC, order

from execution.errors import OrderIdReused
from execution.executor import Executor, Terms
from execution.model import Direction, ExecutionReport, Order, Snapshot, TimeInForce
from execution.ports import Committed
from execution.pricing import Liquidity
from execution.settlement import FeeRate
from execution.testing import (
    PendingCommit,
    SimulatedBooks,
    SimulatedClock,
    SimulatedLedger,
    SimulatedStore,
)

SYMBOL = "BTC-USDT"
USERS = ("ann", "bob")
TURNS_TO_SETTLE = 40
"""More turns of the loop than any chain of wake-ups in the executor is long."""


@dataclass
class Call:
    """One caller of one replica."""

    asked: Order
    replica: "Replica"
    task: asyncio.Task[ExecutionReport]


@dataclass
class Replica:
    """One process of the service."""

    name: str
    store: SimulatedStore
    books: SimulatedBooks
    clock: SimulatedClock
    ledger: SimulatedLedger = field(init=False)
    liquidity: Liquidity = field(default_factory=Liquidity)
    executor: Executor = field(init=False)
    met: list[PendingCommit] = field(default_factory=list)
    """Every commit this replica ever sent."""

    def __post_init__(self) -> None:
        self.ledger = SimulatedLedger(self.store)
        self.ledger.hold()
        terms = Terms(FeeRate.from_bps("1"), commit_reserve_ns=100)
        self.executor = Executor(self.books, self.ledger, self.liquidity, self.clock, terms)

    def remember(self) -> None:
        known = set(map(id, self.met))
        self.met += [commit for commit in self.ledger.pending if id(commit) not in known]


class Interleaving:
    """A world that one seed drives, step by step."""

    def __init__(self, seed: int, *, orders: int = 12, faults: bool = True) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.faults = faults
        self.clock = SimulatedClock()
        self.books = SimulatedBooks()
        self.books.hold()
        self.store = SimulatedStore()
        self.replicas = [
            Replica(name, self.store, self.books, self.clock) for name in ("one", "two")
        ]
        self.snapshots: dict[int, Snapshot] = {}
        self.calls: list[Call] = []
        self.trace: list[str] = []
        self.orders = [self._an_order(number) for number in range(orders)]
        self._sequences = self.random.sample(range(1, 10_000), 1_000)
        self._unsent = [*self.orders, *self.random.choices(self.orders, k=orders)]
        self.random.shuffle(self._unsent)

    def __repr__(self) -> str:
        steps = "\n  ".join(self.trace)
        return f"Interleaving(seed={self.seed}, faults={self.faults}):\n  {steps}"

    async def run(self) -> None:
        """Runs to the end: every order was sent, healed, retried and answered."""
        self.show_a_book()
        while self._unsent or any(not call.task.done() for call in self.calls):
            self.step()
            await self.settle()
        await self.heal()

    def step(self) -> None:
        """One thing happens."""
        likely: list[tuple[int, Callable[[], None]]] = [
            (4, self.send),
            (4, self.answer_a_book),
            (6, self.answer_a_commit),
            (3, self.apply_a_commit),
            (1, self.show_a_book),
        ]
        unlikely: list[tuple[int, Callable[[], None]]] = [
            (1, self.fail_a_book),
            (1, self.lose_a_commit),
            (1, self.refuse_a_commit),
            (1, self.conflict_with_a_commit),
            (1, self.cancel_a_caller),
            (1, self.deliver_late),
            (1, self.pass_time),
        ]
        actions = likely + unlikely if self.faults else likely
        (chosen,) = self.random.choices(
            [action for _, action in actions], [weight for weight, _ in actions]
        )
        chosen()

    async def settle(self) -> None:
        """Lets everything run that can run; nothing here ever waits for time."""
        for _ in range(TURNS_TO_SETTLE):
            await asyncio.sleep(0)
        for replica in self.replicas:
            replica.remember()

    async def heal(self) -> None:
        """The world works again; whoever has no answer sends the same order again."""
        for commit in [commit for replica in self.replicas for commit in replica.met]:
            commit.apply()
        for replica in self.replicas:
            await self.end(replica.executor.drain())
        for asked in self.orders:
            # Where another order came first under this id, that one is on record.
            with suppress(OrderIdReused):
                await self.end(self.replicas[0].executor.execute(asked))

    async def end(self, call: Coroutine[Any, Any, object]) -> None:
        """Answers whatever is asked until the call has ended."""
        task = asyncio.create_task(call)
        while not task.done():
            await self.settle()
            for question in self.books.pending:
                question.reply()
            for commit in [c for replica in self.replicas for c in replica.ledger.pending]:
                commit.reply()
        await task

    # --- what can happen

    def send(self) -> None:
        if not self._unsent:
            return
        asked, replica = self._unsent.pop(), self.random.choice(self.replicas)
        if self.faults and self.random.random() < 0.05:
            asked = order(asked.direction, "77", order_id=asked.order_id, user_id=asked.user_id)
        deadline_ns = None
        if self.faults and self.random.random() < 0.2:
            deadline_ns = self.clock.monotonic_ns() + 1_000
        task = asyncio.create_task(replica.executor.execute(asked, deadline_ns))
        # A world that fails half-way must not be buried under errors nobody read.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self.calls.append(Call(asked, replica, task))
        self.note(f"send {asked.order_id} to {replica.name}")

    def answer_a_book(self) -> None:
        if self.books.pending:
            self.random.choice(self.books.pending).reply()
            self.note("answer a book")

    def fail_a_book(self) -> None:
        if self.books.pending:
            self.random.choice(self.books.pending).fail()
            self.note("fail a book")

    def answer_a_commit(self) -> None:
        self.with_a_commit("answer", PendingCommit.reply)

    def apply_a_commit(self) -> None:
        self.with_a_commit("apply", PendingCommit.apply)

    def lose_a_commit(self) -> None:
        self.with_a_commit("lose", PendingCommit.lose)

    def refuse_a_commit(self) -> None:
        self.with_a_commit("refuse", PendingCommit.refuse, unsent=True)

    def conflict_with_a_commit(self) -> None:
        self.with_a_commit("conflict with", PendingCommit.conflict, unsent=True)

    def with_a_commit(
        self, what: str, act: Callable[[PendingCommit], None], *, unsent: bool = False
    ) -> None:
        replica = self.random.choice(self.replicas)
        waiting = [c for c in replica.ledger.pending if not unsent or c.result is None]
        if what.startswith("conflict"):
            waiting = [commit for commit in waiting if commit.entry.basis is not None]
        if waiting:
            commit = self.random.choice(waiting)
            act(commit)
            self.note(f"{what} {commit.entry.report.order_id} of {replica.name}")

    def deliver_late(self) -> None:
        replica = self.random.choice(self.replicas)
        given_up = [c for c in replica.met if c.outcome is not None and c.result is None]
        if given_up:
            commit = self.random.choice(given_up)
            commit.apply()
            self.note(f"deliver {commit.entry.report.order_id} of {replica.name} late")

    def cancel_a_caller(self) -> None:
        waiting = [call for call in self.calls if not call.task.done()]
        if waiting:
            call = self.random.choice(waiting)
            call.task.cancel()
            self.note(f"cancel a caller of {call.asked.order_id}")

    def pass_time(self) -> None:
        self.clock.advance(self.random.randrange(2_000))
        self.note("pass time")

    def show_a_book(self) -> None:
        sequence = self._sequences.pop()
        bids = [(str(99 - level), str(self.random.randrange(4))) for level in range(3)]
        asks = [(str(100 + level), str(self.random.randrange(4))) for level in range(3)]
        self.snapshots[sequence] = self.books.set_book(
            SYMBOL, bids, asks, sequence=sequence, spec=SPEC
        )
        self.note(f"show book {sequence}")

    def note(self, what: str) -> None:
        self.trace.append(what)

    def _an_order(self, number: int) -> Order:
        draw = self.random
        return order(
            draw.choice(list(Direction)),
            str(draw.randrange(1, 7)),
            order_id=f"o-{number}",
            user_id=draw.choice(USERS),
            reduce_only=draw.random() < 0.3,
            time_in_force=draw.choice([TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK]),
            max_slippage_bps=draw.choice([None, None, 100]),
        )

    # --- what can be asked afterwards

    def answers(self) -> list[tuple[Call, ExecutionReport]]:
        """Every caller that got a report, and the report."""
        ended = [call for call in self.calls if not call.task.cancelled()]
        return [(call, call.task.result()) for call in ended if not call.task.exception()]

    def errors(self) -> list[tuple[Call, BaseException]]:
        """Every caller that got an error, and the error."""
        ended = [call for call in self.calls if not call.task.cancelled()]
        failed = [(call, call.task.exception()) for call in ended]
        return [(call, error) for call, error in failed if error is not None]

    def kept_by(self, replica: Replica) -> list[ExecutionReport]:
        """The reports of which this replica knows that it committed them."""
        return [
            commit.entry.report for commit in replica.met if isinstance(commit.outcome, Committed)
        ]


def filled_by_level(reports: list[ExecutionReport], sequence: int) -> Counter[tuple[str, str]]:
    """(direction, price) -> thousandths filled on the snapshot of this sequence."""
    filled: Counter[tuple[str, str]] = Counter()
    for report in reports:
        if report.snapshot is not None and report.snapshot.sequence == sequence:
            for fill in report.fills:
                quantity = int(fill.quantity) * 10**SPEC.quantity_decimals
                filled[report.direction.name, fill.price] += quantity
    return filled
