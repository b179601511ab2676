"""The batch measurements: many orders, each on a book of its own."""

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from execution import Fills, walk_batch

if TYPE_CHECKING:
    from contenders import Ints

DEPTH = 20


def add_batches(run: Any, c: Any, orders: int) -> None:
    """L20 books, half of each taken; dense in order, then by offsets in random order."""
    rng = np.random.default_rng(11)
    steps = rng.integers(1, 1000, (orders, DEPTH))
    prices: Ints = 6_180_000_000_000 + np.cumsum(steps, axis=1).astype(np.int64)
    quantities: Ints = rng.integers(1, 10**10, (orders, DEPTH)).astype(np.int64)
    wants: Ints = quantities.sum(axis=1) // 2
    books: Ints = rng.permutation(orders).astype(np.int64)
    offsets: Ints = np.arange(orders + 1, dtype=np.int64) * DEPTH
    flat = prices.reshape(-1), quantities.reshape(-1)
    out, theirs = Fills.allocate(orders), Fills.allocate(orders)
    halves = [part(out, slice(0, orders // 2)), part(out, slice(orders // 2, orders))]
    written = np.zeros(6 * orders, np.uint64)
    columns = columns_of(theirs)

    def dense() -> None:
        walk_batch(prices, quantities, wants, out=out, check=False)

    def threads() -> None:
        middle = orders // 2
        parts = (slice(0, middle), slice(middle, orders))
        running = [
            threading.Thread(target=half, args=(rows, piece))
            for rows, piece in zip(parts, halves, strict=True)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def half(rows: slice, piece: Fills) -> None:
        walk_batch(prices[rows], quantities[rows], wants[rows], out=piece, check=False)

    def by_offsets() -> None:
        walk_batch(*flat, wants, offsets=offsets, books=books, out=out, check=False)

    def per_order(call: Any) -> Any:
        def measure() -> float:
            begun = time.perf_counter_ns()
            call()
            return (time.perf_counter_ns() - begun) / orders

        return measure

    dense()
    c.batch_ns(prices, quantities, wants, None, DEPTH, *columns)
    for mine, other in zip(columns_of(out), columns, strict=True):
        assert (mine == other).all()
    run.time("dense batch", per_order(dense))
    run.time(
        "dense batch, checked",
        per_order(lambda: walk_batch(prices, quantities, wants, out=out)),
    )
    run.time(
        "dense C",
        lambda: float(c.batch_ns(prices, quantities, wants, None, DEPTH, *columns)),
    )
    run.time("memory floor", lambda: float(c.floor_ns(prices, quantities, written, orders)))
    run.time("dense batch, two threads", per_order(threads))
    run.time("CSR batch", per_order(by_offsets))
    run.time(
        "random C",
        lambda: float(c.batch_ns(prices, quantities, wants, books, DEPTH, *columns)),
    )


def columns_of(fills: Fills) -> tuple[Any, ...]:
    words = fills.notional_high, fills.notional_low
    return (fills.filled, fills.remaining, *words, fills.levels, fills.worst_price)


def part(fills: Fills, rows: slice) -> Fills:
    """Results over a part of these arrays."""
    assert fills.notional_low is not None
    assert fills.notional_high is not None
    return Fills(
        filled=fills.filled[rows],
        remaining=fills.remaining[rows],
        worst_price=fills.worst_price[rows],
        levels=fills.levels[rows],
        notional_low=fills.notional_low[rows],
        notional_high=fills.notional_high[rows],
    )
