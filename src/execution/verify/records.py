"""The records of the streams and hashes, each from its JSON."""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from execution.verify.contract import ORDER_TYPES, SIDES, STATUSES
from execution.verify.strict import Fills, Members, Token, members_of

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Za-z0-9._/-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shown:
    """The snapshot that an execution refers to."""

    source: str = ""
    sequence: int = 0
    source_time: str = ""
    best_bid: Fraction | None = None
    best_ask: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """An execution, as the trade stream tells it."""

    order_id: str
    user: str
    symbol: str
    side: str
    price: Fraction
    quantity: Fraction
    pnl: Fraction
    fee: Fraction
    fills: Fills
    trade_id: str
    time_ms: int
    snapshot: Shown


@dataclass(frozen=True, slots=True)
class Report:
    """The state of an order after one write."""

    order_id: str
    user: str
    symbol: str
    side: str
    order_type: str
    status: str
    version: int
    quantity: Fraction
    effective: Fraction
    filled: Fraction
    remaining: Fraction
    price: Fraction | None
    notional: Fraction
    pnl: Fraction
    fee: Fraction
    fills: Fills
    trade_id: str
    reason: str
    message: str
    trigger_price: Fraction | None
    triggered_by_price: Fraction | None
    reduce_only: bool
    received_time: str
    time_ms: int
    snapshot: Shown
    fields: dict[str, Any] = field(repr=False)
    """All of the JSON, for comparing."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected order, as the reject stream tells it."""

    order_id: str
    user: str
    symbol: str
    side: str
    quantity: Fraction
    reason: str
    message: str


def read_trade(text: str) -> Trade:
    """The trade of its JSON. Raises `Malformed`."""
    read = Members(members_of(text))
    snapshot = read.member("snapshot")
    trade = Trade(
        order_id=read.matching("order_id", _ID),
        user=read.matching("user", _ID),
        symbol=read.matching("symbol", _SYMBOL),
        side=read.one_of("side", SIDES),
        price=read.above_zero("price", Token),
        quantity=read.above_zero("qty", Token),
        pnl=read.decimal("pnl", Token),
        fee=read.not_negative("fee", Token),
        fills=read.fills(Token),
        trade_id=read.text("trade_id"),
        time_ms=read.integer("ts"),
        snapshot=_shown(snapshot, Token),
    )
    read.done(snapshot)
    return trade


def read_report(text: str) -> Report:
    """The report of an update or a hash. Raises `Malformed`."""
    fields = members_of(text)
    read = Members(fields)
    snapshot = read.member("snapshot") if "snapshot" in fields else Members({})
    report = Report(
        order_id=read.matching("order_id", _ID),
        user=read.matching("user_id", _ID),
        symbol=read.matching("symbol", _SYMBOL),
        side=read.one_of("direction", SIDES),
        order_type=read.one_of("order_type", ORDER_TYPES),
        status=STATUSES.get(read.one_of("status", STATUSES), ""),
        version=read.integer("version"),
        quantity=read.above_zero("quantity", str),
        effective=read.above_zero("effective_quantity", str),
        filled=read.not_negative("filled_quantity", str),
        remaining=read.not_negative("remaining_quantity", str),
        price=read.optional("average_price", str),
        notional=read.not_negative("notional", str),
        pnl=read.decimal("realized_pnl", str),
        fee=read.not_negative("fee", str),
        fills=read.fills(str) if "fills" in fields else (),
        trade_id=read.text("trade_id", optional=True),
        reason=read.text("reason", optional=True),
        message=read.text("message", optional=True),
        trigger_price=read.optional("trigger_price", str),
        triggered_by_price=read.optional("triggered_by_price", str),
        reduce_only=read.flag("reduce_only"),
        received_time=read.text("received_time", optional=True),
        time_ms=read.time_ms("transact_time"),
        snapshot=_shown(snapshot, str),
        fields=fields,
    )
    read.done(snapshot)
    return report


def read_rejection(text: str) -> Rejection:
    """The rejection of its JSON. Raises `Malformed`."""
    read = Members(members_of(text))
    rejection = Rejection(
        order_id=read.matching("order_id", _ID),
        user=read.matching("user", _ID),
        symbol=read.matching("symbol", _SYMBOL),
        side=read.one_of("side", SIDES),
        quantity=read.above_zero("qty", Token),
        reason=read.text("reason"),
        message=read.text("message", optional=True),
    )
    read.done()
    return rejection


def _shown(read: Members, kind: type[str]) -> Shown:
    return Shown(
        source=read.text("source", optional=True),
        sequence=read.integer("sequence", optional=True),
        source_time=read.text("source_time", optional=True),
        best_bid=read.optional("best_bid", kind),
        best_ask=read.optional("best_ask", kind),
    )
