"""Every form of the batch agrees with the single walk, and prefix sums with both."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from execution import Book, Fills, walk, walk_batch

INT64_MAX = 2**63 - 1

PRICES = st.integers(1, 9) | st.integers(1, INT64_MAX)
QUANTITIES = st.integers(0, 5) | st.integers(0, INT64_MAX)
LEVELS = st.lists(st.tuples(PRICES, QUANTITIES), max_size=8)
ORDERS = st.tuples(QUANTITIES, PRICES)
Levels = list[tuple[int, int]]
Ints = npt.NDArray[np.int64]


def ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def sides(books: list[Levels], *, descending: bool) -> list[tuple[Ints, Ints]]:
    ordered = [sorted(book, key=lambda level: level[0], reverse=descending) for book in books]
    return [(ints([p for p, _ in book]), ints([q for _, q in book])) for book in ordered]


def rows(fills: Fills) -> list[tuple[Any, ...]]:
    columns = (fills.filled, fills.notional, fills.remaining, fills.levels, fills.worst_price)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def single(side: tuple[Ints, Ints], quantity: int, limit: int | None, *, descending: bool) -> Any:
    filled, notional, remaining, levels, worst = walk(*side, quantity, limit, descending)
    return (filled, notional, remaining, levels, worst or 0)


@given(st.lists(LEVELS, min_size=1, max_size=6), st.data(), st.booleans())
def test_books_by_offsets_and_rows_are_walked_as_each_by_itself(
    books: list[Levels], data: st.DataObject, descending: bool
) -> None:
    made = sides(books, descending=descending)
    count = data.draw(st.integers(0, 8))
    orders = data.draw(st.lists(ORDERS, min_size=count, max_size=count))
    chosen = data.draw(st.lists(st.integers(0, len(made) - 1), min_size=count, max_size=count))
    wants, limits = ints([want for want, _ in orders]), ints([limit for _, limit in orders])
    expected = [
        single(made[book], want, limit, descending=descending)
        for book, (want, limit) in zip(chosen, orders, strict=True)
    ]
    prices, quantities = (np.concatenate([side[part] for side in made]) for part in (0, 1))
    offsets = np.cumsum([0] + [len(side[0]) for side in made])
    by_offsets = walk_batch(
        prices, quantities, wants, limits, descending, offsets=offsets, books=ints(chosen)
    )
    assert rows(by_offsets) == expected

    by_rows = walk_batch(
        padded(made, 0), padded(made, 1), wants, limits, descending, books=ints(chosen)
    )
    assert rows(by_rows) == expected


def padded(made: list[tuple[Ints, Ints]], part: int) -> Ints:
    """One row a book: short ones end in their last price (or 1) and quantity 0."""
    width = max(len(side[0]) for side in made)
    block = np.zeros((len(made), width), np.int64)
    for row, side in zip(block, made, strict=True):
        content = side[part]
        row[: len(content)] = content
        if part == 0:
            row[len(content) :] = content[-1] if len(content) else 1
    return block


@given(LEVELS, st.lists(ORDERS, max_size=8), st.none() | PRICES, st.booleans())
def test_many_orders_on_one_book_are_walked_as_each_by_itself(
    levels: Levels, orders: list[tuple[int, int]], limit: int | None, descending: bool
) -> None:
    (side,) = sides([levels], descending=descending)
    wants, limits = ints([want for want, _ in orders]), ints([bound for _, bound in orders])
    got = walk_batch(*side, wants, limit, descending)
    assert rows(got) == [single(side, int(w), limit, descending=descending) for w in wants]
    got = walk_batch(*side, wants, limits, descending)
    assert rows(got) == [single(side, w, bound, descending=descending) for w, bound in orders]


DEEP = st.lists(st.tuples(PRICES, QUANTITIES), min_size=16, max_size=150)


@given(DEEP, st.lists(ORDERS, min_size=1, max_size=12), st.data())
def test_a_book_that_is_asked_often_answers_as_at_first(
    levels: Levels, orders: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Long books are swept and then answered by prefix sums; both are the plain walk."""
    side_name = data.draw(st.sampled_from(["BUY", "SELL"]))
    descending = side_name == "SELL"
    (side,) = sides([levels], descending=descending)
    edges = np.cumsum(side[1].astype(object))
    orders += [(min(int(edges[data.draw(st.integers(0, len(levels) - 1))]), INT64_MAX), 1)]
    empty = ints([])
    book = Book(*side, empty, empty) if descending else Book(empty, empty, *side)
    for want, limit in orders * 2:
        for bound in (None, limit):
            expected = plainly(side, want, bound, descending=descending)
            assert book.walk(side_name, want, bound) == expected
            assert walk(*side, want, bound, descending) == expected
        book.walk(side_name, INT64_MAX)  # whole walks: these make the prefix sums pay


def plainly(side: tuple[Ints, Ints], want: int, limit: int | None, *, descending: bool) -> Any:
    """The walk in plain Python."""
    left, notional, touched, worst = want, 0, 0, None
    for level, (price, quantity) in enumerate(zip(*(part.tolist() for part in side), strict=True)):
        if limit is not None and (price < limit if descending else price > limit):
            break
        taken = min(quantity, left)
        if taken:
            left -= taken
            notional += price * taken
            touched, worst = level + 1, price
    return (want - left, notional, left, touched, worst)


FLOATS = st.floats(0, 1e6, allow_subnormal=False)
FLOAT_LEVELS = st.lists(st.tuples(st.floats(0.01, 1e6), FLOATS), min_size=16, max_size=60)


@given(FLOAT_LEVELS, st.lists(st.tuples(FLOATS, st.floats(0.01, 1e6)), min_size=1, max_size=8))
def test_every_float_form_gives_the_very_same_floats(
    levels: list[tuple[float, float]], orders: list[tuple[float, float]]
) -> None:
    levels.sort()
    prices, quantities = (np.array(part) for part in zip(*levels, strict=True))
    book = Book([], [], prices, quantities)
    limits = np.array([limit for _, limit in orders])
    wants = np.array([want for want, _ in orders])
    expected = [walk(prices, quantities, want, limit) for want, limit in orders]
    for _ in range(3):
        assert [book.walk("BUY", want, limit) for want, limit in orders] == expected
        book.walk("BUY", 1e300)
    as_rows = [(*row[:4], row[4] or 0.0) for row in expected]
    assert rows(walk_batch(prices, quantities, wants, limits)) == as_rows
    one_each = np.tile(prices, (len(orders), 1)), np.tile(quantities, (len(orders), 1))
    assert rows(walk_batch(*one_each, wants, limits)) == as_rows
