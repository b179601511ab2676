"""The lane does with an order what the long way does, or nothing at all."""

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import twin.engine
import twin.positions
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import cases
from twin.commit_script import pack_entry
from twin.decimals import to_text
from twin.decisions import Case, cases_of_orders

from execution import _order
from execution._order import (
    Accounts,
    CommitQueue,
    Finish,
    Lane,
    Outcomes,
    Pending,
    PositionKnowledge,
    Recent,
    UnderWay,
    answer_all,
)
from execution.engine import TRADE_NAMESPACE, Execution
from execution.errors import InvalidArgument, LedgerUnavailable
from execution.model import (
    Direction,
    ExecutionReport,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Reason,
    Snapshot,
    SnapshotRef,
    SymbolSpec,
    Unusable,
)
from execution.ports import Committed, Conflict, Entry, LedgerLane
from execution.server.messages import report_bytes
from execution.settlement import FeeRate
from execution.testing import SimulatedClock

NOW_NS = 1_700_000_000_123_456_789
MONOTONIC_NS = 5_000
RESERVE_NS = 2_000
IN_TIME = MONOTONIC_NS + RESERVE_NS
"""The earliest deadline that an order is begun for."""
COMMITTED, CONFLICT, GONE = Committed(), Conflict(), LedgerUnavailable("gone")
COMFORTABLE = 10**12
"""Numbers up to this, at any scale, leave the lane no reason to decline."""

REPORT = ExecutionReport(
    "o", "u", "X", Direction.BUY, OrderType.MARKET, OrderStatus.REJECTED, "1", "1", "0", "1"
)


class World:
    """A lane, and all it touches."""

    def __init__(self, consumes: bool, fees: FeeRate) -> None:
        self.committing: set[str] = set()
        self.committed = Recent(10)
        self.waiters: dict[str, Any] = {}
        self.knowledge = PositionKnowledge(10)
        self.refused: list[Pending] = []
        self.stirred: list[None] = []
        self.queue = CommitQueue(10, 5, 2.5, self.refused.append)
        self.queue.time = lambda: 40.0
        self.queue.stirred = lambda: self.stirred.append(None)
        self.queue.open = True
        self.snapshots: dict[str, Snapshot] = {}
        self.quotes: dict[int, tuple[Quote | Unusable, Quote | Unusable]] = {}
        self.accounts = Accounts(10, lambda snapshot: self.quotes[id(snapshot)], operator.is_)
        self.left: list[tuple[Order, Quote, object, object, object]] = []
        self.woken: list[str] = []
        self.heard: list[object] = []
        self.clock = SimulatedClock(time_ns=NOW_NS, monotonic_ns=MONOTONIC_NS)
        self.lane = Lane(
            ledger=LedgerLane(self.knowledge, "ORDER:", "POSITION:", self.queue),
            newest=self.snapshots.get,
            accounts=self.accounts,
            consumes=consumes,
            clock=self.clock,
            reserve_ns=RESERVE_NS,
            scaled_bps=fees.scaled_bps,
            namespace=TRADE_NAMESPACE.bytes,
            committing=self.committing,
            committed=self.committed,
            waiters=self.waiters,
            committed_type=Committed,
            conflict_type=Conflict,
            attempts_max=3,
            otherwise=lambda *left: self.left.append(left),
            woken=self.woken.append,
        )

    def begin(self, order: Order, quote: Quote) -> bool:
        return self.lane.begin(order, quote, IN_TIME, self.heard.append)

    def show(self, symbol: str, side: Quote | Unusable) -> Snapshot:
        """A book of which both sides are this one."""
        nothing = np.array([], np.int64)
        snapshot = Snapshot(SymbolSpec(symbol), "s", 0, None, *(nothing,) * 4)
        self.snapshots[symbol] = snapshot
        self.quotes[id(snapshot)] = side, side
        return snapshot

    @property
    def waiting(self) -> list[Pending]:
        return list(self.queue.entries)


@st.composite
def orders_at_quotes(draw: st.DrawFn) -> Case:
    """Half of them say how much and no more, and that is there."""
    case = draw(cases_of_orders().filter(lambda case: isinstance(case.market, Quote)))
    order, quote = case.order, case.market
    assert isinstance(quote, Quote)
    there = min(sum(quote.available.tolist()), cases.INT64_MAX)
    if there and draw(st.booleans()):
        order = replace(
            order,
            quantity=to_text(draw(st.integers(1, there)), quote.spec.quantity_decimals),
            reduce_only=False,
            limit_price=None,
            max_slippage_bps=None,
            trigger_price=None,
        )
        if draw(st.booleans()):
            spec = SymbolSpec("X", quote.spec.price_decimals, quote.spec.quantity_decimals)
            quote = replace(quote, spec=spec)
        position = case.position
        if draw(st.booleans()):
            position = Position(order.user_id, order.symbol)
        case = replace(case, order=order, market=quote, position=position)
    return replace(case, position=replace(case.position, symbol=case.order.symbol))


