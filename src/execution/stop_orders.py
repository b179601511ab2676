"""What is done to resting stops: trigger, cancel, modify, expire. Asynchronous.

Each ends in one conditional commit on the version it was decided on, so that of
a cancel and a trigger, on whichever replicas, exactly one wins.
"""

from dataclasses import dataclass, replace
from functools import partial

from execution.commitments import ATTEMPTS_MAX, Subject
from execution.engine import Execution
from execution.errors import (
    ModificationRefused,
    OrderContended,
    OrderNotFound,
    TooLate,
    Unavailable,
    VersionMismatch,
)
from execution.executor import Executor, Market, Terms
from execution.model import (
    ExecutionReport,
    Order,
    OrderStatus,
    Position,
    Reason,
    RestingStop,
)
from execution.ports import Clock, Ledger, Record
from execution.stops import end, trigger


@dataclass(frozen=True, slots=True)
class Modification:
    """What a modify changes; None leaves it as it is. Canonical decimal text."""

    trigger_price: str | None = None
    quantity: str | None = None
    limit_price: str | None = None
    expected_version: int | None = None

    def of(self, order: Order) -> Order:
        """The order with these terms."""
        return replace(
            order,
            trigger_price=self.trigger_price or order.trigger_price,
            quantity=self.quantity or order.quantity,
            limit_price=self.limit_price or order.limit_price,
        )


class StopOrders:
    """Stops after they have come to rest."""

    def __init__(self, executor: Executor, ledger: Ledger, clock: Clock, terms: Terms) -> None:
        self._executor = executor
        self._ledger = ledger
        self._clock = clock
        self._terms = terms

    async def cancel(
        self, order_id: str, user_id: str, deadline_ns: int | None = None
    ) -> ExecutionReport:
        """CANCELED, now or by an earlier cancel.

        Raises `TooLate` with the state that won, `OrderNotFound`.
        """
        record = await self._own(order_id, user_id)
        for _ in range(ATTEMPTS_MAX):
            if record.report.status is OrderStatus.CANCELED:
                return record.report
            stop = _resting(record)
            kept = await self._end(
                record, stop, OrderStatus.CANCELED, Reason.USER_CANCELED, deadline_ns
            )
            if isinstance(kept, ExecutionReport):
                return kept
            record = kept
        raise _contended(order_id)

    async def modify(
        self,
        order_id: str,
        user_id: str,
        change: Modification,
        deadline_ns: int | None = None,
    ) -> ExecutionReport:
        """The order with other terms; it executes now if they cross its trigger.

        Raises `TooLate` with the present state, `OrderNotFound`,
        `InvalidArgument`.
        """
        record = await self._own(order_id, user_id)
        for _ in range(ATTEMPTS_MAX):
            stop = _modifiable(record, change.expected_version)
            order = change.of(stop.order())
            market = await self._executor.market(order)
            kept = await self._executor.commitments.keep(
                _subject(record),
                market.side,
                partial(self._modified, record, order, market),
                deadline_ns,
            )
            if isinstance(kept, ExecutionReport):
                return kept
            record = kept or record
        raise _contended(order_id)

    async def trigger(self, order_id: str, version: int, price: str) -> None:
        """Executes a stop that `price` crossed at `version`, on the newest book.

        Nothing happens if it was modified or has ended: whoever did that won.
        Raises `Unavailable`; the crossing then still stands.
        """
        record = await self._ledger.order(order_id)
        stop = None if record is None else record.resting
        if record is None or stop is None or stop.version != version:
            return
        if self._is_overdue(stop):
            await self._give_up(record)
            return
        market = await self._executor.market(stop.order())

        def decide(position: Position) -> Execution | None:
            return trigger(
                stop,
                market.side,
                position,
                self._terms.fee_rate,
                stop.triggered_by_price or price,
                self._clock.time_ns(),
                self._terms.trigger_retry_ns,
            )

        await self._executor.commitments.keep(_subject(record), market.side, decide)

    async def expire(self, order_id: str, version: int) -> None:
        """EXPIRED, unless the order was modified or has ended. Raises `Unavailable`."""
        record = await self._ledger.order(order_id)
        stop = None if record is None else record.resting
        if record is None or stop is None or stop.version != version:
            return
        await self._end(record, stop, OrderStatus.EXPIRED, Reason.EXPIRED_UNTRIGGERED, None)

    def _modified(
        self, record: Record, order: Order, market: Market, position: Position
    ) -> Execution:
        """The order on its new terms; terms that could not even rest leave it as it is."""
        execution = self._executor.decide(order, market.side, market.prices, position)
        report = execution.report
        if report.status is OrderStatus.REJECTED and not report.triggered_by_price:
            raise ModificationRefused(
                f"the order stays as it is: {report.reason.name}: {report.message}", record.report
            )
        return execution

    def _is_overdue(self, stop: RestingStop) -> bool:
        if stop.triggered_time_ns is None:
            return False
        waited_ns = self._clock.time_ns() - stop.triggered_time_ns
        return waited_ns >= self._terms.trigger_retry_ns

    async def _give_up(self, record: Record) -> None:
        """REJECTED with the reason it waited for, also while there is no book at all."""
        report = replace(
            record.report, status=OrderStatus.REJECTED, transact_time_ns=self._clock.time_ns()
        )
        await self._executor.commitments.keep(_subject(record), None, lambda _: Execution(report))

    async def _own(self, order_id: str, user_id: str) -> Record:
        record = await self._ledger.order(order_id)
        if record is None or record.report.user_id != user_id:
            raise OrderNotFound(f"user {user_id} has no order {order_id}")
        return record

    async def _end(
        self,
        record: Record,
        stop: RestingStop,
        status: OrderStatus,
        reason: Reason,
        deadline_ns: int | None,
    ) -> ExecutionReport | Record:
        ending = end(stop, status, reason, self._clock.time_ns())
        kept = await self._executor.commitments.keep(
            _subject(record), None, lambda _: ending, deadline_ns
        )
        return kept or record


def _subject(record: Record) -> Subject:
    report = record.report
    return Subject(
        report.order_id, report.user_id, report.symbol, record.payload, follows=report.version
    )


def _resting(record: Record) -> RestingStop:
    """What rests. Raises `TooLate` with the state of an order that has ended."""
    if record.resting is None:
        raise TooLate(
            f"too late: the order has ended as {record.report.status.name}", record.report
        )
    return record.resting


def _modifiable(record: Record, expected_version: int | None) -> RestingStop:
    stop = _resting(record)
    if expected_version not in {None, record.report.version}:
        raise VersionMismatch(
            f"the order is at version {record.report.version}, not {expected_version}",
            record.report,
        )
    if stop.triggered_time_ns is not None:
        raise TooLate(
            "too late: the order has triggered and waits for a book; it can only be cancelled",
            record.report,
        )
    return stop


def _contended(order_id: str) -> Unavailable:
    return OrderContended(
        f"order {order_id} changed under {ATTEMPTS_MAX} attempts to change it; try again"
    )
