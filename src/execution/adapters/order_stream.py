"""Every status change of a user's orders, over Redis: `execution.ports.OrderStream`.

A watch first reads the stream from its place to the end in pages, then hears
what comes from the one tail of the process. Both are in the order of the ids,
and it begins to hear before it reads its last page; so what it has read already
is known by its id, and nothing lies between.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from execution.adapters import keys
from execution.adapters.order_replies import Change, Extent, Place, place_of, token_of
from execution.adapters.order_tail import Listener, Tail, TailLimits
from execution.adapters.records import report_from_json
from execution.adapters.redis_replies import redis_error
from execution.adapters.redis_url import parse_redis_url
from execution.adapters.wire import WireLimits
from execution.errors import Overloaded, ResumeTokenGone
from execution.ports import OrderUpdate


@dataclass(frozen=True, slots=True)
class OrderStreamConfig:
    """Where the stream is, and how many may watch it how patiently."""

    url: str = field(repr=False)
    watches_max: int = 1_000
    tail: TailLimits = field(default_factory=TailLimits)
    wire: WireLimits = field(default_factory=lambda: WireLimits(request_timeout_ms=2_000))
    """`request_timeout_ms` is more than `tail.block_ms`: Redis waits that long by order."""


class RedisOrderStream:
    """Connects with the first watch, disconnects after the last. Use within one event loop.

    A change is told once Redis has it in memory, which may be a moment before it
    is as durable as the caller of the order is promised.

    Raises `ValueError` for a URL that is none, or a read that would outlast its
    own timeout.
    """

    def __init__(self, config: OrderStreamConfig) -> None:
        if config.wire.request_timeout_ms <= config.tail.block_ms:
            raise ValueError(
                f"a read waits {config.tail.block_ms} ms, but is given up after"
                f" {config.wire.request_timeout_ms} ms"
            )
        self._config = config
        self._address = parse_redis_url(config.url)
        self._starting = asyncio.Lock()
        self._tail: Tail | None = None
        self.watches = 0
        """How many there are now."""

    @asynccontextmanager
    async def watch(
        self, user_id: str, order_ids: frozenset[str], after: str | None
    ) -> AsyncIterator["Watch"]:
        """What is committed for a user after the token, no gap, no double.

        Entering raises `ResumeTokenGone`, `Overloaded` for one watch too many,
        and `Unavailable`. Raises `ValueError` for a token that is none.
        """
        place = None if after is None else place_of(after)
        if self.watches >= self._config.watches_max:
            raise Overloaded(f"{self.watches} watches are open; retry later")
        self.watches += 1
        try:
            tail = await self._living_tail()
            listener = Listener(user_id, order_ids, self._config.tail.behind_max)
            watch = await Watch.begin(tail, listener, place, self._config.tail.page)
            try:
                yield watch
            finally:
                tail.leave(listener)
        finally:
            self.watches -= 1
            if not self.watches and self._tail is not None:
                self._tail.end("nobody watches any more")

    async def close(self) -> None:
        """Ends every watch and the connections."""
        if self._tail is not None:
            self._tail.end("the service is closing")
            await self._tail.ended()
            self._tail = None

    async def _living_tail(self) -> Tail:
        async with self._starting:
            if self._tail is not None and self._tail.alive:
                return self._tail
            if self._tail is not None:
                await self._tail.ended()
            config = self._config
            self._tail = await Tail.start(self._address, config.wire, config.tail)
            return self._tail


class Watch:
    """The updates of one watch; see `execution.ports.OrderWatch`."""

    def __init__(self, tail: Tail, listener: Listener, begin: Place, page: int) -> None:
        self._tail = tail
        self._listener = listener
        self._page = page
        self._read: deque[Change] = deque()
        self._place = begin
        """Everything up to here was read, and told or found to be of no interest."""
        self._told = begin
        self._listens_from: Place | None = None
        self._caught_up = False

    @classmethod
    async def begin(cls, tail: Tail, listener: Listener, place: Place | None, page: int) -> "Watch":
        """A watch from this place, or from now. Raises `ResumeTokenGone`, `Unavailable`."""
        extent = await tail.extent()
        if place is not None:
            _require_all(extent, place)
        watch = cls(tail, listener, extent.last if place is None else place, page)
        if watch._place == extent.last:
            watch._listen()
        return watch

    @property
    def token(self) -> str:
        """Where to go on from: that of the update told last; at first, where it began."""
        return token_of(self._told)

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> OrderUpdate:
        """The next update. Raises `SlowReader`, `ResumeTokenGone` and `Unavailable`."""
        while True:
            if self._read:
                return self._update(self._read.popleft())
            if not self._caught_up:
                await self._catch_up()
                continue
            await self._listener.news()
            change = self._listener.waiting.popleft()
            if change.place > self._place:
                self._place = change.place
                return self._update(change)

    def _listen(self) -> None:
        """From here on the tail tells; what lies before that has to be read."""
        self._listens_from = self._tail.place
        self._tail.listen(self._listener)
        self._caught_up = self._place >= self._listens_from

    async def _catch_up(self) -> None:
        """Reads one page."""
        page = await self._tail.page(self._place)
        _require_all(page.extent, self._place)
        self._place = page.end
        self._read.extend(filter(self._listener.wants, page.changes))
        at_the_end = page.entries < self._page
        if self._listens_from is not None:
            self._caught_up = at_the_end or self._place >= self._listens_from
        elif at_the_end:
            self._listen()

    def _update(self, change: Change) -> OrderUpdate:
        token = token_of(change.place)
        try:
            report = report_from_json(change.report)
        except ValueError as error:
            problem = f"CORRUPT {keys.ORDER_STREAM} {token}: {error}"
            raise redis_error(problem, "watching orders") from error
        self._told = change.place
        return OrderUpdate(token, report)


def _require_all(extent: Extent, place: Place) -> None:
    """Raises `ResumeTokenGone` unless everything after the place is there."""
    if extent.has_all_after(place):
        return
    why = "this Redis has never written it, or lost it" if place > extent.last else "it was trimmed"
    raise ResumeTokenGone(
        f"{keys.ORDER_STREAM} does not go on from {token_of(place)}: {why}; read the orders"
        " anew and watch from now"
    )
