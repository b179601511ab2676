"""The kernel against the oracle: random books, extremes, exact edges."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import Book, format_decimal, parse_decimal, walk

INT64_MAX = 2**63 - 1

SIDES = st.sampled_from(["BUY", "SELL"])
# Small numbers meet edges often; the large ones meet every carry.
PRICES = st.integers(1, 9) | st.integers(1, INT64_MAX)
QUANTITIES = st.integers(0, 5) | st.integers(0, INT64_MAX)
LEVELS = st.lists(st.tuples(PRICES, QUANTITIES), max_size=12)


def sided(levels: list[tuple[int, int]], side: str) -> list[tuple[int, int]]:
    """The levels as one side of a book: sorted best first for who takes from it."""
    return sorted(levels, key=lambda level: level[0], reverse=side == "SELL")


def book_of(levels: list[tuple[int, int]], side: str) -> Book[int]:
    prices, quantities = [p for p, _ in levels], [q for _, q in levels]
    if side == "BUY":
        return Book([], [], prices, quantities)
    return Book(prices, quantities, [], [])


def expected(
    levels: list[tuple[int, int]], quantity: int, limit: int | None, side: str
) -> tuple[int | Fraction | None, ...]:
    judged = oracle.walk(levels, quantity, limit, side)
    return (judged.filled, judged.notional, judged.remaining, judged.levels, judged.worst_price)


@given(LEVELS, QUANTITIES, st.none() | PRICES, SIDES)
def test_every_form_of_the_walk_agrees_with_the_oracle(
    levels: list[tuple[int, int]], quantity: int, limit: int | None, side: str
) -> None:
    levels = sided(levels, side)
    book = book_of(levels, side)
    judged = expected(levels, quantity, limit, side)
    assert book.walk(side, quantity, limit) == judged
    assert book.fill(side, quantity, limit).astuple() == judged
    prices = np.array([price for price, _ in levels], np.int64)
    quantities = np.array([shown for _, shown in levels], np.int64)
    for check in (True, False):
        assert walk(prices, quantities, quantity, limit, side == "SELL", check=check) == judged
    if limit is None:
        assert (book.buy if side == "BUY" else book.sell)(quantity).astuple() == judged


@given(LEVELS, st.data(), SIDES)
def test_orders_that_end_on_the_edge_of_a_level_are_exact(
    levels: list[tuple[int, int]], data: st.DataObject, side: str
) -> None:
    levels = sided(levels, side)
    count = data.draw(st.integers(0, len(levels)))
    edge = sum(quantity for _, quantity in levels[:count])
    quantity = min(max(edge + data.draw(st.integers(-1, 1)), 0), INT64_MAX)
    limit = data.draw(st.none() | st.sampled_from([p for p, _ in levels] or [1]))
    judged = expected(levels, quantity, limit, side)
    assert book_of(levels, side).walk(side, quantity, limit) == judged


@given(LEVELS.filter(bool), QUANTITIES.filter(bool), SIDES)
def test_average_price_and_slippage_are_the_nearest_floats(
    levels: list[tuple[int, int]], quantity: int, side: str
) -> None:
    levels = sided(levels, side)
    fill = book_of(levels, side).fill(side, quantity)
    average = oracle.walk(levels, quantity, None, side).average
    if average is None:
        assert fill.average_price is None
        assert fill.slippage_bps is None
        return
    assert fill.average_price == float(average)
    best = levels[0][0]
    worse = average - best if side == "BUY" else best - average
    assert fill.slippage_bps == float(worse / best * 10_000)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(0, 1e6)), max_size=12),
    st.floats(0, 1e7),
    st.none() | st.floats(1e-6, 1e6),
    SIDES,
)
def test_the_float_walk_is_the_exact_one_within_rounding(
    levels: list[tuple[float, float]], quantity: float, limit: float | None, side: str
) -> None:
    levels = sorted(levels, key=lambda level: level[0], reverse=side == "SELL")
    prices, quantities = [p for p, _ in levels], [q for _, q in levels]
    judged = oracle.walk(levels, quantity, limit, side)
    filled, notional, remaining, count, _ = walk(
        np.array(prices), np.array(quantities), quantity, limit, side == "SELL"
    )
    assert filled == pytest.approx(float(judged.filled), rel=1e-12, abs=1e-8)
    assert remaining == pytest.approx(float(judged.remaining), rel=1e-12, abs=1e-8)
    assert notional == pytest.approx(float(judged.notional), rel=1e-9, abs=1e-2)
    assert abs(count - judged.levels) <= len(levels)


@given(st.integers(-(2**63), INT64_MAX), st.integers(0, 18))
def test_text_and_back_is_the_same_number(value: int, decimals: int) -> None:
    text = format_decimal(value, decimals)
    assert parse_decimal(text, decimals) == value
    assert Fraction(text) * 10**decimals == value
    assert not ("." in text and text.endswith("0"))


@given(
    st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{1,22})?", fullmatch=True),
    st.integers(0, 18),
)
def test_text_is_read_as_fractions_read_it_or_refused(text: str, decimals: int) -> None:
    if not text.isascii():
        return
    scaled = Fraction(Decimal(text)) * 10**decimals
    if scaled.denominator != 1:
        with pytest.raises(ValueError, match="more than"):
            parse_decimal(text, decimals)
    elif not -(2**63) <= scaled <= INT64_MAX:
        with pytest.raises(OverflowError, match="does not fit"):
            parse_decimal(text, decimals)
    else:
        assert parse_decimal(text, decimals) == scaled


@given(st.text(max_size=12))
def test_text_is_read_only_where_it_is_a_plain_decimal(text: str) -> None:
    try:
        value = parse_decimal(text, 8)
    except (ValueError, OverflowError):
        return
    assert Fraction(text) * 10**8 == value
