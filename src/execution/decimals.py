"""Exact decimals at the edges: text to scaled integers and back.

Inside the service a price or quantity is an ``int64`` scaled by 10^d, d per
symbol. Positions and money outlive a symbol's scale (a source may change it),
so they use one fixed scale that holds every product of two int64 decimals:
`QUANTITY_DECIMALS` digits for quantities and `MONEY_DECIMALS` for costs, as
Python integers, which do not overflow.
"""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from execution import _order
from execution._order import ratio_text, to_text

__all__ = [
    "AVERAGE_PRICE_EXTRA_DECIMALS",
    "DEFAULT_DECIMALS",
    "INT64_MAX",
    "MAX_DECIMALS",
    "MONEY_DECIMALS",
    "QUANTITY_DECIMALS",
    "canonical",
    "divide_half_even",
    "from_double",
    "from_text",
    "ratio_text",
    "to_text",
]

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
_DOUBLE_CONTEXT: Final = Context(prec=800, rounding=ROUND_HALF_EVEN)


def divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient, rounded half-even. `denominator` is above zero.

    >>> [divide_half_even(n, 2) for n in (-3, -1, 1, 3, 4)]
    [-2, 0, 0, 2, 2]
    """
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient


def canonical(text: str) -> str:
    """The one spelling of an unsigned decimal: no needless zero, no exponent.

    Raises `ValueError` for anything but ASCII digits with at most one point
    between them, and for more than 64 characters.

    >>> canonical("0010.500"), canonical("0.0")
    ('10.5', '0')
    """
    spelled = _order.canonical(text)
    if spelled is not None:
        return spelled
    if len(text) > _TEXT_LENGTH_MAX:
        raise ValueError(f"has {len(text)} characters; at most {_TEXT_LENGTH_MAX} are read")
    raise ValueError("is not plain decimal text such as 0.125 (no sign, exponent or blanks)")


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


def from_double(value: float, decimals: int) -> int:
    """Scaled integer of a double, read through its shortest round-trip text.

    What does not fit the scale is rounded half-even to it. Raises `ValueError`
    for NaN and infinities. Source: SEMANTICS, Numbers.

    >>> from_double(61800.1, 8)
    6180010000000
    """
    if not math.isfinite(value):
        raise ValueError(f"is {value}, not a finite number")
    scaled = Decimal(repr(value)).scaleb(decimals, _DOUBLE_CONTEXT)
    return int(scaled.to_integral_value(ROUND_HALF_EVEN, _DOUBLE_CONTEXT))