def by_the_long_way(case: Case) -> Execution | None:
    try:
        return twin.engine.execute(case.order, case.market, case.position, case.fees, NOW_NS)
    except InvalidArgument:
        return None


def must_go_by_lane(case: Case, expected: Execution | None) -> bool:
    """Nothing about the order is unusual, no number is large or finer than its symbol."""
    order, quote, position = case.order, case.market, case.position
    if expected is None or expected.report.status is not OrderStatus.FILLED:
        return False
    assert isinstance(quote, Quote)
    bounded = order.reduce_only or any(
        value is not None
        for value in (order.limit_price, order.max_slippage_bps, order.trigger_price)
    )
    plain_filters = quote.spec.quantity_step is None
    large = max([*map(int, quote.prices), *map(int, quote.available)], default=0)
    return (
        not bounded
        and plain_filters
        and large <= COMFORTABLE
        and position.quantity == position.entry_cost == position.realized_pnl == 0
    )


@settings(max_examples=600, deadline=None)
@given(orders_at_quotes(), st.booleans(), st.sampled_from([COMMITTED, CONFLICT, GONE]))
def test_the_lane_is_the_long_way_or_none(case: Case, consumes: bool, result: Any) -> None:
    order, quote = case.order, case.market
    assert isinstance(quote, Quote)
    world = World(consumes, case.fees)
    flat = Position(order.user_id, order.symbol)
    world.knowledge.chain(flat, case.position)
    shown = quote.available.tolist()
    expected = by_the_long_way(case)
    # Where somebody else was faster, and has left the position as this order would have.
    moved = case.position if expected is None else (expected.position or case.position)
    again = by_the_long_way(replace(case, position=moved))

    if not world.begin(order, quote):
        assert not must_go_by_lane(case, expected)
        assert (quote.available.tolist(), world.waiting, world.committing) == (shown, [], set())
        assert world.knowledge.recall(order.user_id, order.symbol) is case.position
        return

    assert expected is not None
    assert expected.report.status is OrderStatus.FILLED
    pending = waiting_as(world, case, expected, shown if consumes else None)

    world.queue.entries.clear()
    if result is CONFLICT:
        world.knowledge.correct(moved, pending.epoch)
    pending.answer(result)
    pending.answer(LedgerUnavailable("too late to matter"))
    assert not pending.waited_for
    if result is COMMITTED:
        assert (world.heard, world.left) == ([expected.report], [])
        assert (order.order_id in world.committing, order.order_id in world.committed) == (
            False,
            True,
        )
        return
    assert world.heard == []
    assert order.order_id in world.committing, "it goes on"
    if world.waiting:
        assert (result, world.left) == (CONFLICT, [])
        assert again is not None
        waiting_as(world, replace(case, position=moved), again, shown if consumes else None)
        return
    assert result is GONE or not must_go_by_lane(replace(case, position=moved), again)
    ((*told, _, why, attempts),) = world.left
    assert told == [order, quote, IN_TIME]
    assert (why, attempts) == (result, 1)
    assert quote.available.tolist() == shown


def waiting_as(world: World, case: Case, expected: Execution, shown: list[int] | None) -> Pending:
    """The one that waits, as it should; `shown` is what the quote had, None if nothing is taken."""
    order, quote = case.order, case.market
    assert isinstance(quote, Quote)
    (pending,) = world.waiting
    assert pending.deadline == 42.5
    entry = Entry(order.payload(), expected.report, case.position, expected.position)
    assert pending.entry == entry
    packed = pending.packed
    assert (packed.payload, packed.report, packed.keys, packed.arguments) == pack_entry(entry, "")
    assert world.knowledge.recall(order.user_id, order.symbol) == expected.position
    assert order.order_id in world.committing
    if shown is not None:
        taken = [*expected.taken, *[0] * (len(shown) - len(expected.taken))]
        left = [before - gone for before, gone in zip(shown, taken, strict=True)]
        assert quote.available.tolist() == left
    return pending


