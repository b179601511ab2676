"""walk_batch: its forms, its outputs, the threads it lets run, and what it refuses."""

import threading
from typing import Any

import numpy as np
import pytest

from execution import Fills, walk_batch

PRICES = [[101, 102], [11, 12]]
QUANTITIES = [[2, 3], [1, 1]]


def test_one_book_a_row() -> None:
    fills = walk_batch(PRICES, QUANTITIES, [4, 1])
    assert fills.filled.tolist() == [4, 1]
    assert fills.notional.tolist() == [406, 11]
    assert fills.remaining.tolist() == [0, 0]
    assert fills.levels.tolist() == [2, 1]
    assert fills.worst_price.tolist() == [102, 11]
    assert fills.average_price.tolist() == [101.5, 11.0]
    assert len(fills) == 2
    assert repr(fills) == "<Fills of 2 orders, int64>"


def test_books_by_offsets_in_any_order() -> None:
    fills = walk_batch(
        [101, 102, 11, 12], [2, 3, 1, 1], [4, 1, 9], offsets=[0, 2, 4], books=[0, 1, 1]
    )
    assert fills.notional.tolist() == [406, 11, 23]
    assert fills.remaining.tolist() == [0, 0, 7]


def test_many_orders_on_one_book_with_a_limit_each_or_one_for_all() -> None:
    assert walk_batch([101, 102], [2, 3], [4, 4], [101, 102]).filled.tolist() == [2, 4]
    assert walk_batch([101, 102], [2, 3], [4, 4], 101).filled.tolist() == [2, 2]
    assert walk_batch([102, 101], [2, 3], [4], 102, descending=True).filled.tolist() == [2]


def test_nothing_filled_is_zero_and_no_average() -> None:
    fills = walk_batch([101], [2], [4], 100)
    assert fills.levels.tolist() == [0]
    assert fills.worst_price.tolist() == [0]
    assert np.isnan(fills.average_price).all()


def test_the_exact_notional_passes_64_bits() -> None:
    largest = 2**63 - 1
    fills = walk_batch([[largest]], [[largest]], [largest])
    assert fills.notional.tolist() == [largest**2]
    assert isinstance(fills.notional[0], int)


def test_floats_give_floats() -> None:
    fills = walk_batch([[1.5, 2.5]], [[1, 1]], [1.5])
    assert fills.notional.dtype == np.float64
    assert fills.notional.tolist() == [2.75]
    assert fills.notional_low is None
    assert repr(fills) == "<Fills of 1 orders, float64>"


def test_no_orders_are_no_error() -> None:
    assert len(walk_batch([101], [2], [])) == 0
    assert len(walk_batch(np.empty((0, 3), np.int64), np.empty((0, 3), np.int64), [])) == 0
    assert len(walk_batch([], [], [], offsets=[0])) == 0
    assert walk_batch([], [], [5]).remaining.tolist() == [5]


def test_rows_of_a_wider_array_are_read_where_they_lie() -> None:
    wide = np.arange(1, 25, dtype=np.int64).reshape(3, 8)
    fills = walk_batch(wide[:, :4], wide[:, 4:], [5, 13, 21])
    assert fills.levels.tolist() == [1, 1, 1]
    assert fills.notional.tolist() == [5 * 1, 13 * 9, 21 * 17]
    every_other = walk_batch(wide[:, ::2][:, :2], wide[:, ::2][:, 2:], [12, 12, 12])
    assert every_other.notional.tolist() == [5 * 1 + 7 * 3, 12 * 9, 12 * 17]
    backwards = walk_batch(wide[::-1, :4], wide[::-1, 4:], [5, 5, 5])
    assert backwards.worst_price.tolist() == [17, 9, 1]


def test_results_go_into_arrays_that_are_given() -> None:
    out = Fills.allocate(2)
    assert walk_batch(PRICES, QUANTITIES, [4, 1], out=out) is out
    assert out.filled.tolist() == [4, 1]
    own = np.full(2, -1, np.int64)
    made = Fills(
        filled=own,
        remaining=np.empty(2, np.int64),
        worst_price=np.empty(2, np.int64),
        levels=np.empty(2, np.int64),
        notional_low=np.empty(2, np.uint64),
        notional_high=np.empty(2, np.uint64),
    )
    walk_batch(PRICES, QUANTITIES, [5, 0], out=made)
    assert own.tolist() == [5, 0]
    floats = Fills.allocate(1, np.float64)
    assert walk_batch([1.0], [1.0], [1.0], out=floats).notional.tolist() == [1.0]


