"""From the bytes of one request to the bytes of its report: the way every order takes.

One at a time, in a batch or in a stream: admission, reading, execution, answer
are the same; only where the answer goes differs.
"""

from collections.abc import Callable
from typing import Protocol

from execution._order import Finish
from execution.executor import Cancel, Executor
from execution.model import OrderType
from execution.ports import Clock
from execution.server.admission import Call, InFlight
from execution.server.observe import Metrics
from execution.server.requests import read


class OrderAnswer(Protocol):
    """Who asked for an order; exactly one of these is called, once."""

    def reply(self, message: bytes) -> None:
        """This is the serialised report."""

    def fail(self, error: Exception) -> None:
        """There is none, because of this."""


class Orders:
    """Takes orders as bytes and answers them as bytes."""

    def __init__(
        self,
        executor: Executor,
        clock: Clock,
        new_order_id: Callable[[], str],
        in_flight: InFlight,
        metrics: Metrics,
    ) -> None:
        self.in_flight = in_flight
        self._executor = executor
        self._clock = clock
        self._new_order_id = new_order_id
        self._outcomes = metrics.outcomes

    def take(
        self, data: bytes, order_type: OrderType | None, call: Call, answer: OrderAnswer
    ) -> Cancel | None:
        """Executes the order of a serialised OrderRequest; `order_type` None: it says itself.

        Returns how to give it up while nothing is sent, None if that is past.
        Raises `ExecutionError` for an order that goes no further.
        """
        in_flight = self.in_flight
        in_flight.enter()
        try:
            order = read(data, order_type, self._clock.time_ns(), self._new_order_id)
            if call.users is not None:
                call.require_user(order.user_id)
            finish = Finish(in_flight, self._outcomes, answer)
            return self._executor.submit(order, call.deadline_ns, finish)
        except BaseException:
            in_flight.leave()
            raise
