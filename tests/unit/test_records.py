"""The records in Redis, spelled out."""

from dataclasses import replace

import pytest

from execution.adapters.commit_script import pack_entry
from execution.adapters.records import (
    position_from_texts,
    reject_json,
    report_from_json,
    report_to_json,
    trade_json,
)
from execution.adapters.timestamps import from_rfc3339, rfc3339
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    OrderStatus,
    OrderType,
    Reason,
    SnapshotRef,
)
from execution.ports import Entry

FILLED = ExecutionReport(
    order_id="o-1",
    user_id="u1",
    symbol="BTC-USDT",
    direction=Direction.SELL,
    order_type=OrderType.MARKET,
    status=OrderStatus.PARTIAL,
    quantity="2",
    effective_quantity="2",
    filled_quantity="0.00000001",
    remaining_quantity="1.99999999",
    average_price="61800.1",
    notional="0.000618001",
    fills=(Fill("61800.1", "0.00000001"),),
    trade_id="t-1",
    reason=Reason.INSUFFICIENT_LIQUIDITY,
    message='a "quote", a \\ and a \n',
    realized_pnl="-12345678901234567890.000000000000000001",
    fee="0",
    snapshot=SnapshotRef("feed", 2**64 - 1, 0, "61800.1", ""),
    received_time_ns=1_700_000_000_000_000_000,
    transact_time_ns=1_700_000_000_999_999_999,
)


def arguments(report: ExecutionReport) -> list[str]:
    """What the script gets for the report alone, by the order of its names."""
    packed = pack_entry(Entry("", report)).arguments.decode()
    return packed.split("\r\n")[1::2]


def test_the_report_is_spelled_as_the_contract_says() -> None:
    assert report_to_json(FILLED) == (
        '{"order_id":"o-1","user_id":"u1","symbol":"BTC-USDT","direction":"SELL",'
        '"order_type":"MARKET","status":"PARTIAL","quantity":"2","effective_quantity":"2",'
        '"filled_quantity":"0.00000001","remaining_quantity":"1.99999999",'
        '"average_price":"61800.1","notional":"0.000618001",'
        '"trade_id":"t-1","reason":"INSUFFICIENT_LIQUIDITY",'
        '"message":"a \\"quote\\", a \\\\ and a \\n",'
        '"realized_pnl":"-12345678901234567890.000000000000000001","fee":"0",'
        '"received_time":"2023-11-14T22:13:20Z",'
        '"transact_time":"2023-11-14T22:13:20.999999999Z",'
        '"fills":[{"price":"61800.1","quantity":"0.00000001"}],'
        '"snapshot":{"source":"feed","sequence":18446744073709551615,'
        '"source_time":"1970-01-01T00:00:00Z","best_bid":"61800.1"},"version":1}'
    )


def test_the_trade_has_number_tokens_of_the_very_digits() -> None:
    assert trade_json(FILLED) == (
        '{"user":"u1","symbol":"BTC-USDT","price":61800.1,"qty":0.00000001,"side":"SELL",'
        '"pnl":-12345678901234567890.000000000000000001,"order_id":"o-1","trade_id":"t-1",'
        '"fee":0,"fills":[[61800.1,0.00000001]],"ts":1700000000999,'
        '"snapshot":{"source":"feed","sequence":18446744073709551615,'
        '"source_time":"1970-01-01T00:00:00Z","best_bid":61800.1}}'
    )
    assert arguments(FILLED)[15] == "2023-11-14 22:13:20"


def test_the_reject_names_who_what_and_why() -> None:
    assert reject_json(FILLED) == (
        '{"order_id":"o-1","symbol":"BTC-USDT","user":"u1","qty":2,"side":"SELL",'
        '"reason":"INSUFFICIENT_LIQUIDITY","message":"a \\"quote\\", a \\\\ and a \\n"}'
    )


def test_the_hash_fields_are_bare_names_and_text() -> None:
    assert arguments(replace(FILLED, reason=Reason.NONE))[2:14] == [
        "PARTIAL",
        "0.00000001",
        "1.99999999",
        "61800.1",
        "u1",
        "BTC-USDT",
        "SELL",
        "2",
        "t-1",
        "",
        "1",
        "1700000000999",
    ]


@pytest.mark.parametrize(
    "text", ["", "1e5", "1E+2", "NaN", "Infinity", "01", "1.", ".5", "+1", "- 1", "1 ", "٣", "0x1"]
)
def test_what_is_no_json_number_is_never_published(text: str) -> None:
    for wrong in (
        replace(FILLED, average_price=text),
        replace(FILLED, filled_quantity=text),
        replace(FILLED, realized_pnl=text),
        replace(FILLED, fee=text),
        replace(FILLED, fills=(Fill("1", text),)),
    ):
        with pytest.raises(ValueError, match="not decimal text"):
            trade_json(wrong)


def test_fields_of_a_later_version_are_left_alone() -> None:
    text = report_to_json(FILLED)
    assert report_from_json(text.replace("{", '{"of_tomorrow":{"a":[1]},', 1)) == FILLED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '"FILLED"',
        report_to_json(FILLED).replace("PARTIAL", "MELTED"),
        report_to_json(FILLED).replace('"quantity":"2"', '"quantity":2'),
        report_to_json(FILLED).replace('"fills":[', '"fills":[1,'),
        report_to_json(FILLED).replace("2023-11-14T", "14 Nov 2023 "),
        report_to_json(FILLED).replace('"version":1', '"version":"one"'),
        report_to_json(FILLED).replace('"version":1', '"version":1e999'),
        report_to_json(FILLED).replace('"version":1', '"version":-1'),
        report_to_json(FILLED).replace('"version":1', f'"version":{2**64}'),
        report_to_json(FILLED).replace('"version":1', '"version":true'),
        report_to_json(FILLED).replace('"sequence":', '"sequence":-'),
        report_to_json(FILLED).replace('"user_id":"', r'"user_id":"\ud800'),
        report_to_json(FILLED).replace('"snapshot":{', '"snapshot":7,"x":{'),
        "[" * 100_000,
    ],
)
def test_what_is_no_report_is_a_foreseen_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        report_from_json(text)


@pytest.mark.parametrize(
    "state",
    [
        ("1", "1.0", "0", "0"),
        ("1", "1e3", "0", "0"),
        ("1", "-0", "0", "0"),
        ("01", "1", "0", "0"),
        ("one", "1", "0", "0"),
        ("1", "1_0", "0", "0"),
        ("1", " 1", "0", "0"),
        ("1", "", "0", "0"),
        ("1", "1", "0." + "0" * 36 + "1", "0"),
        ("-1", "1", "0", "0"),
        (str(2**64), "1", "0", "0"),
    ],
)
def test_a_position_spelled_otherwise_is_not_ours(state: tuple[str, str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        position_from_texts("ann", "BTC-USDT", state, "")


@pytest.mark.parametrize(
    "text",
    [
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z",
        "2023-11-14T22:13:20+00:00",
        "2023-13-01T00:00:00Z",
        "",
    ],
)
def test_only_rfc3339_in_utc_is_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_rfc3339(text)


def test_times_outside_the_calendar_are_no_times() -> None:
    with pytest.raises(OverflowError):
        rfc3339(10**21)
