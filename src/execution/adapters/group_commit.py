"""Group commit: what is committed in one tick travels in one call.

Holds the entries from the moment somebody waits for them until they have their
answer. A call whose reply is lost is sent again as it was, on the next
connection: the script makes that safe, because a commit that had landed finds
its own record. Every entry has its answer or its error in bounded time.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hiredis import ReplyError

from execution._order import CommitQueue, Pending, answer_all
from execution.adapters.alarm import Alarm
from execution.adapters.commit_limits import CommitLimits
from execution.adapters.commit_script import (
    Fence,
    WasMoved,
    WasRefused,
    WasStored,
    pack_batch,
    read_answers,
    read_position,
    read_record,
)
from execution.adapters.durability import Confirmation
from execution.adapters.gathering import Gathering
from execution.adapters.positions import PositionKnowledge
from execution.adapters.redis_replies import RECONNECT, code_of, is_retryable, redis_error
from execution.adapters.wakefulness import Wakefulness
from execution.adapters.wire import Connection, ConnectionLost, Reply
from execution.errors import LedgerRefused, LedgerUnavailable, Unavailable
from execution.ports import CommitResult, Committed, Conflict, Stored
from execution.tick import running_tick

_EXPIRIES_PER_TIMEOUT: Final = 16
_ALONE: Final = 32
"""Orders in a row that came alone, from which on callers seem to come one after the other: with
many of them a loop that stays awake only makes them wait longer.
"""
_COMMITTED: Final = Committed()
_CONFLICT: Final = Conflict()


@dataclass(slots=True, eq=False)
class _Call:
    """A batch on its way."""

    batch: list[Pending]
    connection: Connection
    confirmation: Confirmation | None
    reply: Reply | ConnectionLost = field(default=None)


class GroupCommit:
    """Collects, sends, and answers. `connection` gives the present one or None."""

    def __init__(
        self,
        limits: CommitLimits,
        knowledge: PositionKnowledge,
        queue: CommitQueue,
        connection: Callable[[], Connection | None],
        where: str,
    ) -> None:
        self._limits = limits
        self._knowledge = knowledge
        self._connection = connection
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._queue = queue
        self._waiting = queue.entries
        self._returned: list[Pending] = []
        self._calls: dict[_Call, None] = {}
        self._tick = running_tick()
        self._wake_handle: asyncio.Handle | None = None
        self._expiry_handle: asyncio.TimerHandle | None = None
        self._gathering = Gathering(limits.orders_at_once) if limits.gather_ms else None
        self._gather_handle: asyncio.TimerHandle | None = None
        self._paused_until = 0.0
        self._alone = 0
        """Orders in a row, each of which was all that was asked of us."""
        self._for_answer = Wakefulness(limits.busy_poll_us / 1e6)
        self._for_order = Wakefulness(limits.busy_poll_us / 1e6)
        self._alarm = Alarm()
        self.unreachable: Unavailable | None = None
        """Why there is no connection at the moment, as far as is known."""
        self.confirmation: Confirmation | None = None
        """What follows each batch; set for each new connection."""
        queue.time, queue.stirred = self._loop.time, self._stirred
        queue.open, queue.awake = True, False

    def refuse_soon(self, pending: Pending, error: Unavailable) -> None:
        """Fails on the next turn of the loop: the link goes on trying meanwhile, and a caller
        that tries again at once must not keep it from it.
        """
        self._loop.call_soon(self._fail, pending, error)

    def wake(self) -> None:
        """Sends what waits, at the end of this tick."""
        if self._queue.awake:
            return
        self._queue.awake = True
        if self._calls:
            self._send_soon()
        else:
            self._tick.at_end(self._send_one)

    def fail_waiting(self, error: Unavailable) -> None:
        """Fails everything that is not on its way at this moment."""
        self._requeue_returned()
        while self._waiting:
            self._fail(self._waiting.popleft(), error)

    def close(self) -> None:
        """Fails whatever still waits. The connection is closed by its owner."""
        self._queue.open = False
        error = LedgerUnavailable(f"{self._where}: this replica is closing")
        self.fail_waiting(error)
        for call in list(self._calls):
            for pending in call.batch:
                self._fail(pending, error)
        for handle in (self._wake_handle, self._gather_handle, self._expiry_handle):
            if handle is not None:
                handle.cancel()

    # Sending.

    def _stirred(self) -> None:
        """One more waits, and somebody has to see to it."""
        limits = self._limits
        if (
            len(self._waiting) >= limits.orders_at_once
            and len(self._calls) < limits.calls_in_flight_max
        ):
            self._send_all()
        elif self._gathering is not None:
            self._gather(self._gathering)
        else:
            self.wake()

    def _gather(self, gathering: Gathering) -> None:
        """Sends what waits at the end of this tick if it is enough, else a little later."""
        if gathering.enough(len(self._waiting), len(self._calls)):
            self.wake()
        elif self._gather_handle is None:
            patience = self._limits.gather_ms / 1_000
            self._gather_handle = self._loop.call_later(patience, self._gathered, gathering)

    def _gathered(self, gathering: Gathering) -> None:
        self._gather_handle = None
        gathering.in_vain(len(self._waiting))
        self._send_all()

    def _send_soon(self) -> None:
        """In the next turn of the loop: what other connections bring in this one comes along."""
        self._wake_handle = self._loop.call_soon(self._send_all)

    def _send_one(self) -> None:
        """One that came alone, and finds Redis idle, need not wait for others."""
        if not self._queue.awake:
            return
        if len(self._waiting) == 1:
            self._send_all()
        elif self._wake_handle is None:
            self._send_soon()

    def _send_all(self) -> None:
        self._queue.awake = False
        self._for_order.came()
        if self._wake_handle is not None:
            self._wake_handle.cancel()
            self._wake_handle = None
        if self._gather_handle is not None:
            self._gather_handle.cancel()
            self._gather_handle = None
        self._requeue_returned()
        self._arm_expiry()
        connection = self._connection()
        if connection is None:
            return
        pause = self._paused_until - self._loop.time()
        if pause > 0:
            self._queue.awake = True
            self._wake_handle = self._loop.call_later(pause, self._send_all)
            return
        while self._waiting and len(self._calls) < self._limits.calls_in_flight_max:
            if batch := self._next_batch():
                self._send(connection, batch)
            if not connection.usable:
                return
        connection.flush()
        if len(self._calls) == 1 and len(next(iter(self._calls)).batch) == 1:
            self._alone += 1
            if self._alone > _ALONE:
                self._for_answer.expect()
        else:
            self._alone = 0

    def _next_batch(self) -> list[Pending]:
        batch, late = self._queue.batch(self._limits.orders_per_call_max, self._loop.time())
        for pending in late:
            self._expire(pending)
        return batch

    def _send(self, connection: Connection, batch: list[Pending]) -> None:
        confirmation = self.confirmation
        call = _Call(batch, connection, confirmation)
        self._calls[call] = None
        fence = Fence.NEVER if confirmation is None else Fence.WHERE_STORED
        packed = pack_batch([pending.packed for pending in batch], fence)
        try:
            if confirmation is None:
                connection.queue(packed, partial(self._replied, call))
            else:
                connection.queue(
                    packed + confirmation.packed,
                    partial(setattr, call, "reply"),
                    partial(self._confirmed, call),
                )
        except ConnectionLost as error:
            self._replied(call, error)

    # Answers; called by the connection. Whoever is told may submit again at once.

    def _replied(self, call: _Call, reply: Reply | ConnectionLost) -> None:
        call.reply = reply
        self._finish(call, None)

    def _confirmed(self, call: _Call, reply: Reply | ConnectionLost) -> None:
        if call.confirmation is None or isinstance(reply, ConnectionLost):
            self._replied(call, reply)
            return
        self._finish(call, call.confirmation.shortfall(reply))

    def _finish(self, call: _Call, shortfall: str | None) -> None:
        del self._calls[call]
        self._for_answer.came()
        reply = call.reply
        if isinstance(reply, ConnectionLost):
            self._give_back(call.batch, LedgerUnavailable(f"{self._where}: {reply}"))
        elif isinstance(reply, ReplyError):
            self._not_now_or_never(call.batch, str(reply), call.connection)
        else:
            self._read(call, reply, shortfall)
        if self._returned or (self._waiting and self._gather_handle is None):
            self.wake()
        elif self._alone > _ALONE:
            self._for_order.expect()

    def _read(self, call: _Call, reply: Reply, shortfall: str | None) -> None:
        batch = call.batch
        try:
            answers = read_answers(reply, len(batch))
        except (ValueError, TypeError) as error:
            self._refuse(batch, LedgerRefused(f"{self._where}: {error}"))
            return
        told = 0
        for at, answer in answers:
            self._committed(call, batch[told:at], shortfall)
            told = at + 1
            if isinstance(answer, WasRefused):
                self._not_now_or_never([batch[at]], answer.message, call.connection)
            elif shortfall is not None and isinstance(answer, WasStored):
                self._not_now_or_never([batch[at]], shortfall, call.connection)
            else:
                self._settle(batch[at], answer)
        self._committed(call, batch[told:], shortfall)

    def _committed(self, call: _Call, batch: list[Pending], shortfall: str | None) -> None:
        if shortfall is None:
            answer_all(batch, _COMMITTED)
        elif batch:
            self._not_now_or_never(batch, shortfall, call.connection)

    def _settle(self, pending: Pending, answer: WasStored | WasMoved) -> None:
        try:
            result = self._result(pending, answer)
        except ValueError as error:
            report = pending.entry.report
            message = f"CORRUPT the record order {report.order_id} met cannot be read: {error}"
            self._refuse([pending], redis_error(message, self._where))
            return
        except LedgerUnavailable as error:
            self._fail(pending, error)
            return
        pending.answer(result)

    def _result(self, pending: Pending, answer: WasStored | WasMoved) -> CommitResult:
        if isinstance(answer, WasStored):
            return self._stored(pending, answer)
        report = pending.entry.report
        position = read_position(report.user_id, report.symbol, answer)
        self._knowledge.correct(position, pending.epoch)
        return _CONFLICT

    def _stored(self, pending: Pending, answer: WasStored) -> CommitResult:
        if pending.sends > 1 and _is_own(pending, answer):
            # An earlier send had landed and its reply was lost.
            return _COMMITTED
        self._disbelieve(pending)
        record = read_record(answer.payload, answer.report, answer.resting)
        mine = pending.entry
        if pending.sends > 1 and mine.follows and record.report.version > mine.report.version:
            raise LedgerUnavailable(
                f"{self._where}: order {mine.report.order_id} is at version"
                f" {record.report.version}; whether version {mine.report.version} was this"
                " commit is unknown, because a reply was lost"
            )
        return Stored(record)

    # Failures.

    def _not_now_or_never(self, batch: list[Pending], message: str, connection: Connection) -> None:
        error = redis_error(message, self._where)
        if not is_retryable(message):
            self._refuse(batch, error)
            return
        self._give_back(batch, error)
        self._paused_until = self._loop.time() + self._limits.retry_pause_ms / 1_000
        if code_of(message) in RECONNECT:
            connection.abort(message)

    def _give_back(self, batch: Iterable[Pending], failure: Unavailable) -> None:
        for pending in batch:
            if not pending.waited_for:
                # Nobody waits any more; whether it landed is unknown.
                self._disbelieve(pending)
            else:
                pending.failure = failure
                self._returned.append(pending)

    def _requeue_returned(self) -> None:
        """What comes back goes before what is new: others may be chained on it."""
        self._waiting.extendleft(reversed(self._returned))
        self._returned.clear()

    def _refuse(self, batch: Iterable[Pending], error: Unavailable) -> None:
        self._alarm.sound(error, self._loop.time())
        for pending in batch:
            self._fail(pending, error)

    def _expire(self, pending: Pending) -> None:
        outcome = "its outcome is unknown" if pending.sends else "nothing was sent"
        limit_ms = self._limits.commit_timeout_ms
        waited = f"no commit within {limit_ms} ms, {outcome}; retry with the same id"
        silence = LedgerUnavailable(f"{self._where}: no answer")
        failure = pending.failure or self.unreachable or silence
        if isinstance(failure, LedgerRefused):
            self._alarm.sound(failure, self._loop.time())
        self._fail(pending, type(failure)(f"{failure.message}; {waited}", failure.metadata))

    def _fail(self, pending: Pending, error: Unavailable) -> None:
        self._disbelieve(pending)
        # One of its own for each: a raised error gathers its own traceback.
        pending.answer(type(error)(error.message, error.metadata))

    def _disbelieve(self, pending: Pending) -> None:
        disbelieve(pending, self._knowledge)

    def _arm_expiry(self) -> None:
        if self._expiry_handle is None and (self._waiting or self._calls):
            interval = self._limits.commit_timeout_ms / 1_000 / _EXPIRIES_PER_TIMEOUT
            self._expiry_handle = self._loop.call_later(interval, self._expire_due)

    def _expire_due(self) -> None:
        self._expiry_handle = None
        self._requeue_returned()
        now = self._loop.time()
        # The oldest first: what is believed then is what the first of a chain rested on.
        for call in list(self._calls):
            for pending in call.batch:
                if pending.deadline <= now and pending.waited_for:
                    self._expire(pending)
        while self._waiting and self._waiting[0].deadline <= now:
            self._expire(self._waiting.popleft())
        self._arm_expiry()


def disbelieve(pending: Pending, knowledge: PositionKnowledge) -> None:
    """Its outcome is not, or may not be, what was believed; its basis is the best guess."""
    if pending.entry.basis is not None:
        knowledge.correct(pending.entry.basis, pending.epoch)


def _is_own(pending: Pending, answer: WasStored) -> bool:
    """Whether what is stored is what this entry would have written."""
    if answer.report != pending.packed.report:
        return False
    # What follows leaves the payload as the order began with it.
    return pending.entry.follows is not None or answer.payload == pending.packed.payload
