"""Quote amounts and lots against the oracle."""

from fractions import Fraction

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import Book, walk, walk_batch

INT64_MAX = 2**63 - 1
PRICES = st.integers(1, 9) | st.integers(1, INT64_MAX)
QUANTITIES = st.integers(0, 5) | st.integers(0, INT64_MAX)
LEVELS = st.lists(st.tuples(PRICES, QUANTITIES), max_size=8)
AMOUNTS = st.integers(0, 60) | st.integers(0, 2**64) | st.integers(0, 2**127 - 1)


@given(LEVELS, AMOUNTS, st.data())
def test_an_amount_buys_and_sells_what_the_oracle_says(
    levels: list[tuple[int, int]], amount: int, data: st.DataObject
) -> None:
    side = data.draw(st.sampled_from(["BUY", "SELL"]))
    levels = sorted(levels, key=lambda level: level[0], reverse=side == "SELL")
    exact = data.draw(st.integers(0, len(levels)))
    if exact:  # an amount that ends on the edge of a level
        amount = min(sum(price * shown for price, shown in levels[:exact]), 2**127 - 1)
    prices, quantities = [p for p, _ in levels], [q for _, q in levels]
    if side == "BUY":
        spend = Book([], [], prices, quantities).buy_notional
    else:
        spend = Book(prices, quantities, [], []).sell_notional
    judged = oracle.walk_notional(levels, amount, unit=1)
    if judged.filled > INT64_MAX:
        with pytest.raises(OverflowError, match="quantity"):
            spend(amount)
        return
    spent: tuple[object, ...] = spend(amount).astuple()
    assert spent == (
        judged.filled,
        judged.notional,
        judged.remaining,
        judged.levels,
        judged.worst_price,
    )
    limit = data.draw(PRICES)
    within = [
        level for level in levels if not oracle.is_worse(Fraction(level[0]), Fraction(limit), side)
    ]
    assert spend(amount, limit).notional == oracle.walk_notional(within, amount, unit=1).notional


LOTS = st.sampled_from([(0.001, 1000), (0.1, 10), (0.25, 4), (1e-8, 10**8), (1.0, 1)])
COUNTS = st.integers(0, 10**6)


@given(
    LOTS,
    st.lists(st.tuples(st.integers(1, 10**7), COUNTS), min_size=1, max_size=20),
    st.data(),
)
def test_lots_end_on_the_edge_of_a_level_where_the_oracle_does(
    lot: tuple[float, int], levels: list[tuple[int, int]], data: st.DataObject
) -> None:
    size, per_unit = lot
    levels = sorted(levels)
    prices = [price / 100 for price, _ in levels]
    quantities = [count / per_unit for _, count in levels]
    ends_at = data.draw(st.integers(0, len(levels)))
    count = sum(shown for _, shown in levels[:ends_at]) + data.draw(st.integers(0, 1))
    judged = oracle.walk(
        [(Fraction(price, 100), Fraction(shown, per_unit)) for price, shown in levels],
        Fraction(count, per_unit),
    )
    # The quantity as a sum of floats makes it: with all their rounding errors.
    asked = sum(quantities[:ends_at]) + (count - sum(c for _, c in levels[:ends_at])) / per_unit
    book = Book([], [], prices, quantities, lot_size=size)
    for filled, notional, remaining, touched, worst in (
        book.walk("BUY", asked),
        book.buy(asked).astuple(),
        walk(prices, quantities, asked, lot_size=size),
    ):
        assert filled == float(judged.filled)
        assert remaining == float(judged.remaining)
        assert touched == judged.levels
        assert worst == (None if judged.worst_price is None else float(judged.worst_price))
        assert notional == pytest.approx(float(judged.notional), rel=1e-12)
    many = walk_batch(prices, quantities, [asked], lot_size=size)
    assert many.filled[0] == float(judged.filled)
    assert many.levels[0] == judged.levels


@given(LOTS, st.integers(1, 10**7), st.integers(1, 10**5))
def test_the_price_of_n_lots_buys_n_lots(lot: tuple[float, int], price: int, count: int) -> None:
    size, per_unit = lot
    book = Book([], [], [price / 100], [10**6 / per_unit], lot_size=size)
    assert book.buy_notional(price / 100 * (count / per_unit)).filled == count / per_unit
