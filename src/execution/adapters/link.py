"""Keeps one prepared connection to Redis alive, and says why there is none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from execution.adapters.redis_url import RedisAddress
from execution.adapters.wire import Connection, ConnectionLost, WireLimits, connect
from execution.errors import LedgerRefused, LedgerUnavailable, Unavailable

_BACKOFF_MIN_SECONDS: Final = 0.01
_BACKOFF_MAX_SECONDS: Final = 0.25

Prepare = Callable[[Connection], Awaitable[None]]
"""Logs in and checks the server; raises `Unavailable` or `ConnectionLost`."""

_log = logging.getLogger(__name__)


class Link:
    """A connection that is made again whenever it is lost.

    `on_up` is called with no argument when a prepared connection is there,
    `on_failed` with the error of each attempt that failed.
    """

    def __init__(
        self,
        address: RedisAddress,
        limits: WireLimits,
        prepare: Prepare,
        on_up: Callable[[], None],
        on_failed: Callable[[Unavailable], None],
    ) -> None:
        self._address = address
        self._limits = limits
        self._prepare = prepare
        self._on_up = on_up
        self._on_failed = on_failed
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._up = asyncio.Event()
        self._down_since: float | None = None
        self.failure: Unavailable = LedgerUnavailable(f"Redis at {address} is not connected yet")
        """Why the latest attempt failed; stale while there is a connection."""

    @property
    def connection(self) -> Connection | None:
        """The prepared connection, None if there is none at the moment."""
        connection = self._connection
        return connection if connection is not None and connection.usable else None

    def down_ms(self) -> float:
        """For how long there has been no connection; 0 while there is one."""
        if self._down_since is None or self.connection is not None:
            return 0.0
        return (asyncio.get_running_loop().time() - self._down_since) * 1_000

    async def start(self) -> None:
        """Begins to connect, for good; returns after the first attempt."""
        self._down_since = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._keep_connected(), name="redis link")
        await self._attempted.wait()

    async def close(self) -> None:
        """Ends the connection and stops connecting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._connection is not None:
            await _end(self._connection, "closing")
            self._connection = None

    async def up(self) -> Connection:
        """Waits for a connection; the caller bounds the time."""
        while (connection := self.connection) is None:
            self._up.clear()
            await self._up.wait()
        return connection

    async def _keep_connected(self) -> None:
        backoff = _BACKOFF_MIN_SECONDS
        while True:
            try:
                self._connection = await self._open()
            except Unavailable as error:
                self._failed(error)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _BACKOFF_MAX_SECONDS)
                continue
            backoff = _BACKOFF_MIN_SECONDS
            await self._stay(self._connection)

    async def _stay(self, connection: Connection) -> None:
        """Returns when the connection has ended."""
        _log.info("connected to Redis at %s", self._address)
        self._attempted.set()
        self._up.set()
        self._on_up()
        # Shielded: closing cancels this task, not the fact that it waits for.
        why = await asyncio.shield(connection.lost)
        self._down_since = asyncio.get_running_loop().time()
        self.failure = LedgerUnavailable(f"Redis at {self._address}: {why}")
        _log.warning("lost Redis at %s: %s", self._address, why)

    async def _open(self) -> Connection:
        """A prepared connection. Raises `Unavailable`."""
        try:
            connection = await connect(self._address, self._limits)
        except ConnectionLost as error:
            raise LedgerUnavailable(str(error)) from error
        prepared = False
        try:
            await self._prepare(connection)
            prepared = True
        except ConnectionLost as error:
            raise LedgerUnavailable(f"Redis at {self._address}: {error}") from error
        finally:
            # A refused or cancelled attempt must not leave its socket behind.
            if not prepared:
                await _end(connection, "not usable")
        return connection

    def _failed(self, error: Unavailable) -> None:
        if error.message != self.failure.message:
            level = logging.ERROR if isinstance(error, LedgerRefused) else logging.WARNING
            _log.log(level, "cannot use Redis: %s", error.message)
        self.failure = error
        self._attempted.set()
        self._on_failed(error)


async def _end(connection: Connection, why: str) -> None:
    connection.abort(why)
    await connection.lost
