"""The arithmetic of `verify`: right numbers are never doubted, wrong ones never believed.

The service's own arithmetic makes the right numbers here; wrong ones are right ones with one
digit changed, as text, because that is how they would be wrong in a Redis.
"""

from copy import deepcopy
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.decimals import MONEY_DECIMALS, ratio_text, to_text
from execution.model import Direction, Position, SymbolSpec
from execution.settlement import pnl_text, settle
from execution.verify.exact import AVERAGE_DIGITS_MAX, digits, is_rounded, number, text
from execution.verify.findings import Name
from execution.verify.positions import Executed, Holding, read_position
from execution.verify.records import Shown
from execution.verify.walks import walk_problems

Levels = list[tuple[int, int]]
LEVELS = st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10**5)), min_size=1, max_size=4)
SCALES = st.tuples(st.integers(0, 6), st.integers(0, 6))
TRADES = st.lists(st.tuples(st.sampled_from(Direction), LEVELS), min_size=1, max_size=8)


def exact(text_: str) -> Fraction:
    value = number(text_)
    assert value is not None, text_
    return value


def changed(written: str) -> list[str]:
    """Every text that differs from this one in one digit, or in its sign."""
    found = [written.removeprefix("-") if written.startswith("-") else f"-{written}"]
    for at, old in enumerate(written):
        if old.isdigit():
            found += [
                written[:at] + digit + written[at + 1 :] for digit in "0123456789" if digit != old
            ]
    return found


# --- numbers and rounding ---


@pytest.mark.parametrize(
    "written",
    [
        "",
        "-",
        ".5",
        "5.",
        "05",
        "0.50",
        "-0",
        "-0.0",
        "1e3",
        "1E3",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1\n",
        "NaN",
        "Infinity",
        "0x10",
        "1.2.3",
        "1" * 129,
        "\u0663",
    ],
)
def test_only_the_one_spelling_of_a_decimal_is_a_number(written: str) -> None:
    assert number(written) is None


@given(st.integers(-(10**40), 10**40), st.integers(0, 36))
def test_what_the_service_writes_is_read_and_shown_as_it_is(value: int, decimals: int) -> None:
    written = to_text(value, decimals)
    assert exact(written) == Fraction(value, 10**decimals)
    assert text(exact(written)) == written
    assert digits(exact(written)) == len(written.partition(".")[2])


@given(
    st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 18), st.integers(0, 8), st.data()
)
def test_a_rounded_ratio_is_believed_and_no_other_spelling_of_it(
    numerator: int, denominator: int, scale: int, less: int, data: st.DataObject
) -> None:
    """Also where less is known of the scale than there is to know."""
    written = ratio_text(numerator, denominator, scale)
    ratio = Fraction(numerator, denominator)
    seen = max(scale - less, 0)
    assert is_rounded(exact(written), ratio, seen, AVERAGE_DIGITS_MAX)
    wrong = number(data.draw(st.sampled_from(changed(written))))
    if wrong is not None:
        assert not is_rounded(wrong, ratio, seen, AVERAGE_DIGITS_MAX)


def test_a_number_with_more_digits_than_there_can_be_is_not_believed() -> None:
    value = exact("0." + "3" * 27)
    assert is_rounded(value, Fraction(1, 3), 8, 27)
    assert not is_rounded(value, Fraction(1, 3), 8, 26)


def test_a_number_cut_short_is_not_believed() -> None:
    assert not is_rounded(exact("0.3333"), Fraction(1, 3), 9, AVERAGE_DIGITS_MAX)


def test_halves_go_to_the_even_digit() -> None:
    assert is_rounded(exact("0.2"), Fraction(1, 4), 1, 9)
    assert not is_rounded(exact("0.3"), Fraction(1, 4), 1, 9)
    assert is_rounded(exact("0.8"), Fraction(3, 4), 1, 9)


# --- walks ---


@given(LEVELS, SCALES, st.data())
def test_an_average_is_believed_and_no_changed_digit_of_it(
    levels: Levels, scales: tuple[int, int], data: st.DataObject
) -> None:
    price_decimals, quantity_decimals = scales
    levels = sorted(levels)
    fills = tuple(
        (Fraction(price, 10**price_decimals), Fraction(quantity, 10**quantity_decimals))
        for price, quantity in levels
    )
    notional = sum(price * quantity for price, quantity in levels)
    filled = sum(quantity for _, quantity in levels)
    written = ratio_text(notional, filled * 10**price_decimals, price_decimals + 8)
    quantity = Fraction(filled, 10**quantity_decimals)

    def problems(price: Fraction) -> list[Name]:
        return [name for name, _ in walk_problems("BUY", price, quantity, fills, Shown())]

    assert problems(exact(written)) == []
    wrong = number(data.draw(st.sampled_from(changed(written))))
    if wrong is not None:
        assert problems(wrong) == [Name.AVERAGE_PRICE]


@pytest.mark.parametrize(
    ("side", "prices", "best", "right"),
    [
        ("BUY", (100, 101, 102), None, True),
        ("BUY", (100, 100), 100, True),
        ("BUY", (101, 102), 100, True),
        ("BUY", (101, 100), None, False),
        ("BUY", (100, 101), 100.5, False),
        ("SELL", (102, 101), 102, True),
        ("SELL", (101, 102), None, False),
        ("SELL", (102, 101), 101.5, False),
    ],
)
def test_a_walk_goes_from_the_best_shown_price_to_worse_ones(
    side: str, prices: tuple[int, ...], best: float | None, *, right: bool
) -> None:
    fills = tuple((Fraction(price), Fraction(1)) for price in prices)
    shown = None if best is None else Fraction(best)
    average = Fraction(sum(prices), len(prices))
    found = walk_problems(
        side, average, Fraction(len(prices)), fills, Shown("", 0, "", shown, shown)
    )
    assert [name for name, _ in found] == ([] if right else [Name.FILL_ORDER])


