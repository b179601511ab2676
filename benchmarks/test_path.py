"""The path of an order in process: decision alone, and from the executor to a kept record.

    pytest benchmarks/test_path.py

Times are for comparing two states of this code in one run on one machine
(`--benchmark-compare`); none is a promise.
"""

import asyncio
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from execution.adapters.commit_script import pack_entry
from execution.adapters.records import report_from_json, report_to_json
from execution.engine import execute
from execution.executor import Executor, Terms
from execution.model import Direction, Order, Position, Quote, SymbolSpec
from execution.ports import Entry
from execution.pricing import Liquidity, LiquidityMode
from execution.server.messages import report_message
from execution.settlement import FeeRate
from execution.testing import SimulatedBooks, SimulatedClock, SimulatedLedger, book_snapshot

SPEC = SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=3)
LEVELS = 20
BIDS = [(f"{61800 - level}.1", "1.5") for level in range(LEVELS)]
ASKS = [(f"{61801 + level}.1", "1.5") for level in range(LEVELS)]
FEES = FeeRate.from_bps("2.5")
NOBODY = Position("u1", SPEC.symbol)
FEW, MANY = "2", "20"
"""Quantities that take two levels, and fourteen."""


def order(quantity: str) -> Order:
    return Order("o-1", "u1", SPEC.symbol, Direction.BUY, quantity)


def quoted() -> Quote:
    market = Liquidity().quote(book_snapshot(SPEC, BIDS, ASKS, sequence=1), Direction.BUY)
    assert isinstance(market, Quote)
    return market


@pytest.mark.parametrize("quantity", [FEW, MANY])
def test_the_decision(benchmark: BenchmarkFixture, quantity: str) -> None:
    market, wanted = quoted(), order(quantity)
    execution = benchmark(execute, wanted, market, NOBODY, FEES, 1)
    assert execution.report.filled_quantity == quantity


@pytest.mark.parametrize("quantity", [FEW, MANY])
def test_the_record_of_a_decision(benchmark: BenchmarkFixture, quantity: str) -> None:
    wanted = order(quantity)
    execution = execute(wanted, quoted(), NOBODY, FEES, 1)
    entry = Entry(wanted.payload(), execution.report, NOBODY, execution.position)
    packed = benchmark(pack_entry, entry)
    assert packed.report


def test_the_record_read_again(benchmark: BenchmarkFixture) -> None:
    report = execute(order(FEW), quoted(), NOBODY, FEES, 1).report
    assert benchmark(report_from_json, report_to_json(report)) == report


def test_the_answer_on_the_wire(benchmark: BenchmarkFixture) -> None:
    report = execute(order(FEW), quoted(), NOBODY, FEES, 1).report
    assert benchmark(lambda: report_message(report).SerializeToString())


def test_the_executor_from_order_to_record(benchmark: BenchmarkFixture) -> None:
    """A hundred orders a round, all under way at once, books and ledger in memory."""
    books, ledger, clock = SimulatedBooks(), SimulatedLedger(), SimulatedClock()
    books.set_book(SPEC.symbol, BIDS, ASKS)
    liquidity = Liquidity(LiquidityMode.SNAPSHOT)
    executor = Executor(books, ledger, liquidity, clock, Terms(FEES))
    numbers = count()

    async def round_of_orders() -> int:
        orders = [
            Order(f"o-{next(numbers)}", f"u{user}", SPEC.symbol, Direction.BUY, FEW)
            for user in range(100)
        ]
        reports = await asyncio.gather(*map(executor.execute, orders))
        return sum(report.filled_quantity == FEW for report in reports)

    with asyncio.Runner() as runner:
        assert benchmark(lambda: runner.run(round_of_orders())) == 100
