"""The executor under every interleaving that some seeds find; the seed is the name of the test."""

from fractions import Fraction

import pytest
from builders import BUY, SPEC
from interleavings import SYMBOL, USERS, Interleaving, Replica, filled_by_level

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS
from execution.errors import ExecutionError, OrderIdReused
from execution.model import Direction, ExecutionReport, Position, Quote

SEEDS = range(120)


async def ran(seed: int, *, faults: bool = True) -> Interleaving:
    world = Interleaving(seed, faults=faults)
    await world.run()
    return world


def record_of(world: Interleaving, order_id: str) -> ExecutionReport:
    return world.store.orders[order_id].report


def assert_each_id_executed_once(world: Interleaving) -> None:
    written = [record.report.order_id for record in world.store.history]
    assert sorted(written) == sorted(asked.order_id for asked in world.orders), world


def assert_every_answer_is_the_record(world: Interleaving) -> None:
    for call, report in world.answers():
        assert report == record_of(world, call.asked.order_id), world
    for call, error in world.errors():
        assert isinstance(error, ExecutionError), (error, world)
        stored = world.store.orders[call.asked.order_id].payload
        if isinstance(error, OrderIdReused):
            assert call.asked.payload() != stored, world


def assert_positions_are_what_the_history_adds_up_to(world: Interleaving) -> None:
    for user in USERS:
        reports = [r.report for r in world.store.history if r.report.user_id == user]
        fills = [report for report in reports if report.fills]
        position = world.store.position(user, SYMBOL)
        assert position.version == len(fills), world
        assert Fraction(position.quantity, 10**QUANTITY_DECIMALS) == sum(
            sign(report) * Fraction(report.filled_quantity) for report in fills
        ), world
        cash = sum(-sign(report) * Fraction(report.notional) for report in fills)
        side = (position.quantity > 0) - (position.quantity < 0)
        assert money(position.realized_pnl) == cash + side * money(position.entry_cost), world
        assert sum(Fraction(r.realized_pnl) for r in fills) == money(position.realized_pnl), world


def assert_reduce_only_only_reduced(world: Interleaving) -> None:
    held: dict[str, Fraction] = dict.fromkeys(USERS, Fraction(0))
    for record in world.store.history:
        report = record.report
        before = held[report.user_id]
        after = before + sign(report) * Fraction(report.filled_quantity)
        if report.reduce_only and report.fills:
            assert abs(after) < abs(before), world
            assert before * after >= 0, world
        held[report.user_id] = after


def assert_account_and_ledger_agree(world: Interleaving, replica: Replica) -> None:
    """What the replica holds taken of the book shown now is what it knows it committed."""
    sequence, shown = list(world.snapshots.items())[-1]
    kept = filled_by_level(world.kept_by(replica), sequence)
    for direction in Direction:
        quote = replica.liquidity.quote(shown, direction)
        assert isinstance(quote, Quote)
        sizes = shown.ask_quantities if direction is BUY else shown.bid_quantities
        for price, size, left in zip(quote.prices, sizes, quote.available, strict=True):
            text = str(price // 10**SPEC.price_decimals)
            assert size - left == kept[direction.name, text], (world, replica.name, direction)


def assert_no_snapshot_gave_more_than_it_shows(world: Interleaving, replica: Replica) -> None:
    for sequence, shown in world.snapshots.items():
        kept = filled_by_level(world.kept_by(replica), sequence)
        for name, prices, sizes in (
            ("BUY", shown.ask_prices, shown.ask_quantities),
            ("SELL", shown.bid_prices, shown.bid_quantities),
        ):
            for price, size in zip(prices, sizes, strict=True):
                assert kept[name, str(price // 10**SPEC.price_decimals)] <= size, world


def sign(report: ExecutionReport) -> int:
    return 1 if report.direction is BUY else -1


def money(scaled: int) -> Fraction:
    return Fraction(scaled, 10**MONEY_DECIMALS)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_each_order_executes_exactly_once(seed: int) -> None:
    world = await ran(seed)
    assert_each_id_executed_once(world)
    assert_every_answer_is_the_record(world)
    assert_positions_are_what_the_history_adds_up_to(world)
    assert_reduce_only_only_reduced(world)
    for replica in world.replicas:
        assert_account_and_ledger_agree(world, replica)
        assert_no_snapshot_gave_more_than_it_shows(world, replica)


@pytest.mark.parametrize("seed", SEEDS[:20])
async def test_without_faults_everyone_gets_an_answer(seed: int) -> None:
    world = await ran(seed, faults=False)
    assert_each_id_executed_once(world)
    assert_every_answer_is_the_record(world)
    assert len(world.answers()) + len(world.errors()) == len(world.calls)


async def test_the_seeds_meet_what_they_are_meant_to_meet() -> None:
    met: set[str] = set()
    for seed in SEEDS[:40]:
        world = await ran(seed)
        met |= {type(error).__name__ for _, error in world.errors()}
        met |= {record.report.reason.name for record in world.store.history}
        met |= {" ".join(step.split()[:1]) for step in world.trace}
    assert met >= {
        *("OrderIdReused", "LedgerUnavailable", "LedgerRefused", "SymbolServiceUnavailable"),
        *("DeadlineTooShort", "NONE", "REDUCE_ONLY", "REDUCE_ONLY_CAPPED", "FOK_UNFILLABLE"),
        *("NO_LIQUIDITY", "INSUFFICIENT_LIQUIDITY", "PRICE_PROTECTION"),
        *("lose", "deliver", "refuse", "conflict", "cancel", "apply"),
    }


@pytest.mark.parametrize("seed", SEEDS[:5])
async def test_a_seed_replays_its_world_exactly(seed: int) -> None:
    first, second = await ran(seed), await ran(seed)
    assert first.trace == second.trace
    assert first.store.history == second.store.history


def test_a_failure_shows_its_seed_and_its_steps() -> None:
    world = Interleaving(41)
    world.note("send o-1 to one")
    assert repr(world).startswith("Interleaving(seed=41, faults=True):\n")
    assert repr(world).endswith("send o-1 to one")
    assert world.store.position("ann", SYMBOL) == Position("ann", SYMBOL)
