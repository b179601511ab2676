"""The simulated world keeps the contracts of ports, and fails only when told to."""

import asyncio
from collections import Counter

import numpy as np
import pytest
from builders import BUY, SELL, order, quote

from execution.engine import execute
from execution.errors import LedgerRefused, LedgerUnavailable, StaleBook, SymbolServiceUnavailable
from execution.model import Direction, Position, SymbolSpec
from execution.ports import CommitResult, Committed, Conflict, Entry, Ledger, Record, Stored
from execution.settlement import FeeRate
from execution.testing import (
    Asked,
    Fault,
    FaultScript,
    SeededFaults,
    SimulatedBooks,
    SimulatedClock,
    SimulatedLedger,
    SimulatedStore,
    book_snapshot,
)


def entry(
    ledger: Ledger, order_id: str = "o-1", direction: Direction = BUY, quantity: str = "1"
) -> Entry:
    """A filled order, as the executor makes it on what the ledger recalls now."""
    asked = order(direction, quantity, order_id=order_id)
    basis = ledger.recall(asked.user_id, asked.symbol)
    ran = execute(asked, quote(direction), basis, FeeRate(), now_ns=1)
    return Entry(asked.payload(), ran.report, basis, ran.position)


def rejection(order_id: str = "o-1") -> Entry:
    """An order that met an empty book: it rests on no position and moves none."""
    asked = order(order_id=order_id)
    report = execute(asked, quote(BUY, ()), Position("ann", "BTC-USDT"), FeeRate(), 1).report
    return Entry(asked.payload(), report)


def begin(ledger: SimulatedLedger, given: Entry) -> asyncio.Task[CommitResult]:
    return asyncio.ensure_future(ledger.commit(given))


# --- the clock


def test_the_clock_stands_still_until_it_is_advanced() -> None:
    clock = SimulatedClock(time_ns=10, monotonic_ns=3)
    assert [(clock.time_ns(), clock.monotonic_ns()) for _ in range(3)] == [(10, 3)] * 3
    clock.advance(5)
    assert (clock.time_ns(), clock.monotonic_ns()) == (15, 8)


def test_only_the_wall_clock_can_go_back() -> None:
    clock = SimulatedClock(time_ns=10, monotonic_ns=3)
    clock.set_time(1)
    assert (clock.time_ns(), clock.monotonic_ns()) == (1, 3)
    with pytest.raises(ValueError, match="cannot advance by -1 ns"):
        clock.advance(-1)


# --- the books


async def test_a_book_is_shown_until_the_next_one() -> None:
    books = SimulatedBooks()
    first = books.set_book("X", bids=[("1.5", "2")], asks=[("2", "3")])
    assert await books.snapshot("X", 7) is first
    second = books.set_book("X", asks=[("3", "1")])
    assert await books.snapshot("X", 8) is second
    assert (first.sequence, second.sequence) == (1, 2)
    assert books.asked == [Asked("X", 7), Asked("X", 8)]


async def test_levels_are_read_at_the_scales_of_the_symbol_which_stay() -> None:
    books = SimulatedBooks()
    books.set_book("X", bids=[("1.5", "2")], spec=SymbolSpec("X", 1, 0))
    shown = books.set_book("X", bids=[("1.4", "9"), ("1.3", "0")], sequence=77)
    assert (shown.bid_prices.tolist(), shown.bid_quantities.tolist()) == ([14, 13], [9, 0])
    assert shown.ask_prices.dtype == np.dtype(np.int64)
    assert shown.sequence == 77
    with pytest.raises(ValueError, match="more than 1 decimals"):
        books.set_book("X", bids=[("1.55", "1")])


async def test_an_unknown_or_delisted_symbol_has_no_book() -> None:
    books = SimulatedBooks()
    assert await books.snapshot("X", 0) is None
    books.set_book("X")
    books.forget("X")
    assert await books.snapshot("X", 0) is None


async def test_a_book_without_a_sequence_is_another_snapshot_for_every_question() -> None:
    books = SimulatedBooks()
    books.put(book_snapshot(SymbolSpec("X"), asks=[("1", "1")]))
    assert await books.snapshot("X", 0) is not await books.snapshot("X", 0)


async def test_a_failing_source_fails_every_question_until_it_is_healed() -> None:
    books = SimulatedBooks()
    books.set_book("X")
    books.fail(StaleBook("too old", {"age_ms": "600"}))
    for _ in range(2):
        with pytest.raises(StaleBook, match="too old") as caught:
            await books.snapshot("X", 0)
        assert caught.value.metadata == {"age_ms": "600"}
    books.fail(None)
    assert await books.snapshot("X", 0) is not None


