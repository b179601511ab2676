"""Average cost, realised PnL and fee: worked examples, to the last digit."""

from dataclasses import replace

import pytest
from builders import BUY, SELL, position

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, from_text, to_text
from execution.model import Direction, Position, SymbolSpec
from execution.settlement import FeeRate, fee_text, pnl_text, reducible, settle

SPEC = SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=2)


def fill(
    before: Position, direction: Direction, quantity: str, price: str, spec: SymbolSpec = SPEC
) -> tuple[Position, str]:
    """The position after a fill at one price, and the PnL as text."""
    filled = from_text(quantity, spec.quantity_decimals)
    notional = filled * from_text(price, spec.price_decimals)
    after, pnl = settle(before, direction, filled, notional, spec)
    return after, pnl_text(pnl)


def held(text: str, cost: str = "0") -> Position:
    return position(from_text(text, QUANTITY_DECIMALS), from_text(cost, MONEY_DECIMALS))


def quantity_of(kept: Position) -> str:
    return to_text(kept.quantity, QUANTITY_DECIMALS)


def cost_of(kept: Position) -> str:
    return to_text(kept.entry_cost, MONEY_DECIMALS)


@pytest.mark.parametrize(("direction", "quantity"), [(BUY, "2"), (SELL, "-2")])
def test_opening_costs_what_was_paid_and_realises_nothing(
    direction: Direction, quantity: str
) -> None:
    after, pnl = fill(held("0"), direction, "2", "100.5")
    assert (quantity_of(after), cost_of(after), pnl) == (quantity, "201", "0")
    assert after.entry_price == "100.5"


def test_adding_averages_the_entry_price() -> None:
    after, pnl = fill(held("1", "100"), BUY, "2", "103")
    assert (quantity_of(after), cost_of(after), pnl) == ("3", "306", "0")
    assert after.entry_price == "102"


@pytest.mark.parametrize(
    ("before", "direction", "price", "pnl"),
    [
        (held("2", "200"), SELL, "110", "20"),
        (held("2", "200"), SELL, "90", "-20"),
        (held("-2", "200"), BUY, "90", "20"),
        (held("-2", "200"), BUY, "110", "-20"),
    ],
)
def test_closing_realises_exit_less_entry_signed_by_side(
    before: Position, direction: Direction, price: str, pnl: str
) -> None:
    after, realised = fill(before, direction, "2", price)
    assert (after.quantity, after.entry_cost, after.entry_price) == (0, 0, "")
    assert realised == pnl
    assert pnl_text(after.realized_pnl) == pnl


def test_a_partial_close_takes_its_share_of_the_cost_and_leaves_the_entry_price() -> None:
    after, pnl = fill(held("4", "400"), SELL, "1", "110")
    assert (quantity_of(after), cost_of(after), pnl) == ("3", "300", "10")
    assert after.entry_price == "100"


@pytest.mark.parametrize(
    ("cost", "leaves"),
    [
        # 1 of 2 closed; cost x 1/2 rounded half-even at 1 + 2 decimals
        ("0.001", "0"),
        ("0.003", "0.002"),
        ("0.005", "0.002"),
        ("0.007", "0.004"),
    ],
)
def test_the_cost_that_leaves_is_rounded_half_even_and_the_pnl_uses_that_number(
    cost: str, leaves: str
) -> None:
    after, pnl = fill(held("2", cost), SELL, "1", "1")
    left = from_text(leaves, MONEY_DECIMALS)
    assert from_text(cost, MONEY_DECIMALS) - after.entry_cost == left
    assert from_text(pnl, MONEY_DECIMALS) == from_text("1", MONEY_DECIMALS) - left


def test_the_last_part_closed_takes_all_the_cost_that_is_left() -> None:
    first, first_pnl = fill(held("3", "100"), SELL, "1", "40")
    second, second_pnl = fill(first, SELL, "2", "40")
    assert (cost_of(first), first_pnl) == ("66.667", "6.667")
    assert (second.entry_cost, second_pnl) == (0, "13.333")
    assert pnl_text(second.realized_pnl) == "20"


@pytest.mark.parametrize(("before", "direction", "quantity"), [("2", SELL, "-3"), ("-2", BUY, "3")])
def test_crossing_through_flat_closes_all_and_opens_the_rest_at_the_new_price(
    before: str, direction: Direction, quantity: str
) -> None:
    after, pnl = fill(held(before, "200"), direction, "5", "110")
    assert quantity_of(after) == quantity
    assert (cost_of(after), after.entry_price) == ("330", "110")
    assert pnl == ("20" if direction is SELL else "-20")


