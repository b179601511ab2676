"""The model on the wire: plain copying, because a report is already text.

The opposite way, from a request to the model, is in `requests`.
"""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from execution._order import batch_bytes, report_bytes
from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
from execution.model import ExecutionReport, Position, SnapshotRef
from execution.ports import OrderUpdate
from execution.v1 import execution_pb2 as pb

__all__ = [
    "batch_bytes",
    "position_message",
    "report_bytes",
    "report_message",
    "update_message",
]

_NS_PER_SECOND: Final = 1_000_000_000


def report_message(report: ExecutionReport) -> pb.ExecutionReport:
    """The report on the wire; equal reports give equal bytes."""
    return pb.ExecutionReport(
        order_id=report.order_id,
        user_id=report.user_id,
        symbol=report.symbol,
        direction=pb.Direction.ValueType(report.direction.value),
        order_type=pb.OrderType.ValueType(report.order_type.value),
        status=pb.OrderStatus.ValueType(report.status.value),
        quantity=report.quantity,
        effective_quantity=report.effective_quantity,
        filled_quantity=report.filled_quantity,
        remaining_quantity=report.remaining_quantity,
        average_price=report.average_price,
        notional=report.notional,
        fills=[pb.Fill(price=fill.price, quantity=fill.quantity) for fill in report.fills],
        trade_id=report.trade_id,
        reason=pb.Reason.ValueType(report.reason.value),
        message=report.message,
        realized_pnl=report.realized_pnl,
        fee=report.fee,
        trigger_price=report.trigger_price,
        triggered_by_price=report.triggered_by_price,
        reduce_only=report.reduce_only,
        snapshot=_snapshot_message(report.snapshot),
        received_time=_timestamp(report.received_time_ns),
        transact_time=_timestamp(report.transact_time_ns),
        version=report.version,
    )


def update_message(update: OrderUpdate) -> pb.ExecutionReport:
    """A report of a watch on the wire, with the token to go on from."""
    message = report_message(update.report)
    message.resume_token = update.token
    return message


def position_message(position: Position) -> pb.Position:
    """The position on the wire."""
    return pb.Position(
        user_id=position.user_id,
        symbol=position.symbol,
        quantity=to_text(position.quantity, QUANTITY_DECIMALS),
        entry_price=position.entry_price,
        realized_pnl=to_text(position.realized_pnl, MONEY_DECIMALS),
        version=position.version,
    )


def _snapshot_message(ref: SnapshotRef | None) -> pb.SnapshotRef | None:
    if ref is None:
        return None
    return pb.SnapshotRef(
        source=ref.source,
        sequence=ref.sequence,
        source_time=None if ref.source_time_ns is None else _timestamp(ref.source_time_ns),
        best_bid=ref.best_bid,
        best_ask=ref.best_ask,
    )


def _timestamp(time_ns: int) -> Timestamp:
    seconds, nanos = divmod(time_ns, _NS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=nanos)
