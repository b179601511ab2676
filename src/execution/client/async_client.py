"""The client for asyncio; method for method that of `sync_client`."""

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from execution.client.connection import (
    CHANNEL_OPTIONS,
    SYSTEM_CHANCE,
    Chance,
    Tls,
    call_metadata,
    described,
)
from execution.client.failures import typed_error
from execution.client.requests import (
    DirectionLike,
    Number,
    TimeInForceLike,
    TriggerByLike,
    market_order_request,
    modify_request,
    naming_order,
    sl_order_request,
)
from execution.client.retrying import DEFAULT_POLICY, Attempts, RetryPolicy
from execution.client.watching import AsyncOrderWatch, Progress
from execution.model import TimeInForce
from execution.v1 import execution_pb2 as pb
from execution.v1.execution_pb2_grpc import ExecutionServiceStub

_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)


class AsyncClient:
    """A connection to execution-service for one event loop, any number of tasks at once.

    Make it inside the running loop. Otherwise as `Client`, method for method::

        async with AsyncClient("127.0.0.1:50051") as client:
            reports = await asyncio.gather(
                *(
                    client.execute_market_order(
                        user_id="alice", symbol=symbol, direction="BUY", quantity=1
                    )
                    for symbol in ("ETH-USDT", "XRP-USDT")
                )
            )

    A call that is cancelled may still execute; ask with the same `order_id`.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        retry: RetryPolicy = DEFAULT_POLICY,
        chance: Chance = SYSTEM_CHANCE,
    ) -> None:
        self._metadata = call_metadata(token)
        self._retry = retry
        self._chance = chance
        self._description = described(self, target, tls, self._metadata)
        self._channel = (
            grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
            if tls is None
            else grpc.aio.secure_channel(target, tls.channel_credentials(), tls.channel_options())
        )
        self._stub = ExecutionServiceStub(self._channel)

    async def execute_market_order(
        self,
        *,
        user_id: str,
        symbol: str,
        direction: DirectionLike,
        quantity: Number,
        order_id: str | None = None,
        reduce_only: bool = False,
        limit_price: Number | None = None,
        max_slippage_bps: int | None = None,
        time_in_force: TimeInForceLike = TimeInForce.IOC,
        timeout_seconds: float | None = None,
    ) -> pb.ExecutionReport:
        """As `Client.execute_market_order`."""
        request = market_order_request(
            order_id=order_id or self._chance.new_order_id(),
            user_id=user_id,
            symbol=symbol,
            direction=direction,
            quantity=quantity,
            reduce_only=reduce_only,
            limit_price=limit_price,
            max_slippage_bps=max_slippage_bps,
            time_in_force=time_in_force,
        )
        with naming_order(request.order_id):
            return await self._call(self._stub.ExecuteMarketOrder, request, timeout_seconds)

    async def execute_sl_order(
        self,
        *,
        user_id: str,
        symbol: str,
        direction: DirectionLike,
        quantity: Number,
        trigger_price: Number | None = None,
        order_id: str | None = None,
        reduce_only: bool = False,
        limit_price: Number | None = None,
        max_slippage_bps: int | None = None,
        time_in_force: TimeInForceLike = TimeInForce.IOC,
        trigger_by: TriggerByLike | None = None,
        reject_if_triggered: bool = False,
        expire_time: datetime | None = None,
        timeout_seconds: float | None = None,
    ) -> pb.ExecutionReport:
        """As `Client.execute_sl_order`."""
        request = sl_order_request(
            order_id=order_id or self._chance.new_order_id(),
            user_id=user_id,
            symbol=symbol,
            direction=direction,
            quantity=quantity,
            reduce_only=reduce_only,
            limit_price=limit_price,
            max_slippage_bps=max_slippage_bps,
            time_in_force=time_in_force,
            trigger_price=trigger_price,
            trigger_by=trigger_by,
            reject_if_triggered=reject_if_triggered,
            expire_time=expire_time,
        )
        with naming_order(request.order_id):
            return await self._call(self._stub.ExecuteSLOrder, request, timeout_seconds)

    async def cancel_order(
        self, *, order_id: str, user_id: str, timeout_seconds: float | None = None
    ) -> pb.ExecutionReport:
        """As `Client.cancel_order`."""
        request = pb.CancelOrderRequest(order_id=order_id, user_id=user_id)
        with naming_order(order_id):
            return await self._call(self._stub.CancelOrder, request, timeout_seconds)

    async def modify_order(
        self,
        *,
        order_id: str,
        user_id: str,
        trigger_price: Number | None = None,
        quantity: Number | None = None,
        limit_price: Number | None = None,
        expected_version: int | None = None,
        timeout_seconds: float | None = None,
    ) -> pb.ExecutionReport:
        """As `Client.modify_order`."""
        request = modify_request(
            order_id=order_id,
            user_id=user_id,
            trigger_price=trigger_price,
            quantity=quantity,
            limit_price=limit_price,
            expected_version=expected_version,
        )
        with naming_order(order_id):
            return await self._call(self._stub.ModifyOrder, request, timeout_seconds)

    def watch_orders(
        self,
        *,
        user_id: str,
        order_ids: Iterable[str] = (),
        resume_token: str = "",
        timeout_seconds: float | None = None,
    ) -> AsyncOrderWatch:
        """As `Client.watch_orders`, for `async with` and `async for`."""
        progress = Progress(
            user_id, order_ids, resume_token, self._retry, self._chance.fraction, timeout_seconds
        )
        return AsyncOrderWatch(
            lambda request: self._stub.WatchOrders(request, metadata=self._metadata), progress
        )

    async def get_order(
        self, *, order_id: str, user_id: str, timeout_seconds: float | None = None
    ) -> pb.ExecutionReport:
        """As `Client.get_order`."""
        request = pb.GetOrderRequest(order_id=order_id, user_id=user_id)
        with naming_order(order_id):
            return await self._call(self._stub.GetOrder, request, timeout_seconds)

    async def get_position(
        self, *, user_id: str, symbol: str, timeout_seconds: float | None = None
    ) -> pb.Position:
        """As `Client.get_position`."""
        request = pb.GetPositionRequest(user_id=user_id, symbol=symbol)
        return await self._call(self._stub.GetPosition, request, timeout_seconds)

    async def close(self) -> None:
        """Ends the connection and the calls on it."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return self._description

    async def _call(
        self,
        rpc: "grpc.aio.UnaryUnaryMultiCallable[_Request, _Reply]",
        request: _Request,
        timeout_seconds: float | None,
    ) -> _Reply:
        """Calls until there is an answer, an error that stays, or no time."""
        attempts = Attempts(self._retry, time.monotonic(), self._chance.fraction, timeout_seconds)
        while True:
            attempt_seconds = attempts.attempt_seconds(time.monotonic())
            try:
                return await rpc(request, timeout=attempt_seconds, metadata=self._metadata)
            except grpc.RpcError as failure:
                error = typed_error(failure)
                if error is None:
                    raise
                wait_seconds = attempts.wait_seconds(error, time.monotonic())
                if wait_seconds is None:
                    raise error from failure
            await asyncio.sleep(wait_seconds)