def test_who_loses_again_and_again_is_decided_again_and_then_left() -> None:
    world, quote = World(True, FeeRate()), plain_quote()
    assert world.begin(ORDER, quote)
    for attempt in (1, 2, 3):
        (pending,) = world.waiting
        world.queue.entries.clear()
        basis = pending.entry.basis
        assert basis is not None
        assert basis.version == attempt - 1
        assert quote.available.tolist() == [4_000], "taken once, however often it is tried"
        assert pending.entry.position is not None
        world.knowledge.correct(pending.entry.position, pending.epoch)
        assert world.left == []
        pending.answer(CONFLICT)
    ((*_, why, attempts),) = world.left
    assert (why, attempts, quote.available.tolist()) == (CONFLICT, 3, [5_000])


def test_who_lost_and_has_no_more_time_is_left_to_the_long_way() -> None:
    world, quote = World(True, FeeRate()), plain_quote()
    assert world.begin(ORDER, quote)
    (pending,) = world.waiting
    world.clock.advance(1)
    pending.answer(CONFLICT)
    ((order, *_, attempts),) = world.left
    assert (order, attempts, world.heard) == (ORDER, 1, [])
    assert "o-1" in world.committing


def test_a_second_attempt_that_fails_is_told_and_undone() -> None:
    world, quote = World(True, FeeRate()), plain_quote()
    assert world.begin(ORDER, quote)
    (pending,) = world.waiting
    world.queue.entries.clear()
    bug = RuntimeError("a bug")

    def fails() -> float:
        raise bug

    world.queue.time = fails
    pending.answer(CONFLICT)
    ((order, *_, why, attempts),) = world.left
    assert (order, why, attempts) == (ORDER, bug, 1)
    assert (world.waiting, quote.available.tolist(), world.committing) == ([], [5_000], set())


def test_whoever_waits_for_the_end_of_an_order_is_told() -> None:
    world = World(True, FeeRate())
    spec = SymbolSpec("X", 2, 3)
    levels = np.array([100], np.int64), np.array([5_000], np.int64)
    quote = Quote(spec, SnapshotRef("s"), *levels, 100)
    for number, waits in enumerate((False, True)):
        order = Order(f"o-{number}", "ann", "X", Direction.BUY, "1")
        assert world.begin(order, quote)
        if waits:
            world.waiters[order.order_id] = object()
        world.waiting[-1].answer(Committed())
    assert world.woken == ["o-1"]
    assert [isinstance(report, ExecutionReport) for report in world.heard] == [True, True]


def plain_quote(available: int = 5_000) -> Quote:
    levels = np.array([100], np.int64), np.array([available], np.int64)
    return Quote(SymbolSpec("X", 2, 3), SnapshotRef("s"), *levels, 100)


ORDER = Order("o-1", "ann", "X", Direction.BUY, "1")


def test_a_new_order_meets_the_newest_book() -> None:
    world = World(True, FeeRate())
    quote = plain_quote()
    world.show("X", quote)
    assert world.lane.submit(ORDER, None, world.heard.append)
    (pending,) = world.waiting
    assert pending.entry.report.status is OrderStatus.FILLED
    assert quote.available.tolist() == [4_000]
    assert len(world.stirred) == 1


@pytest.mark.parametrize(
    "why", ["committing", "committed", "no book", "unusable book", "too little time", "too little"]
)
def test_an_order_that_is_not_new_or_has_no_book_or_no_time_is_left_alone(why: str) -> None:
    world = World(True, FeeRate())
    quote = plain_quote(999 if why == "too little" else 5_000)
    world.show("X", quote)
    if why == "committing":
        world.committing.add("o-1")
    elif why == "committed":
        world.committed.add("o-1")
    elif why == "no book":
        world.snapshots.clear()
    elif why == "unusable book":
        world.show("X", Unusable(SymbolSpec("X"), Reason.BAD_BOOK, "crossed"))
    shown, committing = quote.available.tolist(), set(world.committing)
    deadline = IN_TIME - 1 if why == "too little time" else IN_TIME
    assert not world.lane.submit(ORDER, deadline, world.heard.append)
    assert (world.waiting, world.stirred, world.heard) == ([], [], [])
    assert (quote.available.tolist(), world.committing) == (shown, committing)
    assert world.knowledge.recall("ann", "X") == Position("ann", "X")


