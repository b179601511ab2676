"""What a million resting stops cost the service: loading, memory, and every book update.

    python benchmarks/stop_watch_costs.py REDIS_URL

Measures in this process, which should be fresh: follows the stops of a Redis
as the service does, then lets books arrive, with stops and without, in turn.
Prints one JSON object. `test_stops.py` fills a Redis and judges the numbers.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median

import psutil
from stop_load import Pauses

from execution.adapters.book_messages import Listing
from execution.adapters.feed import _Stream
from execution.adapters.stop_stream import RedisStopStream, StopStreamConfig
from execution.adapters.symbol_service import SymbolServiceBooks, SymbolServiceConfig
from execution.executor import Executor, Terms
from execution.model import SymbolSpec
from execution.pricing import Liquidity
from execution.server.clock import SystemClock
from execution.settlement import FeeRate
from execution.stop_orders import StopOrders
from execution.stop_watch import StopWatch, WatchConfig
from execution.testing import SimulatedLedger
from execution.v1 import marketdata_pb2

SYMBOLS = tuple(f"SYM{number}-USDT" for number in range(50))
LEVELS = 20
ROUNDS = 41
UPDATES = 2_000
BELOW, ABOVE = 2_750_000, 3_750_000
"""In cents. The stops of `stop_load.resting` lie between: those of even symbols buy."""
AGE_MS_MAX = 60_000
"""No heartbeat keeps these books fresh."""


class Service:
    """The parts of the service that see books and stops."""

    def __init__(self, url: str) -> None:
        clock = SystemClock()
        self.books = SymbolServiceBooks(SymbolServiceConfig("localhost:1", AGE_MS_MAX), clock)
        terms = Terms(FeeRate())
        ledger = SimulatedLedger()
        executor = Executor(self.books, ledger, Liquidity(), clock, terms)
        self.watch = StopWatch(
            StopOrders(executor, ledger, clock, terms),
            RedisStopStream(StopStreamConfig(url)),
            self.books,
            self.books,
            clock,
            WatchConfig(),
        )
        self.feed = self.books._feed
        self.stream = _Stream(frozenset(SYMBOLS), set())
        self.feed._listed = {name: Listing(SymbolSpec(name, 2, 3)) for name in SYMBOLS}
        self.feed._streams = [self.stream]

    def update(self, raw: bytes) -> None:
        """As `market_channel` does for every message of the stream."""
        self.feed._arrived(self.stream, raw, marketdata_pb2.Book.FromString(raw))


@dataclass(frozen=True)
class Costs:
    """What was measured."""

    stops: int
    load_seconds: float
    load_cpu_seconds: float
    bytes_per_stop: float
    longest_pause_ms: float
    update_us: float
    update_us_without_stops: float

    @property
    def ratio(self) -> float:
        """How much more a book update costs with all these stops."""
        return self.update_us / self.update_us_without_stops


def messages() -> list[bytes]:
    """Books that move and cross nothing."""
    made = []
    for number in range(UPDATES):
        bid = (ABOVE if number % 2 else BELOW) + number % 7
        book = marketdata_pb2.Book(
            symbol=SYMBOLS[number % len(SYMBOLS)],
            sequence=number + 1,
            price_decimals=2,
            quantity_decimals=3,
        )
        book.bids.prices.extend(range(bid, bid - LEVELS, -1))
        book.asks.prices.extend(range(bid + 1, bid + 1 + LEVELS))
        book.bids.quantities.extend(1_000 + n for n in range(LEVELS))
        book.asks.quantities.extend(1_000 + n for n in range(LEVELS))
        made.append(book.SerializeToString())
    return made


async def load(service: Service, updates: list[bytes]) -> tuple[int, float, float, float, float]:
    """Starts the watch and waits until it knows every stop, books being there."""
    for raw in updates[: len(SYMBOLS)]:
        service.update(raw)
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    begun, cpu = time.perf_counter(), time.process_time()
    pauses = Pauses()
    watching_pauses = asyncio.create_task(pauses.watch())
    await service.watch.start()
    await service.watch.wait_until_known()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    watching_pauses.cancel()
    gc.collect()
    grown = process.memory_info().rss - before
    return len(service.watch), seconds, cpu, grown, pauses.longest_seconds * 1_000


def update_us(service: Service, updates: list[bytes]) -> float:
    """CPU time of one book update, parsed, taken in and looked at."""
    begun = time.process_time_ns()
    for raw in updates:
        service.update(raw)
    return (time.process_time_ns() - begun) / len(updates) / 1_000


async def measure(url: str) -> Costs:
    """Loads everything, then measures updates on a full and an empty service, in turn."""
    updates = messages()
    empty, full = Service(url), Service(url)
    empty.books.listen(empty.watch._on_book)
    stops, seconds, cpu, grown, pause_ms = await load(full, updates)
    rounds = [(update_us(full, updates), update_us(empty, updates)) for _ in range(ROUNDS)]
    assert len(full.watch) == stops, "these books trigger nothing"
    await full.watch.close()
    for service in (empty, full):
        await service.books.close()
    with_stops, without = (median(column) for column in zip(*rounds, strict=True))
    return Costs(stops, seconds, cpu, grown / max(stops, 1), pause_ms, with_stops, without)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(measure(sys.argv[1])))))