def test_arrays_that_do_not_fit_the_results_are_refused() -> None:
    with pytest.raises(ValueError, match="out has 3 elements, order_quantities 2"):
        walk_batch(PRICES, QUANTITIES, [4, 1], out=Fills.allocate(3))
    with pytest.raises(TypeError, match="out must be for int64"):
        walk_batch(PRICES, QUANTITIES, [4, 1], out=Fills.allocate(2, np.float64))
    with pytest.raises(TypeError, match="out must be Fills"):
        walk_batch(PRICES, QUANTITIES, [4, 1], out=np.empty(2))  # type: ignore[arg-type]  # refused
    with pytest.raises(ValueError, match="dtype must be int64 or float64"):
        Fills.allocate(2, np.int32)
    numbers: dict[str, Any] = {
        name: np.empty(2) for name in ("filled", "remaining", "worst_price", "notional")
    }
    levels = np.empty(2, np.int64)
    with pytest.raises(ValueError, match="remaining has 3 elements, filled 2"):
        Fills(**{**numbers, "remaining": np.empty(3)}, levels=levels)
    with pytest.raises(ValueError, match="filled must be contiguous and writable"):
        Fills(**{**numbers, "filled": np.empty(4)[::2]}, levels=levels)
    with pytest.raises(TypeError, match="levels must be a one-dimensional int64 array"):
        Fills(**numbers, levels=np.empty(2))  # type: ignore[arg-type]  # refused
    with pytest.raises(TypeError, match="give notional"):
        Fills(filled=levels, remaining=levels, worst_price=levels, levels=levels)  # type: ignore[call-overload]  # refused


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"prices": [[101, 102], [12, 11]]}, ValueError, r"prices must be sorted.*\(book 1\)"),
        ({"prices": [[101, 102], [0, 11]]}, ValueError, r"prices must be positive \(book 1\)"),
        ({"quantities": [[-1, 3], [1, 1]]}, ValueError, r"quantities must not be neg.*book 0"),
        ({"quantities": [[1.0, np.nan], [1, 1]]}, ValueError, r"quantities must be finite.*book 0"),
        ({"quantities": [[1, 2]]}, ValueError, "quantities has shape"),
        ({"quantities": [1, 2]}, ValueError, "quantities must have two dimensions"),
        ({"prices": [["a", "b"], ["c", "d"]]}, TypeError, "prices must hold integers or floats"),
        ({"prices": [[2**64, 1], [1, 1]]}, OverflowError, "prices does not fit int64"),
        ({"order_quantities": [1]}, ValueError, "order_quantities has 1 orders for 2 books"),
        ({"order_quantities": [1, -1]}, ValueError, "order_quantities must not be negative"),
        ({"order_quantities": [1, np.inf]}, ValueError, "order_quantities must be finite"),
        ({"order_quantities": [1, 2**63]}, OverflowError, "order_quantities does not fit"),
        ({"limits": [1]}, ValueError, "limits has 1 elements, order_quantities 2"),
        ({"limits": [1.5, 2.5]}, TypeError, "limits must hold integers"),
        ({"limits": 1.5}, TypeError, "limit must be an integer"),
        ({"books": [0]}, ValueError, "books has 1 elements, order_quantities 2"),
        ({"books": [0, 2]}, ValueError, "books must be 0 to 1"),
        ({"books": [0, -1]}, ValueError, "books must be 0 to 1"),
        ({"books": [0.0, 1.0]}, TypeError, "books must hold integers"),
        ({"offsets": [0, 2]}, ValueError, "offsets are for one-dimensional prices"),
    ],
)
def test_a_batch_is_refused_with_the_argument_named(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    sound: dict[str, Any] = {
        "prices": PRICES,
        "quantities": QUANTITIES,
        "order_quantities": [4, 1],
    }
    with pytest.raises(error, match=message):
        walk_batch(**{**sound, **changed})


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([], "one number more than there are books"),
        ([0, 3], "offsets must ascend within the 2 levels"),
        ([-1, 2], "offsets must ascend within the 2 levels"),
        ([2, 0], "offsets must ascend within the 2 levels"),
    ],
)
def test_wrong_offsets_are_refused(offsets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        walk_batch([101, 102], [2, 3], [1], offsets=offsets)


def test_books_need_more_than_one_book() -> None:
    with pytest.raises(ValueError, match="books are for more than one book"):
        walk_batch([101], [2], [1], books=[0])


def test_a_float_notional_that_is_not_finite_is_an_overflow() -> None:
    with pytest.raises(OverflowError, match="notional"):
        walk_batch([[1e300]], [[1e300]], [1e300])
    with pytest.raises(OverflowError, match="notional"):
        walk_batch([1e300], [1e300], [1e300])


def test_unchecked_books_are_walked_without_a_look_at_what_is_not_reached() -> None:
    assert walk_batch([[5, 4]], [[9, 9]], [3], check=False).notional.tolist() == [15]


def test_another_thread_runs_while_a_batch_walks() -> None:
    """The other thread must get through before the batch ends: it stops it by its answer."""
    count = 200_000
    prices = np.broadcast_to(np.arange(1, 41, dtype=np.int64), (count, 40))
    quantities = np.ones((count, 40), np.int64)
    wants = np.full(count, 40, np.int64)
    steps = [0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            steps[0] += 1

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        longest = 0
        for _ in range(20):
            before = steps[0]
            walk_batch(prices, quantities, wants)
            longest = max(longest, steps[0] - before)
    finally:
        stop.set()
        ticking.join()
    # A batch that held the GIL would leave the other thread no step but at its borders.
    assert longest > 1000