class Asker:
    """Who waits for the answer to an order."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.failures: list[Exception] = []
        self.reply, self.fail = self.replies.append, self.failures.append


def test_whoever_asked_gets_the_bytes_and_the_order_is_counted() -> None:
    world, under_way, outcomes = World(True, FeeRate()), UnderWay(10), Outcomes()
    world.show("X", plain_quote())
    askers = [Asker() for _ in range(4)]
    under_way.count = len(askers)
    for number, asker in enumerate(askers):
        order = replace(ORDER, order_id=f"o-{number}")
        assert world.lane.submit(order, None, Finish(under_way, outcomes, asker))
    pendings = world.waiting
    answer_all(pendings[:2], Committed())
    for pending, asker in zip(pendings[:2], askers, strict=False):
        assert asker.replies == [report_bytes(pending.entry.report)]
    assert (under_way.count, outcomes.orders) == (2, 2)
    pendings[2].answer(GONE)
    *_, done, result, _ = world.left[0]
    assert (result, askers[2].replies, under_way.count) == (GONE, [], 2), "it goes on"
    assert isinstance(done, Finish)
    done(replace(REPORT, reason=Reason.NO_LIQUIDITY))
    failure = LedgerUnavailable("gone")
    Finish(under_way, outcomes, askers[3])(failure)
    assert (askers[3].replies, askers[3].failures) == ([], [failure])
    assert (under_way.count, outcomes.orders) == (0, 3), "a failure is no order that was answered"
    filled = int(OrderStatus.FILLED), int(pendings[0].entry.report.reason)
    rejected = int(OrderStatus.REJECTED), int(Reason.NO_LIQUIDITY)
    assert sorted(outcomes.items()) == sorted([(filled, 2), (rejected, 1)])


def test_a_queue_that_is_shut_or_full_refuses_and_takes_what_is_added_all_the_same() -> None:
    world = World(True, FeeRate())
    pendings = [pending_of(number) for number in range(12)]
    for pending in pendings[:11]:
        world.queue.put(pending)
    assert (world.waiting, world.refused) == (pendings[:10], [pendings[10]])
    assert len(world.stirred) == 10, "nobody said that he is awake"
    world.queue.entries.clear()
    world.queue.open = False
    world.queue.put(pendings[0])
    assert (world.waiting, world.refused) == ([], [pendings[10], pendings[0]])
    world.queue.add(pendings[1])
    assert (world.waiting, len(world.stirred)) == ([pendings[1]], 11)


def test_who_is_awake_is_stirred_by_those_alone_that_are_many() -> None:
    world = World(True, FeeRate())
    world.queue.awake = True
    for number in range(7):
        world.queue.put(pending_of(number))
    assert len(world.stirred) == 3, "the fifth, the sixth and the seventh"


def pending_of(number: int) -> Pending:
    entry = Entry(str(number), REPORT)
    return Pending(entry, _order.pack(entry, "", "ORDER:", "POSITION:"), 0, lambda _: None)


def test_what_cannot_be_published_is_left_to_the_long_way() -> None:
    world = World(True, FeeRate())
    levels = np.array([100], np.int64), np.array([5_000], np.int64)
    quote = Quote(SymbolSpec("X", 2, 3), SnapshotRef("s", best_bid="no number"), *levels, 100)
    order = Order("o-1", "ann", "X", Direction.BUY, "1")
    assert not world.begin(order, quote)
    assert (world.waiting, world.committing, quote.available.tolist()) == ([], set(), [5_000])
    assert world.knowledge.recall("ann", "X") == Position("ann", "X")


def test_one_who_fails_to_hear_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a mistake of ours")

    heard: list[object] = []
    entry = Entry("p", REPORT)
    packed = _order.pack(entry, "", "ORDER:", "POSITION:")
    batch = [Pending(entry, packed, 0, done) for done in (fails, heard.append)]
    answer_all(batch, Committed())
    assert heard == [Committed()]
    assert "a mistake of ours" in caplog.text


names = st.sampled_from("abc")
operations = st.lists(
    st.tuples(st.sampled_from(["recall", "chain", "stray", "correct"]), names, st.integers(0, 30)),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(operations)
def test_positions_are_believed_as_the_twin_believes_them(
    steps: list[tuple[str, str, int]],
) -> None:
    mine, other = PositionKnowledge(100), twin.positions.PositionKnowledge(100)
    epochs: list[tuple[int, int]] = []
    for number, (what, user, choice) in enumerate(steps):
        basis = mine.recall(user, "X")
        assert basis == other.recall(user, "X")
        moved = Position(user, "X", quantity=number, version=basis.version + 1)
        outcome = None if choice % 5 == 0 else moved
        if what == "chain":
            epochs.append((mine.chain(basis, outcome), other.chain(basis, outcome)))
        elif what == "stray":
            stray = replace(basis, quantity=basis.quantity + 10**6)
            epochs.append((mine.chain(stray, outcome), other.chain(stray, outcome)))
        elif what == "correct" and epochs:
            epoch, twin_epoch = epochs[choice % len(epochs)]
            mine.correct(moved, epoch)
            other.correct(moved, twin_epoch)
        assert [a == b for a, b in epochs] == [True] * len(epochs)
    for user in "abc":
        assert mine.recall(user, "X") == other.recall(user, "X")
