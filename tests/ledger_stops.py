"""Stops for a ledger, as entries, and what a Redis holds of them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from builders import BUY, SELL, order
from ledger_orders import NOW_NS, entries_of, entry_for, hash_of
from redis_server import RedisServer

from execution.adapters.records import report_from_json
from execution.adapters.resting import stop_from_text
from execution.model import (
    TRANSITIONS,
    Direction,
    ExecutionReport,
    OrderStatus,
    OrderType,
    Reason,
    RestingStop,
)
from execution.ports import CommitResult, Committed, Conflict, Entry, Ledger, Record


def armed(order_id: str = "s-1", direction: Direction = BUY, **fields: Any) -> Entry:
    """A stop that comes to rest."""
    now_ns = fields.pop("now_ns", NOW_NS)
    fields.setdefault("trigger_price", "120" if direction is BUY else "80")
    placed = order(
        direction,
        fields.pop("quantity", "1"),
        order_id=order_id,
        order_type=OrderType.SL,
        received_time_ns=now_ns,
        **fields,
    )
    report = ExecutionReport(
        order_id=order_id,
        user_id=placed.user_id,
        symbol=placed.symbol,
        direction=direction,
        order_type=OrderType.SL,
        status=OrderStatus.UNTRIGGERED,
        quantity=placed.quantity,
        effective_quantity=placed.quantity,
        filled_quantity="0",
        remaining_quantity=placed.quantity,
        trigger_price=placed.trigger_price or "",
        reduce_only=placed.reduce_only,
        received_time_ns=now_ns,
        transact_time_ns=now_ns,
    )
    resting = RestingStop(order_id, 1, placed.payload(), now_ns)
    return Entry(placed.payload(), report, resting=resting)


def record_of(entry: Entry) -> Record:
    """What the ledger keeps of an entry that begins an order."""
    return Record(entry.payload, entry.report, entry.resting)


def modified(record: Record, trigger_price: str = "130", now_ns: int = NOW_NS) -> Entry:
    """It rests on other terms; a write of its own."""
    report, stop = _next(record, OrderStatus.UNTRIGGERED, now_ns), record.resting
    assert stop is not None
    terms = replace(stop.order(), trigger_price=trigger_price)
    return Entry(
        record.payload,
        replace(report, trigger_price=trigger_price),
        follows=record.report.version,
        resting=replace(stop, version=report.version, terms=terms.payload()),
    )


def triggered(record: Record, price: str = "125.5", now_ns: int = NOW_NS) -> Entry:
    """Crossed, and nothing to execute against yet."""
    report, stop = _next(record, OrderStatus.TRIGGERED, now_ns), record.resting
    assert stop is not None
    return Entry(
        record.payload,
        replace(report, triggered_by_price=price),
        follows=record.report.version,
        resting=replace(
            stop, version=report.version, triggered_time_ns=now_ns, triggered_by_price=price
        ),
    )


def filled(ledger: Ledger, record: Record, now_ns: int = NOW_NS) -> Entry:
    """Crossed, and executed on the position the ledger recalls at this moment."""
    report, stop = record.report, record.resting
    assert stop is not None
    placed = stop.order()
    made = entry_for(
        ledger,
        placed.direction,
        placed.quantity,
        order_id=report.order_id,
        user_id=report.user_id,
        symbol=report.symbol,
        order_type=OrderType.SL,
        trigger_price=placed.trigger_price,
        received_time_ns=report.received_time_ns,
        now_ns=now_ns,
    )
    after = replace(
        made.report, version=report.version + 1, triggered_by_price=placed.trigger_price or ""
    )
    return replace(made, payload=record.payload, report=after, follows=report.version)


def canceled(record: Record, now_ns: int = NOW_NS) -> Entry:
    return _ended(record, OrderStatus.CANCELED, Reason.USER_CANCELED, now_ns)


def expired(record: Record, now_ns: int = NOW_NS) -> Entry:
    return _ended(record, OrderStatus.EXPIRED, Reason.EXPIRED_UNTRIGGERED, now_ns)


def rejected(record: Record, now_ns: int = NOW_NS) -> Entry:
    return _ended(record, OrderStatus.REJECTED, Reason.NO_LIQUIDITY, now_ns)


def _ended(record: Record, status: OrderStatus, reason: Reason, now_ns: int) -> Entry:
    report = replace(_next(record, status, now_ns), reason=reason)
    return Entry(record.payload, report, follows=record.report.version)


def _next(record: Record, status: OrderStatus, now_ns: int) -> ExecutionReport:
    return replace(
        record.report,
        status=status,
        version=record.report.version + 1,
        transact_time_ns=now_ns,
    )


def after(record: Record, entry: Entry) -> Record:
    """What the ledger keeps once the entry that follows the record is committed."""
    return Record(record.payload, entry.report, entry.resting)


async def follow(
    ledger: Ledger, record: Record, step: Callable[[Ledger, Record], Entry]
) -> CommitResult:
    """Commits what follows the record, as often as the position moves under it."""
    while (result := await ledger.commit(step(ledger, record))) == Conflict():
        pass
    return result


async def arm(ledger: Ledger, *order_ids: str, users: int = 1) -> list[Record]:
    """Of several users, because whoever triggers and loses holds up the position's others."""
    names = ("ann", *(f"u{number}" for number in range(1, users)))
    entries = [armed(order_id, user_id=names[n % users]) for n, order_id in enumerate(order_ids)]
    assert set(await asyncio.gather(*map(ledger.commit, entries))) == {Committed()}
    return list(map(record_of, entries))


