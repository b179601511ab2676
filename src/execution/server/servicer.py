"""The rpcs of ExecutionService: a message and a `Call` in, a message out.

No transport in it: a transport serves what `rpcs` lists, turns typed errors
into statuses and counts. What the table does not list is UNIMPLEMENTED.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from execution.errors import SlowReader
from execution.executor import Executor
from execution.model import OrderType
from execution.ports import Clock, OrderStream
from execution.server.admission import Call, InFlight
from execution.server.messages import position_message, report_message, update_message
from execution.server.observe import Metrics
from execution.server.requests import (
    modification,
    order_key,
    order_of,
    position_key,
    watch_terms,
)
from execution.stop_orders import StopOrders
from execution.v1 import execution_pb2 as pb

SERVICE: Final = "execution.v1.ExecutionService"


@dataclass(frozen=True, slots=True)
class UnaryRpc:
    """One unary rpc as a transport needs to know it."""

    method: str
    request: type[Message]
    handle: Callable[[Any, Call], Awaitable[Message]]


class Replies(Protocol):
    """The way back to the caller of a stream."""

    async def begin(self, token: str) -> None:
        """Tells the caller that the stream stands, and where it begins."""

    async def send(self, message: Message) -> None:
        """Waits until there is room for the message. Raises `SlowReader`."""


@dataclass(frozen=True, slots=True)
class StreamRpc:
    """One rpc with one request and many replies; it ends when `handle` does.

    What `handle` waits for may be broken off at any moment, by a caller that
    goes away or a replica that shuts down.
    """

    method: str
    request: type[Message]
    handle: Callable[[Any, Call, Replies], Awaitable[None]]


class ExecutionServicer:
    """ExecutionService over an `Executor` and what comes after it."""

    def __init__(
        self,
        executor: Executor,
        stops: StopOrders,
        updates: OrderStream,
        clock: Clock,
        new_order_id: Callable[[], str],
        in_flight: InFlight,
        metrics: Metrics,
    ) -> None:
        self._executor = executor
        self._stops = stops
        self._updates = updates
        self._clock = clock
        self._new_order_id = new_order_id
        self._in_flight = in_flight
        self._metrics = metrics

    def rpcs(self) -> tuple[UnaryRpc | StreamRpc, ...]:
        """Every rpc that is served."""
        return (
            UnaryRpc("ExecuteMarketOrder", pb.OrderRequest, self.execute_market_order),
            UnaryRpc("ExecuteSLOrder", pb.OrderRequest, self.execute_sl_order),
            UnaryRpc("CancelOrder", pb.CancelOrderRequest, self.cancel_order),
            UnaryRpc("ModifyOrder", pb.ModifyOrderRequest, self.modify_order),
            UnaryRpc("GetOrder", pb.GetOrderRequest, self.get_order),
            UnaryRpc("GetPosition", pb.GetPositionRequest, self.get_position),
            StreamRpc("WatchOrders", pb.WatchOrdersRequest, self.watch_orders),
        )

    async def execute_market_order(
        self, request: pb.OrderRequest, call: Call
    ) -> pb.ExecutionReport:
        """Executes now; the stored report if the order id was executed before."""
        return await self._execute(request, OrderType.MARKET, call)

    async def execute_sl_order(self, request: pb.OrderRequest, call: Call) -> pb.ExecutionReport:
        """Rests, or executes now; the present state if the order id is known."""
        return await self._execute(request, OrderType.SL, call)

    async def _execute(
        self, request: pb.OrderRequest, order_type: OrderType, call: Call
    ) -> pb.ExecutionReport:
        with self._in_flight:
            order = order_of(request, order_type, self._clock.time_ns(), self._new_order_id)
            call.require_user(order.user_id)
            report = await self._executor.execute(order, call.deadline_ns)
        self._metrics.executed(report)
        return report_message(report)

    async def cancel_order(self, request: pb.CancelOrderRequest, call: Call) -> pb.ExecutionReport:
        """Cancels an order that rests; the same answer again if it is cancelled already."""
        with self._in_flight:
            order_id, user_id = order_key(request)
            call.require_user(user_id)
            return report_message(await self._stops.cancel(order_id, user_id, call.deadline_ns))

    async def modify_order(self, request: pb.ModifyOrderRequest, call: Call) -> pb.ExecutionReport:
        """Changes an order that rests untriggered."""
        with self._in_flight:
            order_id, user_id, change = modification(request)
            call.require_user(user_id)
            report = await self._stops.modify(order_id, user_id, change, call.deadline_ns)
            return report_message(report)

    async def watch_orders(
        self, request: pb.WatchOrdersRequest, call: Call, replies: Replies
    ) -> None:
        """Tells every status change from now or from the token on, until somebody ends it."""
        user_id, order_ids, after = watch_terms(request)
        call.require_user(user_id)
        async with self._updates.watch(user_id, order_ids, after) as updates:
            told = updates.token
            await replies.begin(told)
            try:
                async for update in updates:
                    await replies.send(update_message(update))
                    told = update.token
            except SlowReader as error:
                error.metadata = {**error.metadata, "resume_token": told}
                raise

    async def get_order(self, request: pb.GetOrderRequest, call: Call) -> pb.ExecutionReport:
        """The present state of an order."""
        order_id, user_id = order_key(request)
        call.require_user(user_id)
        return report_message(await self._executor.order(order_id, user_id))

    async def get_position(self, request: pb.GetPositionRequest, call: Call) -> pb.Position:
        """The committed position of a user in a symbol."""
        user_id, symbol = position_key(request)
        call.require_user(user_id)
        return position_message(await self._executor.position(user_id, symbol))
