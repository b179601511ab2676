"""What `verify` knows by heart, beside what the service says; and how strictly it reads."""

import json
import subprocess
import sys
from typing import Any

import pytest

from execution import model
from execution.adapters import keys as service_keys
from execution.engine import TRADE_NAMESPACE
from execution.engine import trade_id as service_trade_id
from execution.model import Direction, Order, OrderStatus, OrderType, Reason, TimeInForce
from execution.verify import contract
from execution.verify.contract import KeyName, Keys, key_name
from execution.verify.exact import number
from execution.verify.findings import Findings, Name, printable, quoted
from execution.verify.records import read_rejection, read_report, read_trade
from execution.verify.strict import Malformed
from execution.verify.updates import first, follow
from execution.verify.walks import Bound, bound_of

INDEPENDENT = """
import importlib, json, pkgutil, sys
import execution.verify

for module in pkgutil.iter_modules(execution.verify.__path__, "execution.verify."):
    importlib.import_module(module.name)
print(json.dumps([name for name in sys.modules if name.startswith("execution.")]))
"""


def test_it_shares_no_code_with_the_service() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", INDEPENDENT], check=True, capture_output=True, text=True
    )
    loaded = json.loads(answer.stdout)
    assert "execution.verify.proof" in loaded
    # The kernel comes with the package itself; nothing of it is used.
    assert [name for name in loaded if not name.startswith("execution.verify")] == [
        "execution._match"
    ]


# --- what is written down twice ---


def test_the_namespace_of_trade_ids_is_the_engines() -> None:
    assert contract.TRADE_NAMESPACE == TRADE_NAMESPACE
    assert contract.trade_id("ann", "o-1") == service_trade_id("ann", "o-1")


def test_the_transitions_are_the_services() -> None:
    service = {
        status.name: {after.name for after in afters}
        for status, afters in model.TRANSITIONS.items()
    }
    assert service == contract.TRANSITIONS
    assert {status.name for status in OrderStatus} == contract.TRANSITIONS.keys()
    assert {status.name for status in OrderStatus if not status.terminal} == (
        contract.RESTING | {"RECEIVED"}
    )


def test_the_words_are_the_services() -> None:
    assert {direction.name for direction in Direction} == contract.SIDES
    assert {kind.name for kind in OrderType} == contract.ORDER_TYPES
    reasons = {reason.name for reason in Reason} | {""}
    assert all(named <= reasons for named in contract.REASONS_OF.values())


def test_the_keys_are_the_services() -> None:
    keys = Keys()
    assert (keys.trades, keys.rejects, keys.orders) == (
        service_keys.TRADE_STREAM,
        service_keys.REJECT_STREAM,
        service_keys.ORDER_STREAM,
    )
    assert keys.resting == service_keys.STOPS_RESTING
    assert keys.order("o-1") == service_keys.order_key("o-1")
    assert keys.position("ann", "A/B") == service_keys.position_key("ann", "A/B")


def test_a_stored_payload_tells_its_bounds() -> None:
    order = Order(
        "o-1", "ann", "A/B", Direction.BUY, "2",
        time_in_force=TimeInForce.FOK, limit_price="1.5", max_slippage_bps=7,
    )  # fmt: skip
    assert bound_of(order.payload()) == Bound(number("1.5"), number("7"), "FOK")
    bare = Order("o-1", "ann", "A/B", Direction.SELL, "2")
    assert bound_of(bare.payload()) == Bound(None, None, "IOC")
    assert bound_of("of another form") == Bound()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("STREAM:TRADE", KeyName("STREAM:TRADE", "")),
        ("STREAM:ORDER:{12}", KeyName("STREAM:ORDER", "{12}")),
        ("ORDER:o-17", KeyName("ORDER", "", order_id="o-17")),
        ("ORDER:{3}:o-17", KeyName("ORDER", "{3}", order_id="o-17")),
        ("POSITION:u1:BTC-USDT", KeyName("POSITION", "", user="u1", symbol="BTC-USDT")),
        ("POSITION:{0}:u1:A/B", KeyName("POSITION", "{0}", user="u1", symbol="A/B")),
        ("ORDER", None),
        ("ORDER:", None),
        ("ORDER:a:b", None),
        ("ORDER:{x}:b", None),
        ("POSITION:u1", None),
        ("POSITION:u1:A:B", None),
        ("STREAM:TRADE:more", None),
        ("STREAM:STOP", None),
        ("XORDER:o-1", None),
        ("ORDER:o-1\n", None),
    ],
)
def test_keys_are_told_from_those_of_others(key: str, name: KeyName | None) -> None:
    assert key_name(key) == name


# --- histories ---

