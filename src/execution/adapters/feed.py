"""The pushed feed: the newest book of every listed symbol, as the source sends them.

One stream carries all listed symbols. When the list changes a second stream
takes over, and the first is kept until it has. A stream that ends takes its
books with it: they are nobody's newest any more, and orders are served by
fetches until a stream, asked for again with growing pauses, brings others.

What a gap in the sequence means. Every message is the whole book, so a message
that was left out costs no state: the next one is the newest book as well as it
would have been, and is taken. The same holds for a sequence that goes back (the
source restarted) and for one that repeats with other levels. None of them is an
error, all are counted (`FeedCounts`), because they tell how true the feed is:
sources and the network drop books where a reader is slow. A skip can be told
from ordinary numbering only where a source numbers one by one; most number by
events that need not change the book. So a skip counts as a gap where the last
`CONSECUTIVE_MIN` steps of that symbol on that stream were all by one.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import grpc

from execution._order import NewestBooks, Pushed
from execution.adapters.book_messages import Listing, book_prices, book_snapshot
from execution.adapters.market_channel import CallFailed, MarketChannel
from execution.model import ReferencePrices, Snapshot
from execution.ports import BookListener, Clock
from execution.v1 import marketdata_pb2

RETRY_SECONDS_MIN: Final = 0.05
RETRY_SECONDS_MAX: Final = 2.0
"""Pauses before a stream that ended is asked for again; they double in between."""
CONSECUTIVE_MIN: Final = 8
"""Steps by one in a row, after which a longer step is a gap."""


@dataclass(slots=True)
class FeedCounts:
    """Totals since the start, for metrics."""

    books: int = 0
    streams: int = 0
    unasked: int = 0
    """Books of symbols that the stream was not asked for; ignored."""
    gaps: int = 0
    """Books before which one or more were left out, as far as the numbering tells."""
    restarts: int = 0
    """Books whose sequence is lower than that of the book before."""
    rewrites: int = 0
    """Books whose sequence is that of the book before, with other content."""


@dataclass(slots=True, eq=False)
class _Stream:
    """One StreamBooks call, made again whenever it ends."""

    symbols: frozenset[str]
    awaited: set[str]
    """Books the older stream has and this one still owes; until then both run."""


class PushedBooks(NewestBooks):
    """Follows the listed symbols and knows the newest book of each.

    `broken` is called when a stream ended and its books are gone.
    """

    def __init__(
        self,
        channel: MarketChannel,
        depth: int,
        clock: Clock,
        jitter: Callable[[], float],
        age_ns_max: int,
        broken: Callable[[], None],
    ) -> None:
        super().__init__(clock.monotonic_ns, age_ns_max)
        self.counts = FeedCounts()
        self._channel = channel
        self._depth = depth
        self._clock = clock
        self._jitter = jitter
        self._broken = broken
        self._listed: Mapping[str, Listing] = {}
        self._streams: list[_Stream] = []
        self._tasks: dict[_Stream, asyncio.Task[None]] = {}
        self._reconnected = asyncio.Event()
        self.listener: BookListener = _nobody
        """Told the symbol of every new book, at once."""

    @property
    def live(self) -> bool:
        """Whether any book is held, so that heartbeats are worth their while."""
        return bool(self._pushed)

    @property
    def age_ns(self) -> int | None:
        """Since the last sign of life, a book or a heartbeat; None while no book is held."""
        if not self._pushed:
            return None
        newest_ns = max(pushed.received_ns for pushed in self._pushed.values())
        return self._clock.monotonic_ns() - max(newest_ns, self._beat_ns)

    def opened(self, symbol: str, pushed: Pushed) -> Snapshot:
        """A book as orders meet it; see `_order.NewestBooks.newest`."""
        return book_snapshot(pushed.book, symbol, self._listed.get(symbol), self._channel.target)

    def prices(self, symbol: str) -> ReferencePrices | None:
        """What triggers are compared with, without making a snapshot of the book."""
        pushed = self.held(symbol)
        if pushed is None:
            return None
        if pushed.prices is None:
            pushed.prices = book_prices(pushed.book)
        return pushed.prices

    def beat(self, started_ns: int) -> None:
        """The source answered a call that began then: what it pushed is its newest."""
        self._beat_ns = started_ns

    def follow(self, listed: Mapping[str, Listing]) -> None:
        """Streams these symbols from now on, with these filters."""
        for symbol, pushed in list(self._pushed.items()):
            if symbol not in listed:
                del self._pushed[symbol]
            elif listed[symbol] != self._listed.get(symbol):
                pushed.snapshot = None
        self._listed = listed
        symbols = frozenset(listed)
        if symbols != (self._streams[-1].symbols if self._streams else frozenset()):
            self._switch(symbols)

    def reconnected(self) -> None:
        """Asks for the stream again at once; the server may be another one."""
        self._reconnected.set()
        self._reconnected.clear()

    async def close(self) -> None:
        """Ends every stream."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _switch(self, symbols: frozenset[str]) -> None:
        """Keeps what delivers until a new stream has delivered as much."""
        for stream in list(self._streams):
            if not symbols or stream is not self._streams[0] or not self._delivered_by(stream):
                self._retire(stream)
        if not symbols:
            return
        stream = _Stream(symbols, {symbol for symbol in self._pushed if symbol in symbols})
        self._streams.append(stream)
        task = asyncio.create_task(self._keep(stream), name="books of symbol-service")
        self._tasks[stream] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream))

    def _delivered_by(self, stream: _Stream) -> bool:
        return any(pushed.stream is stream for pushed in self._pushed.values())

    def _retire(self, stream: _Stream) -> None:
        self._forget(stream)
        self._streams.remove(stream)
        self._tasks[stream].cancel()

    def _forget(self, stream: _Stream) -> None:
        for symbol, pushed in list(self._pushed.items()):
            if pushed.stream is stream:
                del self._pushed[symbol]

    async def _keep(self, stream: _Stream) -> None:
        """Asks for the stream again whenever it ends, until another one has taken over."""
        pause = RETRY_SECONDS_MIN
        while stream in self._streams:
            opened_ns = self._clock.monotonic_ns()
            supported = await self._read(stream)
            if stream in self._streams[:-1]:
                self._streams.remove(stream)  # the newer one need not wait for it any more
                return
            if self._clock.monotonic_ns() - opened_ns > RETRY_SECONDS_MAX * 1e9:
                pause = RETRY_SECONDS_MIN
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * (1 + self._jitter()) if supported else None):
                    await self._reconnected.wait()
            pause = min(2 * pause, RETRY_SECONDS_MAX)

    async def _read(self, stream: _Stream) -> bool:
        """Takes in books until the stream ends. False if the server has no such rpc."""
        self.counts.streams += 1
        try:
            await self._channel.stream_books(
                stream.symbols, self._depth, lambda raw, book: self._arrived(stream, raw, book)
            )
        except CallFailed as failure:
            return failure.code is not grpc.StatusCode.UNIMPLEMENTED
        finally:
            self._forget(stream)
            self._broken()
        return True

    def _arrived(self, stream: _Stream, raw: bytes, book: marketdata_pb2.Book) -> None:
        symbol = book.symbol
        if symbol not in stream.symbols or symbol not in self._listed:
            self.counts.unasked += 1
            return
        self.counts.books += 1
        now_ns = self._clock.monotonic_ns()
        known = self._pushed.get(symbol)
        if known is not None and known.stream is not stream and stream is not self._streams[-1]:
            return  # the newer stream is ahead of this one
        if known is not None and book.sequence and known.raw == raw:
            known.stream, known.received_ns = stream, now_ns
        else:
            steps = 0
            if known is not None and known.stream is stream:
                steps = self._steps_by_one(known, book.sequence)
            self._pushed[symbol] = Pushed(stream, raw, book, now_ns, steps)
            self.listener(symbol)
        if stream.awaited:
            self._caught_up(stream, symbol)

    def _steps_by_one(self, known: Pushed, sequence: int) -> int:
        """Counts what is odd about the step to this sequence; 0 unless it is by one."""
        before = known.book.sequence
        if sequence == before + 1:
            return known.steps_by_one + 1
        if sequence and before:  # 0: the source keeps none
            if sequence < before:
                self.counts.restarts += 1
            elif sequence == before:
                self.counts.rewrites += 1
            elif known.steps_by_one >= CONSECUTIVE_MIN:
                self.counts.gaps += 1
        return 0

    def _caught_up(self, stream: _Stream, symbol: str) -> None:
        stream.awaited.discard(symbol)
        if not stream.awaited and stream is not self._streams[0]:
            self._retire(self._streams[0])


def _nobody(_: str) -> None:
    """Listens to nothing."""
