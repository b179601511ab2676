"""An entry as commit.lua takes it, packed by hiredis."""

from typing import Final

from twin.records import (
    order_fields,
    position_state,
    reject_json,
    report_to_json,
    trade_json,
    trade_timestamp,
)

from execution.adapters import keys
from execution.adapters.wire import bulk
from execution.model import OrderStatus, Position
from execution.ports import Entry

_NO_BASIS: Final = ("", "", "", "")
_NO_POSITION: Final = ("", "", "", "", "")


def pack_entry(entry: Entry, stop: str) -> tuple[bytes, bytes, bytes, bytes]:
    """(payload, report, keys, arguments) of an entry, and of the text of its stop."""
    report = entry.report
    rejected = report.status is OrderStatus.REJECTED
    filled = report.filled_quantity != "0"
    report_text = report_to_json(report)
    arguments = (
        entry.payload,
        report_text,
        *order_fields(report),
        trade_json(report) if filled else "",
        trade_timestamp(report) if filled else "",
        reject_json(report) if rejected else "",
        *(_NO_BASIS if entry.basis is None else position_state(entry.basis)),
        *(_NO_POSITION if entry.position is None else _position_fields(entry.position)),
        stop,
    )
    return (
        entry.payload.encode(),
        report_text.encode(),
        bulk(keys.order_key(report.order_id), keys.position_key(report.user_id, report.symbol)),
        bulk(*arguments),
    )


def _position_fields(position: Position) -> tuple[str, ...]:
    version, quantity, entry_cost, realized_pnl = position_state(position)
    return version, quantity, position.entry_price, entry_cost, realized_pnl