async def test_a_held_question_is_answered_when_and_as_the_test_says() -> None:
    books = SimulatedBooks()
    books.set_book("X")
    books.hold()
    asked = [asyncio.create_task(books.snapshot("X", n)) for n in range(3)]
    await books.arrivals.reached(3)
    newest = books.set_book("X", asks=[("1", "1")])
    books.pending[1].fail()
    books.pending[0].reply()
    with pytest.raises(SymbolServiceUnavailable):
        await asked[1]
    assert await asked[0] is newest
    assert not asked[2].done()
    books.release()
    assert await asked[2] is newest
    assert await books.snapshot("X", 9) is newest, "nothing waits any more"


async def test_a_question_whose_caller_left_is_no_longer_pending() -> None:
    books = SimulatedBooks()
    books.hold()
    asked = asyncio.create_task(books.snapshot("X", 0))
    await books.arrivals.reached(1)
    question = books.pending[0]
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert books.pending == ()
    question.reply()
    assert question.answer.cancelled()


# --- the ledger: what only a simulated one can do (its contract: test_ledger_contract.py)


@pytest.mark.parametrize(
    ("fault", "error", "kept"),
    [
        (Fault.LOST_BEFORE, LedgerUnavailable, False),
        (Fault.LOST_AFTER, LedgerUnavailable, True),
        (Fault.REFUSED, LedgerRefused, False),
    ],
)
async def test_an_injected_fault_fails_one_commit(
    fault: Fault, error: type[Exception], *, kept: bool
) -> None:
    ledger = SimulatedLedger()
    ledger.inject(fault)
    with pytest.raises(error):
        await ledger.commit(entry(ledger))
    assert ("o-1" in ledger.store.orders) is kept
    # What the process predicted is gone; if it was kept after all, a conflict will tell.
    assert ledger.recall("ann", "BTC-USDT").version == 0
    second = await ledger.commit(entry(ledger, "o-2"))
    assert second == (Conflict() if kept else Committed())
    assert ledger.recall("ann", "BTC-USDT").version == 1


async def test_an_injected_conflict_waits_for_a_commit_that_rests_on_a_position() -> None:
    ledger = SimulatedLedger()
    ledger.inject(Fault.CONFLICT)
    assert await ledger.commit(rejection("o-1")) == Committed()
    assert await ledger.commit(entry(ledger, "o-2")) == Conflict()
    assert await ledger.commit(entry(ledger, "o-2")) == Committed()
    assert list(ledger.store.orders) == ["o-1", "o-2"]


async def test_a_held_commit_reaches_the_store_and_its_caller_when_the_test_says() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = begin(ledger, entry(ledger))
    await ledger.arrivals.reached(1)
    (pending,) = ledger.pending
    assert (pending.result, ledger.store.history) == (None, [])
    pending.apply()
    assert pending.result == Committed()
    assert len(ledger.store.history) == 1
    assert not waiting.done()
    pending.reply()
    assert await waiting == Committed()
    assert ledger.pending == ()
    assert len(ledger.store.history) == 1


async def test_what_a_caller_gave_up_may_still_arrive() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = begin(ledger, entry(ledger))
    await ledger.arrivals.reached(1)
    (pending,) = ledger.pending
    pending.lose()
    with pytest.raises(LedgerUnavailable):
        await waiting
    assert ledger.store.history == []
    pending.apply()
    assert list(ledger.store.orders) == ["o-1"]


async def test_a_refused_commit_never_arrives_later() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = begin(ledger, entry(ledger))
    await ledger.arrivals.reached(1)
    (pending,) = ledger.pending
    pending.refuse()
    pending.apply()
    pending.reply()
    with pytest.raises(LedgerRefused):
        await waiting
    assert (pending.result, ledger.store.history) == (None, [])


async def test_a_commit_that_reached_the_store_cannot_be_refused_or_conflict() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = begin(ledger, entry(ledger))
    await ledger.arrivals.reached(1)
    (pending,) = ledger.pending
    pending.apply()
    with pytest.raises(RuntimeError, match="has reached the store"):
        pending.refuse()
    with pytest.raises(RuntimeError, match="has reached the store"):
        pending.conflict()
    ledger.release()
    assert await waiting == Committed()


