"""The end of the order stream, read once for everybody who watches.

A tail lives from the first watch to the last, or until Redis is lost; it is
never mended. Whoever listened then is told, and goes on from his own place over
the next tail: the stream itself is what bridges the two.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Self

from execution.adapters import keys
from execution.adapters.login import log_in
from execution.adapters.order_replies import (
    Change,
    Extent,
    Page,
    Place,
    read_extent,
    read_on,
    read_page,
    token_of,
)
from execution.adapters.redis_url import RedisAddress
from execution.adapters.wire import Connection, ConnectionLost, WireLimits, connect
from execution.errors import ExecutionError, LedgerUnavailable, SlowReader, Unavailable

_CLIENT_NAME = "execution-service-watch"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TailLimits:
    """How much is read at once, and how far a listener may fall behind."""

    page: int = 256
    """Entries read at once."""
    behind_max: int = 4_096
    """Changes kept for one listener; one more and he is given up."""
    block_ms: int = 500
    """A quiet stream is asked again so often; a flush is noticed within it."""


class Listener:
    """What one watch has yet to take of the tail, and what became of it."""

    def __init__(self, user_id: str, order_ids: frozenset[str], behind_max: int) -> None:
        self.user_id = user_id
        self.waiting: deque[Change] = deque()
        self._order_ids = order_ids
        self._behind_max = behind_max
        self._failure: ExecutionError | None = None
        self._news = asyncio.Event()

    def wants(self, change: Change) -> bool:
        """Whether the change is one to be told."""
        return change.user_id == self.user_id and (
            not self._order_ids or change.order_id in self._order_ids
        )

    def put(self, change: Change) -> bool:
        """Keeps the change; False if that is one too many, and the listener is given up."""
        if len(self.waiting) >= self._behind_max:
            self.waiting.clear()
            self.fail(SlowReader(f"more than {self._behind_max} changes wait to be read"))
            return False
        self.waiting.append(change)
        self._news.set()
        return True

    def fail(self, error: ExecutionError) -> None:
        """Nothing will come any more; the first reason counts."""
        self._failure = self._failure or error
        self._news.set()

    async def news(self) -> None:
        """Returns when something waits; raises once it was taken and nothing will come."""
        while not self.waiting:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()


class Tail:
    """One reader of the stream's end, and a second connection for those who catch up."""

    def __init__(
        self, reader: Connection, pages: Connection, extent: Extent, limits: TailLimits, where: str
    ) -> None:
        self._reader = reader
        self._pages = pages
        self._limits = limits
        self._where = where
        self._listeners: dict[str, set[Listener]] = {}
        self._failure: Unavailable | None = None
        self.place = extent.last
        """Everything up to here was told to those who listened."""
        self._entries = extent.added
        """How many there ever were up to that place."""
        self._task = asyncio.create_task(self._read(), name="order stream tail")

    @classmethod
    async def start(cls, address: RedisAddress, wire: WireLimits, limits: TailLimits) -> Self:
        """A tail from the present end of the stream. Raises `Unavailable`."""
        where = f"Redis at {address}"
        opened: list[Connection] = []
        tail: Self | None = None
        try:
            for _ in range(2):
                opened.append(await connect(address, wire))
                await log_in(opened[-1], address, _CLIENT_NAME)
            reader, pages = opened
            extent = await read_extent(pages, where)
            tail = cls(reader, pages, extent, limits, where)
        except ConnectionLost as error:
            raise LedgerUnavailable(f"{where}: {error}") from error
        finally:
            if tail is None:
                for connection in opened:
                    connection.abort("not usable")
                    await connection.lost
        _log.info("order changes are read from %s", where)
        return tail

    @property
    def alive(self) -> bool:
        """Whether changes can still be heard."""
        return self._failure is None

    def listen(self, listener: Listener) -> None:
        """Puts every change after `place` that it wants before the listener."""
        if self._failure is not None:
            listener.fail(self._failure)
            return
        self._listeners.setdefault(listener.user_id, set()).add(listener)

    def leave(self, listener: Listener) -> None:
        """The opposite of `listen`; nothing if it does not listen."""
        listeners = self._listeners.get(listener.user_id, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(listener.user_id, None)

    async def extent(self) -> Extent:
        """How far the stream reaches now. Raises `Unavailable`."""
        try:
            return await read_extent(self._pages, self._where)
        except ConnectionLost as error:
            raise LedgerUnavailable(f"{self._where}: {error}") from error

    async def page(self, after: Place) -> Page:
        """What the stream holds after this place, up to one page. Raises `Unavailable`."""
        try:
            return await read_page(self._pages, self._where, after, self._limits.page)
        except ConnectionLost as error:
            raise LedgerUnavailable(f"{self._where}: {error}") from error

    def end(self, why: str) -> None:
        """Ends the reading; whoever listens is told."""
        self._fail(LedgerUnavailable(f"{self._where}: {why}"))

    async def ended(self) -> None:
        """Returns when both connections are closed; who stops waiting changes nothing."""
        # A bare gather would cancel what it waits for together with whoever waits.
        await asyncio.shield(asyncio.gather(self._task, self._reader.lost, self._pages.lost))

    async def _read(self) -> None:
        try:
            while True:
                page = await read_on(
                    self._reader, self._where, self.place, self._limits.page, self._limits.block_ms
                )
                if not self._is_next(page):
                    # Whoever missed something finds out when he goes on from his place.
                    self.end(f"{keys.ORDER_STREAM} was trimmed or lost at {token_of(self.place)}")
                    return
                for change in page.changes:
                    self._tell(change)
                self.place, self._entries = page.end, self._entries + page.entries
        except ConnectionLost as error:
            self.end(str(error))
        except Unavailable as error:
            self._fail(error)
        finally:
            # Whatever happened: nobody may wait for what will not come.
            self.end("the reader has ended")

    def _is_next(self, page: Page) -> bool:
        """Whether nothing was removed between the entry told last and this page."""
        extent = page.extent
        if extent.last == page.end:
            return extent.added == self._entries + page.entries
        return extent.has_all_after(self.place)

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners.get(change.user_id, ())):
            if listener.wants(change) and not listener.put(change):
                self.leave(listener)

    def _fail(self, error: Unavailable) -> None:
        if self._failure is not None:
            return
        self._failure = error
        _log.info("order changes are no longer read: %s", error.message)
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.fail(error)
        self._listeners.clear()
        self._reader.abort(error.message)
        self._pages.abort(error.message)
