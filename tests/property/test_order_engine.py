"""The compiled report and settlement are those of the plain engine, on random everything."""

import twin.engine
import twin.settlement
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import cases
from twin.decisions import Case, cases_of_orders

from execution.engine import Execution, execute
from execution.errors import InvalidArgument
from execution.model import Direction, Position, SymbolSpec
from execution.settlement import settle


def decided(case: Case, by: object) -> Execution | list[str]:
    assert callable(by)
    try:
        decision: Execution = by(case.order, case.market, case.position, case.fees, 11)
    except InvalidArgument as error:
        return [f"{violation.field} {violation.description}" for violation in error.violations]
    return decision


@settings(max_examples=300, deadline=None)
@given(cases_of_orders())
def test_an_order_does_what_it_did(case: Case) -> None:
    assert decided(case, execute) == decided(case, twin.engine.execute)


fills = st.tuples(cases.directions, cases.quantities, cases.quantities)


@settings(max_examples=200, deadline=None)
@given(
    cases.positions(), st.lists(fills, min_size=1, max_size=8), st.lists(cases.specs, min_size=1)
)
def test_a_chain_of_fills_settles_as_it_did(
    first: Position, chain: list[tuple[Direction, int, int]], specs: list[SymbolSpec]
) -> None:
    """Also where the scale of the symbol changes on the way."""
    now = expected = first
    for number, (direction, filled, price) in enumerate(chain):
        spec = specs[number % len(specs)]
        now, pnl = settle(now, direction, filled, filled * price, spec)
        expected, expected_pnl = twin.settlement.settle(
            expected, direction, filled, filled * price, spec
        )
        assert (now, pnl) == (expected, expected_pnl)
        assert hash(now) == hash(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(fills, min_size=1, max_size=12), cases.specs)
def test_a_chain_from_flat_settles_as_it_did(
    chain: list[tuple[Direction, int, int]], spec: SymbolSpec
) -> None:
    now = expected = Position("ann", "X")
    for direction, filled, price in chain:
        now, pnl = settle(now, direction, filled, filled * price, spec)
        expected, expected_pnl = twin.settlement.settle(
            expected, direction, filled, filled * price, spec
        )
        assert pnl == expected_pnl
    assert now == expected
    assert repr(now) == repr(expected)
