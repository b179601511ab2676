"""One execution by itself: do its fills, walked again, come to what it says?

Source: SEMANTICS, Numbers, Market orders, Reduce-only and Lifecycle.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as fields_of
from fractions import Fraction
from itertools import pairwise
from typing import Final

from execution.verify.contract import EXECUTED, HASH_FIELDS, REASONS_OF, trade_id
from execution.verify.exact import (
    AVERAGE_DIGITS_MAX,
    AVERAGE_EXTRA_DIGITS,
    digits,
    is_rounded,
    number,
    text,
)
from execution.verify.findings import Name, Problem, quoted
from execution.verify.records import Report, Shown, Trade
from execution.verify.strict import Fills

_BPS: Final = 10_000
_SNAPSHOT: Final = fields_of(Shown)
_PAYLOAD_PARTS: Final = 13
_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class Bound:
    """What the order itself asked for; None and "" where nothing is known of it."""

    limit: Fraction | None = None
    slippage_bps: Fraction | None = None
    time_in_force: str = ""


def notional_of(fills: Fills) -> Fraction:
    """Exactly what the fills cost."""
    return sum((price * quantity for price, quantity in fills), Fraction(0))


def price_digits(fills: Fills) -> int:
    """The price scale is at least this."""
    return max((digits(price) for price, _ in fills), default=0)


def money_digits(fills: Fills) -> int:
    """The price scale and the quantity scale are at least this together."""
    return price_digits(fills) + max((digits(quantity) for _, quantity in fills), default=0)


def shown(value: object) -> str:
    """A value for people."""
    if isinstance(value, Fraction):
        return text(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{text(price)} x {text(taken)}" for price, taken in value[:5]) + "]"
    return quoted(value)


def walk_problems(
    side: str, price: Fraction | None, quantity: Fraction, fills: Fills, snapshot: Shown
) -> Iterator[Problem]:
    """What is wrong with fills that are said to come to this quantity and average price."""
    filled = sum((taken for _, taken in fills), Fraction(0))
    if filled != quantity:
        yield (
            Name.FILLS_DO_NOT_SUM,
            f"its fills add up to {text(filled)}, not to {text(quantity)}",
        )
    if price is not None and filled:
        average = notional_of(fills) / filled
        digits_min = price_digits(fills) + AVERAGE_EXTRA_DIGITS
        if not is_rounded(price, average, digits_min, AVERAGE_DIGITS_MAX):
            yield (
                Name.AVERAGE_PRICE,
                f"its price is {text(price)}, its fills average {text(average)}",
            )
    best = snapshot.best_ask if side == "BUY" else snapshot.best_bid
    prices = [price for price, _ in fills]
    walked = prices if best is None else [best, *prices]
    turns_back = operator.lt if side == "SELL" else operator.gt
    if any(turns_back(earlier, later) for earlier, later in pairwise(walked)):
        yield Name.FILL_ORDER, f"a {side} that walks {_listed(walked)}"


def bound_problems(report: Report, bound: Bound) -> Iterator[Problem]:
    """Fills beyond what the order allowed."""
    buying = report.side == "BUY"
    best = report.snapshot.best_ask if buying else report.snapshot.best_bid
    limits = [] if bound.limit is None else [bound.limit]
    if bound.slippage_bps is not None and best is not None:
        slipped = _BPS + bound.slippage_bps if buying else _BPS - bound.slippage_bps
        limits.append(best * slipped / _BPS)
    for price, _ in report.fills:
        if any(price > limit if buying else price < limit for limit in limits):
            worst = min(limits) if buying else max(limits)
            yield Name.FILL_ORDER, f"a {report.side} bound to {text(worst)} took {text(price)}"
            return
    if bound.time_in_force == "FOK" and report.status == "PARTIAL":
        yield Name.REPORT, "a fill-or-kill order was filled in part"


def fee_problems(fee: Fraction, fills: Fills, bps: Fraction | None) -> Iterator[Problem]:
    """A fee that is not its rate's; without a rate there is nothing to say."""
    if bps is None:
        return
    due = notional_of(fills) * bps / _BPS
    digits_min = price_digits(fills) + AVERAGE_EXTRA_DIGITS
    if not is_rounded(fee, due, digits_min, AVERAGE_DIGITS_MAX):
        yield Name.FEE, f"its fee is {text(fee)}; {text(bps)} bps are {text(due)}"


def report_problems(report: Report, fee_bps: Fraction | None) -> Iterator[Problem]:
    """Where a report contradicts itself."""
    yield from walk_problems(
        report.side, report.price, report.filled, report.fills, report.snapshot
    )
    notional = notional_of(report.fills)
    if report.notional != notional:
        said, is_ = text(report.notional), text(notional)
        yield Name.NOTIONAL, f"its notional is {said}; its fills come to {is_}"
    if report.fills:
        yield from fee_problems(report.fee, report.fills, fee_bps)
    yield from _quantity_problems(report)
    yield from _status_problems(report)
    yield from _trigger_problems(report)


def trade_problems(trade: Trade, fee_bps: Fraction | None) -> Iterator[Problem]:
    """Where a trade contradicts itself."""
    yield from walk_problems(trade.side, trade.price, trade.quantity, trade.fills, trade.snapshot)
    yield from fee_problems(trade.fee, trade.fills, fee_bps)
    if trade.trade_id != trade_id(trade.user, trade.order_id):
        yield Name.TRADE_ID, f"its id is {quoted(trade.trade_id)}, not that of user and order id"


