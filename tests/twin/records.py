"""Reports, trades and positions as text, made of Python's text."""

import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

from twin.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
from twin.timestamps import rfc3339, utc_seconds

from execution.model import ExecutionReport, Fill, Position, Reason, SnapshotRef

_NS_PER_MS: Final = 1_000_000
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


def report_to_json(report: ExecutionReport) -> str:
    """The report as `STREAM:ORDER` carries it; equal reports give equal text.

    Names of the proto, decimals as text, enums by bare name, times RFC 3339,
    empty fields left out.
    """
    members = [
        f'"{name}":{_quoted(text)}'
        for name, text in (
            ("order_id", report.order_id),
            ("user_id", report.user_id),
            ("symbol", report.symbol),
            ("direction", report.direction.name),
            ("order_type", report.order_type.name),
            ("status", report.status.name),
            ("quantity", report.quantity),
            ("effective_quantity", report.effective_quantity),
            ("filled_quantity", report.filled_quantity),
            ("remaining_quantity", report.remaining_quantity),
            ("average_price", report.average_price),
            ("notional", report.notional),
            ("trade_id", report.trade_id),
            ("reason", _bare_name(report.reason)),
            ("message", report.message),
            ("realized_pnl", report.realized_pnl),
            ("fee", report.fee),
            ("trigger_price", report.trigger_price),
            ("triggered_by_price", report.triggered_by_price),
            ("received_time", _time(report.received_time_ns)),
            ("transact_time", _time(report.transact_time_ns)),
        )
        if text
    ]
    if report.fills:
        members.append(f'"fills":[{",".join(map(_fill, report.fills))}]')
    if report.reduce_only:
        members.append('"reduce_only":true')
    if report.snapshot is not None:
        # A message that is there but empty is not a message that is absent.
        members.append(f'"snapshot":{_snapshot_json(report.snapshot)}')
    if report.version:
        members.append(f'"version":{report.version}')
    return "{" + ",".join(members) + "}"


def order_fields(report: ExecutionReport) -> tuple[str, ...]:
    """Values of the `ORDER` hash, in the order in which commit.lua names them."""
    return (
        report.status.name,
        report.filled_quantity,
        report.remaining_quantity,
        report.average_price,
        report.user_id,
        report.symbol,
        report.direction.name,
        report.quantity,
        report.trade_id,
        _bare_name(report.reason),
        str(report.version),
        str(report.transact_time_ns // _NS_PER_MS),
    )


def trade_json(report: ExecutionReport) -> str:
    """The `trade` object of a report that filled something.

    pnl-service ends for good on a string where a number should be, so a text
    that is no number raises `ValueError` here and is never published.
    """
    fills = ",".join(f"[{_number(fill.price)},{_number(fill.quantity)}]" for fill in report.fills)
    snapshot = {} if report.snapshot is None else _trade_snapshot(report.snapshot)
    return _object(
        {
            "user": _quoted(report.user_id),
            "symbol": _quoted(report.symbol),
            "price": _number(report.average_price),
            "qty": _number(report.filled_quantity),
            "side": _quoted(report.direction.name),
            "pnl": _number(report.realized_pnl),
            "order_id": _quoted(report.order_id),
            "trade_id": _quoted(report.trade_id),
            "fee": _number(report.fee),
            "fills": f"[{fills}]",
            "ts": str(report.transact_time_ns // _NS_PER_MS),
            "snapshot": _object(snapshot),
        }
    )


def trade_timestamp(report: ExecutionReport) -> str:
    """The flat `timestamp` beside the trade, as kline-service reads it."""
    return utc_seconds(report.transact_time_ns)


def reject_json(report: ExecutionReport) -> str:
    """The `reject` object of a rejected order."""
    return _object(
        {
            "order_id": _quoted(report.order_id),
            "symbol": _quoted(report.symbol),
            "user": _quoted(report.user_id),
            "qty": _number(report.quantity),
            "side": _quoted(report.direction.name),
            "reason": _quoted(_bare_name(report.reason)),
            "message": _quoted(report.message),
        }
    )


def position_state(position: Position) -> tuple[str, str, str, str]:
    """The texts that tell one committed position from every other.

    Version, quantity, entry cost, realised PnL. The version alone would not
    do: an order may rest on a predicted position that never came true, and
    then another order has its version.
    """
    return (
        str(position.version),
        to_text(position.quantity, QUANTITY_DECIMALS),
        to_text(position.entry_cost, MONEY_DECIMALS),
        to_text(position.realized_pnl, MONEY_DECIMALS),
    )


def _fill(fill: Fill) -> str:
    return f'{{"price":{_quoted(fill.price)},"quantity":{_quoted(fill.quantity)}}}'


def _snapshot_json(snapshot: SnapshotRef) -> str:
    members = {"source": _quoted(snapshot.source)} if snapshot.source else {}
    if snapshot.sequence:
        members["sequence"] = str(snapshot.sequence)
    if snapshot.source_time_ns is not None:
        members["source_time"] = _quoted(rfc3339(snapshot.source_time_ns))
    if snapshot.best_bid:
        members["best_bid"] = _quoted(snapshot.best_bid)
    if snapshot.best_ask:
        members["best_ask"] = _quoted(snapshot.best_ask)
    return _object(members)


def _trade_snapshot(snapshot: SnapshotRef) -> dict[str, str]:
    members = {"source": _quoted(snapshot.source), "sequence": str(snapshot.sequence)}
    if snapshot.source_time_ns is not None:
        members["source_time"] = _quoted(rfc3339(snapshot.source_time_ns))
    if snapshot.best_bid:
        members["best_bid"] = _number(snapshot.best_bid)
    if snapshot.best_ask:
        members["best_ask"] = _number(snapshot.best_ask)
    return members


def _object(members: Mapping[str, str]) -> str:
    """A JSON object of members that are JSON text already."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not decimal text that JSON takes as a number")
    return text


def _bare_name(reason: Reason) -> str:
    return reason.name if reason else ""


def _time(time_ns: int) -> str:
    return rfc3339(time_ns) if time_ns else ""
