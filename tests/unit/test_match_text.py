"""Exact decimal text: what is read, what is written, what is refused."""

from typing import Any

import pytest

from execution import format_decimal, parse_decimal

INT64_MAX, INT64_MIN = 2**63 - 1, -(2**63)


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("1", 8, 100_000_000),
        ("1.0", 8, 100_000_000),
        ("0.125", 8, 12_500_000),
        ("-0.5", 8, -50_000_000),
        ("-0", 8, 0),
        ("007.5", 1, 75),
        ("1.000", 0, 1),
        ("0.10000000000000000000000000000", 1, 1),
        ("00000000000000000000000000000001", 0, 1),
        ("9223372036854775807", 0, INT64_MAX),
        ("-9223372036854775808", 0, INT64_MIN),
        ("9.223372036854775807", 18, INT64_MAX),
        ("-9.223372036854775808", 18, INT64_MIN),
    ],
)
def test_text_is_read_exactly(text: str, decimals: int, value: int) -> None:
    assert parse_decimal(text, decimals) == value


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (100_000_000, 8, "1"),
        (0, 8, "0"),
        (-50_000_000, 8, "-0.5"),
        (12_500_000, 8, "0.125"),
        (1, 18, "0.000000000000000001"),
        (10, 0, "10"),
        (1_000_000_010, 8, "10.0000001"),
        (INT64_MAX, 8, "92233720368.54775807"),
        (INT64_MIN, 18, "-9.223372036854775808"),
        (INT64_MIN, 0, "-9223372036854775808"),
    ],
)
def test_numbers_are_written_exactly_without_trailing_zeros(
    value: int, decimals: int, text: str
) -> None:
    assert format_decimal(value, decimals) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", ".", "-.", ".5", "5.", "+1", " 1", "1 ", "1\n", "1e5", "1E5", "0x1", "1_0"),
        *("1,5", "1.2.3", "--1", "1-", "nan", "inf", "\uff11", "\u0661", "1\x00"),
    ],
)
def test_text_that_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text is not a plain decimal number"):
        parse_decimal(text, 8)


def test_digits_past_the_scale_are_refused_unless_they_are_zeros() -> None:
    assert parse_decimal("1.500", 1) == 15
    with pytest.raises(ValueError, match="text has more than 1 decimals"):
        parse_decimal("1.501", 1)


@pytest.mark.parametrize(
    ("text", "decimals"),
    [
        ("9223372036854775808", 0),
        ("-9223372036854775809", 0),
        ("92233720368.54775808", 8),
        ("10", 18),
        ("18446744073709551616", 0),
        ("99999999999999999999999999", 0),
    ],
)
def test_numbers_past_int64_are_overflows(text: str, decimals: int) -> None:
    with pytest.raises(OverflowError, match="text does not fit int64"):
        parse_decimal(text, decimals)


def test_a_malformed_text_is_malformed_however_long() -> None:
    with pytest.raises(ValueError, match="not a plain decimal"):
        parse_decimal("9" * 1000 + "x", 0)


@pytest.mark.parametrize("wrong", [b"1", 1, None])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="text must be a str"):
        parse_decimal(wrong, 8)


@pytest.mark.parametrize("decimals", [-1, 19, 2**40])
def test_scales_outside_0_to_18_are_refused(decimals: int) -> None:
    with pytest.raises(ValueError, match="decimals must be 0 to 18"):
        parse_decimal("1", decimals)
    with pytest.raises(ValueError, match="decimals must be 0 to 18"):
        format_decimal(1, decimals)


def test_a_value_past_int64_is_an_overflow_and_a_float_a_type_error() -> None:
    with pytest.raises(OverflowError, match="value does not fit int64"):
        format_decimal(2**63, 0)
    wrong: Any = 1.5
    with pytest.raises(TypeError, match="value must be an integer"):
        format_decimal(wrong, 0)
