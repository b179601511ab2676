"""The client of execution-service: orders from Python, each executed exactly once.

::

    from execution.client import Client, Direction, OrderStatus

    with Client("127.0.0.1:50051") as client:
        report = client.execute_market_order(
            user_id="alice", symbol="BTC-USDT", direction=Direction.BUY, quantity="0.125"
        )
        if OrderStatus(report.status) is OrderStatus.FILLED:
            print(report.filled_quantity, "at", report.average_price)

`AsyncClient` has the same methods for asyncio. Both make the order id
themselves and try a call again under the same id while the service cannot
answer, so that a lost reply never becomes a second order. What the service
foresees to fail is raised as an error of `execution.errors`.

Quantities and prices go in as text, `Decimal` or `int` and come back as text;
never as floats. Messages carry enums as numbers: `OrderStatus(report.status)` is
the member, and `Reason(report.reason).name` its name.
"""

from execution.client.async_client import AsyncClient
from execution.client.connection import Tls
from execution.client.retrying import RetryPolicy
from execution.client.sync_client import Client
from execution.client.watching import AsyncOrderWatch, OrderWatch
from execution.model import Direction, OrderStatus, OrderType, Reason, TimeInForce, TriggerBy
from execution.v1.execution_pb2 import ExecutionReport, Fill, Position, SnapshotRef

__all__ = [
    "AsyncClient",
    "AsyncOrderWatch",
    "Client",
    "Direction",
    "ExecutionReport",
    "Fill",
    "OrderStatus",
    "OrderType",
    "OrderWatch",
    "Position",
    "Reason",
    "RetryPolicy",
    "SnapshotRef",
    "TimeInForce",
    "Tls",
    "TriggerBy",
]
