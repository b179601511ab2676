"""Book, Fill and walk: what they give, and what they refuse by name."""

import pickle
from typing import Any

import numpy as np
import pytest

from execution import Book, Fill, walk

INT64_MAX = 2**63 - 1


def book() -> Book[int]:
    return Book([99, 98], [5, 5], [101, 102], [2, 3])


def test_a_buy_takes_asks_best_first_and_a_sell_bids() -> None:
    assert book().buy(4).astuple() == (4, 406, 0, 2, 102)
    assert book().sell(6).astuple() == (6, 593, 0, 2, 98)


def test_the_limit_is_inclusive() -> None:
    assert book().fill("BUY", 4, 101).astuple() == (2, 202, 2, 1, 101)
    assert book().fill("BUY", 4, 102).astuple() == (4, 406, 0, 2, 102)
    assert book().fill("SELL", 6, limit=99).astuple() == (5, 495, 1, 1, 99)
    assert book().fill("SELL", 6, 98).astuple() == (6, 593, 0, 2, 98)


def test_a_limit_better_than_the_book_fills_nothing() -> None:
    fill = book().fill("BUY", 4, 100)
    assert fill.astuple() == (0, 0, 4, 0, None)
    assert fill.average_price is None
    assert fill.slippage_bps is None


def test_a_limit_of_zero_means_none_to_a_seller_and_nothing_to_a_buyer() -> None:
    assert book().fill("SELL", 6, 0).filled == 6
    assert book().fill("BUY", 6, 0).filled == 0


def test_an_order_larger_than_the_book_keeps_the_rest() -> None:
    assert book().buy(100).astuple() == (5, 508, 95, 2, 102)


def test_an_order_that_ends_on_the_edge_of_a_level_does_not_touch_the_next() -> None:
    assert book().buy(2).levels == 1
    assert book().buy(3).levels == 2


def test_an_order_of_zero_takes_nothing() -> None:
    assert book().buy(0).astuple() == (0, 0, 0, 0, None)


def test_an_empty_side_fills_nothing() -> None:
    bids_only = Book([99], [1], [], [])
    assert bids_only.buy(3).astuple() == (0, 0, 3, 0, None)
    assert bids_only.sell(1).filled == 1
    assert Book([], [], [], []).sell(3).remaining == 3


def test_levels_of_quantity_zero_are_stepped_over_and_counted_only_before_a_take() -> None:
    thin = Book([], [], [100, 101, 102, 103], [0, 4, 0, 0])
    assert thin.buy(4).astuple() == (4, 404, 0, 2, 101)
    assert thin.buy(9).astuple() == (4, 404, 5, 2, 101)


def test_average_price_and_slippage_are_read_from_the_exact_sums() -> None:
    fill = book().buy(4)
    assert fill.average_price == 101.5
    assert fill.slippage_bps == pytest.approx(0.5 / 101 * 1e4, rel=1e-15)
    sold = book().sell(10)
    assert sold.average_price == 98.5
    assert sold.slippage_bps == pytest.approx(0.5 / 99 * 1e4, rel=1e-15)


def test_slippage_counts_from_the_first_level_also_where_it_is_taken() -> None:
    taken = Book([], [], [100, 110], [0, 1])
    assert taken.buy(1).slippage_bps == 1000.0


def test_the_largest_book_there_can_be_is_walked_exactly() -> None:
    largest = Book([], [], [INT64_MAX, INT64_MAX], [INT64_MAX, INT64_MAX])
    fill = largest.buy(INT64_MAX)
    assert fill.notional == INT64_MAX * INT64_MAX
    split = Book([], [], [INT64_MAX] * 2, [INT64_MAX - 1, INT64_MAX])
    assert split.buy(INT64_MAX).astuple() == (INT64_MAX, INT64_MAX**2, 0, 2, INT64_MAX)


def test_a_book_does_not_see_later_changes_to_the_arrays_it_was_made_from() -> None:
    prices, quantities = np.array([101, 102]), np.array([2, 3])
    kept = Book([], [], prices, quantities)
    prices[:] = 7
    quantities[:] = 0
    assert kept.buy(4).astuple() == (4, 406, 0, 2, 102)


