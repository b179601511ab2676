"""The ledger over Redis: `execution.ports.Ledger` for one primary.

One connection, one script. Group commit is in `group_commit`, the connection's
life in `link`, what the script is told and says in `commit_script`.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hiredis import ReplyError

from execution._order import CommitQueue, Pending
from execution.adapters import keys
from execution.adapters.commit_limits import CommitLimits
from execution.adapters.commit_script import (
    SOURCE,
    Fence,
    pack_batch,
    pack_entry,
    read_answers,
    read_record,
)
from execution.adapters.durability import MEMORY, Confirmation, Durability, confirmation_for
from execution.adapters.group_commit import GroupCommit, disbelieve
from execution.adapters.link import Link
from execution.adapters.login import expect, log_in
from execution.adapters.positions import UNCHAINED, PositionKnowledge
from execution.adapters.records import position_from_texts
from execution.adapters.redis_replies import RECONNECT, code_of, is_retryable, redis_error
from execution.adapters.redis_url import parse_redis_url
from execution.adapters.wire import Connection, ConnectionLost, Reply, WireLimits, pack
from execution.errors import LedgerRefused, LedgerUnavailable, Unavailable
from execution.model import Position
from execution.ports import CommitResult, Entry, LedgerLane, OnResult, Record
from execution.waiting import resolve

_CLIENT_NAME: Final = "execution-service"
_POSITION_FIELDS: Final = ("version", "qty", "entry_cost", "realized_pnl", "entry_price")


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """Where the ledger is, and how patient and how sure to be."""

    url: str = field(repr=False)
    durability: Durability = MEMORY
    confirm_timeout_ms: int = 500
    """How long replicas (or the disk) may take to confirm a batch."""
    positions_max: int = 100_000
    commit: CommitLimits = field(default_factory=CommitLimits)
    wire: WireLimits = field(default_factory=WireLimits)


class RedisLedger:
    """Commits orders to Redis, each exactly once. Use within one event loop.

    Raises `ValueError` for a URL that is none. Nothing is connected before
    `start`; after it, a Redis that goes away and comes back is found by itself.
    """

    def __init__(self, config: LedgerConfig) -> None:
        self._config = config
        self._address = parse_redis_url(config.url)
        self._where = f"Redis at {self._address}"
        self._knowledge = PositionKnowledge(config.positions_max)
        self._link = Link(
            self._address, config.wire, self._prepare, self._connected, self._not_connected
        )
        limits = config.commit
        self._queue = CommitQueue(
            limits.queue_max,
            limits.orders_at_once,
            limits.commit_timeout_ms / 1_000,
            self._not_queued,
        )
        self._group: GroupCommit | None = None

    async def start(self) -> None:
        """Begins to connect; returns when the first attempt has succeeded or failed.

        A Redis that is away is not an error here: `probe` tells.
        """
        self._group = GroupCommit(
            self._config.commit,
            self._knowledge,
            self._queue,
            lambda: self._link.connection,
            self._where,
        )
        await self._link.start()

    async def close(self) -> None:
        """Fails what still waits and ends the connection."""
        if self._group is not None:
            self._group.close()
            self._group = None
        await self._link.close()

    def recall(self, user_id: str, symbol: str) -> Position:
        """The position as last known or predicted; flat at version 0 if never seen."""
        return self._knowledge.recall(user_id, symbol)

    def submit(self, entry: Entry, done: OnResult) -> None:
        """Commits the entry whole or not at all, once for ever.

        Called in the same tick as the `recall` of its basis, it is chained on
        it: `recall` gives the entry's outcome from here on. `done` hears when the
        configured durability is reached, or of `LedgerUnavailable` or
        `LedgerRefused` within `commit_timeout_ms`. Raises `ValueError` for an
        entry that contradicts itself.
        """
        basis = entry.basis
        packed = pack_entry(entry)
        epoch = UNCHAINED if basis is None else self._knowledge.chain(basis, entry.position)
        self._queue.put(Pending(entry, packed, epoch, done))

    def lane(self) -> LedgerLane:
        """See `ports.Ledger`."""
        return LedgerLane(self._knowledge, keys.ORDER_PREFIX, keys.POSITION_PREFIX, self._queue)

    def _not_queued(self, pending: Pending) -> None:
        """The queue is not open, or full."""
        group, limits, waiting = self._group, self._config.commit, len(self._queue.entries)
        if group is None:
            disbelieve(pending, self._knowledge)
            message = f"{self._where}: the ledger is not open; nothing was sent, start it"
            asyncio.get_running_loop().call_soon(pending.answer, LedgerUnavailable(message))
        elif not self._queue.open and self._link.down_ms() > limits.commit_timeout_ms:
            # Waiting would only gather callers.
            group.refuse_soon(pending, self._link_failure())
        elif waiting >= limits.queue_max:
            message = (
                f"{self._where}: {waiting} commits wait; nothing was sent, retry with the same id"
            )
            group.refuse_soon(pending, LedgerUnavailable(message))
        else:
            self._queue.add(pending)

    def commit(self, entry: Entry) -> "asyncio.Future[CommitResult]":
        """As `submit`, to be awaited; a caller that goes away does not stop it."""
        answer: asyncio.Future[CommitResult] = asyncio.get_running_loop().create_future()
        self.submit(entry, partial(resolve, answer))
        return answer

    async def order(self, order_id: str) -> Record | None:
        """The record of an order, None if there is none.

        What it says is committed, but not confirmed beyond the memory of Redis;
        a commit under the same id waits for that too. Raises `LedgerUnavailable`
        and `LedgerRefused`.
        """
        key = keys.order_key(order_id)
        match await self._read("HMGET", key, "payload", "report", "resting", "status"):
            case [None, None, None, None]:
                return None
            case [bytes(payload), bytes(report), (bytes() | None) as resting, _]:
                try:
                    return read_record(payload, report, resting)
                except ValueError as error:
                    raise self._corrupt(key, str(error)) from error
        raise self._corrupt(key, "payload or report is missing")

    async def position(self, user_id: str, symbol: str) -> Position:
        """The committed position; version 0 if there is none.

        Raises `LedgerUnavailable` and `LedgerRefused`.
        """
        key = keys.position_key(user_id, symbol)
        match await self._read("HMGET", key, *_POSITION_FIELDS):
            case [None, None, None, None, None]:
                return Position(user_id, symbol)
            case [bytes(version), bytes(quantity), bytes(cost), bytes(pnl), bytes(price)]:
                try:
                    state = (version.decode(), quantity.decode(), cost.decode(), pnl.decode())
                    return position_from_texts(user_id, symbol, state, price.decode())
                except ValueError as error:
                    raise self._corrupt(key, str(error)) from error
        raise self._corrupt(key, "a field is missing")

    async def probe(self) -> None:
        """Proves that orders can be committed now: runs the script with a write.

        Raises `LedgerUnavailable` or `LedgerRefused`, in bounded time.
        """
        connection = self._link.connection
        if connection is None:
            raise self._link_failure()
        try:
            # Settings change under a living connection.
            confirmation = await self._confirmation(connection)
            request = connection.ask(pack_batch([], Fence.ALWAYS))
            if confirmation is None:
                reply, shortfall = await request, None
            else:
                confirm = connection.ask(confirmation.packed)
                reply, confirmed = await asyncio.gather(request, confirm)
                shortfall = confirmation.shortfall(confirmed)
        except ConnectionLost as error:
            raise LedgerUnavailable(f"{self._where}: {error}") from error
        except LedgerRefused as error:
            # No order may be acknowledged on settings that no longer hold.
            connection.abort(error.message)
            raise
        problem = str(reply) if isinstance(reply, ReplyError) else shortfall
        if problem is not None:
            if code_of(problem) in RECONNECT:
                connection.abort(problem)
            raise redis_error(problem, self._where)
        try:
            read_answers(reply, 0)
        except (ValueError, TypeError) as error:
            raise LedgerRefused(f"{self._where}: {error}") from error

    async def _read(self, *arguments: str) -> Reply:
        """The reply to a read, asked again while that can help."""
        packed = pack(*arguments)
        pause = self._config.commit.retry_pause_ms / 1_000
        failure: Unavailable | None = None
        if self._group is None or self._link.down_ms() > self._config.commit.commit_timeout_ms:
            await asyncio.sleep(0)
            raise self._link_failure()
        try:
            async with asyncio.timeout(self._config.commit.commit_timeout_ms / 1_000):
                while True:
                    connection = await self._link.up()
                    try:
                        reply = await connection.ask(packed)
                    except ConnectionLost as error:
                        failure = LedgerUnavailable(f"{self._where}: {error}")
                    else:
                        if not isinstance(reply, ReplyError):
                            return reply
                        failure = redis_error(f"{reply} ({arguments[1]})", self._where)
                        if not is_retryable(str(reply)):
                            raise failure
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise (failure or self._link_failure()) from None

    async def _prepare(self, connection: Connection) -> None:
        """Logs in, checks durability, loads the script. Raises `Unavailable`."""
        await log_in(connection, self._address, _CLIENT_NAME)
        confirmation = await self._confirmation(connection)
        await expect(connection, self._where, "SCRIPT", "LOAD", SOURCE)
        if self._group is not None:
            self._group.confirmation = confirmation

    async def _confirmation(self, connection: Connection) -> Confirmation | None:
        config = self._config
        return await confirmation_for(
            config.durability, connection, self._where, config.confirm_timeout_ms
        )

    def _connected(self) -> None:
        if self._group is not None:
            self._group.unreachable = None
            self._queue.open = True
            self._group.wake()

    def _not_connected(self, error: Unavailable) -> None:
        if self._group is not None:
            self._group.unreachable = error
            self._queue.open = False
            if isinstance(error, LedgerRefused):
                self._group.fail_waiting(error)

    def _link_failure(self) -> Unavailable:
        failure = self._link.failure
        message = f"{failure.message}; nothing was sent, retry with the same id"
        return type(failure)(message, failure.metadata)

    def _corrupt(self, key: str, why: str) -> Unavailable:
        return redis_error(f"CORRUPT {key} is not a record of this version: {why}", self._where)
