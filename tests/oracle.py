"""The referee: the walk in exact fractions, as plainly as it can be written.

It shares nothing with the code it judges and imports nothing of it. Levels are (price,
quantity) pairs, best first, in anything Fraction reads exactly: int, str, Decimal, Fraction
(or float, which is taken at its exact binary value).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = Fraction | Decimal | str | float  # float stands for int, too


@dataclass(frozen=True, slots=True)
class Walked:
    """What an order took: `fills` holds (price, quantity taken), best first, none of zero."""

    fills: tuple[tuple[Fraction, Fraction], ...]
    filled: Fraction
    remaining: Fraction
    notional: Fraction
    levels: int  # leading levels up to and including the last one taken from
    worst_price: Fraction | None

    @property
    def average(self) -> Fraction | None:
        return self.notional / self.filled if self.filled else None


def walk(
    levels: Iterable[tuple[Number, Number]],
    quantity: Number,
    limit: Number | None = None,
    side: str = "BUY",
) -> Walked:
    """Takes `quantity` from levels a BUY (asks) or SELL (bids) meets; `limit` is inclusive."""
    left = Fraction(quantity)
    fills: list[tuple[Fraction, Fraction]] = []
    reached = 0
    for number, (price_given, shown_given) in enumerate(levels, start=1):
        price, shown = Fraction(price_given), Fraction(shown_given)
        if limit is not None and is_worse(price, Fraction(limit), side):
            break
        taken = min(shown, left)
        if taken > 0:
            fills.append((price, taken))
            left -= taken
            reached = number
    return summed(fills, left, reached)


def walk_notional(levels: Iterable[tuple[Number, Number]], amount: Number, unit: Number) -> Walked:
    """Spends at most `amount`, in whole multiples of `unit` of quantity, best level first.

    It stops at the first level it cannot afford whole. `remaining` is the money left over.
    """
    left = Fraction(amount)
    step = Fraction(unit)
    fills: list[tuple[Fraction, Fraction]] = []
    reached = 0
    for number, (price_given, shown_given) in enumerate(levels, start=1):
        price, shown = Fraction(price_given), Fraction(shown_given)
        affordable = (left / price) // step * step
        taken = min(shown, affordable)
        if taken > 0:
            fills.append((price, taken))
            left -= price * taken
            reached = number
        if affordable < shown:
            break
    return summed(fills, left, reached)


def is_worse(price: Fraction, limit: Fraction, side: str) -> bool:
    if side == "BUY":
        return price > limit
    if side == "SELL":
        return price < limit
    raise AssertionError(side)


def summed(fills: list[tuple[Fraction, Fraction]], left: Fraction, reached: int) -> Walked:
    return Walked(
        fills=tuple(fills),
        filled=sum((taken for _, taken in fills), Fraction(0)),
        remaining=left,
        notional=sum((price * taken for price, taken in fills), Fraction(0)),
        levels=reached,
        worst_price=fills[-1][0] if fills else None,
    )
