"""Positions by average cost, replayed from the trade stream in its order.

The one thing that is rounded is the share of a cost (or of a price paid) that
leaves with a partial close, and the PnL is computed from that same number. So the
recorded PnL tells which number it was, that number is judged by `is_rounded`, and
all that follows is exact. Source: SEMANTICS, Position and realised PnL.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from execution.verify.contract import POSITION_FIELDS
from execution.verify.exact import (
    AVERAGE_DIGITS_MAX,
    AVERAGE_EXTRA_DIGITS,
    MONEY_DIGITS_MAX,
    digits,
    is_rounded,
    number,
    text,
)
from execution.verify.findings import Name, Problem, quoted
from execution.verify.strict import Fills
from execution.verify.walks import money_digits, notional_of, price_digits

_NEVER_NEGATIVE: Final = ("entry_price", "entry_cost", "version")


@dataclass(frozen=True, slots=True)
class Stored:
    """A position as Redis has it; `price` is None where its text is empty."""

    quantity: Fraction
    cost: Fraction
    pnl: Fraction
    price: Fraction | None
    version: int


@dataclass(frozen=True, slots=True)
class Executed:
    """What a trade does to a position."""

    user: str
    symbol: str
    buys: bool
    quantity: Fraction
    fills: Fills
    pnl: Fraction
    reduce_only: bool = False


@dataclass(slots=True)
class Holding:
    """What the trades so far come to."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    pnl: Fraction = Fraction(0)
    trades: int = 0
    price_digits: int = 0
    """The price scale of the last trade is at least this."""
    off: bool = False
    """A trade did not follow from those before it: what comes after cannot, either."""
    doubts: list[tuple[str, Problem]] = field(default_factory=list)
    """What trades had wrong, and where; worthless if the stream lacks its beginning."""
    awaited: Stored | None = None
    """The position as it was read, while it counts trades that were not read yet."""
    expected: bool = False
    """It had trades before the hashes were read: there must be one."""
    seen: bool = False
    """Its hash was read."""
    proven: bool = False

    def follows(self, trade: Executed) -> bool:
        """Whether the trade's numbers follow from this position."""
        return not any(self._problems(trade, *self._closing(trade)))

    def apply(self, at: str, trade: Executed) -> None:
        """Adds the next trade of the stream."""
        closed, held = self._closing(trade)
        if not self.off:
            problems = list(self._problems(trade, closed, held))
            self.doubts += [(at, problem) for problem in problems]
            self.off = bool(problems)
        money = notional_of(trade.fills)
        leaving, paid = self._shares(trade, money, closed, held)
        self.cost += money - paid - leaving
        self.quantity += trade.quantity if trade.buys else -trade.quantity
        self.pnl += trade.pnl
        self.trades += 1
        self.price_digits = price_digits(trade.fills)

    def problems_with(self, stored: Stored) -> Iterator[Problem]:
        """Where the stored position of this version is not what the trades come to."""
        if stored.quantity != self.quantity:
            yield (
                Name.POSITION_QUANTITY,
                f"qty is {text(stored.quantity)}; its trades come to {text(self.quantity)}",
            )
        if stored.pnl != self.pnl:
            yield (
                Name.POSITION_PNL,
                f"realized_pnl is {text(stored.pnl)}; its trades come to {text(self.pnl)}",
            )
        if stored.cost != self.cost:
            yield (
                Name.POSITION_COST,
                f"entry_cost is {text(stored.cost)}; its trades come to {text(self.cost)}",
            )
        yield from self._price_problems(stored)

    def _closing(self, trade: Executed) -> tuple[Fraction, Fraction]:
        """How much of the position the trade closes, and how much there is."""
        held = abs(self.quantity)
        closes = self.quantity < 0 if trade.buys else self.quantity > 0
        return min(held, trade.quantity) if closes else Fraction(0), held

    def _price_problems(self, stored: Stored) -> Iterator[Problem]:
        held = abs(stored.quantity)
        if not held or stored.price is None:
            if held or stored.price is not None:
                yield Name.POSITION_PRICE, "entry_price is there if and only if qty is not 0"
            return
        exact = stored.cost / held
        digits_min = self.price_digits + AVERAGE_EXTRA_DIGITS
        if not is_rounded(stored.price, exact, digits_min, AVERAGE_DIGITS_MAX):
            yield (
                Name.POSITION_PRICE,
                f"entry_price is {text(stored.price)}; entry_cost / qty is {text(exact)}",
            )

    def _problems(self, trade: Executed, closed: Fraction, held: Fraction) -> Iterator[Problem]:
        if trade.reduce_only and closed < trade.quantity:
            yield (
                Name.REDUCE_ONLY,
                f"reduce_only took {text(trade.quantity)} with {text(closed)} to close",
            )
        money = notional_of(trade.fills)
        leaving, paid = self._shares(trade, money, closed, held)
        digits_min = money_digits(trade.fills)
        if not closed:
            right = trade.pnl == 0
        elif closed < held:
            right = _is_share(leaving, self.cost, closed / held, digits_min)
        elif closed < trade.quantity:
            right = _is_share(paid, money, closed / trade.quantity, digits_min)
        else:
            right = paid == money
        if not right:
            yield (
                Name.PNL,
                f"its pnl of {text(trade.pnl)} does not follow from a position of"
                f" {text(self.quantity)} at a cost of {text(self.cost)}",
            )

    def _shares(
        self, trade: Executed, money: Fraction, closed: Fraction, held: Fraction
    ) -> tuple[Fraction, Fraction]:
        """The cost that leaves and the money that closes, as the recorded PnL implies.

        One of the two is exact: a partial close spends all of its money, any
        other all of the cost.
        """
        if not closed:
            return Fraction(0), Fraction(0)
        gain = -trade.pnl if trade.buys else trade.pnl
        if closed < held:
            return money - gain, money
        return self.cost, self.cost + gain


def read_position(fields: dict[str, str]) -> Stored | str:
    """The position of a hash, or what is wrong with it."""
    missing = [name for name in POSITION_FIELDS if name not in fields]
    if missing:
        return f"it lacks {', '.join(missing)}"
    numbers = {name: number(fields[name]) for name in POSITION_FIELDS}
    bare = fields["entry_price"] == ""
    for name, value in numbers.items():
        if value is None and not (bare and name == "entry_price"):
            return f"{name} is no decimal text in its one spelling: {quoted(fields[name])}"
        if value is not None and value < 0 and name in _NEVER_NEGATIVE:
            return f"{name} is below zero: {quoted(fields[name])}"
    quantity, cost, pnl, version = (
        numbers[name] or Fraction(0) for name in ("qty", "entry_cost", "realized_pnl", "version")
    )
    if version.denominator != 1 or not version:
        return f"version is no count: {quoted(fields['version'])}"
    return Stored(quantity, cost, pnl, numbers["entry_price"], int(version))


def _is_share(value: Fraction, total: Fraction, part: Fraction, digits_min: int) -> bool:
    """Whether it is total x part as rounded; never more than the total there is."""
    if value < 0 or digits(value) > MONEY_DIGITS_MAX:
        return False
    if is_rounded(value, total * part, digits_min, MONEY_DIGITS_MAX):
        return True
    # A total finer than the unit it is rounded to may be less than what it rounds to.
    return value == total and any(
        round(total * part * 10**scale) > total * 10**scale
        for scale in range(digits_min, digits(total))
    )
