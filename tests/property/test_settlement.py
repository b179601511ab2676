"""Positions against a model in fractions: whatever the fills, the sums conserve exactly."""

from dataclasses import dataclass
from fractions import Fraction

from builders import BUY, SELL
from hypothesis import given
from hypothesis import strategies as st

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS
from execution.model import Direction, Position, SymbolSpec
from execution.settlement import settle

INT64_MAX = 2**63 - 1
SCALES = st.sampled_from([0, 1, 2, 8, 18])
# Small numbers meet flat and rounding often, large ones the ends of int64.
QUANTITIES = st.integers(1, 12) | st.integers(1, INT64_MAX)
NOTIONALS = st.integers(1, 500) | st.integers(1, INT64_MAX**2)
FILLS = st.lists(
    st.tuples(st.sampled_from(Direction), QUANTITIES, NOTIONALS), min_size=1, max_size=12
)


@dataclass
class Model:
    """The average-cost method as SEMANTICS words it, in fractions."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    pnl: Fraction = Fraction(0)

    def fill(self, direction: Direction, quantity: Fraction, money: Fraction, digits: int) -> None:
        sign = 1 if direction is BUY else -1
        closing = min(abs(self.quantity), quantity) if self.quantity * sign < 0 else Fraction(0)
        if closing:
            cost_out = rounded(self.cost * closing / abs(self.quantity), digits)
            exit_money = rounded(money * closing / quantity, digits)
            self.pnl += sign * (cost_out - exit_money)
            self.cost -= cost_out
            money -= exit_money
        self.cost += money
        self.quantity += sign * quantity


def rounded(value: Fraction, digits: int) -> Fraction:
    """Half-even at `digits` decimals: Python's own rounding of fractions."""
    return Fraction(round(value * 10**digits), 10**digits)


def quantity_of(position: Position) -> Fraction:
    return Fraction(position.quantity, 10**QUANTITY_DECIMALS)


def money(scaled: int) -> Fraction:
    return Fraction(scaled, 10**MONEY_DECIMALS)


@given(SCALES, SCALES, FILLS)
def test_a_position_is_what_the_model_says_after_every_fill(
    price_decimals: int, quantity_decimals: int, fills: list[tuple[Direction, int, int]]
) -> None:
    spec = SymbolSpec("X", price_decimals, quantity_decimals)
    digits = price_decimals + quantity_decimals
    model, position = Model(), Position("ann", "X")
    for direction, filled, notional in fills:
        before = model.pnl
        model.fill(
            direction,
            Fraction(filled, 10**quantity_decimals),
            Fraction(notional, 10**digits),
            digits,
        )
        position, pnl = settle(position, direction, filled, notional, spec)
        assert quantity_of(position) == model.quantity
        assert money(position.entry_cost) == model.cost
        assert money(position.realized_pnl) == model.pnl
        assert money(pnl) == model.pnl - before
    assert position.version == len(fills)


@given(SCALES, SCALES, FILLS)
def test_money_is_neither_made_nor_lost(
    price_decimals: int, quantity_decimals: int, fills: list[tuple[Direction, int, int]]
) -> None:
    """What was received less what was paid is the PnL, but for the cost of what is still held."""
    spec = SymbolSpec("X", price_decimals, quantity_decimals)
    position, cash = Position("ann", "X"), Fraction(0)
    for direction, filled, notional in fills:
        position, _ = settle(position, direction, filled, notional, spec)
        paid = Fraction(notional, 10 ** (price_decimals + quantity_decimals))
        cash += paid if direction is SELL else -paid
        side = (position.quantity > 0) - (position.quantity < 0)
        assert money(position.realized_pnl) == cash + side * money(position.entry_cost)


@given(SCALES, SCALES, FILLS)
def test_closing_all_that_is_held_leaves_nothing_behind(
    price_decimals: int, quantity_decimals: int, fills: list[tuple[Direction, int, int]]
) -> None:
    spec = SymbolSpec("X", price_decimals, quantity_decimals)
    position = Position("ann", "X")
    for direction, filled, notional in fills:
        position, _ = settle(position, direction, filled, notional, spec)
    held = abs(position.quantity) // 10 ** (QUANTITY_DECIMALS - quantity_decimals)
    if held:
        closing = SELL if position.quantity > 0 else BUY
        position, _ = settle(position, closing, held, 7, spec)
    assert (position.quantity, position.entry_cost, position.entry_price) == (0, 0, "")


@given(SCALES, SCALES, FILLS)
def test_the_entry_price_is_the_cost_of_one_rounded_once(
    price_decimals: int, quantity_decimals: int, fills: list[tuple[Direction, int, int]]
) -> None:
    spec = SymbolSpec("X", price_decimals, quantity_decimals)
    position = Position("ann", "X")
    for direction, filled, notional in fills:
        position, _ = settle(position, direction, filled, notional, spec)
        if position.quantity:
            exact = money(position.entry_cost) / abs(quantity_of(position))
            assert Fraction(position.entry_price) == rounded(exact, price_decimals + 8)


SPECS = st.builds(SymbolSpec, st.just("X"), SCALES, SCALES)


@given(st.lists(st.tuples(SPECS, st.sampled_from(Direction), QUANTITIES, NOTIONALS), max_size=12))
def test_the_sums_conserve_also_while_the_source_changes_its_scales(
    fills: list[tuple[SymbolSpec, Direction, int, int]],
) -> None:
    position, cash, held = Position("ann", "X"), Fraction(0), Fraction(0)
    for spec, direction, filled, notional in fills:
        position, _ = settle(position, direction, filled, notional, spec)
        paid = Fraction(notional, 10 ** (spec.price_decimals + spec.quantity_decimals))
        sign = 1 if direction is BUY else -1
        cash -= sign * paid
        held += sign * Fraction(filled, 10**spec.quantity_decimals)
        side = (held > 0) - (held < 0)
        assert quantity_of(position) == held
        assert money(position.realized_pnl) == cash + side * money(position.entry_cost)
        assert position.entry_cost >= 0
