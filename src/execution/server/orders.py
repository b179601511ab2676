"""From the bytes of one request to the bytes of its report: the way every order takes.

One at a time, in a batch or in a stream: admission, reading, execution, answer
are the same; only where the answer goes differs.
"""

from collections.abc import Callable
from typing import Protocol

from execution._order import Intake
from execution.executor import Executor
from execution.model import Order, OrderType
from execution.ports import Clock
from execution.server.admission import InFlight
from execution.server.observe import Metrics
from execution.server.requests import read


class OrderAnswer(Protocol):
    """Who asked for an order; exactly one of these is called, once."""

    def reply(self, message: bytes) -> None:
        """This is the serialised report."""

    def fail(self, error: Exception) -> None:
        """There is none, because of this."""


class Orders(Intake):
    """Takes orders as bytes and answers them as bytes; the usual ones in `_order.Intake`."""

    in_flight: InFlight

    def __init__(
        self,
        executor: Executor,
        clock: Clock,
        new_order_id: Callable[[], str],
        in_flight: InFlight,
        metrics: Metrics,
    ) -> None:
        super().__init__(in_flight, metrics.outcomes, executor.lane, clock.time_ns)
        self._new_order_id = new_order_id
        self.execute_otherwise = executor.submit_otherwise

    def read_otherwise(
        self, data: bytes, order_type: OrderType | None, received_time_ns: int
    ) -> Order:
        """An order about which something is unusual. Raises `InvalidArgument`."""
        return read(data, order_type, received_time_ns, self._new_order_id)
