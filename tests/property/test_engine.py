"""The engine against exact fractions: every field of every report, on random everything.

The expected report is worked out from SEMANTICS in fractions and decimal text,
over the walk of the oracle; it shares no arithmetic with the engine.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from uuid import UUID, uuid5

import numpy as np
import oracle
from builders import BUY, SELL, order
from hypothesis import event, given, settings
from hypothesis import strategies as st

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, canonical
from execution.engine import Execution, execute
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    Order,
    OrderStatus,
    Position,
    Quote,
    Reason,
    SnapshotRef,
    SymbolSpec,
    TimeInForce,
    Unusable,
)
from execution.settlement import FeeRate

INT64_MAX = 2**63 - 1
NAMESPACE = UUID("6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90")
REF = SnapshotRef("test", 5, 6, "1", "2")


@dataclass(frozen=True)
class Case:
    """One order, the side it meets (shown and left), its position, the fee."""

    order: Order
    spec: SymbolSpec
    prices: list[int]
    shown: list[int]
    left: list[int]
    position: Position
    fee_bps: str
    usable: bool

    @property
    def market(self) -> Quote | Unusable:
        if not self.usable:
            return Unusable(self.spec, Reason.BAD_BOOK, "crossed", REF)
        return Quote(
            self.spec,
            REF,
            np.array(self.prices, np.int64),
            np.array(self.left, np.int64),
            self.prices[0] if self.prices else None,
        )

    def run(self) -> Execution:
        fee = FeeRate.from_bps(self.fee_bps)
        return execute(self.order, self.market, self.position, fee, now_ns=11)


def text(value: Fraction) -> str:
    """Exact plain decimal text of a fraction that has one; at most 60 digits after the point."""
    scaled = value * 10**60
    assert scaled.denominator == 1, value
    digits = str(abs(scaled.numerator)).rjust(61, "0")
    whole, rest = digits[:-60], digits[-60:].rstrip("0")
    return ("-" if value < 0 else "") + (f"{whole}.{rest}" if rest else whole)


def rounded(value: Fraction, digits: int) -> Fraction:
    return Fraction(round(value * 10**digits), 10**digits)


SCALES = st.sampled_from([0, 1, 2, 8])
SMALL, LARGE = st.integers(1, 30), st.integers(1, INT64_MAX)
POSITIVE = SMALL | SMALL | LARGE
FILTERS = st.none() | st.integers(1, 40)


@st.composite
def specs(draw: st.DrawFn) -> SymbolSpec:
    """Scales, and now and then filters a few units of the symbol's scale wide."""
    spec = SymbolSpec("BTC-USDT", draw(SCALES), draw(SCALES))
    if draw(st.integers(0, 3)):
        return spec
    unit = 10 ** (QUANTITY_DECIMALS - spec.quantity_decimals)
    step, least, most, notional = (draw(FILTERS) for _ in range(4))
    return replace(
        spec,
        quantity_step=step and min(step, 3) * unit,
        min_quantity=least and least * unit,
        max_quantity=most and most * unit,
        min_notional=notional and notional * 10**MONEY_DECIMALS,
    )


SELDOM = st.sampled_from([False, False, False, True])