# --- positions ---


def executed(spec: SymbolSpec, direction: Direction, levels: Levels, pnl: str) -> Executed:
    price_unit, quantity_unit = 10**spec.price_decimals, 10**spec.quantity_decimals
    fills = tuple(
        (Fraction(price, price_unit), Fraction(quantity, quantity_unit))
        for price, quantity in levels
    )
    quantity = sum((quantity for _, quantity in fills), Fraction(0))
    return Executed("ann", "X", direction is Direction.BUY, quantity, fills, exact(pnl))


def settled(
    position: Position, spec: SymbolSpec, direction: Direction, levels: Levels
) -> tuple[Position, str]:
    """What the service makes of a trade: the position after it, the text of its PnL."""
    filled = sum(quantity for _, quantity in levels)
    notional = sum(price * quantity for price, quantity in levels)
    after, pnl = settle(position, direction, filled, notional, spec)
    return after, pnl_text(pnl)


def stored(position: Position) -> dict[str, str]:
    return {
        "qty": to_text(position.quantity, 18),
        "entry_price": position.entry_price,
        "entry_cost": to_text(position.entry_cost, MONEY_DECIMALS),
        "realized_pnl": to_text(position.realized_pnl, MONEY_DECIMALS),
        "version": str(position.version),
    }


def problems_with(holding: Holding, fields: dict[str, str]) -> set[Name | str]:
    read = read_position(fields)
    if isinstance(read, str):
        return {"unreadable"}
    found: set[Name | str] = {name for name, _ in holding.problems_with(read)}
    return found | ({"version"} if read.version != holding.trades else set())


@given(TRADES, SCALES)
def test_a_position_is_replayed_to_what_the_service_keeps(
    trades: list[tuple[Direction, Levels]], scales: tuple[int, int]
) -> None:
    spec = SymbolSpec("X", *scales)
    position, holding = Position("ann", "X"), Holding()
    for direction, levels in trades:
        position, pnl = settled(position, spec, direction, levels)
        holding.apply("here", executed(spec, direction, levels, pnl))
        assert holding.doubts == []
        assert problems_with(holding, stored(position)) == set()


@given(st.lists(st.tuples(st.sampled_from(Direction), LEVELS, SCALES), min_size=1, max_size=8))
def test_a_source_that_changes_its_scales_raises_no_doubt(
    trades: list[tuple[Direction, Levels, tuple[int, int]]],
) -> None:
    position, holding = Position("ann", "X"), Holding()
    for direction, levels, scales in trades:
        spec = SymbolSpec("X", *scales)
        position, pnl = settled(position, spec, direction, levels)
        holding.apply("here", executed(spec, direction, levels, pnl))
        assert holding.doubts == []
        assert problems_with(holding, stored(position)) == set()


@given(TRADES, SCALES, st.data())
def test_no_changed_digit_of_a_pnl_is_believed(
    trades: list[tuple[Direction, Levels]], scales: tuple[int, int], data: st.DataObject
) -> None:
    spec = SymbolSpec("X", *scales)
    position, holding = Position("ann", "X"), Holding()
    for direction, levels in trades:
        position, pnl = settled(position, spec, direction, levels)
        wrong = data.draw(st.sampled_from(changed(pnl)))
        if number(wrong) is not None:
            doubted = deepcopy(holding)
            doubted.apply("here", executed(spec, direction, levels, wrong))
            assert [name for _, (name, _) in doubted.doubts] == [Name.PNL]
        holding.apply("here", executed(spec, direction, levels, pnl))


@given(TRADES, SCALES, st.data())
def test_no_changed_digit_of_a_position_is_believed(
    trades: list[tuple[Direction, Levels]], scales: tuple[int, int], data: st.DataObject
) -> None:
    spec = SymbolSpec("X", *scales)
    position, holding = Position("ann", "X"), Holding()
    for direction, levels in trades:
        position, pnl = settled(position, spec, direction, levels)
        holding.apply("here", executed(spec, direction, levels, pnl))
    fields = stored(position)
    field = data.draw(st.sampled_from([name for name, value in fields.items() if value]))
    fields[field] = data.draw(st.sampled_from(changed(fields[field])))
    assert problems_with(holding, fields) != set()


def test_one_wrong_trade_is_one_doubt_of_its_position() -> None:
    spec = SymbolSpec("X", 2, 3)
    holding = Holding()
    holding.apply("1", executed(spec, Direction.BUY, [(10_000, 1_000)], "0"))
    holding.apply("2", executed(spec, Direction.SELL, [(11_000, 400)], "7"))
    holding.apply("3", executed(spec, Direction.SELL, [(11_000, 400)], "4"))
    assert [(at, name) for at, (name, _) in holding.doubts] == [("2", Name.PNL)]


@pytest.mark.parametrize("side", [Direction.BUY, Direction.SELL])
def test_a_reduce_only_trade_must_reduce(side: Direction) -> None:
    spec = SymbolSpec("X", 2, 3)
    opening = executed(spec, side, [(10_000, 1_000)], "0")
    holding = Holding()
    reducing = Executed(
        "ann", "X", not opening.buys, opening.quantity, opening.fills, Fraction(0), reduce_only=True
    )
    holding.apply("1", reducing)
    assert [name for _, (name, _) in holding.doubts] == [Name.REDUCE_ONLY]
    holding = Holding()
    holding.apply("1", opening)
    holding.apply("2", reducing)
    assert holding.doubts == []
