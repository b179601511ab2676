"""The one asynchronous path of an order: book, decision, commit, answer.

Joins price discovery and execution, which do not know each other. Waits twice,
for the book and for the commit, and shares both waits with its neighbours.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from execution._order import Lane, Recent
from execution.commitments import ATTEMPTS_MAX, Commitments, Keeping, Kept
from execution.engine import TRADE_NAMESPACE, Execution, execute
from execution.errors import (
    ExecutionError,
    GivenUp,
    InvalidArgument,
    OrderIdReused,
    OrderNotFound,
    Unavailable,
)
from execution.model import (
    ExecutionReport,
    Order,
    Position,
    Quote,
    ReferencePrices,
    Snapshot,
    Unusable,
)
from execution.ports import (
    BookSource,
    Clock,
    CommitResult,
    Committed,
    Conflict,
    Ledger,
    LedgerLane,
    Record,
)
from execution.pricing import Liquidity, reference_prices, unknown_symbol
from execution.settlement import FeeRate
from execution.stops import arrive
from execution.waiting import resolve

COMMITTED_MAX: Final = 100_000
"""Order ids remembered as committed, to know a retry before it takes liquidity.

Only a hint: a retry that is not remembered is found by the commit itself.
"""

Done: TypeAlias = Callable[[ExecutionReport | Exception], None]
"""Called once with the report of an order, or why there is none; must not raise."""

Cancel: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator sets for every order."""

    fee_rate: FeeRate
    commit_reserve_ns: int = 2_000_000
    """An order with less time left than this is not sent to Redis at all."""
    trigger_retry_ns: int = 5_000_000_000
    """How long a triggered stop waits for a book to execute against."""


NO_PRICES: Final = ReferencePrices(0)


class Market(NamedTuple):
    """What an order meets: the side it takes, and the prices a trigger looks at."""

    side: Quote | Unusable
    prices: ReferencePrices


