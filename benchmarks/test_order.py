"""What one order makes, piece by piece, and from request bytes to commit and reply bytes.

    pytest benchmarks/test_order.py

Times are for comparing two states of this code in one run on one machine
(`--benchmark-compare`); none is a promise.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from test_path import FEES, SPEC, quoted

from execution import _order
from execution.adapters.commit_script import pack_entry
from execution.engine import Execution, execute, trade_id
from execution.model import Direction, Order, OrderType, Position
from execution.ports import Entry
from execution.server.messages import batch_bytes, report_bytes
from execution.server.requests import read
from execution.settlement import settle
from execution.v1 import execution_pb2 as pb

NOW_NS = 1_700_000_000_123_456_789
REQUEST = pb.OrderRequest(
    order_id="o-00001234",
    user_id="alice-17",
    symbol=SPEC.symbol,
    direction=pb.DIRECTION_BUY,
    quantity="2.000",
).SerializeToString()
HELD = settle(Position("alice-17", SPEC.symbol), Direction.BUY, 1_000, 618_011_000, SPEC)[0]


def read_plain() -> Order:
    return read(REQUEST, OrderType.MARKET, NOW_NS, str)


@pytest.fixture
def done() -> Execution:
    return execute(read_plain(), quoted(), HELD, FEES, NOW_NS)


def test_reading_a_plain_request(benchmark: BenchmarkFixture) -> None:
    assert benchmark(read_plain).quantity == "2"


def test_reading_a_request_that_says_something_twice(benchmark: BenchmarkFixture) -> None:
    """What the protobuf library and the rules take, where the quick way is not taken."""
    twice = REQUEST + pb.OrderRequest(quantity="2").SerializeToString()
    assert benchmark(read, twice, OrderType.MARKET, NOW_NS, str) == read_plain()


def test_a_payload(benchmark: BenchmarkFixture) -> None:
    def setup() -> tuple[tuple[Order], dict[str, object]]:
        return (read_plain(),), {}  # an order keeps the payload it made

    paid = benchmark.pedantic(Order.payload, setup=setup, rounds=10_000)  # type: ignore[no-untyped-call]  # it has no types
    assert paid


def test_a_trade_id(benchmark: BenchmarkFixture) -> None:
    assert benchmark(trade_id, "alice-17", "o-00001234")


def test_a_settlement(benchmark: BenchmarkFixture) -> None:
    after, _ = benchmark(settle, HELD, Direction.SELL, 500, 309_005_500, SPEC)
    assert after.version == HELD.version + 1


def test_a_decision(benchmark: BenchmarkFixture) -> None:
    execution = benchmark(execute, read_plain(), quoted(), HELD, FEES, NOW_NS)
    assert execution.report.filled_quantity == "2"


def test_the_json_of_a_report(benchmark: BenchmarkFixture, done: Execution) -> None:
    assert benchmark(_order.report_json, done.report)


def test_the_json_of_a_trade(benchmark: BenchmarkFixture, done: Execution) -> None:
    assert benchmark(_order.trade_json, done.report)


def test_a_packed_entry(benchmark: BenchmarkFixture, done: Execution) -> None:
    entry = Entry(read_plain().payload(), done.report, HELD, done.position)
    assert benchmark(pack_entry, entry).report


def test_a_reply(benchmark: BenchmarkFixture, done: Execution) -> None:
    assert benchmark(report_bytes, done.report)


def test_a_batch_of_replies(benchmark: BenchmarkFixture, done: Execution) -> None:
    replies = [report_bytes(done.report)] * 100
    assert benchmark(batch_bytes, replies)


def test_an_order_from_bytes_to_bytes(benchmark: BenchmarkFixture) -> None:
    """Each rests on the position the last one left, as orders of one user do."""
    market = quoted()
    held = [HELD]

    def one() -> bytes:
        order = read_plain()
        execution = execute(order, market, held[0], FEES, NOW_NS)
        pack_entry(Entry(order.payload(), execution.report, held[0], execution.position))
        assert execution.position is not None
        held[0] = execution.position
        return report_bytes(execution.report)

    assert benchmark(one)
