"""The kernel under pytest-benchmark: what base_against_head.py compares from commit to commit."""

from typing import Any

import numpy as np
import pytest

import execution
from execution import Book, format_decimal, parse_decimal, walk

CALLS = 1000


def asks(depth: int) -> Any:
    level = np.arange(depth, dtype=np.int64)
    return 6_180_000_000_000 + level * 10_000_000, 12_345_678_901 + level * 1_001


def book(depth: int) -> Book[int]:
    empty = np.empty(0, np.int64)
    return Book(empty, empty, *asks(depth))


def repeated(benchmark: Any, call: Any, *arguments: Any) -> Any:
    """A thousand calls a round: one is shorter than what the clock can tell apart."""

    def many() -> Any:
        for _ in range(CALLS):
            result = call(*arguments)
        return result

    return benchmark.pedantic(many, rounds=60, warmup_rounds=3)


@pytest.mark.parametrize("depth", [1, 20, 1000])
def test_buy(benchmark: Any, depth: int) -> None:
    made = book(depth)
    want = int(made.ask_quantities.sum()) // 2
    assert repeated(benchmark, made.buy, want).filled == want


@pytest.mark.parametrize("depth", [1, 20])
def test_fill_with_limit(benchmark: Any, depth: int) -> None:
    made = book(depth)
    want, limit = int(made.ask_quantities.sum()) // 2, int(made.ask_prices[-1])
    assert repeated(benchmark, made.fill, "BUY", want, limit).filled == want


def test_five_tuple(benchmark: Any) -> None:
    made = book(1)
    assert repeated(benchmark, made.walk, "BUY", 5_000_000_000, None)[0] == 5_000_000_000


@pytest.mark.parametrize("depth", [20, 1000])
def test_walk_over_arrays(benchmark: Any, depth: int) -> None:
    prices, quantities = asks(depth)
    want = int(quantities.sum())
    assert repeated(benchmark, walk, prices, quantities, want)[2] == 0


def test_make_a_book(benchmark: Any) -> None:
    prices, quantities = asks(20)
    empty = np.empty(0, np.int64)
    assert repeated(benchmark, Book, empty, empty, prices, quantities).buy(1).filled == 1


def test_parse_decimal(benchmark: Any) -> None:
    assert repeated(benchmark, parse_decimal, "61800.2075", 8) == 6_180_020_750_000


def test_format_decimal(benchmark: Any) -> None:
    assert repeated(benchmark, format_decimal, 6_180_020_750_000, 8) == "61800.2075"


@pytest.mark.skipif(not hasattr(execution, "walk_batch"), reason="the base has no batches yet")
@pytest.mark.parametrize("check", [False, True])
def test_dense_batch(benchmark: Any, check: bool) -> None:
    rows = 20_000
    prices, quantities = (np.tile(column, (rows, 1)) for column in asks(20))
    wants = np.random.default_rng(5).integers(1, int(quantities[0].sum()), rows)
    fills = benchmark.pedantic(
        lambda: execution.walk_batch(prices, quantities, wants, check=check),
        rounds=40,
        warmup_rounds=3,
    )
    assert (fills.filled == wants).all()
