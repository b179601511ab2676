"""Reports and positions for people, and for programs.

On a terminal tables by rich, elsewhere plain lines that are easy to cut.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from execution.adapters.records import report_to_json
from execution.client.reports import report_of
from execution.model import ExecutionReport, OrderStatus, Reason
from execution.v1 import execution_pb2 as pb

STYLES: Final = {
    OrderStatus.UNTRIGGERED: "cyan",
    OrderStatus.TRIGGERED: "magenta",
    OrderStatus.FILLED: "green",
    OrderStatus.PARTIAL: "yellow",
    OrderStatus.REJECTED: "red",
    OrderStatus.CANCELED: "bright_black",
    OrderStatus.EXPIRED: "bright_black",
}
_COLUMNS: Final = (
    ("time", 23), ("order", 36), ("version", 7), ("status", 11), ("symbol", 12), ("side", 4),
    ("quantity", 12), ("filled", 12), ("average price", 14), ("reason", 0),
)  # fmt: skip
_STATUS_COLUMN: Final = 3


def report_json(message: pb.ExecutionReport) -> str:
    """One line: as `STREAM:ORDER` has it, and the resume token of a watch."""
    fields = json.loads(report_to_json(report_of(message)))
    if message.resume_token:
        fields["resume_token"] = message.resume_token
    return json.dumps(fields)


def position_json(position: pb.Position) -> str:
    """One line, in the words of the proto."""
    return json.dumps(
        {
            "user_id": position.user_id,
            "symbol": position.symbol,
            "quantity": position.quantity,
            "entry_price": position.entry_price,
            "realized_pnl": position.realized_pnl,
            "version": position.version,
        }
    )


def show_report(message: pb.ExecutionReport) -> None:
    """Everything the report says."""
    report = report_of(message)
    _show(_rows(report), STYLES.get(report.status, ""))
    if report.fills:
        _show([("fill", f"{fill.quantity} at {fill.price}") for fill in report.fills], "")


def show_position(position: pb.Position) -> None:
    """Everything the position says."""
    rows = [
        ("user", position.user_id),
        ("symbol", position.symbol),
        ("quantity", position.quantity),
        ("entry price", position.entry_price),
        ("realized pnl", position.realized_pnl),
        ("version", str(position.version)),
    ]
    _show(rows, "")


def show_heading() -> None:
    """The heading of the lines of a watch."""
    line = _aligned([name for name, _ in _COLUMNS])
    if sys.stdout.isatty():
        Console().print(Text(line, style="bold"), soft_wrap=True)
    else:
        print(line, flush=True)


def show_update(message: pb.ExecutionReport) -> None:
    """One line of a watch."""
    report = report_of(message)
    cells = [
        _time(report.transact_time_ns),
        report.order_id,
        str(report.version),
        report.status.name,
        report.symbol,
        report.direction.name,
        report.quantity,
        report.filled_quantity,
        report.average_price,
        _reason(report),
    ]
    if not sys.stdout.isatty():
        print(_aligned(cells), flush=True)
        return
    before = len(_aligned(cells[:_STATUS_COLUMN], strip=False)) + 2
    line = Text(_aligned(cells))
    line.stylize(STYLES.get(report.status, ""), before, before + len(report.status.name))
    Console().print(line, soft_wrap=True)


def _rows(report: ExecutionReport) -> list[tuple[str, str]]:
    """Name and value of what is set, the status first."""
    book = report.snapshot
    rows = [
        ("status", report.status.name),
        ("reason", _reason(report)),
        ("message", report.message),
        ("order", report.order_id),
        ("user", report.user_id),
        ("symbol", report.symbol),
        ("order type", report.order_type.name),
        ("side", report.direction.name),
        ("quantity", report.quantity),
        ("effective", report.effective_quantity),
        ("filled", report.filled_quantity),
        ("remaining", report.remaining_quantity),
        ("average price", report.average_price),
        ("notional", report.notional),
        ("realized pnl", report.realized_pnl),
        ("fee", report.fee),
        ("trigger price", report.trigger_price),
        ("triggered by", report.triggered_by_price),
        ("reduce only", "yes" if report.reduce_only else ""),
        ("trade", report.trade_id),
        ("book", "" if book is None else f"{book.best_bid or '-'} / {book.best_ask or '-'}"),
        ("received", _time(report.received_time_ns)),
        ("decided", _time(report.transact_time_ns)),
        ("version", str(report.version)),
    ]
    return [(name, value) for name, value in rows if value]


def _show(rows: Iterable[tuple[str, str]], style: str) -> None:
    if not sys.stdout.isatty():
        for name, value in rows:
            print(f"{name:<14} {value}")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bright_black")
    table.add_column(overflow="fold")
    for number, (name, value) in enumerate(rows):
        table.add_row(name, Text(value, style=style if number == 0 else ""))
    Console().print(table)


def _aligned(cells: Sequence[str], *, strip: bool = True) -> str:
    line = "  ".join(f"{cell:<{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=False))
    return line.rstrip() if strip else line


def _reason(report: ExecutionReport) -> str:
    return "" if report.reason is Reason.NONE else report.reason.name


def _time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03}"
