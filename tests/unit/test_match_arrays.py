"""Array-likes of every kind are taken; what holds no numbers is refused."""

import array
from typing import Any

import numpy as np
import pytest

from execution import Book, walk

EXPECTED = (4, 406, 0, 2, 102)


class Interface:
    """What offers nothing but the array interface, as foreign columns do."""

    def __init__(self, values: list[Any], kind: Any) -> None:
        self.held = np.array(values, kind)
        self.__array_interface__ = self.held.__array_interface__


class Column:
    """What offers nothing but __array__, as polars and pyarrow columns do."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.values, dtype)


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda values: np.array(values, np.int32),
        lambda values: np.array(values, np.uint64),
        lambda values: np.array(values, ">i8"),
        lambda values: np.array(values, object),
        lambda values: np.array([value for value in values for _ in range(3)])[::3],
        lambda values: np.array(values[::-1])[::-1],
        lambda values: array.array("q", values),
        lambda values: memoryview(array.array("q", values)),
        lambda values: Interface(values, np.int64),
        lambda values: Interface(values, np.int16),
        Column,
    ],
)
def test_integers_of_any_kind_are_exact(make: Any) -> None:
    assert Book([], [], make([101, 102]), make([2, 3])).walk("BUY", 4) == EXPECTED
    assert walk(make([101, 102]), make([2, 3]), 4) == EXPECTED


@pytest.mark.parametrize(
    "make",
    [
        list,
        np.array,
        lambda values: np.array(values, np.float32),
        lambda values: np.array(values, object),
        lambda values: array.array("d", values),
        Column,
    ],
)
def test_floats_of_any_kind_are_research(make: Any) -> None:
    walked = walk(make([101.0, 102.0]), make([2.0, 3.0]), 4)
    assert walked == (4.0, 406.0, 0.0, 2, 102.0)
    assert isinstance(walked[0], float)


@pytest.mark.parametrize("values", [[1, 2**63], [-1, 2**63], [2**63, 2**64], [1, -(2**63) - 1]])
def test_lists_of_integers_that_pass_int64_do_not_become_floats(values: list[int]) -> None:
    with pytest.raises(OverflowError, match="ask_prices does not fit int64"):
        Book([], [], values, [1, 1])


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="ask_prices is no array"):
        Book([], [], [1, [2]], [1, 1])  # type: ignore[list-item]  # refused


def test_read_only_arrays_are_taken() -> None:
    prices, quantities = np.array([101, 102]), np.array([2, 3])
    prices.flags.writeable = quantities.flags.writeable = False
    assert Book([], [], prices, quantities).walk("BUY", 4) == EXPECTED
    assert walk(prices, quantities, 4) == EXPECTED


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_columns_of_data_frame_libraries_are_taken(library: str) -> None:
    module = pytest.importorskip(library)
    if library == "pyarrow":
        make: Any = module.array
    else:
        make = module.Series
    assert Book([], [], make([101, 102]), make([2, 3])).walk("BUY", 4) == EXPECTED
    assert walk(make([101.0, 102.0]), make([2, 3]), 4)[1] == 406.0


@pytest.mark.parametrize(
    "wrong",
    [
        ["a"],
        [None],
        [1, None],
        [b"1"],
        np.array([1 + 2j]),
        np.array([np.datetime64("2026-01-01")]),
        np.array([True]),
    ],
)
def test_what_holds_no_numbers_is_refused(wrong: Any) -> None:
    ones = [1] * len(wrong)
    with pytest.raises(TypeError, match="ask_prices must hold integers or floats"):
        Book([], [], wrong, ones)
    with pytest.raises(TypeError, match="quantities must hold integers or floats"):
        walk(ones, wrong, 1)


def test_a_lot_size_makes_integers_floats_and_refuses_parts_of_lots() -> None:
    book = Book([99], [5], [101], [2], lot_size=1)
    assert book.buy(1).notional == 101.0
    assert book.lot_size == 1.0
    assert repr(book) == "<Book of 1 bids and 1 asks, float64, lots of 1.0>"
    with pytest.raises(ValueError, match=r"quantity must be in whole lots of 1\.0: 0\.5"):
        book.buy(0.5)
    with pytest.raises(ValueError, match=r"ask_quantities must be in whole lots of 0\.1: 0\.15"):
        Book([], [], [1.0], [0.15], lot_size=0.1)
    with pytest.raises(OverflowError, match=r"2\*\*53 lots"):
        Book([], [], [1.0], [1e9], lot_size=1e-9)
    with pytest.raises(OverflowError, match=r"2\*\*53 lots"):
        book.buy(2.0**60)


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), float("inf")])
def test_a_wrong_lot_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="lot_size must be finite and positive"):
        Book([], [], [1.0], [1.0], lot_size=size)


def test_quantities_of_a_book_of_lots_are_read_in_units() -> None:
    book = Book([1.0], [0.3], [1.5], [0.1 + 0.2], lot_size=0.1)
    assert book.ask_quantities.tolist() == [0.3]
    assert not book.ask_quantities.flags.writeable
    assert Book([], [], [1.0], [5.0], lot_size=2.5).ask_quantities.tolist() == [5.0]


def test_amounts_buy_and_sell() -> None:
    book = Book([99, 98], [5, 5], [101, 102], [2, 3])
    assert book.buy_notional(406).astuple() == (4, 406, 0, 2, 102)
    assert book.buy_notional(405).astuple() == (3, 304, 101, 2, 102)
    assert book.buy_notional(100).astuple() == (0, 0, 100, 0, None)
    assert book.buy_notional(2**126).remaining == 2**126 - 508
    assert book.sell_notional(200).astuple() == (2, 198, 2, 1, 99)
    assert book.buy_notional(406, limit=101).astuple() == (2, 202, 204, 1, 101)
    assert book.buy_notional(406).average_price == 101.5
    research = Book([], [], [2.0], [10.0])
    assert research.buy_notional(5.0).astuple() == (2.5, 5.0, 0.0, 1, 2.0)


@pytest.mark.parametrize(
    ("amount", "error", "message"),
    [
        (-1, ValueError, "amount must not be negative"),
        (2**127, OverflowError, "amount does not fit 127 bits"),
        (1.5, TypeError, "amount must be an integer"),
    ],
)
def test_a_wrong_amount_is_refused(amount: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Book([], [], [1], [1]).buy_notional(amount)
    with pytest.raises(ValueError, match="amount must be finite and not negative"):
        Book([], [], [1.0], [1.0]).buy_notional(float("nan"))