REPORT = {
    "order_id": "o-1",
    "user_id": "ann",
    "symbol": "A/B",
    "direction": "BUY",
    "order_type": "SL",
    "status": "UNTRIGGERED",
    "quantity": "2",
    "effective_quantity": "2",
    "filled_quantity": "0",
    "remaining_quantity": "2",
    "notional": "0",
    "realized_pnl": "0",
    "fee": "0",
    "trigger_price": "10",
    "received_time": "2026-11-23T02:00:00.000000001Z",
    "transact_time": "2026-11-23T02:00:00.123456789Z",
    "version": 1,
}


def report_text(**fields: Any) -> str:
    members = {name: value for name, value in (REPORT | fields).items() if value is not None}
    return json.dumps(members)


@pytest.mark.parametrize("before", sorted(contract.STATUSES))
@pytest.mark.parametrize("after", sorted(contract.STATUSES))
def test_every_change_of_status_is_judged_by_the_services_table(before: str, after: str) -> None:
    trail, _ = first(read_report(report_text(status=before)), trimmed=False)
    found = {name for name, _ in follow(trail, read_report(report_text(status=after, version=2)))}
    legal = OrderStatus[after] in model.TRANSITIONS[OrderStatus[before]]
    assert found == (set() if legal else {Name.ILLEGAL_TRANSITION})
    assert (trail.version, trail.status) == (2, after)


@pytest.mark.parametrize("status", sorted(contract.STATUSES))
@pytest.mark.parametrize("order_type", ["MARKET", "SL"])
def test_every_beginning_is_judged_by_the_services_table(status: str, order_type: str) -> None:
    _, problems = first(
        read_report(report_text(status=status, order_type=order_type)), trimmed=False
    )
    legal = OrderStatus[status] in model.TRANSITIONS[OrderStatus.RECEIVED]
    legal &= order_type == "SL" or OrderStatus[status].terminal
    assert {name for name, _ in problems} == (set() if legal else {Name.ILLEGAL_TRANSITION})


@pytest.mark.parametrize("version", [1, 2, 4, 7])
def test_a_version_follows_the_one_before_it(version: int) -> None:
    trail, _ = first(read_report(report_text(version=2)), trimmed=True)
    found = {name for name, _ in follow(trail, read_report(report_text(version=version)))}
    assert found == {Name.ORDER_UPDATE_GAP}


def test_a_history_begins_with_version_1_unless_the_stream_was_cut() -> None:
    late = read_report(report_text(version=2))
    assert [name for name, _ in first(late, trimmed=False)[1]] == [Name.ORDER_UPDATE_GAP]
    assert first(late, trimmed=True)[1] == []


@pytest.mark.parametrize(
    ("before", "fields", "names"),
    [
        ("UNTRIGGERED", {"quantity": "3"}, set()),
        ("UNTRIGGERED", {"trigger_price": "11"}, set()),
        ("TRIGGERED", {"quantity": "3"}, {Name.IDENTITY_CHANGED}),
        ("TRIGGERED", {"trigger_price": None}, {Name.IDENTITY_CHANGED}),
        ("UNTRIGGERED", {"user_id": "eve"}, {Name.IDENTITY_CHANGED}),
        ("UNTRIGGERED", {"symbol": "B/A"}, {Name.IDENTITY_CHANGED}),
        ("UNTRIGGERED", {"direction": "SELL"}, {Name.IDENTITY_CHANGED}),
        ("UNTRIGGERED", {"order_type": "MARKET"}, {Name.IDENTITY_CHANGED}),
        ("UNTRIGGERED", {"reduce_only": True}, {Name.IDENTITY_CHANGED}),
    ],
)
def test_an_order_stays_what_it_is(before: str, fields: dict[str, Any], names: set[Name]) -> None:
    trail, _ = first(read_report(report_text(status=before)), trimmed=False)
    after = read_report(report_text(status="FILLED", version=2, **fields))
    assert {name for name, _ in follow(trail, after)} == names
    assert trail.modified == (fields.keys() <= {"quantity", "trigger_price"})


# --- strictness ---

TRADE = (
    '{"user":"ann","symbol":"A/B","price":100.5,"qty":1,"side":"BUY","pnl":-0.25,'
    '"order_id":"o-1","trade_id":"t","fee":0,"fills":[[100.5,1]],"ts":1795400838609,'
    '"snapshot":{"source":"s","sequence":3,"best_bid":100,"best_ask":100.5}}'
)