def test_crossing_on_several_levels_splits_the_notional_by_quantity_rounded_once() -> None:
    # 3 for 0.100 in all: 2 of them close, 0.100 x 2/3 = 0.067 half-even, 0.033 opens.
    after, pnl = settle(held("2", "0.05"), SELL, 300, 100, SPEC)
    assert pnl_text(pnl) == "0.017"
    assert (quantity_of(after), cost_of(after)) == ("-1", "0.033")
    assert after.entry_price == "0.033"


def test_the_entry_price_is_rounded_half_even_at_the_price_scale_and_eight_digits() -> None:
    after, _ = fill(held("1", "100"), BUY, "2", "100.1")
    assert after.entry_price == "100.066666667"  # 300.2 / 3


def test_every_fill_is_one_version_and_keeps_whose_position_it_is() -> None:
    before = Position("ann", "BTC-USDT", version=41)
    after, _ = fill(before, BUY, "1", "1")
    assert (after.version, after.user_id, after.symbol) == (42, "ann", "BTC-USDT")


def test_realised_pnl_adds_up_over_fills() -> None:
    before = replace(held("1", "100"), realized_pnl=from_text("-7.5", MONEY_DECIMALS))
    after, pnl = fill(before, SELL, "1", "110")
    assert (pnl, pnl_text(after.realized_pnl)) == ("10", "2.5")


def test_the_extremes_of_int64_settle_exactly() -> None:
    spec = SymbolSpec("X", price_decimals=0, quantity_decimals=0)
    most = 2**63 - 1
    after, _ = settle(Position("ann", "X"), BUY, most, most * most, spec)
    flat, pnl = settle(after, SELL, most, most, spec)
    assert cost_of(after) == str(most * most)
    assert pnl_text(pnl) == str(most - most * most)
    assert (flat.quantity, flat.entry_cost) == (0, 0)


def test_a_cost_finer_than_a_coarsened_scale_never_turns_negative() -> None:
    # Opened at eight digits, closed in parts after the source went to one and two.
    after, pnl = fill(held("1", "0.0006"), SELL, "0.9", "0.1")
    assert after.entry_cost >= 0
    assert from_text(pnl, MONEY_DECIMALS) + from_text("0.0006", MONEY_DECIMALS) == (
        from_text("0.09", MONEY_DECIMALS) + after.entry_cost
    )


@pytest.mark.parametrize(
    ("text", "direction", "closable"),
    [
        ("2.5", SELL, 250),
        ("-2.5", BUY, 250),
        ("2.5", BUY, 0),
        ("-2.5", SELL, 0),
        ("0", BUY, 0),
        ("0", SELL, 0),
    ],
)
def test_what_can_be_reduced_is_the_opposite_position(
    text: str, direction: Direction, closable: int
) -> None:
    assert reducible(held(text), direction, SPEC) == closable


def test_what_can_be_reduced_is_rounded_down_to_the_symbols_scale() -> None:
    assert reducible(held("-2.519"), BUY, SPEC) == 251
    assert reducible(held("0.009"), SELL, SPEC) == 0


@pytest.mark.parametrize(("side", "direction"), [(1, SELL), (-1, BUY)])
def test_the_smallest_position_there_is_can_be_closed(side: int, direction: Direction) -> None:
    finest = SymbolSpec("BTC-USDT", price_decimals=0, quantity_decimals=18)
    smallest = position(side, entry_cost=10**18)  # 1e-18 held, at a price of 1
    assert reducible(smallest, direction, finest) == 1
    after, pnl = settle(smallest, direction, 1, 3, finest)
    assert (after.quantity, after.entry_cost) == (0, 0)
    assert pnl == side * 2 * 10**18


def test_there_is_no_fee_unless_the_operator_sets_one() -> None:
    assert FeeRate() == FeeRate.from_bps("0")
    assert fee_text(10**40, FeeRate(), SPEC) == "0"


@pytest.mark.parametrize(
    ("bps", "notional", "fee"),
    [
        ("0", 10**9, "0"),
        ("1", 1_000_000, "0.1"),  # 1000 x 1 / 10,000
        ("2.5", 1_000_000, "0.25"),
        ("10000", 1_234_567, "1234.567"),
        ("0.01", 1_234_567, "0.001234567"),
        ("0.00001", 1_234_567, "0.000001235"),  # 0.000001234567 at 1 + 8 digits
        ("0.000005", 1_000, "0"),  # 0.0000000005, half way, to even
        ("0.000015", 1_000, "0.000000002"),  # 0.0000000015, half way, to even
    ],
)
def test_the_fee_is_notional_times_bps_half_even_at_the_price_scale_and_eight_digits(
    bps: str, notional: int, fee: str
) -> None:
    assert fee_text(notional, FeeRate.from_bps(bps), SPEC) == fee


@pytest.mark.parametrize("text", ["", "1e1", "two", "0." + "0" * 18 + "1"])
def test_a_fee_rate_is_plain_exact_decimal_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"plain decimal text|digits after the point"):
        FeeRate.from_bps(text)
