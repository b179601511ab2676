"""The one asynchronous path of an order: book, decision, commit, answer.

Joins price discovery and execution, which do not know each other. Waits twice,
for the book and for the commit, and shares both waits with its neighbours.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Final

from execution.commitments import Commitments, Subject
from execution.engine import Execution, execute
from execution.errors import (
    ExecutionError,
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
from execution.ports import BookSource, Clock, Ledger, Record
from execution.pricing import Liquidity, reference_prices, unknown_symbol
from execution.settlement import FeeRate
from execution.stops import arrive

COMMITTED_MAX: Final = 100_000
"""Order ids remembered as committed, to know a retry before it takes liquidity.

Only a hint: a retry that is not remembered is found by the commit itself.
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator sets for every order."""

    fee_rate: FeeRate
    commit_reserve_ns: int = 2_000_000
    """An order with less time left than this is not sent to Redis at all."""
    trigger_retry_ns: int = 5_000_000_000
    """How long a triggered stop waits for a book to execute against."""


NO_PRICES: Final = ReferencePrices(0)


@dataclass(frozen=True, slots=True)
class Market:
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
        self._committing: dict[str, asyncio.Task[ExecutionReport]] = {}
        self._committed: OrderedDict[str, None] = OrderedDict()

    async def execute(self, order: Order, deadline_ns: int | None = None) -> ExecutionReport:
        """Executes the order now, or repeats what it did when it first arrived.

        `deadline_ns` is on the monotonic clock. A caller that goes away while
        the commit is under way does not stop it. Raises `ExecutionError`.
        """
        while True:
            try:
                market = await self.market(order)
            except Unavailable as error:
                return await self._stored_or_raise(order, error)
            if order.order_id not in self._committing and order.order_id not in self._committed:
                break
            # A retry takes no liquidity, not even for a moment: it waits for the
            # order it repeats, and reads what became of it. If nothing did, it is
            # an order like any other; but the book it came with has aged meanwhile.
            if (first := self._committing.get(order.order_id)) is not None:
                await asyncio.wait((first,))
            if (record := await self._ledger.order(order.order_id)) is not None:
                return _repeat(order, record)
            self._committed.pop(order.order_id, None)
        commit = asyncio.create_task(self._commit(order, market, deadline_ns))
        self._committing[order.order_id] = commit
        commit.add_done_callback(partial(self._commit_done, order.order_id))
        return await asyncio.shield(commit)

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
            await asyncio.wait(self._committing.values())

    async def market(self, order: Order) -> Market:
        """The newest book, from the order's side. Raises `Unavailable`."""
        snapshot = await self._books.snapshot(order.symbol, self._clock.monotonic_ns())
        if snapshot is None:
            return Market(unknown_symbol(order.symbol), NO_PRICES)
        return self.market_of(snapshot, order)

    def market_of(self, snapshot: Snapshot, order: Order) -> Market:
        """This book, from the order's side."""
        prices = NO_PRICES if order.trigger_price is None else reference_prices(snapshot)
        return Market(self._liquidity.quote(snapshot, order.direction), prices)

    def decide(self, order: Order, market: Market, position: Position) -> Execution:
        """What the order does now. Raises `InvalidArgument`."""
        now_ns = self._clock.time_ns()
        if order.trigger_price is None:
            return execute(order, market.side, position, self._terms.fee_rate, now_ns)
        return arrive(order, market.side, market.prices, position, self._terms.fee_rate, now_ns)

    async def _commit(
        self, order: Order, market: Market, deadline_ns: int | None
    ) -> ExecutionReport:
        subject = Subject(order.order_id, order.user_id, order.symbol, order.payload())
        try:
            kept = await self.commitments.keep(
                subject, market.side, partial(self.decide, order, market), deadline_ns
            )
        except InvalidArgument as error:
            return await self._stored_or_raise(order, error)
        assert kept is not None, "an arriving order is always decided"
        return _repeat(order, kept) if isinstance(kept, Record) else kept

    async def _stored_or_raise(self, order: Order, error: ExecutionError) -> ExecutionReport:
        """A retry is answered from its record even where a new order would fail."""
        try:
            record = await self._ledger.order(order.order_id)
        except Unavailable as second:
            raise error from second
        if record is None:
            raise error
        return _repeat(order, record)

    def _commit_done(self, order_id: str, commit: asyncio.Task[ExecutionReport]) -> None:
        del self._committing[order_id]
        if commit.cancelled():
            return
        if (error := commit.exception()) is not None:
            # Whoever waited has it too; nobody may have.
            _log.debug("order %s ended with %s: %s", order_id, type(error).__name__, error)
            return
        self._committed[order_id] = None
        if len(self._committed) > COMMITTED_MAX:
            self._committed.popitem(last=False)


def _repeat(order: Order, record: Record) -> ExecutionReport:
    """The stored report of the same request. Raises `OrderIdReused`."""
    if record.payload != order.payload():
        raise OrderIdReused(
            f"order_id {order.order_id} was used for another order; a new order needs a new id"
        )
    return record.report