def test_a_trade_is_read_exactly() -> None:
    trade = read_trade(TRADE)
    assert (trade.price, trade.pnl, trade.fee) == (number("100.5"), number("-0.25"), number("0"))
    assert trade.fills == ((number("100.5"), number("1")),)
    assert (trade.time_ms, trade.snapshot.sequence) == (1795400838609, 3)
    assert read_trade(TRADE.replace("{", '{"new":[1e5,null],', 1)) == trade


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", "no JSON"),
        (TRADE, "[1]", "no JSON object"),
        (TRADE, "[" * 100_000, "nested too deep"),
        ('"price":100.5', '"price":"100.5"', "price is not a number"),
        ('"price":100.5', '"price":NaN', "NaN is not JSON"),
        ('"price":100.5', '"price":Infinity', "Infinity is not JSON"),
        ('"price":100.5', '"price":1.005e2', "price is not a number"),
        ('"price":100.5', '"price":100.50', "price is not a number"),
        ('"price":100.5', '"price":-100.5', "price is below zero"),
        ('"price":100.5', '"price":0', "price is not above zero"),
        ('"price":100.5', '"price":null', "price is not a number"),
        ('"price":100.5', '"price":true', "price is not a number"),
        ('"price":100.5,', "", "price is missing"),
        ('"qty":1', '"qty":0', "qty is not above zero"),
        ('"pnl":-0.25', '"pnl":"-0.25"', "pnl is not a number"),
        ('"pnl":-0.25', '"pnl":-0', "pnl is not a number"),
        ('"fee":0', '"fee":-1', "fee is below zero"),
        ('"user":"ann"', '"user":7', "user is no text"),
        ('"user":"ann"', '"user":""', "user is empty"),
        ('"user":"ann"', '"user":"a b"', "user does not match"),
        ('"user":"ann"', '"user":"ann","user":"eve"', "there twice"),
        ('"BUY"', '"Buy"', "side is not one of BUY, SELL"),
        ("[[100.5,1]]", "[[100.5]]", "fills is not a number"),
        ("[[100.5,1]]", '[["100.5",1]]', "fills is not a number"),
        ("[[100.5,1]]", "[[100.5,0]]", "fills is not above zero"),
        ("[[100.5,1]]", "{}", "fills is no list"),
        ("1795400838609", "1795400838609.5", "ts is no whole number"),
        ("1795400838609", '"1795400838609"', "ts is no whole number"),
        ('{"source"', '[{"source"', "no JSON"),
        ('"sequence":3', '"sequence":-3', "snapshot.sequence is no whole number"),
        ('"best_bid":100', '"best_bid":"100"', "snapshot.best_bid is not a number"),
    ],
)
def test_a_trade_that_a_consumer_cannot_take_is_malformed(old: str, new: str, said: str) -> None:
    assert old in TRADE
    with pytest.raises(Malformed, match=said):
        read_trade(TRADE.replace(old, new) if old else new)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Malformed) as error:
        read_trade(TRADE.replace('"qty":1,', "").replace('"sequence":3', '"sequence":"3"'))
    assert str(error.value) == ("qty is missing; snapshot.sequence is no whole number: '3'")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quantity": 2}, "quantity is not decimal text"),
        ({"quantity": "2.0"}, "quantity is not decimal text"),
        ({"quantity": "0"}, "quantity is not above zero"),
        ({"filled_quantity": "-1"}, "filled_quantity is below zero"),
        ({"notional": None}, "notional is missing"),
        ({"status": "RECEIVED"}, "status is not one of"),
        ({"status": "ORDER_STATUS_FILLED"}, "status is not one of"),
        ({"version": "1"}, "version is no whole number"),
        ({"reduce_only": "true"}, "reduce_only is no boolean"),
        ({"transact_time": "2026-11-23 02:00:00"}, "transact_time is no RFC 3339"),
        ({"transact_time": "2026-13-23T02:00:00Z"}, "transact_time is no RFC 3339"),
        ({"fills": [{"price": 1, "quantity": "1"}]}, "fills is not decimal text"),
        ({"fills": [["1", "1"]]}, "fills is not decimal text"),
        ({"snapshot": "s"}, "snapshot is no object"),
        ({"snapshot": {"best_bid": 1}}, "snapshot.best_bid is not decimal text"),
    ],
)
def test_a_report_that_is_none_is_malformed(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_report(report_text(**fields))


def test_times_are_milliseconds_rounded_down() -> None:
    assert read_report(report_text()).time_ms == 1795399200123
    whole = read_report(report_text(transact_time="2026-11-23T02:00:00Z"))
    assert whole.time_ms == 1795399200000


def test_a_rejection_may_have_no_message() -> None:
    text = '{"order_id":"o","symbol":"A","user":"u","qty":1,"side":"BUY","reason":"R","message":""}'
    assert read_rejection(text).message == ""
    with pytest.raises(Malformed, match="reason is empty"):
        read_rejection(text.replace('"R"', '""'))


# --- findings ---


def test_findings_are_counted_beyond_what_is_shown() -> None:
    findings = Findings(shown_max=2)
    for count in range(5):
        findings.add(Name.FEE, f"key {count}", "wrong")
    assert [finding.at for finding in findings.shown] == ["key 0", "key 1"]
    assert findings.counts == {Name.FEE: 5}


def test_nothing_of_others_reaches_a_terminal_as_it_is() -> None:
    assert printable("a\x1b[2J\nb\udcff") == "a?[2J?b?"
    assert quoted("\x1b[2J") == r"'\x1b[2J'"
    assert len(quoted("x" * 1000)) == 80
