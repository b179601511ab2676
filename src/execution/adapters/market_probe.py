"""Which symbol-service is this, what does it list, and does it answer?

Asked at the start and ever again, because the server behind an address can be
replaced by one of the other kind at any time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final, TypeAlias

import grpc

from execution.adapters.book_messages import Listing, listings
from execution.adapters.market_channel import CallFailed, MarketChannel, parsed
from execution.ports import Clock
from execution.v1 import marketdata_pb2

Listed: TypeAlias = Callable[[Mapping[str, Listing], int], None]
"""Told what GetSymbols listed and when (monotonic) it was asked."""

_NO_SYMBOL: Final = ""
"""Asked for only to see whether an rpc exists; no source lists it."""

_NOT_SERVED: Final = grpc.StatusCode.UNIMPLEMENTED
_NO_ANSWER: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNAVAILABLE,
    }
)
"""Statuses after which no book is to be expected; others prove that the rpc exists."""

_log = logging.getLogger(__name__)


class Way(StrEnum):
    """The rpc that books are fetched by."""

    BOOK = "GetBook"
    L1 = "GetL1"


class MarketProbe:
    """Keeps `way`, `listed` and `reachable` true to the server."""

    def __init__(
        self, channel: MarketChannel, clock: Clock, timeout_seconds: float, found: Listed
    ) -> None:
        self.way: Way | None = None
        """None until the server has answered."""
        self.listed: Mapping[str, Listing] = {}
        self.reachable = False
        self.answered = asyncio.Event()
        """Set when the server has answered once."""
        self.problem = "symbol-service has not answered yet"
        """Why it is not reachable; empty while it is."""
        self._channel = channel
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._found = found
        self._lists = True
        self._raw: bytes | None = None
        self._listed_at_ns = 0
        self._reported = False
        self._woken = asyncio.Event()

    async def run(self, pause_seconds: Callable[[], float]) -> None:
        """Asks now, and again after every pause or `wake`."""
        while True:
            self._woken.clear()
            await self._ask()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds()):
                    await self._woken.wait()

    def wake(self) -> None:
        """Something has changed: ask again at once."""
        self._woken.set()

    def proven(self, way: Way) -> None:
        """A fetch has just been answered in this way."""
        if way is not self.way:
            self.way = way
            self.wake()

    async def listing(self, symbol: str, timeout_seconds: float) -> Listing | None:
        """Scales and filters of a symbol; asks again for one that is not listed yet.

        None if the source names none. Raises `CallFailed`: what may not be known
        must not be taken for absent.
        """
        if symbol not in self.listed and self._lists:
            await self._list(timeout_seconds)
        return self.listed.get(symbol)

    async def _ask(self) -> None:
        try:
            await self._list(self._timeout_seconds)
            self.way = await self._find_way()
        except CallFailed as failure:
            self._report(str(failure))
        except Exception as error:  # noqa: BLE001 - without a probe nobody would hear of it again
            _log.error("%s: unforeseen failure", self._channel.target, exc_info=error)
            self._report(f"symbol-service {self._channel.target}: {type(error).__name__}")
        else:
            self._report("")

    async def _list(self, timeout_seconds: float) -> None:
        started_ns = self._clock.monotonic_ns()
        raw: bytes | None
        try:
            raw = await self._channel.get_symbols(timeout_seconds)
        except CallFailed as failure:
            if failure.code is not _NOT_SERVED:
                raise
            raw = None
        if started_ns < self._listed_at_ns:
            return  # a later question was answered earlier
        self._listed_at_ns = started_ns
        self._lists = raw is not None
        if raw != self._raw:
            self.listed = {} if raw is None else listings(parsed(marketdata_pb2.Symbols, raw))
            self._raw = raw
        self._found(self.listed, started_ns)

    async def _find_way(self) -> Way:
        if self._lists and self.way is not Way.L1:
            return Way.BOOK
        if await self._served(self._channel.get_book(_NO_SYMBOL, 1, self._timeout_seconds)):
            return Way.BOOK
        # A server known for GetL1 is not asked for it over and over.
        if self.way is Way.L1 or await self._served(
            self._channel.get_l1(_NO_SYMBOL, self._timeout_seconds)
        ):
            return Way.L1
        raise CallFailed(
            "",
            _NOT_SERVED,
            "serves neither marketdata.v1.MarketDataService nor snapshot.SymbolSnapshotService",
        )

    async def _served(self, call: Awaitable[object]) -> bool:
        try:
            await call
        except CallFailed as failure:
            if failure.code in _NO_ANSWER:
                raise
            return failure.code is not _NOT_SERVED
        return True

    def _report(self, problem: str) -> None:
        reachable = not problem
        if reachable != self.reachable or not self._reported:
            self._reported = True
            if problem:
                _log.warning("symbol-service %s: %s", self._channel.target, problem)
            else:
                _log.info("symbol-service %s answers %s", self._channel.target, self.way)
        self.problem = problem
        self.reachable = reachable
        if reachable:
            self.answered.set()