def resting_of(server: RedisServer) -> dict[str, RestingStop]:
    """The index of all that rests."""
    found = hash_of(server, "STOPS:RESTING")
    return {order_id: stop_from_text(order_id, text) for order_id, text in found.items()}


def updates_of(server: RedisServer) -> dict[str, list[ExecutionReport]]:
    """What STREAM:ORDER says of each order, oldest first."""
    updates: dict[str, list[ExecutionReport]] = defaultdict(list)
    for entry in entries_of(server, "STREAM:ORDER"):
        report = report_from_json(entry["order"])
        updates[report.order_id].append(report)
    return updates


def assert_stops_agree(server: RedisServer) -> dict[str, list[ExecutionReport]]:
    """Streams, hashes and index tell one story; returns the updates of each order.

    Versions are gap-free, every change is a legal one, what rests is what the
    index says, and whoever replays the stream of stops arrives at it too.
    """
    updates = updates_of(server)
    keys: Any = server.command("KEYS", "ORDER:*")
    assert sorted(keys) == sorted(f"ORDER:{order_id}" for order_id in updates)
    resting = {}
    stop_changes = 0
    for order_id, reports in updates.items():
        assert [report.version for report in reports] == list(range(1, len(reports) + 1))
        status = OrderStatus.RECEIVED
        for report in reports:
            assert report.status in TRANSITIONS[status], (order_id, status, report.status)
            status = report.status
        stored = hash_of(server, f"ORDER:{order_id}")
        assert report_from_json(stored["report"]) == reports[-1]
        assert (stored["version"], stored["status"]) == (str(len(reports)), status.name)
        if text := stored.get("resting", ""):
            resting[order_id] = stop_from_text(order_id, text)
            assert resting[order_id].version == len(reports)
            assert not status.terminal
        else:
            assert status.terminal
        if "resting" in stored:
            stop_changes += len(reports)
    assert resting == resting_of(server)
    changes = entries_of(server, "STREAM:STOP")
    assert len(changes) == stop_changes
    replayed = {change["order_id"]: change["stop"] for change in changes}
    assert {
        order_id: stop_from_text(order_id, text) for order_id, text in replayed.items() if text
    } == resting
    trades = [
        json.loads(entry["trade"])["order_id"] for entry in entries_of(server, "STREAM:TRADE")
    ]
    ended = [reports[-1] for reports in updates.values()]
    assert sorted(trades) == sorted(
        report.order_id for report in ended if report.filled_quantity != "0"
    )
    return updates


__all__ = [
    "BUY",
    "SELL",
    "after",
    "arm",
    "armed",
    "assert_stops_agree",
    "canceled",
    "expired",
    "filled",
    "follow",
    "modified",
    "record_of",
    "rejected",
    "resting_of",
    "triggered",
    "updates_of",
]
