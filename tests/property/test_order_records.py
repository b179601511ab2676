"""Compiled records and messages are, byte for byte, those of their plain twins."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import twin.commit_script
import twin.model
import twin.records
from hypothesis import given
from hypothesis import strategies as st
from twin import cases

from execution import _order
from execution.adapters.commit_script import pack_entry
from execution.adapters.records import report_from_json
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Reason,
    RestingStop,
)
from execution.ports import Entry
from execution.server.messages import batch_bytes, report_bytes, report_message
from execution.v1 import execution_pb2 as pb

FILLED = (OrderStatus.FILLED, OrderStatus.PARTIAL)
REJECTED = ExecutionReport(
    order_id="o",
    user_id="ann",
    symbol="X",
    direction=Direction.BUY,
    order_type=OrderType.MARKET,
    status=OrderStatus.REJECTED,
    quantity="1",
    effective_quantity="1",
    filled_quantity="0",
    remaining_quantity="1",
    reason=Reason.FILTER,
)
TRADED = replace(
    REJECTED,
    status=OrderStatus.FILLED,
    filled_quantity="1",
    average_price="2",
    fills=(Fill("2", "1"),),
    reason=Reason.NONE,
)


def outcome(made: Callable[[], str | bytes]) -> bytes | type[ValueError]:
    """The bytes, or what kind of error there is instead."""
    try:
        written = made()
    except ValueError as error:
        return type(error)
    return written.encode() if isinstance(written, str) else written


def assert_same(compiled: Callable[[], bytes], plain: Callable[[], str | bytes]) -> None:
    """Both give the same bytes, or the same kind of error."""
    assert outcome(compiled) == outcome(plain)


@given(cases.reports(cases.any_text | cases.odd_text))
def test_the_json_of_a_report(report: ExecutionReport) -> None:
    assert_same(lambda: _order.report_json(report), lambda: twin.records.report_to_json(report))


@given(cases.reports())
def test_the_json_of_a_report_is_read_back(report: ExecutionReport) -> None:
    assert report_from_json(_order.report_json(report)) == report


@given(cases.reports(cases.any_text | cases.odd_text))
def test_the_json_of_a_trade_and_of_a_rejection(report: ExecutionReport) -> None:
    assert_same(lambda: _order.trade_json(report), lambda: twin.records.trade_json(report))
    assert_same(lambda: _order.reject_json(report), lambda: twin.records.reject_json(report))


@pytest.mark.parametrize(
    "text", ["1\u0661", "1e5", "01", "-", "1.", ".5", "", "-01", "+1", "1 ", "\x001", "1\ud800"]
)
def test_what_is_no_number_is_never_published(text: str) -> None:
    for wrong in (
        replace(TRADED, average_price=text),
        replace(TRADED, fee=text),
        replace(TRADED, fills=(Fill(text, "1"),)),
        replace(TRADED, filled_quantity=text),
        replace(TRADED, realized_pnl=text),
    ):
        assert_same(partial(_order.trade_json, wrong), partial(twin.records.trade_json, wrong))
        assert isinstance(outcome(partial(_order.trade_json, wrong)), type)
    reject = partial(_order.reject_json, replace(REJECTED, quantity=text))
    assert isinstance(outcome(reject), type)


def test_what_is_no_text_is_a_type_error() -> None:
    for written in (_order.report_json, _order.trade_json, report_bytes):
        with pytest.raises(TypeError, match="7 is not text"):
            written(replace(TRADED, user_id=7))  # type: ignore[arg-type]  # the point


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Entries that contradict nothing, filled, rejected or resting."""
    report = draw(cases.reports())
    follows = draw(st.none() | st.integers(1, 2**62))
    number = st.integers(1, 10**30).map(str)
    report = replace(
        report,
        version=(follows or 0) + 1,
        quantity=draw(number),
        filled_quantity=draw(number) if report.status in FILLED else "0",
        average_price=draw(number),
        realized_pnl=draw(number),
        fee=draw(number),
    )
    resting = None
    if report.status in (OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED):
        resting = RestingStop(report.order_id, report.version, draw(cases.any_text), 7)
    basis = draw(st.none() | cases.positions(report.user_id, report.symbol))
    position = None
    if basis is not None:
        position = draw(st.none() | cases.positions(report.user_id, report.symbol))
    return Entry(draw(cases.any_text), report, basis, position, follows, resting)


@given(entries())
def test_an_entry_is_packed_as_by_hiredis(entry: Entry) -> None:
    packed = pack_entry(entry)
    stop = ""
    if entry.follows is not None or entry.resting is not None:
        rest = entry.resting
        text = "" if rest is None else f"{rest.version}|7|||{rest.terms}"
        stop = f"{entry.report.order_id} {entry.follows or ''} {text}"
    assert (packed.payload, packed.report, packed.keys, packed.arguments) == (
        twin.commit_script.pack_entry(entry, stop)
    )
    # What is kept of a position for the next entry is the same again.
    assert pack_entry(entry).arguments == packed.arguments


@given(cases.reports(cases.any_text | cases.odd_text))
def test_a_report_is_serialised_as_by_protobuf(report: ExecutionReport) -> None:
    assert_same(
        lambda: report_bytes(report),
        lambda: report_message(report).SerializeToString(deterministic=True),
    )


@given(st.lists(cases.reports(), max_size=5))
def test_a_batch_is_serialised_as_by_protobuf(reports: list[ExecutionReport]) -> None:
    message = pb.ExecutionReportBatch(reports=[report_message(report) for report in reports])
    serialised = batch_bytes([report_bytes(report) for report in reports])
    assert serialised == message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 4_000, 4_096, 5_000, 16_384, 100_000])
@pytest.mark.parametrize("character", ["a", '"', "\x00", "\u00e9", "\U0001f600"])
def test_a_message_of_any_length(length: int, character: str) -> None:
    report = replace(REJECTED, message=character * length)
    assert _order.report_json(report).decode() == twin.records.report_to_json(report)
    assert _order.reject_json(report).decode() == twin.records.reject_json(report)
    assert report_bytes(report) == report_message(report).SerializeToString(deterministic=True)
    packed = pack_entry(Entry("p", report))
    assert packed.arguments == twin.commit_script.pack_entry(Entry("p", report), "")[3]


@given(cases.orders)
def test_a_payload_is_that_of_the_twin(order: Order) -> None:
    plain = twin.model.Order(**{name: getattr(order, name) for name in Order.__match_args__})
    assert order.payload() == plain.payload()
    assert order.payload() is order.payload()
    assert Order.from_payload(order.payload(), order.order_id, order.received_time_ns) == order


@given(cases.positions())
def test_a_position_is_told_by_its_texts(position: Position) -> None:
    entry = Entry("", REJECTED, position, position)
    assert pack_entry(entry).arguments == twin.commit_script.pack_entry(entry, "")[3]
