"""The one path of an order: book, decision, commit, answer; and what each failure leaves."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

import pytest
from builders import BUY, SELL, SPEC, order

from execution.commitments import ATTEMPTS_MAX
from execution.errors import (
    DeadlineTooShort,
    ExecutionError,
    InvalidArgument,
    LedgerRefused,
    LedgerUnavailable,
    OrderIdReused,
    OrderNotFound,
    PositionContended,
    StaleBook,
    SymbolServiceUnavailable,
    Unavailable,
)
from execution.executor import Executor, Terms
from execution.model import ExecutionReport, Order, OrderStatus, Position, Quote, Reason, Snapshot
from execution.pricing import Liquidity
from execution.settlement import FeeRate
from execution.testing import Asked, Fault, SimulatedBooks, SimulatedClock, SimulatedLedger

RESERVE_NS = 1_000
FULL = [10_000, 10_000]


class World:
    """One executor and all it stands on: 10 to be had at 100, 10 at 101."""

    def __init__(self, ledger: SimulatedLedger | None = None) -> None:
        self.books = SimulatedBooks()
        self.ledger = ledger or SimulatedLedger()
        self.liquidity = Liquidity()
        self.clock = SimulatedClock(time_ns=5_000_000, monotonic_ns=100)
        terms = Terms(FeeRate.from_bps("1"), commit_reserve_ns=RESERVE_NS)
        self.executor = Executor(self.books, self.ledger, self.liquidity, self.clock, terms)
        self.shown = self.show()

    def show(self) -> Snapshot:
        bids, asks = [("99", "10"), ("98", "10")], [("100", "10"), ("101", "10")]
        self.shown = self.books.set_book("BTC-USDT", bids, asks, spec=SPEC)
        return self.shown

    async def execute(self, asked: Order) -> ExecutionReport:
        return await self.executor.execute(asked)

    def left(self) -> list[int]:
        """What is left of the asks, in thousandths."""
        quote = self.liquidity.quote(self.shown, BUY)
        assert isinstance(quote, Quote)
        return list(quote.available.tolist())

    def written(self, order_id: str = "o-1") -> ExecutionReport | None:
        record = self.ledger.store.orders.get(order_id)
        return record.report if record else None


@pytest.fixture
def world() -> World:
    return World()


async def error_of(call: Awaitable[ExecutionReport]) -> ExecutionError:
    """What the call failed with."""
    with pytest.raises(ExecutionError) as caught:
        await call
    return caught.value


async def test_an_order_is_executed_committed_and_answered_from_what_was_committed(
    world: World,
) -> None:
    report = await world.execute(order(BUY, "12"))
    assert (report.status, report.average_price) == (OrderStatus.FILLED, "100.1666666667")
    assert (report.fee, report.transact_time_ns) == ("0.1202", 5_000_000)
    assert world.written() == report
    assert world.left() == [0, 8_000]


async def test_the_book_is_asked_for_after_the_order_arrived(world: World) -> None:
    world.clock.advance(23)
    await world.execute(order())
    assert world.books.asked == [Asked("BTC-USDT", 123)]


async def test_the_position_is_committed_with_the_order_and_can_be_asked_for(world: World) -> None:
    await world.execute(order(BUY, "3"))
    await world.execute(order(SELL, "1", order_id="o-2"))
    position = await world.executor.position("ann", "BTC-USDT")
    assert (position.quantity, position.version) == (2 * 10**18, 2)
    assert position.realized_pnl == -1 * 10**36


async def test_an_unknown_position_is_flat_and_no_error(world: World) -> None:
    assert await world.executor.position("bob", "X") == Position("bob", "X")


async def test_an_order_can_be_asked_for_by_its_user_alone(world: World) -> None:
    report = await world.execute(order())
    assert await world.executor.order("o-1", "ann") == report
    assert isinstance(await error_of(world.executor.order("o-1", "bob")), OrderNotFound)
    assert isinstance(await error_of(world.executor.order("o-9", "ann")), OrderNotFound)


async def test_a_repeated_order_gets_the_first_report_though_the_book_moved(world: World) -> None:
    first = await world.execute(order(BUY, "3"))
    world.books.set_book("BTC-USDT", asks=[("200", "1")])
    world.clock.advance(1_000)
    assert await world.execute(order(BUY, "3", received_time_ns=99)) == first
    assert len(world.ledger.store.history) == 1


async def test_a_repeated_order_takes_no_liquidity(world: World) -> None:
    for _ in range(3):
        await world.execute(order(BUY, "3"))
    assert world.left() == [7_000, 10_000]


@pytest.mark.parametrize("other", [order(BUY, "4"), order(BUY, "3", user_id="bob")])
async def test_an_id_used_for_another_order_or_user_is_refused(world: World, other: Order) -> None:
    first = await world.execute(order(BUY, "3"))
    error = await error_of(world.execute(other))
    assert isinstance(error, OrderIdReused)
    assert world.written() == first
    assert world.left() == [7_000, 10_000]


async def test_an_unknown_symbol_is_a_rejection_on_record(world: World) -> None:
    report = await world.execute(order(symbol="NOPE"))
    assert (report.status, report.reason) == (OrderStatus.REJECTED, Reason.UNKNOWN_SYMBOL)
    assert world.written() == report


async def test_a_symbol_listed_later_works(world: World) -> None:
    await world.execute(order(symbol="NEW"))
    world.books.set_book("NEW", asks=[("5", "1")])
    report = await world.execute(order(symbol="NEW", order_id="o-2"))
    assert report.status is OrderStatus.FILLED


async def test_a_bad_book_is_a_rejection_on_record(world: World) -> None:
    world.books.set_book("BTC-USDT", bids=[("101", "1")], asks=[("100", "1")])
    report = await world.execute(order())
    assert report.reason is Reason.BAD_BOOK
    assert world.written() == report


@pytest.mark.parametrize("error", [SymbolServiceUnavailable("down"), StaleBook("too old")])
async def test_without_a_book_nothing_is_recorded_and_the_retry_executes(
    world: World, error: Unavailable
) -> None:
    world.books.fail(error)
    assert type(await error_of(world.execute(order()))) is type(error)
    assert world.ledger.store.history == []
    world.books.fail(None)
    assert (await world.execute(order())).status is OrderStatus.FILLED


async def test_a_retry_is_answered_also_while_there_is_no_book(world: World) -> None:
    first = await world.execute(order())
    world.books.fail(StaleBook("too old"))
    assert await world.execute(order()) == first
    assert isinstance(await error_of(world.execute(order(quantity="2"))), OrderIdReused)


async def test_without_book_and_ledger_the_caller_hears_of_the_book(world: World) -> None:
    world.books.fail(StaleBook("too old"))
    world.ledger.connected = False
    error = await error_of(world.execute(order()))
    assert isinstance(error, StaleBook)
    assert isinstance(error.__cause__, LedgerUnavailable)


async def test_a_number_finer_than_the_scale_is_an_error_and_not_recorded(world: World) -> None:
    error = await error_of(world.execute(order(quantity="0.0001")))
    assert isinstance(error, InvalidArgument)
    assert world.ledger.store.history == []


async def test_a_retry_is_answered_also_after_the_scale_became_coarser(world: World) -> None:
    first = await world.execute(order(quantity="0.125"))
    world.books.set_book("BTC-USDT", asks=[("100", "10")], spec=replace(SPEC, quantity_decimals=1))
    assert await world.execute(order(quantity="0.125")) == first


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.LOST_BEFORE, LedgerUnavailable), (Fault.REFUSED, LedgerRefused)],
)
async def test_a_commit_that_failed_gives_its_liquidity_back_and_the_retry_executes(
    world: World, fault: Fault, kind: type[ExecutionError]
) -> None:
    world.ledger.inject(fault)
    assert isinstance(await error_of(world.execute(order(BUY, "10"))), kind)
    assert world.ledger.store.history == []
    assert world.left() == FULL
    assert (await world.execute(order(BUY, "10"))).average_price == "100"


async def test_a_commit_whose_answer_was_lost_is_found_by_the_retry(world: World) -> None:
    world.ledger.inject(Fault.LOST_AFTER)
    assert isinstance(await error_of(world.execute(order(BUY, "10"))), LedgerUnavailable)
    written = world.written()
    assert await world.execute(order(BUY, "10")) == written
    assert len(world.ledger.store.history) == 1


async def test_a_conflict_is_recomputed_on_the_same_book(world: World) -> None:
    world.ledger.hold()
    ran = asyncio.create_task(world.execute(order(BUY, "10")))
    await world.ledger.arrivals.reached(1)
    world.show()  # a newer book, which the order must not meet
    world.ledger.pending[0].conflict()
    await world.ledger.arrivals.reached(2)
    world.ledger.release()
    report = await ran
    assert report.snapshot is not None
    assert report.snapshot.sequence == 1
    assert len(world.books.asked) == 1


async def test_a_conflict_is_recomputed_on_the_position_that_won() -> None:
    world = World()
    rival = World(SimulatedLedger(world.ledger.store))  # another replica, the same Redis
    await world.execute(order(BUY, "5"))
    await rival.execute(order(SELL, "3", order_id="o-2"))
    report = await world.execute(order(SELL, "5", order_id="o-3", reduce_only=True))
    assert (report.effective_quantity, report.reason) == ("2", Reason.REDUCE_ONLY_CAPPED)
    position = world.ledger.store.position("ann", "BTC-USDT")
    assert (position.quantity, position.version) == (0, 3)


async def test_a_contended_position_is_given_up_after_the_last_attempt(world: World) -> None:
    world.ledger.inject(*[Fault.CONFLICT] * ATTEMPTS_MAX)
    error = await error_of(world.execute(order(BUY, "10")))
    assert isinstance(error, PositionContended)
    assert world.ledger.arrivals.count == 1 + 8, "SEMANTICS.md: recomputed at most 8 times"
    assert world.written() is None
    assert world.left() == FULL


async def test_the_last_attempt_may_succeed(world: World) -> None:
    world.ledger.inject(*[Fault.CONFLICT] * (ATTEMPTS_MAX - 1))
    assert (await world.execute(order(BUY, "10"))).status is OrderStatus.FILLED
    assert world.left() == [0, 10_000]


async def test_two_orders_in_flight_never_get_the_same_quantity(world: World) -> None:
    world.ledger.hold()
    first = asyncio.create_task(world.execute(order(BUY, "10")))
    second = asyncio.create_task(world.execute(order(BUY, "10", order_id="o-2", user_id="bob")))
    await world.ledger.arrivals.reached(2)
    world.ledger.release()
    assert ((await first).average_price, (await second).average_price) == ("100", "101")


async def test_orders_of_one_user_in_flight_build_on_each_other(world: World) -> None:
    reports = await asyncio.gather(
        *(world.execute(order(BUY, "2", order_id=f"o-{n}")) for n in range(5))
    )
    assert [report.status for report in reports] == [OrderStatus.FILLED] * 5
    assert world.ledger.arrivals.count == 5, "no conflict: each rests on the one before it"
    assert world.ledger.store.position("ann", "BTC-USDT").version == 5


async def test_one_id_from_many_connections_at_once_executes_once(world: World) -> None:
    reports = await asyncio.gather(*(world.execute(order(BUY, "3")) for _ in range(20)))
    assert reports == [world.written()] * 20
    assert len(world.ledger.store.history) == 1
    assert world.left() == [7_000, 10_000]


async def test_a_retry_takes_no_liquidity_from_others_not_even_for_a_moment(world: World) -> None:
    world.ledger.hold()
    calls = [asyncio.create_task(world.execute(order(BUY, "10"))) for _ in range(3)]
    await world.ledger.arrivals.reached(1)
    other = asyncio.create_task(world.execute(order(BUY, "10", order_id="o-2", user_id="bob")))
    await world.ledger.arrivals.reached(2)
    world.ledger.release()
    assert (await other).average_price == "101"
    assert await asyncio.gather(*calls) == [world.written()] * 3


async def test_a_retry_of_a_committed_order_is_read_and_not_committed_again(world: World) -> None:
    first = await world.execute(order(BUY, "3"))
    assert await world.execute(order(BUY, "3")) == first
    assert world.ledger.arrivals.count == 1


async def test_a_retry_that_is_no_longer_remembered_is_found_by_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("execution.executor.COMMITTED_MAX", 2)
    world = World()
    first = await world.execute(order(BUY, "3"))
    for number in (2, 3):
        await world.execute(order(BUY, "1", order_id=f"o-{number}"))
    assert await world.execute(order(BUY, "3")) == first
    assert world.ledger.arrivals.count == 4
    assert len(world.ledger.store.history) == 3
    await world.execute(order(BUY, "1", order_id="o-3"))
    assert world.ledger.arrivals.count == 4, "the last two are remembered"


async def test_a_retry_whose_record_is_gone_executes(world: World) -> None:
    await world.execute(order(BUY, "3"))
    world.ledger.store.orders.clear()  # Redis came back empty
    world.ledger.store.positions.clear()
    world.show()
    assert (await world.execute(order(BUY, "3"))).status is OrderStatus.FILLED
    assert world.written() is not None


async def test_a_retry_that_waited_for_a_commit_that_failed_executes_on_a_newer_book(
    world: World,
) -> None:
    world.ledger.hold()
    calls = [asyncio.create_task(world.execute(order(BUY, "10"))) for _ in range(2)]
    await world.ledger.arrivals.reached(1)
    newer = world.show()
    world.ledger.pending[0].lose()
    await world.ledger.arrivals.reached(2)
    world.ledger.release()
    assert isinstance(await error_of(calls[0]), LedgerUnavailable)
    report = await calls[1]
    assert report.snapshot is not None
    assert report.snapshot.sequence == newer.sequence, "the book it came with has aged meanwhile"
    assert world.left() == [0, 10_000]


async def test_a_retry_that_goes_away_does_not_take_the_first_call_with_it(world: World) -> None:
    world.ledger.hold()
    first, retry = (asyncio.create_task(world.execute(order(BUY, "3"))) for _ in range(2))
    await world.ledger.arrivals.reached(1)
    retry.cancel()
    with pytest.raises(asyncio.CancelledError):
        await retry
    world.ledger.release()
    assert await first == world.written()


@pytest.mark.parametrize(("left_ns", "sent"), [(RESERVE_NS, True), (RESERVE_NS - 1, False)])
async def test_an_order_without_time_for_its_commit_is_not_sent(
    world: World, left_ns: int, *, sent: bool
) -> None:
    call = world.executor.execute(order(BUY, "10"), deadline_ns=100 + left_ns)
    if sent:
        assert (await call).status is OrderStatus.FILLED
        return
    assert isinstance(await error_of(call), DeadlineTooShort)
    assert world.ledger.arrivals.count == 0
    assert world.left() == FULL


async def test_time_spent_waiting_for_the_book_counts(world: World) -> None:
    world.books.hold()
    call = asyncio.create_task(world.executor.execute(order(), deadline_ns=100 + 2 * RESERVE_NS))
    await world.books.arrivals.reached(1)
    world.clock.advance(2 * RESERVE_NS)
    world.books.release()
    assert isinstance(await error_of(call), DeadlineTooShort)


async def test_time_spent_on_conflicts_counts(world: World) -> None:
    world.ledger.hold()
    call = asyncio.create_task(world.executor.execute(order(), deadline_ns=100 + 2 * RESERVE_NS))
    await world.ledger.arrivals.reached(1)
    world.clock.advance(2 * RESERVE_NS)
    world.ledger.pending[0].conflict()
    assert isinstance(await error_of(call), DeadlineTooShort)
    assert world.ledger.arrivals.count == 1


async def test_a_caller_that_goes_away_does_not_stop_the_commit(world: World) -> None:
    world.ledger.hold()
    call = asyncio.create_task(world.execute(order(BUY, "10")))
    await world.ledger.arrivals.reached(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    world.ledger.release()
    await world.executor.drain()
    assert world.written() is not None
    assert world.left() == [0, 10_000]


async def test_a_caller_that_goes_away_before_the_book_comes_leaves_nothing(world: World) -> None:
    world.books.hold()
    call = asyncio.create_task(world.execute(order()))
    await world.books.arrivals.reached(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert world.books.pending == ()
    assert (world.ledger.arrivals.count, world.left()) == (0, FULL)


async def test_an_abandoned_commit_that_fails_gives_back_and_disturbs_nobody(world: World) -> None:
    world.ledger.hold()
    call = asyncio.create_task(world.execute(order(BUY, "10")))
    await world.ledger.arrivals.reached(1)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    world.ledger.pending[0].lose()
    await world.executor.drain()
    assert (world.written(), world.left()) == (None, FULL)


async def test_draining_waits_for_every_commit_that_was_begun(world: World) -> None:
    world.ledger.hold()
    calls = [asyncio.create_task(world.execute(order(order_id=f"o-{n}"))) for n in range(3)]
    await world.ledger.arrivals.reached(3)
    drain = asyncio.create_task(world.executor.drain())
    world.ledger.pending[0].reply()
    await calls[0]
    assert not drain.done()
    world.ledger.release()
    await drain
    assert len(world.ledger.store.history) == 3
    await asyncio.gather(*calls)


async def test_an_idle_executor_is_drained_at_once(world: World) -> None:
    await world.executor.drain()
    assert world.ledger.arrivals.count == 0