async def test_a_commit_whose_caller_left_can_still_be_applied_and_answered() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = begin(ledger, entry(ledger))
    await ledger.arrivals.reached(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (pending,) = ledger.pending
    pending.reply()
    assert ledger.pending == ()
    assert ledger.recall("ann", "BTC-USDT").version == 1


async def test_what_is_still_under_way_is_recalled_after_what_it_builds_on_is_answered() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    waiting = []
    for number in (1, 2):
        waiting.append(begin(ledger, entry(ledger, f"o-{number}")))
        await ledger.arrivals.reached(number)
    ledger.pending[0].reply()
    assert await waiting[0] == Committed()
    assert ledger.recall("ann", "BTC-USDT").version == 2
    ledger.release()
    assert await waiting[1] == Committed()


async def test_answers_out_of_order_do_not_turn_back_what_is_known() -> None:
    ledger = SimulatedLedger()
    ledger.hold()
    first = begin(ledger, entry(ledger, "o-1"))
    await ledger.arrivals.reached(1)
    second = begin(ledger, entry(ledger, "o-2"))
    await ledger.arrivals.reached(2)
    for pending in ledger.pending:
        pending.apply()
    for pending in reversed(ledger.pending):
        pending.reply()
    assert [await first, await second] == [Committed()] * 2
    assert ledger.recall("ann", "BTC-USDT") == ledger.store.position("ann", "BTC-USDT")


async def test_a_ledger_that_is_not_connected_answers_nothing() -> None:
    ledger = SimulatedLedger()
    given = entry(ledger)
    ledger.connected = False
    for call in (ledger.commit(given), ledger.order("o-1"), ledger.position("ann", "X")):
        with pytest.raises(LedgerUnavailable):
            await call
    ledger.connected = True
    assert await ledger.commit(given) == Committed()


async def test_a_new_ledger_on_an_old_store_is_a_restart_that_lost_nothing() -> None:
    store = SimulatedStore()
    before = SimulatedLedger(store)
    await before.commit(entry(before))
    after = SimulatedLedger(store)
    assert await after.order("o-1") == await before.order("o-1")
    assert after.recall("ann", "BTC-USDT").version == 0, "it has not seen it yet"
    assert (await after.position("ann", "BTC-USDT")).version == 1


async def test_history_holds_every_write_in_its_order() -> None:
    ledger = SimulatedLedger()
    given = [entry(ledger, "o-1"), rejection("o-2"), rejection("o-3"), rejection("o-2")]
    await asyncio.gather(*(ledger.commit(each) for each in given))
    assert [record.report.order_id for record in ledger.store.history] == ["o-1", "o-2", "o-3"]
    assert ledger.store.history[1] == Record(given[1].payload, given[1].report)


async def test_a_position_that_does_not_follow_from_its_basis_is_refused_loudly() -> None:
    ledger = SimulatedLedger()
    given = entry(ledger)
    baseless = Entry(given.payload, given.report, None, given.position)
    with pytest.raises(ValueError, match="names the position it rests on"):
        ledger.store.apply(baseless)


async def test_a_stored_answer_tells_the_present_position() -> None:
    store = SimulatedStore()
    one, two = SimulatedLedger(store), SimulatedLedger(store)
    await one.commit(entry(one, "o-1"))
    await one.commit(entry(one, "o-2", SELL))
    assert isinstance(await two.commit(entry(two, "o-1")), Stored)
    assert two.recall("ann", "BTC-USDT").version == 2


# --- faults


def test_a_script_of_faults_ends() -> None:
    script = FaultScript(Fault.REFUSED, Fault.LOST_AFTER)
    assert [script.next_fault(rejection()) for _ in range(3)] == [
        Fault.REFUSED,
        Fault.LOST_AFTER,
        Fault.NONE,
    ]


def drawn(seed: int, rate: float, count: int = 2_000) -> list[Fault]:
    faults, given = SeededFaults(seed, rate), entry(SimulatedLedger())
    return [faults.next_fault(given) for _ in range(count)]


def test_the_same_seed_draws_the_same_faults() -> None:
    assert drawn(seed=3, rate=0.3) == drawn(seed=3, rate=0.3)
    assert drawn(seed=3, rate=0.3) != drawn(seed=4, rate=0.3)


def test_faults_come_at_their_rate_and_of_every_kind() -> None:
    counted = Counter(drawn(seed=3, rate=0.4))
    assert set(counted) == set(Fault)
    assert 700 < sum(counted[fault] for fault in Fault if fault is not Fault.NONE) < 900
    assert set(drawn(seed=3, rate=0)) == {Fault.NONE}
    assert Fault.NONE not in drawn(seed=3, rate=1)


def test_what_rests_on_no_position_meets_no_drawn_conflict() -> None:
    faults = SeededFaults(seed=3, rate=1)
    met = {faults.next_fault(rejection()) for _ in range(200)}
    assert met == set(Fault) - {Fault.CONFLICT}


async def test_seeded_faults_befall_the_commits_of_a_ledger() -> None:
    ledger = SimulatedLedger(faults=SeededFaults(seed=1, rate=1))
    ledger.inject(Fault.REFUSED)  # a script comes first
    with pytest.raises(LedgerRefused):
        await ledger.commit(rejection())
    answers = await asyncio.gather(
        *(ledger.commit(entry(ledger, f"o-{n}")) for n in range(20)), return_exceptions=True
    )
    assert Committed() not in answers
    assert {type(answer) for answer in answers} == {LedgerUnavailable, LedgerRefused, Conflict}
