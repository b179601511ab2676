"""What the demo keeps of what it saw, and the numbers it makes of it."""

import doctest
import importlib
from decimal import Decimal
from typing import Any

import pytest

from execution.cli.demo.flow import Kind, Wish
from execution.cli.demo.latency import RATE_WINDOW_SECONDS, Latencies, percentiles_ms
from execution.cli.demo.state import LINES_MAX, Session, slippage_bps
from execution.errors import FieldViolation, InvalidArgument
from execution.model import Direction, OrderStatus
from execution.v1 import execution_pb2 as pb

WISH = Wish(Kind.PLAIN, "alice", "BTC-USDT", Direction.BUY, "1")
MS = 1_000_000


def report(order_id: str = "o-1", **fields: Any) -> pb.ExecutionReport:
    settings: dict[str, Any] = {
        "order_id": order_id,
        "user_id": "alice",
        "symbol": "BTC-USDT",
        "direction": pb.DIRECTION_BUY,
        "status": pb.ORDER_STATUS_FILLED,
        "quantity": "1",
        "filled_quantity": "1",
        "average_price": "100.5",
        "fills": [pb.Fill(price="100.5", quantity="1")],
        "trade_id": f"t-{order_id}",
        "realized_pnl": "0",
        "snapshot": pb.SnapshotRef(best_bid="100", best_ask="100.5"),
    }
    return pb.ExecutionReport(**(settings | fields))


def position(quantity: str, version: int) -> pb.Position:
    return pb.Position(user_id="alice", symbol="BTC-USDT", quantity=quantity, version=version)


def test_an_executed_order_is_counted_kept_and_shown() -> None:
    session = Session(begun=0)
    session.executed(report(), time_ns=5)
    assert (session.orders, session.executions) == (1, 1)
    assert session.traded == {"BTC-USDT": 1}
    assert session.outcomes["o-1"].status is OrderStatus.FILLED
    assert session.outcomes["o-1"].trade_id == "t-o-1"
    line = session.lines[-1]
    assert (line.outcome, line.average_price, line.levels, line.note) == ("FILLED", "100.5", 1, "")


def test_a_rejection_is_an_order_but_no_execution() -> None:
    session = Session(begun=0)
    rejected = report(
        status=pb.ORDER_STATUS_REJECTED,
        filled_quantity="0",
        average_price="",
        fills=[],
        trade_id="",
        reason=pb.REASON_FOK_UNFILLABLE,
        message="fill-or-kill, and 3 cannot be filled",
    )
    session.executed(rejected, time_ns=5)
    assert (session.orders, session.executions) == (1, 0)
    assert not session.traded
    assert session.lines[-1].note == "FOK_UNFILLABLE"
    assert session.lines[-1].slippage_bps is None


def test_the_newest_order_of_several_levels_is_remembered() -> None:
    session = Session(begun=0)
    two = [pb.Fill(price="100.5", quantity="1"), pb.Fill(price="101", quantity="1")]
    session.executed(report("deep", fills=two), 1)
    session.executed(report("flat"), 2)
    assert session.deepest is not None
    assert session.deepest.order_id == "deep"


def test_errors_are_counted_by_name_and_retries_by_whether_they_were_the_same() -> None:
    session = Session(begun=0)
    session.failed(WISH, InvalidArgument([FieldViolation("quantity", "is empty")]), 1)
    session.retried(WISH, 2, same=True)
    assert not session.different
    session.retried(WISH, 3, same=False)
    assert session.errors == {"InvalidArgument": 1}
    assert session.retries == 2
    assert session.different == ["alice 1 BTC-USDT"]
    assert [line.outcome for line in session.lines] == ["ERROR", "SAME", "DIFFERENT"]


def test_a_position_that_comes_late_is_not_news() -> None:
    session = Session(begun=0)
    session.hold(position("2", version=2))
    session.hold(position("1", version=1))
    assert session.held() == {("alice", "BTC-USDT"): Decimal(2)}


def test_the_screen_keeps_a_limited_number_of_lines() -> None:
    session = Session(begun=0)
    for number in range(LINES_MAX + 5):
        session.executed(report(str(number)), number)
    assert len(session.lines) == LINES_MAX
    assert session.lines[-1].time_ns == LINES_MAX + 4
    assert len(session.outcomes) == LINES_MAX + 5


@pytest.mark.parametrize(
    ("direction", "average", "bps"),
    [
        (pb.DIRECTION_BUY, "100.5", Decimal(0)),
        (pb.DIRECTION_BUY, "101.505", Decimal(100)),
        (pb.DIRECTION_SELL, "99", Decimal(100)),
        (pb.DIRECTION_SELL, "100", Decimal(0)),
    ],
)
def test_slippage_counts_from_the_best_price_shown_and_worse_is_above_zero(
    direction: pb.Direction.ValueType, average: str, bps: Decimal
) -> None:
    assert slippage_bps(report(direction=direction, average_price=average)) == bps


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles_ms([]) == ()
    assert percentiles_ms([7 * MS]) == (7, 7, 7)
    assert percentiles_ms([n * MS for n in range(100, 0, -1)]) == (50, 95, 99)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    latencies = Latencies()
    for tenth in range(100):
        latencies.add(MS, tenth / 10)
    assert latencies.rate(now=9.95, begun=0) == pytest.approx(10, rel=0.03)
    assert latencies.rate(now=10 + RATE_WINDOW_SECONDS, begun=0) == 0
    # All of them are still there for the summary.
    assert latencies.overall_ms() == (1, 1, 1)


def test_a_rate_is_not_exaggerated_in_the_first_second() -> None:
    latencies = Latencies()
    latencies.add(MS, 0.01)
    assert latencies.rate(now=0.01, begun=0) == 1


def test_every_latency_has_its_place_in_the_histogram() -> None:
    latencies = Latencies()
    for ms in (0.1, 1, 1.5, 9, 1_000):
        latencies.add(int(ms * MS), 0)
    assert latencies.recent_histogram((1, 2, 8)) == [1, 2, 0, 2]


@pytest.mark.parametrize("name", ["bars", "format", "grid"])
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"execution.cli.demo.{name}"))
    assert result.attempted
    assert not result.failed
