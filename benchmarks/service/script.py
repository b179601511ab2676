"""The commit script alone: real entries, packed as the service packs them, sent as fast as it goes.

They are orders of the load generator's kind, executed by the real engine on the market's books,
each on the position that the one before has left, so that every one of them commits on a Redis
that is empty.
"""

import json
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from execution.adapters.commit_script import SOURCE, Fence, pack_batch, pack_entry
from execution.decimals import to_text
from execution.engine import execute
from execution.model import Direction, Order, Position, Quote
from execution.ports import Entry
from execution.pricing import Liquidity, LiquidityMode
from execution.settlement import FeeRate
from execution.testing import book_snapshot
from service import books
from service.processes import on_core
from service.tools import built

USERS = 1_000
QUANTITIES = ("0.125", "0.5", "1.25", "2")
NOW_NS = 1_700_000_000_123_456_789
PREFIX = "script-00000-0000"
NO_FEE = FeeRate.from_bps("0")
CALLS_MAX = 2_000
"""In a file: one call at a time takes its time."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Driven:
    """What the driver measured of Redis."""

    per_second: float
    redis_cpu_us: float
    """An order."""
    p50_us: float
    """Of a call."""


def entries() -> Iterator[Entry]:
    """Orders without end, each with its outcome."""
    quotes = dict(_quotes())
    positions: dict[tuple[str, str], Position] = {}
    number = 0
    while True:
        placed = order(number)
        number += 1
        key = (placed.user_id, placed.symbol)
        basis = positions.get(key) or Position(*key)
        outcome = execute(placed, quotes[placed.symbol, placed.direction], basis, NO_FEE, NOW_NS)
        assert outcome.position is not None
        positions[key] = outcome.position
        yield Entry(placed.payload(), outcome.report, basis, outcome.position)


def write_packed(files: dict[int, Path], orders: int) -> None:
    """The files that script_driver.c reads, by the number of orders a call; each from the first."""
    packed = list(map(pack_entry, islice(entries(), orders)))
    for per_call, path in files.items():
        with path.open("wb") as file:
            for first in range(0, min(len(packed), CALLS_MAX * per_call) - per_call + 1, per_call):
                request = pack_batch(packed[first : first + per_call], Fence.NEVER)
                file.write(struct.pack("<II", len(request), per_call) + request)


def drive(redis: Any, file: Path, core: int, *, window: int, warm_up: int = 0) -> Driven:
    """Runs the file on an empty Redis (a `RedisServer`). Raises `RuntimeError`."""
    redis.command("SCRIPT", "LOAD", SOURCE)
    words = [str(built("script_driver")), "--socket", str(redis.unix_socket), "--file", str(file)]
    words += ["--window", str(window), "--warm-up", str(warm_up), "--cpu-of", str(redis.pid)]
    with on_core(core):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the script driver failed: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    cpu_us = found["cpu_seconds"][0] * 1e6 / found["orders"]
    return Driven(found["orders_per_second"], cpu_us, found["latency_us"]["p50"])


def order(number: int, prefix: str = PREFIX) -> Order:
    """The order that load.c would send under this number and prefix."""
    chance = _scattered(number)
    return Order(
        order_id=f"{prefix}-{number:012}",
        user_id=f"u-{prefix}-{chance % USERS:04}",
        symbol=books.symbol((chance >> 20) % books.SYMBOLS),
        direction=Direction(1 + (chance >> 40) % 2),
        quantity=QUANTITIES[(chance >> 50) % len(QUANTITIES)],
        received_time_ns=NOW_NS,
    )


def _quotes() -> Iterator[tuple[tuple[str, Direction], Quote]]:
    liquidity = Liquidity(LiquidityMode.SNAPSHOT)
    for number in range(books.SYMBOLS):
        spec, book = books.spec(number), books.book(number, 1)
        snapshot = book_snapshot(
            spec,
            _texts(book.bid_prices, book.bid_quantities),
            _texts(book.ask_prices, book.ask_quantities),
            sequence=book.sequence,
        )
        for direction in (Direction.BUY, Direction.SELL):
            quote = liquidity.quote(snapshot, direction)
            assert isinstance(quote, Quote)
            yield (spec.symbol, direction), quote


def _texts(prices: tuple[int, ...], quantities: tuple[int, ...]) -> list[tuple[str, str]]:
    return [
        (to_text(price, books.PRICE_DECIMALS), to_text(quantity, books.LOT_DECIMALS))
        for price, quantity in zip(prices, quantities, strict=True)
    ]


def _scattered(number: int) -> int:
    """As in orders.h."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
