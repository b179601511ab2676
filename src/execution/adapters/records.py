"""What a report and a position look like in Redis: text, exactly and for ever.

Every writer has its reader here, and reading gives back what was written: the
answer to a retry is the stored JSON, read again. Amounts are decimal text; in
the JSON that other programs read they are number tokens of exactly those
digits, built as text, never through a float. Source: CONTRACT, Redis.
"""

import json
from typing import Any, Final

from execution import _order
from execution.adapters.timestamps import from_rfc3339
from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
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

_COUNTER_MAX: Final = 2**64 - 1

TEXT_FIELDS: Final = (
    "order_id",
    "user_id",
    "symbol",
    "quantity",
    "effective_quantity",
    "filled_quantity",
    "remaining_quantity",
    "average_price",
    "notional",
    "trade_id",
    "message",
    "realized_pnl",
    "fee",
    "trigger_price",
    "triggered_by_price",
)
"""The fields of a report that are text in the model and in JSON."""


def report_to_json(report: ExecutionReport) -> str:
    """The report as `STREAM:ORDER` carries it; equal reports give equal text.

    Names of the proto, decimals as text, enums by bare name, times RFC 3339,
    empty fields left out. Read back by `report_from_json`.
    """
    return _order.report_json(report).decode()


def report_from_json(text: str | bytes) -> ExecutionReport:
    """The report that `report_to_json` wrote; fields of later versions are ignored.

    Raises `ValueError` if the text is nothing of ours.
    """
    try:
        return _report(json.loads(text))
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not the JSON of a report: {error!r}") from error


def trade_json(report: ExecutionReport) -> str:
    """The `trade` object of a report that filled something.

    pnl-service ends for good on a string where a number should be, so a text
    that is no number raises `ValueError` here and is never published.
    """
    return _order.trade_json(report).decode()


def reject_json(report: ExecutionReport) -> str:
    """The `reject` object of a rejected order."""
    return _order.reject_json(report).decode()


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


def position_from_texts(
    user_id: str, symbol: str, state: tuple[str, str, str, str], entry_price: str
) -> Position:
    """The position of the texts in Redis.

    Raises `ValueError` unless they are spelled as `position_state` spells them:
    a text that differs could never be compared with again.
    """
    version, quantity, entry_cost, realized_pnl = state
    if not 0 <= int(version) <= _COUNTER_MAX:
        raise ValueError(f"version {version} is no number from 0 to 2^64 - 1")
    position = Position(
        user_id=user_id,
        symbol=symbol,
        quantity=_scaled(quantity, QUANTITY_DECIMALS),
        entry_cost=_scaled(entry_cost, MONEY_DECIMALS),
        realized_pnl=_scaled(realized_pnl, MONEY_DECIMALS),
        entry_price=entry_price,
        version=int(version),
    )
    if position_state(position) != state:
        raise ValueError(f"{state} is not how this service writes a position")
    return position


def _report(fields: dict[str, Any]) -> ExecutionReport:
    snapshot = fields.get("snapshot")
    return ExecutionReport(
        **{name: _string(fields, name) for name in TEXT_FIELDS},
        direction=Direction[fields["direction"]],
        order_type=OrderType[fields["order_type"]],
        status=OrderStatus[fields["status"]],
        fills=tuple(
            Fill(_string(fill, "price"), _string(fill, "quantity"))
            for fill in fields.get("fills", ())
        ),
        reason=Reason[fields.get("reason", Reason.NONE.name)],
        reduce_only=bool(fields.get("reduce_only", False)),
        snapshot=None if snapshot is None else _snapshot(snapshot),
        received_time_ns=_time_ns(fields, "received_time") or 0,
        transact_time_ns=_time_ns(fields, "transact_time") or 0,
        version=_counter(fields, "version"),
    )


def _snapshot(fields: dict[str, Any]) -> SnapshotRef:
    return SnapshotRef(
        source=_string(fields, "source"),
        sequence=_counter(fields, "sequence"),
        source_time_ns=_time_ns(fields, "source_time"),
        best_bid=_string(fields, "best_bid"),
        best_ask=_string(fields, "best_ask"),
    )


def _time_ns(fields: dict[str, Any], name: str) -> int | None:
    text = fields.get(name)
    return None if text is None else from_rfc3339(text)


def _string(fields: dict[str, Any], name: str) -> str:
    text = fields.get(name, "")
    if not isinstance(text, str):
        raise TypeError(f"{name} is not text")
    if not text.isascii():
        text.encode()  # half of a surrogate pair is no text
    return text


def _counter(fields: dict[str, Any], name: str) -> int:
    """A number that protobuf has room for."""
    number = fields.get(name, 0)
    if type(number) is not int or not 0 <= number <= _COUNTER_MAX:
        raise ValueError(f"{name} is no number from 0 to 2^64 - 1")
    return number


def _scaled(text: str, decimals: int) -> int:
    """Scaled integer of decimal text of any length (`from_text` limits input)."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    if len(fraction) > decimals:
        raise ValueError(f"{text!r} has more than {decimals} digits after the point")
    value = int(whole + fraction.ljust(decimals, "0"))
    return -value if text.startswith("-") else value
