"""Random cases by the hundred thousand against the oracle; EXECUTION_CASES asks for more.

The seed is in the name of the test: a failure is found again by running that one.
"""

import os
import random

import numpy as np
import oracle
import pytest

from execution import Book, walk, walk_batch

INT64_MAX = 2**63 - 1
CASES = int(os.environ.get("EXECUTION_CASES", "40000"))
ORDERS = 4  # each book is asked so often, by every form
SEEDS = range(4)


def number(rng: random.Random, least: int) -> int:
    """Small numbers meet edges; near the ends of the range everything carries."""
    kind = rng.random()
    if kind < 0.5:
        return rng.randint(least, 9)
    if kind < 0.8:
        return rng.randint(least, 10 ** rng.randint(1, 18))
    return INT64_MAX - rng.randint(0, 3)


def order(rng: random.Random, levels: list[tuple[int, int]]) -> tuple[int, int]:
    """(quantity, limit); often on or beside the edge of a level, or at its price."""
    edge = sum(quantity for _, quantity in levels[: rng.randint(0, len(levels))])
    quantity = rng.choice([number(rng, 0), edge, edge + 1, max(edge - 1, 0)])
    limit = rng.choice(levels)[0] if levels and rng.random() < 0.7 else number(rng, 1)
    return min(quantity, INT64_MAX), limit


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_books_cost_what_the_oracle_says(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(CASES // ORDERS // len(SEEDS)):
        side = rng.choice(["BUY", "SELL"])
        selling = side == "SELL"
        levels = [(number(rng, 1), number(rng, 0)) for _ in range(rng.randint(0, 8))]
        levels.sort(key=lambda level: level[0], reverse=selling)
        orders = [order(rng, levels) for _ in range(ORDERS)]
        judged = [oracle.walk(levels, quantity, limit, side) for quantity, limit in orders]
        expected = [
            (int(one.filled), int(one.notional), int(one.remaining), one.levels, one.worst_price)
            for one in judged
        ]
        prices = np.array([price for price, _ in levels], np.int64)
        quantities = np.array([quantity for _, quantity in levels], np.int64)
        none = np.empty(0, np.int64)
        arrays = (prices, quantities, none, none) if selling else (none, none, prices, quantities)
        book = Book(*arrays)
        assert [book.walk(side, *one) for one in orders] == expected
        assert [walk(prices, quantities, *one, selling) for one in orders] == expected
        wants, limits = (np.array(column, np.int64) for column in zip(*orders, strict=True))
        fills = walk_batch(prices, quantities, wants, limits, selling)
        assert fills.notional.tolist() == [one[1] for one in expected]
        assert fills.levels.tolist() == [one[3] for one in expected]
