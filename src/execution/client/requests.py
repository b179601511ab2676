"""What a caller says, as the message that is sent.

Only what the wire cannot carry is refused here; whether an order makes sense is
the service's to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from execution.errors import ExecutionError
from execution.model import Direction, TimeInForce, TriggerBy
from execution.v1 import execution_pb2 as pb

Number: TypeAlias = str | Decimal | int
"""A price or a quantity: decimal text, or a type that holds decimals exactly."""

DirectionLike: TypeAlias = Direction | Literal["BUY", "SELL"]
TimeInForceLike: TypeAlias = TimeInForce | Literal["IOC", "FOK"]

TriggerByLike: TypeAlias = TriggerBy | Literal["BID_ASK", "LAST", "MARK"]

_DIGITS_MAX: Final = 64
"""The service reads no longer text; what Decimal writes as 1E+999999 is longer."""

_Enum = TypeVar("_Enum", bound=IntEnum)


class MarketFields(TypedDict):
    """The arguments of `market_order_request`."""

    order_id: str
    user_id: str
    symbol: str
    direction: DirectionLike
    quantity: Number
    reduce_only: bool
    limit_price: Number | None
    max_slippage_bps: int | None
    time_in_force: TimeInForceLike


def market_order_request(
    *,
    order_id: str,
    user_id: str,
    symbol: str,
    direction: DirectionLike,
    quantity: Number,
    reduce_only: bool,
    limit_price: Number | None,
    max_slippage_bps: int | None,
    time_in_force: TimeInForceLike,
) -> pb.OrderRequest:
    """The message of a market order; absent fields stay absent.

    Raises `TypeError` for a number that is not exact, `ValueError` for one that
    has no plain decimal text and for an enum's name that does not exist.
    """
    return pb.OrderRequest(
        order_id=order_id,
        user_id=user_id,
        symbol=symbol,
        direction=pb.Direction.ValueType(_member(Direction, "direction", direction)),
        quantity=decimal_text("quantity", quantity),
        reduce_only=reduce_only,
        limit_price=None if limit_price is None else decimal_text("limit_price", limit_price),
        max_slippage_bps=max_slippage_bps,
        time_in_force=pb.TimeInForce.ValueType(
            _member(TimeInForce, "time_in_force", time_in_force)
        ),
    )


def sl_order_request(
    *,
    trigger_price: Number | None,
    trigger_by: TriggerByLike | None,
    reject_if_triggered: bool,
    expire_time: datetime | None,
    **market_fields: Unpack[MarketFields],
) -> pb.OrderRequest:
    """The message of a stop-loss order; as `market_order_request`, and what stops add.

    Raises `ValueError` for a time without a time zone, too.
    """
    request = market_order_request(**market_fields)
    if trigger_price is not None:
        request.trigger_price = decimal_text("trigger_price", trigger_price)
    if trigger_by is not None:
        member = _member(TriggerBy, "trigger_by", trigger_by)
        request.trigger_by = pb.TriggerBy.ValueType(member)
    request.reject_if_triggered = reject_if_triggered
    if expire_time is not None:
        if expire_time.tzinfo is None:
            raise ValueError("expire_time: has no time zone; datetime.now(UTC) has one")
        request.expire_time.FromDatetime(expire_time)
    return request


def modify_request(
    *,
    order_id: str,
    user_id: str,
    trigger_price: Number | None,
    quantity: Number | None,
    limit_price: Number | None,
    expected_version: int | None,
) -> pb.ModifyOrderRequest:
    """The message of a modify; absent fields stay absent. Raises as `market_order_request`."""
    texts = {
        field: decimal_text(field, value)
        for field, value in (
            ("trigger_price", trigger_price),
            ("quantity", quantity),
            ("limit_price", limit_price),
        )
        if value is not None
    }
    return pb.ModifyOrderRequest(
        order_id=order_id, user_id=user_id, expected_version=expected_version, **texts
    )


def decimal_text(field: str, value: Number) -> str:
    """The plain decimal text of an exact number; text goes as it is.

    >>> decimal_text("quantity", Decimal("1.5E-3")), decimal_text("quantity", 2)
    ('0.0015', '2')
    >>> decimal_text("quantity", 0.1)
    Traceback (most recent call last):
    TypeError: quantity: a float is not exact (0.1 is 0.1000000000000000055511...); send '0.1' or Decimal('0.1')
    """  # noqa: E501 - the message is one line
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return _plain(field, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _plain(field, Decimal(value))
    raise _wrong_type(field, value)


@contextmanager
def naming_order(order_id: str) -> Iterator[None]:
    """Puts the order's id into the metadata of the error that leaves the block."""
    try:
        yield
    except ExecutionError as error:
        error.metadata = {**error.metadata, "order_id": order_id}
        raise


def _plain(field: str, value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{field}: {value} is no finite number")
    before_point, digits = value.adjusted() + 1, len(value.as_tuple().digits)
    if max(digits, before_point, digits - before_point) > _DIGITS_MAX:
        raise ValueError(f"{field}: has more than {_DIGITS_MAX} digits")
    return format(value, "f")


def _wrong_type(field: str, value: object) -> TypeError:
    if isinstance(value, float):
        return TypeError(
            f"{field}: a float is not exact ({value!r} is {str(Decimal(value))[:24]}...);"
            f" send '{value!r}' or Decimal('{value!r}')"
        )
    return TypeError(f"{field}: must be str, Decimal or int, not {type(value).__name__}")


def _member(kind: type[_Enum], field: str, value: _Enum | str) -> _Enum:
    """The member that `value` is, equals or names."""
    try:
        return kind[value] if isinstance(value, str) else kind(value)
    except (KeyError, ValueError):
        names = ", ".join(member.name for member in kind)
        raise ValueError(f"{field}: {value!r} is not one of {names}") from None