def test_the_arrays_of_a_book_can_be_read_and_not_written() -> None:
    made = book()
    assert made.bid_prices.tolist() == [99, 98]
    assert made.bid_quantities.tolist() == [5, 5]
    assert made.ask_prices.tolist() == [101, 102]
    assert made.ask_quantities.tolist() == [2, 3]
    with pytest.raises(ValueError, match="read-only"):
        made.ask_prices[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        made.ask_prices.flags.writeable = True


def test_the_arrays_outlive_their_book() -> None:
    prices = book().ask_prices
    assert prices.tolist() == [101, 102]


def test_a_book_cannot_be_made_again_in_place() -> None:
    made = book()
    made.__init__([1], [1], [2], [1])  # type: ignore[call-arg]  # one more call than types allow
    assert made.buy(4).astuple() == (4, 406, 0, 2, 102)


def test_a_book_is_not_made_without_its_arrays() -> None:
    with pytest.raises(TypeError):
        Book.__new__(Book)  # type: ignore[call-overload]  # refused


def test_a_book_travels_by_pickle() -> None:
    again = pickle.loads(pickle.dumps(book()))
    assert again.buy(4).astuple() == book().buy(4).astuple()


def test_a_fill_is_made_by_a_book_only() -> None:
    with pytest.raises(TypeError, match="made by Book"):
        Fill()


def test_texts_name_what_they_show() -> None:
    assert repr(book()) == "<Book of 2 bids and 2 asks, int64>"
    assert repr(book().buy(1)) == (
        "Fill(filled=1, notional=101, remaining=0, levels=1, worst_price=101)"
    )


def test_floats_make_a_research_book() -> None:
    research = Book([99.5], [1], [100.5, 101.5], [0.25, 1.0])
    assert research.buy(0.75).astuple() == (0.75, 75.875, 0.0, 2, 101.5)
    assert research.walk("SELL", 2) == (1.0, 99.5, 1.0, 1, 99.5)
    assert research.ask_prices.dtype == np.float64


def test_a_float_notional_that_is_not_finite_is_an_overflow() -> None:
    with pytest.raises(OverflowError, match="notional"):
        Book([], [], [1e300], [1e300]).buy(1e300)


@pytest.mark.parametrize("side", ["BUY", "buy"])
def test_sides_are_upper_or_lower_case(side: str) -> None:
    assert book().walk(side, 1)[4] == 101


@pytest.mark.parametrize("side", ["", "Buy", "BID", None, 1])
def test_other_sides_are_refused(side: object) -> None:
    with pytest.raises(ValueError, match="side must be"):
        book().fill(side, 1)  # type: ignore[arg-type]  # refused


SOUND: dict[str, Any] = {
    "bid_prices": [2],
    "bid_quantities": [1],
    "ask_prices": [3],
    "ask_quantities": [1],
}


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ({"bid_prices": [1, 2], "bid_quantities": [1, 1]}, ValueError, "bid_prices.*descend"),
        ({"ask_prices": [4, 3], "ask_quantities": [1, 1]}, ValueError, "ask_prices.*ascend"),
        ({"bid_prices": [4]}, ValueError, "bid_prices cross ask_prices"),
        ({"bid_prices": [0]}, ValueError, "bid_prices must be positive"),
        ({"ask_prices": [-1]}, ValueError, "ask_prices must be positive"),
        ({"bid_quantities": [-1]}, ValueError, "bid_quantities must not be negative"),
        ({"ask_quantities": [-0.5]}, ValueError, "ask_quantities must not be negative"),
        ({"ask_quantities": [float("nan")]}, ValueError, "ask_quantities must be finite"),
        ({"ask_prices": [float("nan")]}, ValueError, "ask_prices must be finite"),
        ({"ask_prices": [float("inf")]}, ValueError, "ask_prices must be finite"),
        ({"bid_quantities": [float("inf")]}, ValueError, "bid_quantities must be finite"),
        ({"bid_quantities": [1, 2]}, ValueError, "bid_quantities has 2 levels, bid_prices 1"),
        ({"ask_quantities": []}, ValueError, "ask_quantities has 0 levels, ask_prices 1"),
        ({"ask_prices": [[3]]}, ValueError, "ask_prices must have one dimension"),
        ({"ask_prices": 3}, ValueError, "ask_prices must have one dimension"),
        ({"ask_prices": ["3"]}, TypeError, "ask_prices must hold integers or floats"),
        ({"ask_prices": [None]}, TypeError, "ask_prices must hold integers or floats"),
        ({"ask_prices": [True]}, TypeError, "ask_prices must hold integers or floats"),
        ({"ask_prices": [2**63]}, OverflowError, "ask_prices does not fit int64"),
        ({"ask_quantities": [2**70]}, OverflowError, "ask_quantities does not fit int64"),
        ({"ask_prices": [2**53 + 1], "ask_quantities": [0.5]}, ValueError, "ask_prices.*float64"),
    ],
)
def test_a_broken_book_is_refused_with_the_argument_named(
    broken: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Book(**{**SOUND, **broken})


def test_a_locked_book_is_let_in() -> None:
    assert Book([3], [1], [3], [1]).buy(1).worst_price == 3


@pytest.mark.parametrize(
    ("quantity", "error", "message"),
    [
        (-1, ValueError, "quantity must not be negative"),
        (2**63, OverflowError, "quantity does not fit int64"),
        (-(2**63) - 1, OverflowError, "quantity does not fit int64"),
        (1.0, TypeError, "quantity must be an integer"),
        ("1", TypeError, "quantity must be an integer"),
        (None, TypeError, "quantity must be an integer"),
    ],
)
def test_a_wrong_quantity_is_refused(
    quantity: object, error: type[Exception], message: str
) -> None:
    for call in (book().buy, book().sell, lambda asked: book().walk("BUY", asked)):
        with pytest.raises(error, match=message):
            call(quantity)  # type: ignore[arg-type]  # refused
    with pytest.raises(error, match=message):
        walk([1], [1], quantity)  # type: ignore[call-overload]  # refused


@pytest.mark.parametrize("quantity", [-1.0, float("nan"), float("inf")])
def test_a_wrong_float_quantity_is_refused(quantity: float) -> None:
    with pytest.raises(ValueError, match="quantity must be finite and not negative"):
        Book([1.0], [1.0], [], []).sell(quantity)


def test_a_wrong_limit_is_refused() -> None:
    with pytest.raises(OverflowError, match="limit does not fit int64"):
        book().fill("BUY", 1, 2**63)
    with pytest.raises(TypeError, match="limit must be an integer"):
        book().fill("BUY", 1, 1.5)  # type: ignore[arg-type]  # refused
    with pytest.raises(ValueError, match="limit must be a number, not NaN"):
        Book([1.0], [1.0], [], []).fill("SELL", 1.0, float("nan"))


def test_numpy_integers_are_integers() -> None:
    assert book().buy(np.int64(4)).filled == 4  # type: ignore[arg-type]  # NumPy's count, too
    assert book().buy(np.uint8(4)).filled == 4  # type: ignore[arg-type]  # NumPy's count, too


def test_walk_reads_the_arrays_at_the_moment_of_the_call() -> None:
    prices, quantities = np.array([101, 102]), np.array([2, 3])
    assert walk(prices, quantities, 4) == (4, 406, 0, 2, 102)
    quantities[0] = 0
    assert walk(prices, quantities, 4) == (3, 306, 1, 2, 102)


def test_walk_takes_strided_read_only_narrow_and_listed_arrays() -> None:
    wide = np.array([101, 0, 102, 0])
    wide.flags.writeable = False
    expected = (4, 406, 0, 2, 102)
    assert walk(wide[::2], np.array([2, 3], np.int32), 4) == expected
    assert walk([101, 102], (2, 3), 4) == expected
    assert walk(np.array([102, 101])[::-1], np.array([2, 3], np.uint64), 4) == expected


def test_walk_goes_down_the_bids_when_told() -> None:
    assert walk([99, 98], [5, 5], 6, 99, descending=True) == (5, 495, 1, 1, 99)
    assert walk([99, 98], [5, 5], 6, None, True) == (6, 593, 0, 2, 98)


def test_walk_of_floats_and_integers_together_is_a_float_walk() -> None:
    assert walk([101, 102], [0.5, 3.0], 1) == (1.0, 101.5, 0.0, 2, 102.0)


@pytest.mark.parametrize(
    ("prices", "quantities", "message"),
    [
        ([2, 1], [1, 1], "prices must be sorted"),
        ([0], [1], "prices must be positive"),
        ([1], [-1], "quantities must not be negative"),
        ([1], [1, 2], "quantities has 2 levels, prices 1"),
        ([1.0], [float("nan")], "quantities must be finite"),
    ],
)
def test_walk_refuses_what_is_no_side_of_a_book(
    prices: list[float], quantities: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        walk(prices, quantities, 1)
