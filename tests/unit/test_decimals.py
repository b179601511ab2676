"""Exact decimals at the edges of the service."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.decimals import (
    AVERAGE_PRICE_EXTRA_DECIMALS,
    DEFAULT_DECIMALS,
    INT64_MAX,
    MAX_DECIMALS,
    MONEY_DECIMALS,
    QUANTITY_DECIMALS,
    canonical,
    divide_half_even,
    from_double,
    from_text,
    ratio_text,
    to_text,
)

SCALED = st.integers(-(10**40), 10**40)
SCALES = st.integers(0, MONEY_DECIMALS)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_rounds_to_the_nearest_and_halves_to_the_even_one(top: int, bottom: int) -> None:
    assert divide_half_even(top, bottom) == round(Fraction(top, bottom))


@pytest.mark.parametrize(
    ("top", "bottom", "quotient"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (-5, 2, -2), (5, 4, 1), (7, 4, 2)],
)
def test_exact_halves_go_to_the_even_neighbour(top: int, bottom: int, quotient: int) -> None:
    assert divide_half_even(top, bottom) == quotient


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("01", "1"),
        ("0.50", "0.5"),
        ("000", "0"),
        ("0.000", "0"),
        ("100", "100"),
        ("0.00000001", "0.00000001"),
        ("9" * 64, "9" * 64),
    ],
)
def test_equal_decimals_have_one_spelling(text: str, spelling: str) -> None:
    assert canonical(text) == spelling


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "1.", ".5", "-1", "+1", "1e3", "1E3", " 1", "1 ", "1\n", "1_0", "1,0", "0x1"),
        *("1.2.3", "nan", "inf", "Infinity", "\u0661", "\uff11", "1\u0000", "--1"),
    ],
)
def test_what_is_not_plain_decimal_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not plain decimal text"):
        canonical(text)


def test_text_of_more_than_64_characters_is_refused() -> None:
    with pytest.raises(ValueError, match="has 65 characters"):
        canonical("1" * 65)


@given(SCALED, SCALES)
def test_text_and_scaled_integer_are_each_others_inverse(value: int, decimals: int) -> None:
    text = to_text(value, decimals)
    assert from_text(text, decimals) == value
    assert Fraction(text) == Fraction(value, 10**decimals)


@given(SCALED, SCALES)
def test_written_text_is_plain_and_carries_no_needless_zero(value: int, decimals: int) -> None:
    text = to_text(value, decimals)
    assert text.removeprefix("-") == canonical(text.removeprefix("-"))
    assert text != "-0"


@pytest.mark.parametrize("text", ["0.001", "1.123"])
def test_a_digit_beyond_the_scale_is_an_error_never_rounded(text: str) -> None:
    with pytest.raises(ValueError, match="has 3 digits after the point; the scale is 2"):
        from_text(text, 2)


def test_zeros_beyond_the_scale_are_no_digits() -> None:
    assert from_text("1.5000", 1) == 15


@pytest.mark.parametrize("text", ["--1", "-", "-+1", "- 1", "-.5"])
def test_a_sign_is_one_minus_before_plain_text(text: str) -> None:
    with pytest.raises(ValueError, match="not plain decimal text"):
        from_text(text, 2)


def test_a_negative_zero_is_zero() -> None:
    assert from_text("-0.0", 4) == 0
    assert to_text(from_text("-0.0", 4), 4) == "0"


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20), st.integers(0, 26))
def test_a_ratio_is_rounded_once_half_even_at_its_digits(
    top: int, bottom: int, decimals: int
) -> None:
    exact = Fraction(top, bottom)
    assert Fraction(ratio_text(top, bottom, decimals)) == round(exact * 10**decimals) / Fraction(
        10**decimals
    )


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, MAX_DECIMALS))
def test_a_double_is_read_through_its_shortest_text(value: float, decimals: int) -> None:
    assert from_double(value, decimals) == round(Fraction(Decimal(repr(value))) * 10**decimals)


def test_a_double_is_not_read_at_its_binary_value() -> None:
    assert Fraction(61800.1) != Fraction("61800.1")
    assert from_double(61800.1, 8) == 61800_10000000


@pytest.mark.parametrize(("value", "scaled"), [(0.5, 0), (1.5, 2), (2.5, 2), (0.51, 1)])
def test_a_double_finer_than_the_scale_is_rounded_half_even(value: float, scaled: int) -> None:
    assert from_double(value, 0) == scaled


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_double_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        from_double(value, 8)


def test_the_wide_scales_hold_every_product_of_two_int64_decimals() -> None:
    assert QUANTITY_DECIMALS == MAX_DECIMALS
    assert MONEY_DECIMALS == 2 * MAX_DECIMALS
    assert 10**MAX_DECIMALS <= INT64_MAX < 10 ** (MAX_DECIMALS + 1)


def test_the_named_scales_are_those_of_the_semantics() -> None:
    assert (DEFAULT_DECIMALS, AVERAGE_PRICE_EXTRA_DECIMALS) == (8, 8)
    assert np.iinfo(np.int64).max == INT64_MAX
