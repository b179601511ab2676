"""What the tests of the symbol-service client share: a client on a scripted market."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scripted_market import EVERYTHING, L1_ONLY, NO_PUSH, ScriptedMarket, l1

from execution.adapters.symbol_service import SymbolServiceBooks, SymbolServiceConfig
from execution.errors import Unavailable
from execution.model import Snapshot

BTC = "BTC-USDT"


@pytest.fixture(params=["ngh2", "grpcio"])
def either_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test twice: with our own client, and as where ngh2 is not installed."""
    if request.param == "grpcio":
        monkeypatch.setattr("execution.adapters.h2_market.NGH2", "no_such_module")


def depth_market(serves: frozenset[str] = NO_PUSH) -> ScriptedMarket:
    """BTC-USDT with two levels on each side, without push unless it `serves` that."""
    market = ScriptedMarket(serves)
    market.list_symbol(BTC)
    return market


def push_market() -> ScriptedMarket:
    """The same with push."""
    return depth_market(EVERYTHING)


def l1_market() -> ScriptedMarket:
    """A server as deployed: GetL1 alone."""
    market = ScriptedMarket(L1_ONLY)
    market.l1s[BTC] = l1()
    return market


class LeapingClock:
    """The real clock, which a test may put forward."""

    def __init__(self) -> None:
        self._leapt_ns = 0

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._leapt_ns

    def time_ns(self) -> int:
        return time.time_ns() + self._leapt_ns

    def leap(self, milliseconds: int) -> None:
        self._leapt_ns += milliseconds * 1_000_000


class Client:
    """The books under test, and orders that ask for them."""

    def __init__(self, address: str, **config: Any) -> None:
        self.clock = LeapingClock()
        # Probes of a quiet feed come every half age: rarely enough here that a
        # test decides what the server sees.
        settings = {"max_snapshot_age_ms": 2_000, "probe_interval_ms": 1_000, **config}
        self.books = SymbolServiceBooks(
            SymbolServiceConfig(address, **settings), self.clock, jitter=lambda: 0.0
        )

    async def snapshot(self, symbol: str = BTC) -> Snapshot | None:
        """What an order that arrives now is given."""
        async with asyncio.timeout(10):
            return await self.books.snapshot(symbol, self.clock.monotonic_ns())

    async def book(self, symbol: str = BTC) -> Snapshot:
        """The same, where the symbol is known."""
        snapshot = await self.snapshot(symbol)
        assert snapshot is not None, f"{symbol} is unknown"
        return snapshot

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when `holds`, which nothing announces."""
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.002)

    async def failure(self, within_ms: int = 10_000) -> Unavailable:
        """The error of the first order that gets no book; one must come within that time."""
        begun_ns = self.clock.monotonic_ns()
        while True:
            try:
                await self.book()
            except Unavailable as error:
                return error
            assert self.clock.monotonic_ns() - begun_ns < within_ms * 1_000_000
            await asyncio.sleep(0.002)  # a pushed book is given without a pause

    async def pushed(self, symbol: str = BTC, sequence: int = 0) -> Snapshot:
        """The first book that needs no fetch, of this sequence if one is named."""
        found: list[Snapshot] = []

        def is_pushed() -> bool:
            asking = self.books.snapshot(symbol, self.clock.monotonic_ns())
            try:
                asking.send(None)
            except StopIteration as end:
                found.append(end.value)
                return not sequence or end.value.sequence == sequence
            finally:
                asking.close()
            return False

        await self.until(is_pushed)
        return found[-1]


@asynccontextmanager
async def client(address: str, **config: Any) -> AsyncIterator[Client]:
    """A client that runs against this address, perhaps in vain."""
    it = Client(address, **config)
    await it.books.start()
    try:
        yield it
    finally:
        await it.books.close()


@asynccontextmanager
async def connected(market: ScriptedMarket, **config: Any) -> AsyncIterator[Client]:
    """A client that this market, which is started here, has answered."""
    async with market, client(market.address, **config) as it:
        async with asyncio.timeout(10):
            await it.books.wait_until_answered()
        yield it


@asynccontextmanager
async def following(market: ScriptedMarket, **config: int) -> AsyncIterator[Client]:
    """A client that holds a pushed book of BTC-USDT."""
    async with connected(market, **config) as it:
        await it.pushed()
        yield it
