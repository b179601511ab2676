"""Every kind of damage, planted by hand on a copy of a real history, is found and named.

A damage is listed with its own name first, then with the names of what follows from it;
anything else that were found would be a false alarm.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from recorded_history import TWICE, Recorded, names_of, proof_of

from execution.verify.findings import MEANING, Name

TRADES, ORDERS, REJECTS = "STREAM:TRADE", "STREAM:ORDER", "STREAM:REJECT"

Damage = Callable[[Recorded], object]


def changed_digit(text: str) -> str:
    """The number with its last digit changed to another that is not zero."""
    return text[:-1] + ("7" if text[-1] != "7" else "3")


def change_number(member: str) -> Damage:
    """Changes one digit of a number of the trade, and nothing beside it."""

    def damage(recorded: Recorded) -> None:
        for number_of_entry, (_, fields) in enumerate(recorded.entries(TRADES)):
            found = re.search(rf'"{member}":(-?[0-9.]*[1-9])', fields[1])
            if found:
                old = found[0]
                return recorded.edit(TRADES, number_of_entry, old, changed_digit(old))
        raise LookupError(member)

    return damage


def edit_first_trade(old: str, new: str) -> Damage:
    def damage(recorded: Recorded) -> None:
        for number_of_entry, (_, fields) in enumerate(recorded.entries(TRADES)):
            if old in fields[1]:
                return recorded.edit(TRADES, number_of_entry, old, new)
        raise LookupError(old)

    return damage


def text_for_number(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(
        TRADES, 3, [fields[0], re.sub(r'"qty":([0-9.]+)', r'"qty":"\1"', fields[1]), *fields[2:]]
    )


def exponent(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(
        TRADES, 3, [fields[0], re.sub(r'"qty":([0-9.]+)', r'"qty":\1e0', fields[1]), *fields[2:]]
    )


def missing_key(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(TRADES, 3, [fields[0], re.sub(r'"pnl":[^,]+,', "", fields[1]), *fields[2:]])


def not_json(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(TRADES, 3, [fields[0], fields[1][:-1], *fields[2:]])


def reorder_fields(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(TRADES, 3, fields[2:] + fields[:2])


def field_twice(recorded: Recorded) -> None:
    fields = recorded.entries(TRADES)[3][1]
    recorded.put(TRADES, 3, [*fields, "price", fields[5]])


def flat(field: int, value: str | None = None) -> Damage:
    def damage(recorded: Recorded) -> None:
        fields = recorded.entries(TRADES)[3][1]
        fields[field] = changed_digit(fields[field]) if value is None else value
        recorded.put(TRADES, 3, fields)

    return damage


def delete_trade(number_of_entry: int) -> Damage:
    def damage(recorded: Recorded) -> None:
        entry_id, _ = recorded.entries(TRADES)[number_of_entry]
        recorded.server.command("XDEL", TRADES, entry_id)

    return damage


def duplicate_trade(recorded: Recorded) -> None:
    _, fields = recorded.entries(TRADES)[4]
    recorded.server.command("XADD", TRADES, "*", *fields)


def swap_side(recorded: Recorded) -> None:
    number_of_entry, found = recorded.find(TRADES, side="BUY")
    assert found["side"] == "BUY"
    recorded.edit(TRADES, number_of_entry, '"side":"BUY"', '"side":"SELL"')


def swap_fills(recorded: Recorded) -> None:
    """In the trade, its report and the hash: only the order of a walk can tell."""
    for number_of_entry, (_, fields) in enumerate(recorded.entries(TRADES)):  # noqa: B007 - it is used
        found = json.loads(fields[1], parse_float=str, parse_int=str)
        if len(found["fills"]) == 2:
            break
    else:
        raise LookupError
    (price, quantity), (other_price, other_quantity) = found["fills"]
    here, there = f"[{price},{quantity}]", f"[{other_price},{other_quantity}]"
    recorded.edit(TRADES, number_of_entry, f"{here},{there}", f"{there},{here}")
    this = f'{{"price":"{price}","quantity":"{quantity}"}}'
    that = f'{{"price":"{other_price}","quantity":"{other_quantity}"}}'
    update, _ = recorded.find(ORDERS, order_id=found["order_id"])
    recorded.edit(ORDERS, update, f"{this},{that}", f"{that},{this}")
    key = f"ORDER:{found['order_id']}"
    recorded.edit_hash(key, "report", f"{this},{that}", f"{that},{this}")


def everywhere(member: str, report_member: str) -> Damage:
    """The same lie in trade, update and hash: only arithmetic can tell."""

    def damage(recorded: Recorded) -> None:
        for number_of_entry, (_, fields) in enumerate(recorded.entries(TRADES)):  # noqa: B007 - it is used
            found = json.loads(fields[1], parse_float=str, parse_int=str)
            old = found[member]
            if re.fullmatch(r"-?[0-9.]*[1-9]", old):
                break
        else:
            raise LookupError(member)
        new = changed_digit(old)
        if member in {"price", "qty"}:
            flat_field = {"price": 5, "qty": 7}[member]
            fields[flat_field] = new
        fields[1] = fields[1].replace(f'"{member}":{old}', f'"{member}":{new}', 1)
        recorded.put(TRADES, number_of_entry, fields)
        in_report, lie = f'"{report_member}":"{old}"', f'"{report_member}":"{new}"'
        update, _ = recorded.find(ORDERS, order_id=found["order_id"])
        recorded.edit(ORDERS, update, in_report, lie)
        key = f"ORDER:{found['order_id']}"
        recorded.edit_hash(key, "report", in_report, lie)
        if member == "price":
            recorded.set(key, {"avg_price": new})

    return damage


def edit_report(old: str, new: str, **wanted: object) -> Damage:
    """The same change in the last update and in the hash."""

    def damage(recorded: Recorded) -> None:
        number_of_entry, found = recorded.find(ORDERS, **wanted)
        recorded.edit(ORDERS, number_of_entry, old, new)
        recorded.edit_hash(f"ORDER:{found['order_id']}", "report", old, new)

    return damage


def beyond_limit(recorded: Recorded) -> None:
    """An order that was filled at other prices than its request allowed."""
    _, found = recorded.find(TRADES, side="BUY")
    key = f"ORDER:{found['order_id']}"
    parts = recorded.hash(key)["payload"].split("|")
    parts[7] = "1.5"
    recorded.set(key, {"payload": "|".join(parts)})


def notional(recorded: Recorded) -> None:
    _, found = recorded.find(ORDERS, status="FILLED")
    said = found["notional"]
    lie = changed_digit(said)
    edit_report(f'"notional":"{said}"', f'"notional":"{lie}"', order_id=found["order_id"])(recorded)


def reduce_only(recorded: Recorded) -> None:
    """Says of an order that opened that it was to reduce."""
    old = '"received_time"'
    edit_report(old, f'"reduce_only":true,{old}', order_id=TWICE)(recorded)


def position_key(recorded: Recorded, *, held: bool = True) -> str:
    keys: Any = recorded.server.command("KEYS", "POSITION:*")
    found = [str(key) for key in keys if (recorded.hash(str(key))["qty"] != "0") is held]
    return min(found)


def position(field: str, value: str | None = None) -> Damage:
    def damage(recorded: Recorded) -> None:
        key = position_key(recorded)
        old = recorded.hash(key)[field]
        recorded.set(key, {field: changed_digit(old) if value is None else value})

    return damage


def drop_position(recorded: Recorded) -> None:
    recorded.server.command("DEL", position_key(recorded))


def drop_position_field(recorded: Recorded) -> None:
    recorded.server.command("HDEL", position_key(recorded), "entry_cost")


def order_hash(order_id: str, field: str, value: str) -> Damage:
    def damage(recorded: Recorded) -> None:
        assert recorded.hash(f"ORDER:{order_id}")[field] != value
        recorded.set(f"ORDER:{order_id}", {field: value})

    return damage


def drop_hash(order_id: str) -> Damage:
    return lambda recorded: recorded.server.command("DEL", f"ORDER:{order_id}")


def drop_hash_field(field: str) -> Damage:
    return lambda recorded: recorded.server.command("HDEL", f"ORDER:{TWICE}", field)


def drop_update(order_id: str, version: int) -> Damage:
    def damage(recorded: Recorded) -> None:
        number_of_entry, _ = recorded.find(ORDERS, order_id=order_id, version=version)
        entry_id, _ = recorded.entries(ORDERS)[number_of_entry]
        recorded.server.command("XDEL", ORDERS, entry_id)

    return damage


def update_again(recorded: Recorded) -> None:
    number_of_entry, _ = recorded.find(ORDERS, order_id=TWICE)
    recorded.server.command("XADD", ORDERS, "*", *recorded.entries(ORDERS)[number_of_entry][1])


def edit_update(old: str, new: str, **wanted: object) -> Damage:
    """A change in the stream alone."""

    def damage(recorded: Recorded) -> None:
        number_of_entry, _ = recorded.find(ORDERS, **wanted)
        recorded.edit(ORDERS, number_of_entry, old, new)

    return damage


def change_after_the_end(recorded: Recorded) -> None:
    """A cancelled order is triggered after all, in every place."""
    number_of_entry, _ = recorded.find(ORDERS, order_id="s-cancelled", version=2)
    fields = recorded.entries(ORDERS)[number_of_entry][1]
    text = fields[1].replace('"status":"CANCELED"', '"status":"TRIGGERED"')
    text = text.replace('"version":2', '"version":3').replace('"reason":"USER_CANCELED",', "")
    recorded.server.command("XADD", ORDERS, "*", "order", text)
    recorded.set(
        "ORDER:s-cancelled",
        {"status": "TRIGGERED", "version": "3", "reason": "", "report": text},
    )


def drop_reject(recorded: Recorded) -> None:
    recorded.rewrite(REJECTS, recorded.entries(REJECTS)[1:])


def reject_again(recorded: Recorded) -> None:
    recorded.server.command("XADD", REJECTS, "*", *recorded.entries(REJECTS)[0][1])


def reject_of(order_id: str) -> Damage:
    def damage(recorded: Recorded) -> None:
        _, fields = recorded.entries(REJECTS)[0]
        members = json.loads(fields[1]) | {"order_id": order_id}
        recorded.server.command("XADD", REJECTS, "*", "reject", json.dumps(members))

    return damage


def edit_reject(pattern: str, new: str) -> Damage:
    def damage(recorded: Recorded) -> None:
        _, fields = recorded.entries(REJECTS)[0]
        text = re.sub(pattern, new, fields[1], count=1)
        assert text != fields[1]
        recorded.put(REJECTS, 0, ["reject", text])

    return damage


def wrong_type(key: str) -> Damage:
    def damage(recorded: Recorded) -> None:
        recorded.server.command("DEL", key)
        recorded.server.command("SET", key, "x")

    return damage


def wrong_position_type(recorded: Recorded) -> None:
    wrong_type(position_key(recorded))(recorded)


def trim(stream: str, kept: int) -> Damage:
    return lambda recorded: recorded.server.command("XTRIM", stream, "MAXLEN", kept)


def drop_stop(order_id: str) -> Damage:
    return lambda recorded: recorded.server.command("HDEL", "STOPS:RESTING", order_id)


def watch(order_id: str) -> Damage:
    return lambda recorded: recorded.set("STOPS:RESTING", {order_id: "{}"})


def lost_terms(recorded: Recorded) -> None:
    recorded.edit_hash("STOPS:RESTING", "s-rests", "110", "111")


REPLAYED = (
    "POSITION_VERSION",
    "POSITION_QUANTITY",
    "POSITION_COST",
    "POSITION_PNL",
    "PNL",
    "REDUCE_ONLY",
)
"""What a position can have wrong that lacks a trade."""

DAMAGE: dict[str, tuple[Damage | str, ...]] = {
    "a text for a number": (text_for_number, "MALFORMED_TRADE"),
    "an exponent": (exponent, "MALFORMED_TRADE"),
    "a key is missing": (missing_key, "MALFORMED_TRADE"),
    "no JSON": (not_json, "MALFORMED_TRADE"),
    "a side in lower case": (edit_first_trade('"BUY"', '"buy"'), "MALFORMED_TRADE"),
    "a key twice": (edit_first_trade('"user":', '"pnl":0,"user":'), "MALFORMED_TRADE"),
    "fields in another order": (reorder_fields, "FIELD_ORDER"),
    "a field twice": (field_twice, "FIELD_ORDER"),
    "a digit of the flat price": (flat(5), "FLAT_FIELDS"),
    "a digit of the flat quantity": (flat(7), "FLAT_FIELDS"),
    "another flat symbol": (flat(3, "ETH-BTC"), "FLAT_FIELDS"),
    "another second": (flat(9), "FLAT_FIELDS"),
    "another trade id": (
        edit_first_trade('"trade_id":"', '"trade_id":"0'),
        "TRADE_ID",
        "TRADE_MISMATCH",
    ),
    "a trade is gone": (delete_trade(7), "TRADE_MISSING", *REPLAYED),
    "the first trade is gone": (delete_trade(0), "TRADE_MISSING", *REPLAYED),
    "the last trade is gone": (delete_trade(-1), "TRADE_MISSING", *REPLAYED),
    "a trade twice": (duplicate_trade, "DUPLICATE_TRADE"),
    "the other side": (swap_side, "TRADE_MISMATCH", "FILL_ORDER"),
    "another user": (edit_first_trade('"user":"u', '"user":"v'), "TRADE_MISMATCH", "TRADE_ID"),
    "another snapshot": (change_number("sequence"), "TRADE_MISMATCH"),
    "another time": (change_number("ts"), "TRADE_MISMATCH"),
    "a digit of the price": (
        change_number("price"),
        "AVERAGE_PRICE",
        "TRADE_MISMATCH",
        "FLAT_FIELDS",
    ),
    "a digit of the quantity": (
        change_number("qty"),
        "FILLS_DO_NOT_SUM",
        "AVERAGE_PRICE",
        "TRADE_MISMATCH",
        "FLAT_FIELDS",
    ),
    "a digit of the fee": (change_number("fee"), "FEE"),
    "a digit of the PnL": (change_number("pnl"), "PNL"),
    "a wrong price everywhere": (everywhere("price", "average_price"), "AVERAGE_PRICE"),
    "a wrong PnL everywhere": (
        everywhere("pnl", "realized_pnl"),
        "PNL",
        "POSITION_PNL",
        "POSITION_COST",
    ),
    "fills swapped everywhere": (swap_fills, "FILL_ORDER"),
    "fills beyond the limit": (beyond_limit, "FILL_ORDER"),
    "a digit of the notional": (notional, "NOTIONAL"),
    "a reduce-only order that opened": (reduce_only, "REDUCE_ONLY"),
    "a digit of a position": (position("qty"), "POSITION_QUANTITY", "POSITION_PRICE"),
    "a digit of a cost": (position("entry_cost"), "POSITION_COST", "POSITION_PRICE"),
    "a digit of a position's PnL": (position("realized_pnl"), "POSITION_PNL"),
    "a digit of an entry price": (position("entry_price"), "POSITION_PRICE"),
    "an entry price is gone": (position("entry_price", ""), "POSITION_PRICE"),
    "another version of a position": (position("version", "2"), "POSITION_VERSION"),
    "a later version of a position": (position("version", "999"), "POSITION_VERSION"),
    "a position is gone": (drop_position, "POSITION_MISSING"),
    "a position lacks a field": (drop_position_field, "CORRUPT_POSITION"),
    "a position in other spelling": (position("qty", "1.50"), "CORRUPT_POSITION"),
    "an order is gone": (drop_hash(TWICE), "TRADE_WITHOUT_ORDER", "ORDER_MISSING"),
    "a stop is gone": (drop_hash("s-rests"), "ORDER_MISSING", "STOP_EXTRA"),
    "an order lacks a field": (drop_hash_field("avg_price"), "CORRUPT_HASH"),
    "an order lacks its report": (drop_hash_field("report"), "CORRUPT_HASH", "TRADE_WITHOUT_ORDER"),
    "a report cannot be read": (order_hash(TWICE, "report", "{}"), "CORRUPT_HASH"),
    "another status": (order_hash(TWICE, "status", "PARTIAL"), "ORDER_HASH"),
    "another quantity": (order_hash(TWICE, "executed_qty", "2"), "ORDER_HASH"),
    "another version": (order_hash(TWICE, "version", "2"), "ORDER_HASH"),
    "another owner": (order_hash(TWICE, "user", "eve"), "ORDER_HASH"),
    "another time in the hash": (order_hash(TWICE, "ts", "1"), "ORDER_HASH"),
    "an update that is no report": (
        edit_update('"status"', '"state"', order_id=TWICE),
        "MALFORMED_UPDATE",
        "TRADE_WITHOUT_UPDATE",
        "UPDATE_MISSING",
    ),
    "the first update is gone": (drop_update("s-modified", 1), "ORDER_UPDATE_GAP"),
    "an update between is gone": (drop_update("s-modified", 2), "ORDER_UPDATE_GAP"),
    "the last update is gone": (drop_update("s-cancelled", 2), "UPDATE_MISSING"),
    "the only update is gone": (drop_update(TWICE, 1), "UPDATE_MISSING", "TRADE_WITHOUT_UPDATE"),
    "the update of a trade is gone": (
        drop_update(TWICE, 1),
        "TRADE_WITHOUT_UPDATE",
        "UPDATE_MISSING",
    ),
    "an update twice": (update_again, "ORDER_UPDATE_GAP", "ILLEGAL_TRANSITION"),
    "another number in an update": (
        edit_update('"message":"', '"message":"x', status="REJECTED"),
        "UPDATE_MISMATCH",
    ),
    "an ended order goes on": (change_after_the_end, "ILLEGAL_TRANSITION", "STOP_LOST"),
    "a triggered order rests again": (
        edit_update('"TRIGGERED"', '"UNTRIGGERED"', order_id="s-waits"),
        "UPDATE_MISMATCH",
    ),
    "an expired order had triggered": (
        edit_update('"UNTRIGGERED"', '"TRIGGERED"', order_id="s-expired"),
        "ILLEGAL_TRANSITION",
    ),
    "an order changed hands": (
        edit_update('"user_id":"sue"', '"user_id":"eve"', order_id="s-cancelled"),
        "IDENTITY_CHANGED",
    ),
    "a triggered order was modified": (
        edit_update(
            '"trigger_price":"110"', '"trigger_price":"109"', order_id="s-waited-filled", version=2
        ),
        "IDENTITY_CHANGED",
    ),
    "filled, with something remaining": (
        edit_report('"remaining_quantity":"0"', '"remaining_quantity":"3"', order_id=TWICE),
        "REPORT",
        "ORDER_HASH",
    ),
    "triggered by a price that does not cross": (
        edit_report(
            '"triggered_by_price":"111.5"',
            '"triggered_by_price":"9"',
            order_id="s-modified",
            version=3,
        ),
        "REPORT",
    ),
    "a rejection is gone": (drop_reject, "REJECT_MISSING"),
    "a rejection twice": (reject_again, "REJECT_EXTRA"),
    "a rejection of an executed order": (reject_of(TWICE), "REJECT_EXTRA", "REJECT_MISMATCH"),
    "a rejection of no order": (reject_of("nobody"), "REJECT_EXTRA"),
    "another user in a rejection": (edit_reject(r'"user":"u', '"user":"v'), "REJECT_MISMATCH"),
    "a rejection with a text for a number": (
        edit_reject(r'"qty":([0-9.]+)', r'"qty":"\1"'),
        "MALFORMED_REJECT",
        "REJECT_MISSING",
    ),
    "an order of another type": (wrong_type(f"ORDER:{TWICE}"), "WRONG_TYPE"),
    "a stray key where an order would be": (wrong_type("ORDER:nobody"), "WRONG_TYPE"),
    "a position of another type": (wrong_position_type, "WRONG_TYPE"),
    "a trade stream of another type": (
        wrong_type(TRADES),
        "WRONG_TYPE",
        "TRADE_MISSING",
        *REPLAYED,
    ),
    "a stop that nobody would watch": (drop_stop("s-rests"), "STOP_LOST"),
    "a triggered stop that nobody would watch": (drop_stop("s-waits"), "STOP_LOST"),
    "a stop watched with other terms": (lost_terms, "STOP_LOST"),
    "a watched stop of an ended order": (watch("s-cancelled"), "STOP_EXTRA"),
    "a watched stop of no order": (watch("nobody"), "STOP_EXTRA"),
    "an index of another type": (wrong_type("STOPS:RESTING"), "WRONG_TYPE"),
    "a trimmed stream that nobody limits": (trim(TRADES, 50), "STREAM_TRIMMED"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_named_and_nothing_else(recorded: Recorded, what: str) -> None:
    damage, name, *follows = DAMAGE[what]
    assert callable(damage)
    damage(recorded)
    proof = proof_of(recorded.server)
    assert name in names_of(proof)
    assert names_of(proof) <= {name, *follows}, proof.findings.shown


def test_every_name_is_found_by_some_damage() -> None:
    assert {names[1] for names in DAMAGE.values()} == {str(name) for name in Name}
    assert MEANING.keys() == set(Name)
