"""Requests to the model: strict and complete, every bad field is named at once.

Source: SEMANTICS, Errors. The opposite way is in `messages`.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from execution.decimals import canonical
from execution.errors import FieldViolation, InvalidArgument
from execution.model import Direction, Order, OrderType, TimeInForce, TriggerBy
from execution.server.statuses import not_protobuf
from execution.stop_orders import Modification
from execution.v1 import execution_pb2 as pb

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Za-z0-9._/-]{1,32}", re.ASCII)
_ID_RULE: Final = "must match [A-Za-z0-9._-]{1,64}"
_SYMBOL_RULE: Final = "must match [A-Za-z0-9._/-]{1,32}"

_TOKEN: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
_UINT64_MAX: Final = 2**64 - 1
_NS_PER_SECOND: Final = 1_000_000_000
_SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999: a Timestamp's limit."""

WATCHED_IDS_MAX: Final = 1_000
"""Orders that one watch may name."""

_Enum = TypeVar("_Enum", Direction, OrderType, TimeInForce, TriggerBy)


class _Reader:
    """Collects what is wrong with one request."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def bad(self, field: str, description: str) -> None:
        self.violations.append(FieldViolation(field, description))

    def matching(self, field: str, text: str, pattern: re.Pattern[str], rule: str) -> str:
        if not pattern.fullmatch(text):
            self.bad(field, "is empty" if not text else rule)
        return text

    def decimal(self, field: str, text: str) -> str:
        """Canonical text of a decimal above zero."""
        if not text:
            self.bad(field, "is empty; send decimal text above zero such as 0.125")
            return text
        try:
            text = canonical(text)
        except ValueError as error:
            self.bad(field, str(error))
            return text
        if text == "0":
            self.bad(field, "must be above zero")
        return text

    def optional_decimal(self, field: str, text: str, present: bool) -> str | None:
        return self.decimal(field, text) if present else None

    def order_key(
        self, request: pb.GetOrderRequest | pb.CancelOrderRequest | pb.ModifyOrderRequest
    ) -> tuple[str, str]:
        return (
            self.matching("order_id", request.order_id, _ID, _ID_RULE),
            self.matching("user_id", request.user_id, _ID, _ID_RULE),
        )

    def time_ns(self, field: str, time: Timestamp) -> int:
        """Nanoseconds since the epoch."""
        if not (0 <= time.seconds <= _SECONDS_MAX and 0 <= time.nanos < _NS_PER_SECOND):
            self.bad(field, "is no time between the years 1970 and 9999")
        return time.seconds * _NS_PER_SECOND + time.nanos

    def enum(self, field: str, number: int, kind: type[_Enum], default: _Enum | None) -> _Enum:
        if number == 0 and default is not None:
            return default
        try:
            return kind(number)
        except ValueError:
            names = ", ".join(member.name for member in kind)
            self.bad(field, f"is {number}; must be one of {names}")
            return next(iter(kind))

    def done(self) -> None:
        if self.violations:
            raise InvalidArgument(self.violations)


def read(
    data: bytes,
    order_type: OrderType | None,
    received_time_ns: int,
    new_order_id: Callable[[], str],
) -> Order:
    """The order of a serialised OrderRequest; `order_type` None: its own field says.

    The long way, for what `_order.read_order` finds unusual. Raises `InvalidArgument`.
    """
    try:
        request = pb.OrderRequest.FromString(data)
    except DecodeError as error:
        raise not_protobuf(pb.OrderRequest.DESCRIPTOR.full_name) from error
    return order_of(request, order_type, received_time_ns, new_order_id)


def order_of(
    request: pb.OrderRequest,
    order_type: OrderType | None,
    received_time_ns: int,
    new_order_id: Callable[[], str],
) -> Order:
    """The order a request asks for. Raises `InvalidArgument`.

    `order_type` of the request is read only where the argument is None (the
    rpcs for one order say it themselves); an empty order id is replaced by a
    new one.
    """
    read = _Reader()
    if order_type is None:
        order_type = read.enum("order_type", request.order_type, OrderType, OrderType.MARKET)
    if request.order_id:
        read.matching("order_id", request.order_id, _ID, _ID_RULE)
    _refuse_stop_fields(read, request, order_type)
    stop = _present(request)
    order = Order(
        order_id=request.order_id,
        user_id=read.matching("user_id", request.user_id, _ID, _ID_RULE),
        symbol=read.matching("symbol", request.symbol, _SYMBOL, _SYMBOL_RULE),
        direction=read.enum("direction", request.direction, Direction, None),
        quantity=read.decimal("quantity", request.quantity),
        order_type=order_type,
        reduce_only=request.reduce_only,
        time_in_force=read.enum(
            "time_in_force", request.time_in_force, TimeInForce, TimeInForce.IOC
        ),
        limit_price=read.optional_decimal(
            "limit_price", request.limit_price, request.HasField("limit_price")
        ),
        max_slippage_bps=(
            request.max_slippage_bps if request.HasField("max_slippage_bps") else None
        ),
        trigger_price=read.optional_decimal(
            "trigger_price", request.trigger_price, request.HasField("trigger_price")
        ),
        trigger_by=read.enum("trigger_by", request.trigger_by, TriggerBy, TriggerBy.BID_ASK),
        reject_if_triggered=request.reject_if_triggered,
        expire_time_ns=(
            read.time_ns("expire_time", request.expire_time) if stop["expire_time"] else None
        ),
        received_time_ns=received_time_ns,
    )
    past = order.expire_time_ns is not None and order.expire_time_ns <= received_time_ns
    if read.violations and past:
        # Alone it is no error here: a retry of an order that has expired is answered.
        read.bad("expire_time", "is past")
    read.done()
    return order if order.order_id else replace(order, order_id=new_order_id())


def _present(request: pb.OrderRequest) -> dict[str, bool]:
    """Which of the fields that belong to stop-loss orders are set."""
    return {
        "trigger_price": request.HasField("trigger_price"),
        "trigger_by": bool(request.trigger_by),
        "reject_if_triggered": request.reject_if_triggered,
        "expire_time": request.HasField("expire_time"),
    }


def _refuse_stop_fields(read: _Reader, request: pb.OrderRequest, order_type: OrderType) -> None:
    stop = _present(request)
    if order_type is OrderType.SL and stop["trigger_price"]:
        return
    rule = "applies to stop-loss orders only"
    if order_type is OrderType.SL:
        rule = "applies only with a trigger_price; without one the order executes now"
    for field, present in stop.items():
        if present:
            read.bad(field, rule)


def order_key(request: pb.GetOrderRequest | pb.CancelOrderRequest) -> tuple[str, str]:
    """(order_id, user_id) of a request about one order. Raises `InvalidArgument`."""
    read = _Reader()
    key = read.order_key(request)
    read.done()
    return key


def modification(request: pb.ModifyOrderRequest) -> tuple[str, str, Modification]:
    """(order_id, user_id, change) of a request. Raises `InvalidArgument`."""
    read = _Reader()
    order_id, user_id = read.order_key(request)
    change = Modification(
        trigger_price=read.optional_decimal(
            "trigger_price", request.trigger_price, request.HasField("trigger_price")
        ),
        quantity=read.optional_decimal("quantity", request.quantity, request.HasField("quantity")),
        limit_price=read.optional_decimal(
            "limit_price", request.limit_price, request.HasField("limit_price")
        ),
        expected_version=(
            request.expected_version if request.HasField("expected_version") else None
        ),
    )
    if not (
        request.HasField("trigger_price")
        or request.HasField("quantity")
        or request.HasField("limit_price")
    ):
        for field in ("trigger_price", "quantity", "limit_price"):
            read.bad(field, "is absent: one of trigger_price, quantity, limit_price must change")
    read.done()
    return order_id, user_id, change


def watch_terms(request: pb.WatchOrdersRequest) -> tuple[str, frozenset[str], str | None]:
    """(user_id, order_ids, resume token) of a request. Raises `InvalidArgument`.

    No order ids: all orders of the user. No token: from now.
    """
    read = _Reader()
    user_id = read.matching("user_id", request.user_id, _ID, _ID_RULE)
    if len(request.order_ids) > WATCHED_IDS_MAX:
        read.bad("order_ids", f"are {len(request.order_ids)}; name at most {WATCHED_IDS_MAX}")
    elif not all(map(_ID.fullmatch, request.order_ids)):
        read.bad("order_ids", _ID_RULE)
    token = request.resume_token
    if token and not (_TOKEN.fullmatch(token) and max(map(int, token.split("-"))) <= _UINT64_MAX):
        read.bad("resume_token", "is none; pass back the resume_token of a report")
    read.done()
    return user_id, frozenset(request.order_ids), token or None


def position_key(request: pb.GetPositionRequest) -> tuple[str, str]:
    """(user_id, symbol) of a request about one position. Raises `InvalidArgument`."""
    read = _Reader()
    read.matching("user_id", request.user_id, _ID, _ID_RULE)
    read.matching("symbol", request.symbol, _SYMBOL, _SYMBOL_RULE)
    read.done()
    return request.user_id, request.symbol
