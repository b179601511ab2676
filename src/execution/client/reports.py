"""Reports off the wire, as the model has them."""

from google.protobuf.timestamp_pb2 import Timestamp

from execution import model
from execution.v1 import execution_pb2 as pb


def report_of(message: pb.ExecutionReport) -> model.ExecutionReport:
    """The report that a message carries. Raises `ValueError` for an enum of later versions."""
    copied = (
        "order_id", "user_id", "symbol", "quantity", "effective_quantity", "filled_quantity",
        "remaining_quantity", "average_price", "notional", "trade_id", "message",
        "realized_pnl", "fee", "trigger_price", "triggered_by_price", "reduce_only", "version",
    )  # fmt: skip
    return model.ExecutionReport(
        **{name: getattr(message, name) for name in copied},
        direction=model.Direction(message.direction),
        order_type=model.OrderType(message.order_type),
        status=model.OrderStatus(message.status),
        reason=model.Reason(message.reason),
        fills=tuple(model.Fill(fill.price, fill.quantity) for fill in message.fills),
        snapshot=_snapshot(message.snapshot) if message.HasField("snapshot") else None,
        received_time_ns=_time_ns(message.received_time),
        transact_time_ns=_time_ns(message.transact_time),
    )


def _snapshot(ref: pb.SnapshotRef) -> model.SnapshotRef:
    return model.SnapshotRef(
        source=ref.source,
        sequence=ref.sequence,
        source_time_ns=_time_ns(ref.source_time) if ref.HasField("source_time") else None,
        best_bid=ref.best_bid,
        best_ask=ref.best_ask,
    )


def _time_ns(timestamp: Timestamp) -> int:
    return timestamp.seconds * 1_000_000_000 + timestamp.nanos
