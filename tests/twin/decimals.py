"""Exact decimals, in Python's integers and text."""

import re
from typing import Final

DEFAULT_DECIMALS: Final = 8
"""Scale of prices and quantities where the source names none."""

MAX_DECIMALS: Final = 18
"""The finest scale an int64 can hold one whole unit of."""

QUANTITY_DECIMALS: Final = MAX_DECIMALS
"""Scale of position quantities."""

MONEY_DECIMALS: Final = 2 * MAX_DECIMALS
"""Scale of entry costs and realised PnL: a price times a quantity, exactly."""

AVERAGE_PRICE_EXTRA_DECIMALS: Final = 8
"""Digits that a rounded average price or fee has beyond the price scale."""

INT64_MAX: Final = 2**63 - 1

_TEXT_LENGTH_MAX: Final = 64
_PLAIN_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


def divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient, rounded half-even. `denominator` is above zero."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient


def canonical(text: str) -> str:
    """The one spelling of an unsigned decimal: no needless zero, no exponent.

    Raises `ValueError` for anything but ASCII digits with at most one point
    between them, and for more than 64 characters.

    """
    if len(text) > _TEXT_LENGTH_MAX:
        raise ValueError(f"has {len(text)} characters; at most {_TEXT_LENGTH_MAX} are read")
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise ValueError("is not plain decimal text such as 0.125 (no sign, exponent or blanks)")
    whole, _, fraction = text.partition(".")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def from_text(text: str, decimals: int) -> int:
    """Exact integer of signed decimal text, scaled by 10^decimals; any size.

    Raises `ValueError` if the text is not a plain decimal or has more digits
    after the point than `decimals`.
    """
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = canonical(text.removeprefix("-")).partition(".")
    if len(fraction) > decimals:
        raise ValueError(f"has {len(fraction)} digits after the point; the scale is {decimals}")
    return sign * int(whole + fraction.ljust(decimals, "0"))


def to_text(value: int, decimals: int) -> str:
    """Decimal text of a scaled integer of any size, trailing zeros stripped."""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    sign = "-" if value < 0 else ""
    if not decimals:
        return sign + digits
    whole, fraction = digits[:-decimals], digits[-decimals:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def ratio_text(numerator: int, denominator: int, decimals: int) -> str:
    """Text of numerator / denominator, half-even at `decimals`, zeros stripped."""
    return to_text(divide_half_even(numerator * 10**decimals, denominator), decimals)
