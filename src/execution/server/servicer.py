"""The rpcs of ExecutionService: a message and a `Call` in, a message out.

No transport in it: a transport serves what `rpcs` lists, turns typed errors
into statuses and counts. What the table does not list is UNIMPLEMENTED.
"""

from functools import partial
from typing import Final

from execution.errors import SlowReader
from execution.executor import Executor
from execution.model import OrderType
from execution.ports import OrderStream
from execution.server.admission import Call
from execution.server.batches import BatchOrders, OrderPipeline
from execution.server.messages import position_message, report_message, update_message
from execution.server.orders import Orders
from execution.server.requests import modification, order_key, position_key, watch_terms
from execution.server.rpcs import PipelineRpc, PlainRpc, Replies, Rpc, StreamRpc, UnaryRpc
from execution.stop_orders import StopOrders
from execution.v1 import execution_pb2 as pb

SERVICE: Final = "execution.v1.ExecutionService"


class ExecutionServicer:
    """ExecutionService over an `Executor` and what comes after it."""

    def __init__(
        self, orders: Orders, executor: Executor, stops: StopOrders, updates: OrderStream
    ) -> None:
        self._orders = orders
        self._executor = executor
        self._stops = stops
        self._updates = updates
        self._in_flight = orders.in_flight

    def rpcs(self) -> tuple[Rpc, ...]:
        """Every rpc that is served."""
        return (
            PlainRpc("ExecuteMarketOrder", partial(self._orders.execute, OrderType.MARKET)),
            PlainRpc("ExecuteSLOrder", partial(self._orders.execute, OrderType.SL)),
            PlainRpc("ExecuteBatch", BatchOrders(self._orders).handle),
            PipelineRpc("ExecuteStream", partial(OrderPipeline, self._orders)),
            UnaryRpc("CancelOrder", pb.CancelOrderRequest, self.cancel_order),
            UnaryRpc("ModifyOrder", pb.ModifyOrderRequest, self.modify_order),
            UnaryRpc("GetOrder", pb.GetOrderRequest, self.get_order),
            UnaryRpc("GetPosition", pb.GetPositionRequest, self.get_position),
            StreamRpc("WatchOrders", pb.WatchOrdersRequest, self.watch_orders),
        )

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