def mismatch_problems(trade: Trade, report: Report) -> Iterator[Problem]:
    """Where a trade differs from the report of its order."""
    if report.status not in EXECUTED:
        yield Name.TRADE_MISMATCH, f"its order is {report.status}"
    pairs: tuple[tuple[Name, str, object, object], ...] = (
        (Name.TRADE_MISMATCH, "user", trade.user, report.user),
        (Name.TRADE_MISMATCH, "symbol", trade.symbol, report.symbol),
        (Name.TRADE_MISMATCH, "side", trade.side, report.side),
        (Name.TRADE_MISMATCH, "price", trade.price, report.price),
        (Name.TRADE_MISMATCH, "qty", trade.quantity, report.filled),
        (Name.PNL, "pnl", trade.pnl, report.pnl),
        (Name.FEE, "fee", trade.fee, report.fee),
        (Name.TRADE_MISMATCH, "fills", trade.fills, report.fills),
        (Name.TRADE_MISMATCH, "trade_id", trade.trade_id, report.trade_id),
        (Name.TRADE_MISMATCH, "ts", trade.time_ms, report.time_ms),
        *(
            (
                Name.TRADE_MISMATCH,
                f"snapshot.{member.name}",
                getattr(trade.snapshot, member.name),
                getattr(report.snapshot, member.name),
            )
            for member in _SNAPSHOT
        ),
    )
    for name, member, said, told in pairs:
        if said != told:
            yield name, f"its {member} is {shown(said)}; the report says {shown(told)}"


def flat_problems(trade: Trade, flat: dict[str, str], timestamp: str) -> Iterator[Problem]:
    """Where the flat fields of an entry differ from its trade."""
    if flat["symbol"] != trade.symbol:
        yield Name.FLAT_FIELDS, f"symbol is {quoted(flat['symbol'])}, not {trade.symbol}"
    for name, value in (("price", trade.price), ("quantity", trade.quantity)):
        if number(flat[name]) != value:
            yield Name.FLAT_FIELDS, f"{name} is {quoted(flat[name])}, not {text(value)}"
    if flat["timestamp"] != timestamp:
        yield Name.FLAT_FIELDS, f"timestamp is {quoted(flat['timestamp'])}, not {timestamp}"


def hash_problems(fields: dict[str, str], report: Report) -> Iterator[Problem]:
    """Where the flat fields of an order's hash differ from the report beside them."""
    told = {flat: report.fields.get(name, "") for flat, name in HASH_FIELDS.items()}
    told |= {"version": str(report.version), "ts": str(report.time_ms)}
    for name, value in told.items():
        if fields[name] != value:
            yield (
                Name.ORDER_HASH,
                f"{name} is {quoted(fields[name])}; its report says {quoted(value)}",
            )
    parts = fields["payload"].split(_SEPARATOR)
    if len(parts) >= _PAYLOAD_PARTS:
        wanted = [report.order_type, report.user, report.symbol, report.side]
        if parts[:4] != wanted:
            yield Name.ORDER_HASH, f"payload is {quoted(fields['payload'])}, of another order"


def bound_of(payload: str) -> Bound:
    """What a stored payload tells of the order's bounds; nothing if it is of another form."""
    parts = payload.split(_SEPARATOR)
    if len(parts) < _PAYLOAD_PARTS:
        return Bound()
    return Bound(number(parts[7]), number(parts[8]), parts[6])


def _quantity_problems(report: Report) -> Iterator[Problem]:
    if report.remaining != report.effective - report.filled:
        yield Name.REPORT, "its remaining quantity is not effective - filled"
    if report.effective > report.quantity:
        yield Name.REPORT, "its effective quantity is above its quantity"
    if report.effective < report.quantity and not report.reduce_only:
        yield Name.REPORT, "its effective quantity is below its quantity; it is not reduce-only"


def _status_problems(report: Report) -> Iterator[Problem]:
    executed = report.status in EXECUTED
    if executed != bool(report.fills):
        yield Name.REPORT, f"it is {report.status} with {len(report.fills)} fills"
    if executed and (report.status == "FILLED") != (report.remaining == 0):
        yield Name.REPORT, f"it is {report.status} with {text(report.remaining)} remaining"
    if executed != (report.price is not None):
        yield Name.REPORT, f"it is {report.status} with average price {shown(report.price)}"
    if not executed and (report.fee or report.pnl):
        yield Name.REPORT, f"it is {report.status} with a fee or a PnL"
    expected = trade_id(report.user, report.order_id) if executed else ""
    if report.trade_id != expected:
        yield Name.TRADE_ID, f"its trade id is {quoted(report.trade_id)}, not {quoted(expected)}"
    if report.status == "REJECTED" and not report.reason:
        yield Name.REPORT, "it is REJECTED without a reason"
    reasons = REASONS_OF.get(report.status)
    if reasons is not None and report.reason not in reasons:
        yield Name.REPORT, f"it is {report.status} by reason {quoted(report.reason)}"
    capped = report.effective < report.quantity
    if report.status == "FILLED" and capped != (report.reason == "REDUCE_ONLY_CAPPED"):
        yield Name.REPORT, f"its effective quantity is {text(report.effective)} without a reason"


def _trigger_problems(report: Report) -> Iterator[Problem]:
    trigger, by = report.trigger_price, report.triggered_by_price
    if trigger is None or by is None:
        return
    if by < trigger if report.side == "BUY" else by > trigger:
        yield (
            Name.REPORT,
            f"a {report.side} stop at {text(trigger)} was triggered by {text(by)}",
        )


def _listed(prices: list[Fraction]) -> str:
    shown = ", ".join(text(price) for price in prices[:5])
    return shown + (", ..." if len(prices) > 5 else "")
