"""Decimal text and its arithmetic, in exact fractions.

What the service rounds is rounded half-even at a scale the record does not name:
the symbol's own digits and some more. So a recorded number is judged by itself:
it is the exact one, rounded at the digits it shows, or at more that came out as
zeros, but never at fewer than the digits seen around it imply. Then no digit of
it can change unnoticed, and no scale has to be guessed.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

PRICE_DIGITS_MAX: Final = 18
"""The finest scale of a price or quantity."""

MONEY_DIGITS_MAX: Final = 2 * PRICE_DIGITS_MAX
"""The finest scale of a price times a quantity."""

AVERAGE_EXTRA_DIGITS: Final = 8
"""What an average price or a fee has beyond the price scale."""

AVERAGE_DIGITS_MAX: Final = PRICE_DIGITS_MAX + AVERAGE_EXTRA_DIGITS

_LENGTH_MAX: Final = 128
_ENDLESS_DIGITS: Final = 30
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?", re.ASCII)


# The numbers of one order are there many times, and so are prices.
@lru_cache(maxsize=1 << 16)
def number(text: str) -> Fraction | None:
    """The value of decimal text in its one spelling, None for any other text.

    No exponent, no needless zero, no sign on zero.

    >>> number("-12.5"), number("12.50"), number("1e3"), number("-0")
    (Fraction(-25, 2), None, None, None)
    """
    if len(text) > _LENGTH_MAX or not _PLAIN.fullmatch(text) or text == "-0":
        return None
    whole, _, fraction = text.partition(".")
    return Fraction(int(whole + fraction), 10 ** len(fraction))


def digits(value: Fraction) -> int:
    """How many digits after the point the value takes.

    Raises `ValueError` for a fraction that no decimal text says.

    >>> digits(Fraction(5, 4)), digits(Fraction(20))
    (2, 0)
    """
    count, power = 0, 1
    while power % value.denominator:
        count, power = count + 1, power * 10
        if count > _LENGTH_MAX:
            raise ValueError(f"{value} is no decimal")
    return count


def is_rounded(value: Fraction, exact: Fraction, digits_min: int, digits_max: int) -> bool:
    """Whether `value` is `exact` rounded half-even, at `digits_min` digits or more.

    >>> third = Fraction(1, 3)
    >>> is_rounded(Fraction(333, 1000), third, 3, 9), is_rounded(Fraction(333, 1000), third, 4, 9)
    (True, False)
    """
    shown = digits(value)
    if shown > digits_max:
        return False
    # A value that is right at this scale and has zeros beyond it is right at none
    # of the finer ones unless it is right here.
    scale = int(10 ** max(shown, digits_min))
    return round(exact * scale) == value * scale


def text(value: Fraction) -> str:
    """For people: the decimal, or its first digits where it does not end.

    >>> text(Fraction(-5, 4)), text(Fraction(1, 3))
    ('-1.25', '0.333333333333333333333333333333...')
    """
    ends = _ends(value)
    shown = digits(value) if ends else _ENDLESS_DIGITS
    places = str(abs(value.numerator) * 10**shown // value.denominator).rjust(shown + 1, "0")
    whole, fraction = places[: len(places) - shown], places[len(places) - shown :]
    sign, more = "-" if value < 0 else "", "" if ends else "..."
    return sign + whole + (f".{fraction}" if fraction else "") + more


def _ends(value: Fraction) -> bool:
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1
