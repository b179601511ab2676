"""The client for threads."""

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
from execution.client.watching import OrderWatch, Progress
from execution.model import TimeInForce
from execution.v1 import execution_pb2 as pb
from execution.v1.execution_pb2_grpc import ExecutionServiceStub

_Request = TypeVar("_Request", bound=Message)
_Reply = TypeVar("_Reply", bound=Message)


class Client:
    """A connection to execution-service, for any number of threads at once.

    `target` is HOST:PORT or unix:PATH. Nothing is sent before the first call.
    `token` travels with every call: use TLS wherever others can listen.

    >>> with Client("127.0.0.1:50051") as client:
    ...     print(client)
    <Client '127.0.0.1:50051', plain text>

    Every method takes `timeout_seconds` for the call as a whole, attempts and
    waits included; None is what `retry` says. Every method raises
    `execution.errors.ExecutionError`: `InvalidArgument` at once, `Unavailable`,
    `DeadlineExceeded` and `Overloaded` once the time is up. A status that the
    service never gives is raised as it came, as `grpc.RpcError`.
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
            grpc.insecure_channel(target, CHANNEL_OPTIONS)
            if tls is None
            else grpc.secure_channel(target, tls.channel_credentials(), tls.channel_options())
        )
        self._stub = ExecutionServiceStub(self._channel)

    def execute_market_order(
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
        """Executes an order now, once, however often the call has to be repeated.

        The fields are those of `OrderRequest`. `order_id` None: a UUIDv7 is
        made; give one of your own to be able to repeat the call after a crash.
        Ends FILLED, PARTIAL or, with a `reason`, REJECTED. If the call fails,
        the error's `metadata["order_id"]` names the order: what became of it is
        answered by the same call with the same id, or by `get_order`.

        Raises `TypeError` for a float, `ValueError` for a number without plain
        decimal text; `OrderIdReused` for an id that another order has.

        ::

            client.execute_market_order(
                user_id="alice", symbol="BTC-USDT", direction="SELL", quantity="0.5",
                limit_price=Decimal("61750"), time_in_force="FOK",
            )
        """
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
            return self._call(self._stub.ExecuteMarketOrder, request, timeout_seconds)

    def execute_sl_order(
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
        """Leaves a stop-loss order with the service; without a trigger price it executes now.

        Ends UNTRIGGERED, durable, or as it was executed if its trigger is crossed
        already. Repeated under its id as `execute_market_order`: the answer is the
        order's present state. `expire_time` has a time zone. Raises as that does.

        ::

            client.execute_sl_order(
                user_id="alice", symbol="BTC-USDT", direction="SELL", quantity="0.5",
                trigger_price="59000", reduce_only=True,
            )
        """
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
            return self._call(self._stub.ExecuteSLOrder, request, timeout_seconds)

    def cancel_order(
        self, *, order_id: str, user_id: str, timeout_seconds: float | None = None
    ) -> pb.ExecutionReport:
        """Cancels an order that rests; to cancel it again is the same answer, not an error.

        Raises `TooLate`, whose `report` is what the order has become, and
        `OrderNotFound`.
        """
        request = pb.CancelOrderRequest(order_id=order_id, user_id=user_id)
        with naming_order(order_id):
            return self._call(self._stub.CancelOrder, request, timeout_seconds)

    def modify_order(
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
        """Gives an order that rests untriggered these terms; None leaves one as it is.

        Raises `TooLate`, whose `report` is what the order has become,
        `VersionMismatch` if it is not at `expected_version`, and `OrderNotFound`.

        What it sets is absolute, so to repeat a call whose answer was lost leaves
        the same terms, at one version more. Where others may change the order, too,
        give `expected_version`: then no change of theirs is overwritten. After a
        lost answer `VersionMismatch` may tell of this call's own change, and
        `TooLate` of its own execution: the error's `report` is what holds.
        """
        request = modify_request(
            order_id=order_id,
            user_id=user_id,
            trigger_price=trigger_price,
            quantity=quantity,
            limit_price=limit_price,
            expected_version=expected_version,
        )
        with naming_order(order_id):
            return self._call(self._stub.ModifyOrder, request, timeout_seconds)

    def watch_orders(
        self,
        *,
        user_id: str,
        order_ids: Iterable[str] = (),
        resume_token: str = "",
        timeout_seconds: float | None = None,
    ) -> OrderWatch:
        """Every status change of a user's orders, or of these, from now or after the token.

        The watch goes on by itself where a connection was cut, without gap or
        double, and gives up when it could not for `timeout_seconds` (None: as
        `retry` says). Its `token`, and the `resume_token` of every report, is where
        another watch can go on. Raises `ResumeTokenGone` where that is no more.

        ::

            with client.watch_orders(user_id="alice") as watch:  # it stands
                client.execute_market_order(...)
                for report in watch:
                    print(report.order_id, OrderStatus(report.status).name)
        """
        progress = Progress(
            user_id, order_ids, resume_token, self._retry, self._chance.fraction, timeout_seconds
        )
        return OrderWatch(
            lambda request: self._stub.WatchOrders(request, metadata=self._metadata), progress
        )

    def get_order(
        self, *, order_id: str, user_id: str, timeout_seconds: float | None = None
    ) -> pb.ExecutionReport:
        """The present state of an order. Raises `OrderNotFound`."""
        request = pb.GetOrderRequest(order_id=order_id, user_id=user_id)
        with naming_order(order_id):
            return self._call(self._stub.GetOrder, request, timeout_seconds)

    def get_position(
        self, *, user_id: str, symbol: str, timeout_seconds: float | None = None
    ) -> pb.Position:
        """What is committed for a user in a symbol; quantity "0", version 0 if nothing is."""
        request = pb.GetPositionRequest(user_id=user_id, symbol=symbol)
        return self._call(self._stub.GetPosition, request, timeout_seconds)

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._description

    def _call(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[_Request, _Reply]",
        request: _Request,
        timeout_seconds: float | None,
    ) -> _Reply:
        """Calls until there is an answer, an error that stays, or no time."""
        attempts = Attempts(self._retry, time.monotonic(), self._chance.fraction, timeout_seconds)
        while True:
            attempt_seconds = attempts.attempt_seconds(time.monotonic())
            try:
                return rpc(request, timeout=attempt_seconds, metadata=self._metadata)
            except grpc.RpcError as failure:
                error = typed_error(failure)
                if error is None:
                    raise
                wait_seconds = attempts.wait_seconds(error, time.monotonic())
                if wait_seconds is None:
                    raise error from failure
            time.sleep(wait_seconds)