@st.composite
def orders(draw: st.DrawFn, spec: SymbolSpec, prices: list[int], left: list[int]) -> Order:
    """Orders that often end, or stop, exactly on the edge of a level."""
    edges = {total + off for total in accumulate(left) for off in (-1, 0, 1)}
    edges = {edge for edge in edges if 0 < edge <= INT64_MAX}
    quantities = st.sampled_from(sorted(edges)) | POSITIVE if edges else POSITIVE
    limits = st.sampled_from(prices) | POSITIVE if prices else POSITIVE
    limit = draw(st.none() | limits)
    bps = [0, 1, 500, 5_000, 9_999, 10_000, 10_001, 2**32 - 1]
    return order(
        draw(st.sampled_from(Direction)),
        text(Fraction(draw(quantities), 10**spec.quantity_decimals)),
        reduce_only=draw(SELDOM),
        time_in_force=TimeInForce.FOK if draw(SELDOM) else TimeInForce.IOC,
        limit_price=None if limit is None else text(Fraction(limit, 10**spec.price_decimals)),
        max_slippage_bps=draw(st.none() | st.sampled_from(bps)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    spec = draw(specs())
    size = 0 if draw(SELDOM) and draw(SELDOM) else draw(st.integers(1, 6))
    one_level = st.tuples(POSITIVE, POSITIVE | POSITIVE | st.just(0))
    levels = draw(st.lists(one_level, min_size=size, max_size=size))
    shown = [quantity for _, quantity in levels]
    left = [draw(st.sampled_from([all_, all_, all_ // 2, 0])) for all_ in shown]
    asked = draw(orders(spec, [price for price, _ in levels], left))
    prices = sorted((price for price, _ in levels), reverse=asked.direction is SELL)
    held = draw(st.integers(-40, 40) | st.integers(-INT64_MAX, INT64_MAX))
    cost = draw(st.integers(0, 10_000)) if held else 0
    position = Position(
        "ann",
        "BTC-USDT",
        quantity=held * 10 ** (QUANTITY_DECIMALS - spec.quantity_decimals),
        entry_cost=cost * 10 ** (MONEY_DECIMALS - spec.price_decimals - spec.quantity_decimals),
        version=3,
    )
    fee_bps = draw(st.sampled_from(["0", "2.5", "0.000015", "10000"]))
    unusable = draw(SELDOM) and draw(SELDOM)
    return Case(asked, spec, prices, shown, left, position, fee_bps, usable=not unusable)


@dataclass(frozen=True)
class Wanted:
    """The case in fractions."""

    quantity: Fraction
    reducible: Fraction
    levels: list[tuple[Fraction, Fraction]]
    bound: Fraction | None

    @property
    def best(self) -> Fraction | None:
        return self.levels[0][0] if self.levels else None


def wanted(case: Case) -> Wanted:
    quantity = Fraction(case.order.quantity)
    held = Fraction(case.position.quantity, 10**QUANTITY_DECIMALS)
    buying = case.order.direction is BUY
    opposite = held < 0 if buying else held > 0
    levels = [
        (
            Fraction(price, 10**case.spec.price_decimals),
            Fraction(q, 10**case.spec.quantity_decimals),
        )
        for price, q in zip(case.prices, case.left, strict=True)
    ]
    bounds = []
    if case.order.limit_price is not None:
        bounds.append(Fraction(case.order.limit_price))
    if case.order.max_slippage_bps is not None and levels:
        slip = Fraction(case.order.max_slippage_bps, 10_000)
        bounds.append(levels[0][0] * (1 + slip if buying else 1 - slip))
    tightest = min if buying else max
    return Wanted(
        quantity, abs(held) if opposite else Fraction(0), levels, tightest(bounds, default=None)
    )


def breaks_a_filter(case: Case, asked: Wanted) -> bool:
    spec, quantity = case.spec, asked.quantity * 10**QUANTITY_DECIMALS
    money = asked.quantity * asked.best * 10**MONEY_DECIMALS if asked.best is not None else None
    return bool(
        (spec.quantity_step and quantity % spec.quantity_step)
        or (spec.min_quantity and quantity < spec.min_quantity)
        or (spec.max_quantity and quantity > spec.max_quantity)
        or (spec.min_notional and case.usable and money is not None and money < spec.min_notional)
    )


def expected_end(
    case: Case, asked: Wanted
) -> tuple[OrderStatus, Reason, Fraction, oracle.Walked | None]:
    """Status, reason, effective quantity and walk, the rules applied in the order they are told."""
    rejected = OrderStatus.REJECTED
    effective = asked.quantity
    if case.order.reduce_only:
        effective = min(effective, asked.reducible)
        if not effective:
            return rejected, Reason.REDUCE_ONLY, asked.quantity, None
    if breaks_a_filter(case, asked):
        return rejected, Reason.FILTER, asked.quantity, None
    if not case.usable:
        return rejected, Reason.BAD_BOOK, asked.quantity, None
    side = case.order.direction.name
    walked = oracle.walk(asked.levels, effective, asked.bound, side)
    if walked.filled == effective:
        capped = effective < asked.quantity
        reason = Reason.REDUCE_ONLY_CAPPED if capped else Reason.NONE
        return OrderStatus.FILLED, reason, effective, walked
    if case.order.time_in_force is TimeInForce.FOK:
        return rejected, Reason.FOK_UNFILLABLE, asked.quantity, None
    free = oracle.walk(asked.levels, effective, None, side)
    if free.filled > walked.filled:
        reason = Reason.PRICE_PROTECTION
    else:
        reason = Reason.INSUFFICIENT_LIQUIDITY if walked.filled else Reason.NO_LIQUIDITY
    if not walked.filled:
        return rejected, reason, asked.quantity, None
    return OrderStatus.PARTIAL, reason, effective, walked


def expected_pnl(case: Case, asked: Wanted, walked: oracle.Walked) -> Fraction:
    digits = case.spec.price_decimals + case.spec.quantity_decimals
    closed = min(walked.filled, asked.reducible)
    if not closed:
        return Fraction(0)
    cost = Fraction(case.position.entry_cost, 10**MONEY_DECIMALS)
    cost_out = rounded(cost * closed / asked.reducible, digits)
    exit_money = rounded(walked.notional * closed / walked.filled, digits)
    return cost_out - exit_money if case.order.direction is BUY else exit_money - cost_out


def expected_report(case: Case) -> ExecutionReport:
    asked = wanted(case)
    status, reason, effective, walked = expected_end(case, asked)
    given = case.order
    report = ExecutionReport(
        order_id=given.order_id,
        user_id=given.user_id,
        symbol=given.symbol,
        direction=given.direction,
        order_type=given.order_type,
        status=status,
        quantity=given.quantity,
        effective_quantity=text(effective),
        filled_quantity="0",
        remaining_quantity=text(effective),
        reason=reason,
        reduce_only=given.reduce_only,
        snapshot=REF,
        received_time_ns=given.received_time_ns,
        transact_time_ns=11,
    )
    if walked is None:
        return report
    average = walked.average
    assert average is not None
    digits = case.spec.price_decimals + 8
    return replace(
        report,
        filled_quantity=text(walked.filled),
        remaining_quantity=text(effective - walked.filled),
        average_price=text(rounded(average, digits)),
        notional=text(walked.notional),
        fills=tuple(Fill(text(price), text(taken)) for price, taken in walked.fills),
        trade_id=str(uuid5(NAMESPACE, f"{given.user_id}/{given.order_id}")),
        realized_pnl=text(expected_pnl(case, asked, walked)),
        fee=text(rounded(walked.notional * Fraction(case.fee_bps) / 10_000, digits)),
    )


@settings(max_examples=1_500, deadline=None)
@given(cases())
def test_every_field_of_a_report_is_what_the_fractions_say(case: Case) -> None:
    report = case.run().report
    event(f"{report.status.name} {report.reason.name}")
    assert replace(report, message="") == expected_report(case)


@given(cases())
def test_whoever_is_refused_or_cut_is_told_in_words(case: Case) -> None:
    report = case.run().report
    assert (report.message == "") is (report.reason is Reason.NONE)


@given(cases())
def test_what_is_taken_is_what_was_filled_and_never_more_than_is_left(case: Case) -> None:
    ran = case.run()
    scale = 10**case.spec.quantity_decimals
    assert all(0 <= took <= left for took, left in zip(ran.taken, case.left, strict=False))
    assert Fraction(sum(ran.taken), scale) == Fraction(ran.report.filled_quantity)
    assert len(ran.taken) <= len(case.left)


@given(cases())
def test_the_position_moves_by_what_was_filled_and_by_nothing_else(case: Case) -> None:
    ran = case.run()
    if ran.position is None:
        assert ran.report.filled_quantity == "0"
        return
    moved = Fraction(ran.position.quantity - case.position.quantity, 10**QUANTITY_DECIMALS)
    sign = 1 if case.order.direction is BUY else -1
    assert moved == sign * Fraction(ran.report.filled_quantity)
    assert ran.rests_on_position


@given(cases())
def test_reduce_only_never_crosses_through_flat(case: Case) -> None:
    ran = replace(case, order=replace(case.order, reduce_only=True)).run()
    if ran.position is not None:
        before, after = case.position.quantity, ran.position.quantity
        assert abs(after) < abs(before)
        assert before * after >= 0


@given(cases())
def test_what_rests_on_no_position_is_the_same_on_every_position(case: Case) -> None:
    ran = case.run()
    if not ran.rests_on_position:
        other = replace(case, position=Position("ann", "BTC-USDT", 10**QUANTITY_DECIMALS))
        assert other.run().report == ran.report
    assert ran.rests_on_position or ran.position is None


@given(cases())
def test_all_decimals_of_a_report_have_their_one_spelling(case: Case) -> None:
    report = case.run().report
    unsigned = [
        report.effective_quantity,
        report.filled_quantity,
        report.remaining_quantity,
        report.notional,
        report.fee,
        report.realized_pnl.removeprefix("-"),
        *(part for fill in report.fills for part in (fill.price, fill.quantity)),
    ]
    for number in unsigned:
        whole, _, rest = number.partition(".")
        # Not `canonical` itself: its length limit is one for input.
        assert whole == (whole.lstrip("0") or "0")
        assert not rest.endswith("0")
        assert whole.isdecimal()
    assert report.average_price == "" or report.average_price == canonical(report.average_price)
