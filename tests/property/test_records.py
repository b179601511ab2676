"""Whatever a report says, it says the same after Redis: the retry's answer is the first one."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from execution.adapters.records import (
    position_from_texts,
    position_state,
    reject_json,
    report_from_json,
    report_to_json,
    trade_json,
)
from execution.adapters.timestamps import from_rfc3339, rfc3339
from execution.decimals import to_text
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    OrderStatus,
    OrderType,
    Position,
    Reason,
    SnapshotRef,
)

NS_MIN = -62_135_596_800 * 10**9
NS_MAX = 253_402_300_799 * 10**9 + 999_999_999

any_text = st.text(max_size=20)
times = st.integers(NS_MIN, NS_MAX)
uint64 = st.integers(0, 2**64 - 1)
decimals = st.builds(to_text, st.integers(-(2**127), 2**127), st.integers(0, 36))
optional_decimals = st.one_of(st.just(""), decimals)

snapshots = st.builds(
    SnapshotRef,
    source=any_text,
    sequence=uint64,
    source_time_ns=st.none() | times,
    best_bid=optional_decimals,
    best_ask=optional_decimals,
)

reports = st.builds(
    ExecutionReport,
    order_id=any_text,
    user_id=any_text,
    symbol=any_text,
    direction=st.sampled_from(Direction),
    order_type=st.sampled_from(OrderType),
    status=st.sampled_from(OrderStatus),
    quantity=optional_decimals,
    effective_quantity=optional_decimals,
    filled_quantity=optional_decimals,
    remaining_quantity=optional_decimals,
    average_price=optional_decimals,
    notional=optional_decimals,
    fills=st.lists(st.builds(Fill, decimals, decimals), max_size=4).map(tuple),
    trade_id=any_text,
    reason=st.sampled_from(Reason),
    message=any_text,
    realized_pnl=optional_decimals,
    fee=optional_decimals,
    trigger_price=optional_decimals,
    triggered_by_price=optional_decimals,
    reduce_only=st.booleans(),
    snapshot=st.none() | snapshots,
    received_time_ns=times,
    transact_time_ns=times,
    version=uint64,
)

filled_reports = st.builds(
    ExecutionReport,
    order_id=any_text,
    user_id=any_text,
    symbol=any_text,
    direction=st.sampled_from(Direction),
    order_type=st.sampled_from(OrderType),
    status=st.sampled_from((OrderStatus.FILLED, OrderStatus.PARTIAL)),
    quantity=decimals,
    effective_quantity=decimals,
    filled_quantity=decimals,
    remaining_quantity=decimals,
    average_price=decimals,
    fills=st.lists(st.builds(Fill, decimals, decimals), max_size=4).map(tuple),
    trade_id=any_text,
    message=any_text,
    realized_pnl=decimals,
    fee=decimals,
    snapshot=st.none() | snapshots,
    transact_time_ns=times,
)


@given(reports)
def test_a_report_comes_back_exactly(report: ExecutionReport) -> None:
    text = report_to_json(report)
    assert report_from_json(text) == report
    assert report_from_json(text.encode()) == report
    assert report_to_json(report_from_json(text)) == text


@given(reports)
def test_report_json_is_plain_and_leaves_out_what_is_empty(report: ExecutionReport) -> None:
    text = report_to_json(report)
    assert text.isascii()
    fields = json.loads(text)
    assert all(value not in ("", 0, False, None, []) for value in fields.values())
    assert fields["status"] == report.status.name
    assert ("reason" in fields) == bool(report.reason)
    assert fields.get("quantity", "") == report.quantity


@given(filled_reports)
def test_trade_numbers_have_exactly_the_digits_of_the_report(report: ExecutionReport) -> None:
    trade = json.loads(trade_json(report), parse_float=Decimal, parse_int=Decimal)
    assert isinstance(trade["price"], Decimal)
    assert trade["price"] == Decimal(report.average_price)
    assert trade["qty"] == Decimal(report.filled_quantity)
    assert trade["pnl"] == Decimal(report.realized_pnl)
    assert trade["fee"] == Decimal(report.fee)
    assert trade["fills"] == [[Decimal(f.price), Decimal(f.quantity)] for f in report.fills]
    assert (trade["user"], trade["symbol"]) == (report.user_id, report.symbol)
    assert f'"price":{report.average_price},' in trade_json(report)


@given(filled_reports)
def test_reject_json_can_always_be_read(report: ExecutionReport) -> None:
    reject = json.loads(reject_json(report), parse_float=Decimal, parse_int=Decimal)
    assert reject["qty"] == Decimal(report.quantity)
    assert reject["message"] == report.message


@given(times)
def test_a_time_comes_back_to_the_nanosecond(time_ns: int) -> None:
    assert from_rfc3339(rfc3339(time_ns)) == time_ns


@given(
    st.builds(
        Position,
        user_id=st.just("ann"),
        symbol=st.just("BTC-USDT"),
        quantity=st.integers(-(2**200), 2**200),
        entry_cost=st.integers(0, 2**400),
        realized_pnl=st.integers(-(2**400), 2**400),
        entry_price=optional_decimals,
        version=uint64,
    )
)
def test_a_position_comes_back_exactly(position: Position) -> None:
    read = position_from_texts("ann", "BTC-USDT", position_state(position), position.entry_price)
    assert read == position