class Executor:
    """Executes orders against the newest book, each exactly once.

    Takes the world as arguments: `execution.ports` for what it needs of it.
    """

    def __init__(
        self, books: BookSource, ledger: Ledger, liquidity: Liquidity, clock: Clock, terms: Terms
    ) -> None:
        self._books = books
        self._ledger = ledger
        self._liquidity = liquidity
        self._clock = clock
        self._terms = terms
        self.commitments = Commitments(ledger, liquidity, clock, terms.commit_reserve_ns)
        self._committing: set[str] = set()
        self._committed = Recent(COMMITTED_MAX)
        self._waiters: dict[str, asyncio.Future[None]] = {}
        """For the end of a commit under way, by order id."""
        self.lane = self._lane_into(ledger.lane())
        """The short way of the orders that nearly all are."""
        self._waiting: set[asyncio.Task[None]] = set()
        """For a book, or for the order that is repeated."""

    def submit(self, order: Order, deadline_ns: int | None, done: Done) -> Cancel | None:
        """Executes the order now, or repeats what it did when it first arrived.

        `done` is called once, possibly before this returns. `deadline_ns` is on
        the monotonic clock. What is returned gives the order up for as long as
        nothing is sent to the ledger; a commit under way is never stopped.
        """
        lane = self.lane
        if lane is not None and lane.submit(order, deadline_ns, done):
            return None
        return self.submit_otherwise(order, deadline_ns, done)

    def submit_otherwise(self, order: Order, deadline_ns: int | None, done: Done) -> Cancel | None:
        """As `submit`, for an order that the lane does not take."""
        order_id = order.order_id
        if order_id not in self._committing and order_id not in self._committed:
            snapshot = self._books.newest(order.symbol)
            if snapshot is not None:
                self._commit(order, self._met(order, snapshot), deadline_ns, done)
                return None
        waits = self._spawn(self._wait(order, deadline_ns, done))
        waits.add_done_callback(partial(_given_up, order, done))
        return waits.cancel

    async def execute(self, order: Order, deadline_ns: int | None = None) -> ExecutionReport:
        """As `submit`, awaited; a caller that goes away gives the order up. Raises
        `ExecutionError`.
        """
        outcome: asyncio.Future[ExecutionReport] = asyncio.get_running_loop().create_future()
        cancel = self.submit(order, deadline_ns, partial(resolve, outcome))
        try:
            return await outcome
        except asyncio.CancelledError:
            if cancel is not None:
                cancel()
            raise

    async def order(self, order_id: str, user_id: str) -> ExecutionReport:
        """The present state of the user's order. Raises `OrderNotFound`."""
        record = await self._ledger.order(order_id)
        if record is None or record.report.user_id != user_id:
            raise OrderNotFound(f"user {user_id} has no order {order_id}")
        return record.report

    async def position(self, user_id: str, symbol: str) -> Position:
        """The committed position; version 0 if nothing was ever committed."""
        return await self._ledger.position(user_id, symbol)

    async def drain(self) -> None:
        """Waits until every commit that was begun has ended, also abandoned ones."""
        while self._committing:
            await asyncio.wait([self._end_of(order_id) for order_id in self._committing])

    async def market(self, order: Order) -> Market:
        """The newest book, from the order's side. Raises `Unavailable`."""
        snapshot = await self._books.snapshot(order.symbol, self._clock.monotonic_ns())
        if snapshot is None:
            return Market(unknown_symbol(order.symbol), NO_PRICES)
        return self._met(order, snapshot)

    def _met(self, order: Order, snapshot: Snapshot) -> Market:
        """The snapshot, from the order's side."""
        return Market(self._liquidity.quote(snapshot, order.direction), _prices(order, snapshot))

    def decide(
        self,
        order: Order,
        side: Quote | Unusable,
        prices: ReferencePrices,
        position: Position,
    ) -> Execution:
        """What the order does now. Raises `InvalidArgument`."""
        now_ns = self._clock.time_ns()
        if order.trigger_price is None:
            return execute(order, side, position, self._terms.fee_rate, now_ns)
        return arrive(order, side, prices, position, self._terms.fee_rate, now_ns)

    async def _wait(self, order: Order, deadline_ns: int | None, done: Done) -> None:
        """What an order does that cannot be executed at once."""
        first: Market | ExecutionReport | Exception
        try:
            first = await self._market_or_record(order)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            first = error
        if isinstance(first, Market):
            self._begin(order, first, deadline_ns, done)
        else:
            done(first)

    async def _market_or_record(self, order: Order) -> Market | ExecutionReport:
        """A book for a new order, the report of one that is repeated."""
        while True:
            try:
                market = await self.market(order)
            except Unavailable as error:
                return await self._stored_or_raise(order, error)
            if order.order_id not in self._committing and order.order_id not in self._committed:
                return market
            # A retry takes no liquidity, not even for a moment: it waits for the
            # order it repeats, and reads what became of it. If nothing did, it is
            # an order like any other; but the book it came with has aged meanwhile.
            if order.order_id in self._committing:
                await asyncio.wait((self._end_of(order.order_id),))
            if (record := await self._ledger.order(order.order_id)) is not None:
                return _repeat(order, record)
            self._committed.discard(order.order_id)

    def _begin(self, order: Order, market: Market, deadline_ns: int | None, done: Done) -> None:
        """From here on the order goes its way whatever becomes of its caller."""
        lane, side = self.lane, market.side
        if (
            lane is None
            or not isinstance(side, Quote)
            or not lane.begin(order, side, deadline_ns, done)
        ):
            self._commit(order, market, deadline_ns, done)

    def _commit(self, order: Order, market: Market, deadline_ns: int | None, done: Done) -> None:
        self._committing.add(order.order_id)
        _Commit(self, order, market, deadline_ns, done).attempt()

    def _lane_into(self, ledger: LedgerLane | None) -> Lane | None:
        if ledger is None:
            return None
        return Lane(
            ledger=ledger,
            newest=self._books.newest,
            accounts=self._liquidity.accounts,
            consumes=self._liquidity.consumes,
            clock=self._clock,
            reserve_ns=self._terms.commit_reserve_ns,
            scaled_bps=self._terms.fee_rate.scaled_bps,
            namespace=TRADE_NAMESPACE.bytes,
            committing=self._committing,
            committed=self._committed,
            waiters=self._waiters,
            committed_type=Committed,
            conflict_type=Conflict,
            attempts_max=ATTEMPTS_MAX,
            otherwise=self._leave_lane,
            woken=self._wake,
        )

    def _leave_lane(
        self,
        order: Order,
        side: Quote,
        deadline_ns: int | None,
        done: Done,
        result: CommitResult | Exception,
        attempts: int,
    ) -> None:
        """The short way ended elsewhere than in the ledger: goes on along the other."""
        commit = _Commit(self, order, Market(side, NO_PRICES), deadline_ns, done)
        commit.go_on(result, attempts)

    def ended(self, order: Order, done: Done, outcome: Kept | Exception) -> None:
        """The commit of an order has ended."""
        order_id = order.order_id
        self._committing.discard(order_id)
        if self._waiters:
            self._wake(order_id)
        if isinstance(outcome, ExecutionReport):
            self._committed.add(order_id)
            done(outcome)
        elif isinstance(outcome, Record):
            self._committed.add(order_id)
            done(_repeated(order, outcome))
        elif isinstance(outcome, InvalidArgument):
            self._spawn(self._stored_or(order, outcome, done))
        else:
            assert isinstance(outcome, Exception), "an arriving order is always decided"
            done(outcome)

    def _end_of(self, order_id: str) -> "asyncio.Future[None]":
        """Done when the commit under way has ended."""
        waiter = self._waiters.get(order_id)
        if waiter is None:
            waiter = self._waiters[order_id] = asyncio.get_running_loop().create_future()
        return waiter

    def _wake(self, order_id: str) -> None:
        waiter = self._waiters.pop(order_id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _stored_or(self, order: Order, error: ExecutionError, done: Done) -> None:
        outcome: ExecutionReport | Exception
        try:
            outcome = await self._stored_or_raise(order, error)
        except Exception as second:  # noqa: BLE001 - whoever waits is told, whatever it was
            outcome = second
        done(outcome)

    async def _stored_or_raise(self, order: Order, error: ExecutionError) -> ExecutionReport:
        """A retry is answered from its record even where a new order would fail."""
        try:
            record = await self._ledger.order(order.order_id)
        except Unavailable as second:
            raise error from second
        if record is None:
            raise error
        return _repeat(order, record)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task


class _Commit(Keeping):
    """An order whose commit is under way, and who wants to know how it ends."""

    def __init__(
        self,
        executor: Executor,
        order: Order,
        market: Market,
        deadline_ns: int | None,
        done: Done,
    ) -> None:
        super().__init__(executor.commitments, order, order.payload(), market.side, deadline_ns)
        self._executor = executor
        self.order = order
        self._prices = market.prices
        self._done = done

    def decide(self, position: Position) -> Execution:
        """What the order does, given the position. Raises `InvalidArgument`."""
        side = self._side
        assert side is not None, "an arriving order meets a side, or why there is none"
        return self._executor.decide(self.order, side, self._prices, position)

    def kept(self, outcome: Kept | Exception) -> None:
        """The commit has ended."""
        self._executor.ended(self.order, self._done, outcome)


def _prices(order: Order, snapshot: Snapshot) -> ReferencePrices:
    """What the order's trigger is compared with; nothing where it has none."""
    return NO_PRICES if order.trigger_price is None else reference_prices(snapshot)


def _given_up(order: Order, done: Done, waits: "asyncio.Task[None]") -> None:
    if waits.cancelled():
        done(GivenUp(f"the caller of order {order.order_id} went away; nothing was sent"))


def _repeated(order: Order, record: Record) -> ExecutionReport | OrderIdReused:
    try:
        return _repeat(order, record)
    except OrderIdReused as error:
        return error


def _repeat(order: Order, record: Record) -> ExecutionReport:
    """The stored report of the same request. Raises `OrderIdReused`."""
    if record.payload != order.payload():
        raise OrderIdReused(
            f"order_id {order.order_id} was used for another order; a new order needs a new id"
        )
    return record.report
