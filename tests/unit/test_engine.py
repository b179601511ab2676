"""Execution: one order, one market, one position in; one report out."""

from dataclasses import replace
from uuid import UUID, uuid5

import numpy as np
import pytest
from builders import BUY, SELL, SPEC, Levels, order, position, quote

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, from_text
from execution.engine import TRADE_NAMESPACE, Execution, execute, trade_id
from execution.errors import InvalidArgument
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Reason,
    SnapshotRef,
    SymbolSpec,
    TimeInForce,
    Unusable,
)
from execution.settlement import FeeRate

FLAT = position()
FREE = FeeRate()
FOK = TimeInForce.FOK
ASKS = (("100", "1"), ("101", "2"), ("103", "4"))
BIDS = (("100", "1"), ("99", "2"), ("97", "4"))
BAD = Unusable(SPEC, Reason.BAD_BOOK, "the book is crossed", SnapshotRef("test", 3))


def run(
    asked: Order,
    market: Quote | Unusable | None = None,
    held: Position = FLAT,
    fee: FeeRate = FREE,
) -> Execution:
    """Executes on three levels of the side the order takes, unless another market is given."""
    shown = ASKS if asked.direction is BUY else BIDS
    return execute(asked, market or quote(asked.direction, shown), held, fee, now_ns=9)


def report(
    asked: Order,
    market: Quote | Unusable | None = None,
    held: Position = FLAT,
    fee: FeeRate = FREE,
) -> ExecutionReport:
    return run(asked, market, held, fee).report


def outcome(given: ExecutionReport) -> tuple[OrderStatus, str, Reason]:
    return given.status, given.filled_quantity, given.reason


def holding(quantity: str, cost: str = "0") -> Position:
    return position(
        from_text(quantity, QUANTITY_DECIMALS), from_text(cost, MONEY_DECIMALS), version=5
    )


def filtered(
    quantity_step: str | None = None,
    min_quantity: str | None = None,
    max_quantity: str | None = None,
    min_notional: str | None = None,
) -> SymbolSpec:
    def at(text: str | None, decimals: int) -> int | None:
        return None if text is None else from_text(text, decimals)

    return replace(
        SPEC,
        quantity_step=at(quantity_step, QUANTITY_DECIMALS),
        min_quantity=at(min_quantity, QUANTITY_DECIMALS),
        max_quantity=at(max_quantity, QUANTITY_DECIMALS),
        min_notional=at(min_notional, MONEY_DECIMALS),
    )


def test_a_filled_order_reports_every_field() -> None:
    asked = order(BUY, "2.5", received_time_ns=7)
    market = quote(BUY, ASKS)
    assert report(asked, market, fee=FeeRate.from_bps("2")) == ExecutionReport(
        order_id="o-1",
        user_id="ann",
        symbol="BTC-USDT",
        direction=BUY,
        order_type=OrderType.MARKET,
        status=OrderStatus.FILLED,
        quantity="2.5",
        effective_quantity="2.5",
        filled_quantity="2.5",
        remaining_quantity="0",
        average_price="100.6",
        notional="251.5",
        fills=(Fill("100", "1"), Fill("101", "1.5")),
        trade_id=trade_id("ann", "o-1"),
        reason=Reason.NONE,
        message="",
        realized_pnl="0",
        fee="0.0503",
        trigger_price="",
        triggered_by_price="",
        reduce_only=False,
        snapshot=SnapshotRef("simulated", 1, None, "", "100"),
        received_time_ns=7,
        transact_time_ns=9,
        version=1,
    )


def test_a_rejected_order_reports_every_field() -> None:
    asked = order(SELL, "2.5", order_type=OrderType.SL, trigger_price="100", reduce_only=True)
    assert report(asked, BAD, holding("3"), FeeRate.from_bps("2")) == ExecutionReport(
        order_id="o-1",
        user_id="ann",
        symbol="BTC-USDT",
        direction=SELL,
        order_type=OrderType.SL,
        status=OrderStatus.REJECTED,
        quantity="2.5",
        effective_quantity="2.5",
        filled_quantity="0",
        remaining_quantity="2.5",
        average_price="",
        notional="0",
        fills=(),
        trade_id="",
        reason=Reason.BAD_BOOK,
        message="the book is crossed",
        realized_pnl="0",
        fee="0",
        trigger_price="100",
        triggered_by_price="",
        reduce_only=True,
        snapshot=SnapshotRef("test", 3),
        received_time_ns=7,
        transact_time_ns=9,
        version=1,
    )


def test_a_sell_takes_the_highest_bids_first() -> None:
    sold = report(order(SELL, "2"))
    assert sold.fills == (Fill("100", "1"), Fill("99", "1"))
    assert sold.average_price == "99.5"


def test_a_level_of_size_zero_fills_nothing_and_is_stepped_over() -> None:
    ran = run(order(BUY, "2"), quote(BUY, (("100", "0"), ("101", "1"), ("102", "0"), ("103", "1"))))
    assert ran.report.fills == (Fill("101", "1"), Fill("103", "1"))
    assert ran.taken == (0, 1000, 0, 1000)


def test_an_average_price_is_rounded_half_even_at_the_price_scale_and_eight_digits() -> None:
    market = quote(BUY, (("100", "1"), ("101", "2")))
    assert report(order(BUY, "3"), market).average_price == "100.6666666667"


def test_what_earlier_orders_took_is_not_there() -> None:
    market = quote(BUY, ASKS)
    market.available[0] = 0
    assert report(order(BUY, "1"), market).fills == (Fill("101", "1"),)


def test_an_order_larger_than_the_book_is_partial_and_ends() -> None:
    partial = report(order(BUY, "10"))
    assert outcome(partial) == (OrderStatus.PARTIAL, "7", Reason.INSUFFICIENT_LIQUIDITY)
    assert (partial.remaining_quantity, partial.effective_quantity) == ("3", "10")
    assert partial.message == "the ask side ended before the order did"


@pytest.mark.parametrize("levels", [(), (("100", "0"),)])
@pytest.mark.parametrize("direction", Direction)
def test_an_empty_side_is_no_liquidity(direction: Direction, levels: Levels) -> None:
    empty = report(order(direction), quote(direction, levels))
    assert outcome(empty) == (OrderStatus.REJECTED, "0", Reason.NO_LIQUIDITY)


@pytest.mark.parametrize(
    ("direction", "limit", "filled", "reason"),
    [
        (BUY, "101", "3", Reason.PRICE_PROTECTION),
        (BUY, "100.99", "1", Reason.PRICE_PROTECTION),
        (BUY, "99.99", "0", Reason.PRICE_PROTECTION),
        (BUY, "103", "7", Reason.INSUFFICIENT_LIQUIDITY),
        (SELL, "99", "3", Reason.PRICE_PROTECTION),
        (SELL, "99.01", "1", Reason.PRICE_PROTECTION),
        (SELL, "100.01", "0", Reason.PRICE_PROTECTION),
        (SELL, "97", "7", Reason.INSUFFICIENT_LIQUIDITY),
    ],
)
def test_a_limit_price_is_inclusive(
    direction: Direction, limit: str, filled: str, reason: Reason
) -> None:
    limited = report(order(direction, "10", limit_price=limit))
    assert (limited.filled_quantity, limited.reason) == (filled, reason)


@pytest.mark.parametrize(
    ("direction", "bps", "filled"),
    [
        (BUY, 0, "1"),
        (BUY, 99, "1"),
        (BUY, 100, "3"),
        (BUY, 299, "3"),
        (BUY, 300, "7"),
        (BUY, 2**32 - 1, "7"),
        (SELL, 0, "1"),
        (SELL, 99, "1"),
        (SELL, 100, "3"),
        (SELL, 300, "7"),
        (SELL, 9_999, "7"),
        (SELL, 10_000, "7"),
        (SELL, 10_001, "7"),
        (SELL, 2**32 - 1, "7"),
    ],
)
def test_a_slippage_bound_is_inclusive_and_may_be_any_uint32(
    direction: Direction, bps: int, filled: str
) -> None:
    assert report(order(direction, "10", max_slippage_bps=bps)).filled_quantity == filled


def test_a_slippage_bound_between_two_ticks_is_never_rounded_outwards() -> None:
    # 3 bps of 33.33 are 0.009999: the next tick, 33.34 or 33.32, is just too far.
    asks, bids = (("33.33", "1"), ("33.34", "1")), (("33.33", "1"), ("33.32", "1"))
    assert report(order(BUY, "2", max_slippage_bps=3), quote(BUY, asks)).filled_quantity == "1"
    assert report(order(SELL, "2", max_slippage_bps=3), quote(SELL, bids)).filled_quantity == "1"
    assert report(order(BUY, "2", max_slippage_bps=4), quote(BUY, asks)).filled_quantity == "2"
    assert report(order(SELL, "2", max_slippage_bps=4), quote(SELL, bids)).filled_quantity == "2"


@pytest.mark.parametrize(
    ("direction", "limit", "bps", "filled"),
    [
        (BUY, "101", 300, "3"),
        (BUY, "103", 100, "3"),
        (SELL, "99", 300, "3"),
        (SELL, "97", 100, "3"),
    ],
)
def test_of_limit_and_slippage_the_tighter_wins(
    direction: Direction, limit: str, bps: int, filled: str
) -> None:
    both = order(direction, "10", limit_price=limit, max_slippage_bps=bps)
    assert report(both).filled_quantity == filled


def test_slippage_counts_from_the_best_price_shown_also_where_it_is_taken() -> None:
    market = quote(BUY, ASKS)
    market.available[0] = 0
    assert report(order(BUY, "3", max_slippage_bps=100), market).filled_quantity == "2"
    assert outcome(report(order(BUY, max_slippage_bps=99), market)) == (
        OrderStatus.REJECTED,
        "0",
        Reason.PRICE_PROTECTION,
    )


def test_protection_is_blamed_only_where_it_kept_something_away() -> None:
    market = quote(BUY, ASKS)
    market.available[1:] = 0
    partial = report(order(BUY, "2", limit_price="100"), market)
    assert partial.reason is Reason.INSUFFICIENT_LIQUIDITY
    market.available[0] = 0
    assert report(order(BUY, limit_price="100"), market).reason is Reason.NO_LIQUIDITY


def test_the_best_price_of_int64_does_not_overflow_the_slippage_bound() -> None:
    spec = SymbolSpec("BTC-USDT", 0, 0)
    market = quote(BUY, [(str(2**63 - 1), "1")], spec)
    assert report(order(BUY, "1", max_slippage_bps=10_000), market).filled_quantity == "1"


def test_fill_or_kill_fills_whole() -> None:
    whole = report(order(BUY, "7", time_in_force=FOK))
    assert outcome(whole) == (OrderStatus.FILLED, "7", Reason.NONE)


@pytest.mark.parametrize(
    "killed",
    [
        order(BUY, "7.001", time_in_force=FOK),
        order(BUY, "7", time_in_force=FOK, limit_price="102.99"),
        order(BUY, "7", time_in_force=FOK, max_slippage_bps=299),
        order(BUY, "1", time_in_force=FOK, limit_price="1"),
    ],
)
def test_fill_or_kill_is_killed_whole_whatever_stops_it(killed: Order) -> None:
    ran = run(killed)
    assert outcome(ran.report) == (OrderStatus.REJECTED, "0", Reason.FOK_UNFILLABLE)
    assert (ran.taken, ran.position) == ((), None)


def test_a_killed_order_is_told_how_much_was_missing() -> None:
    killed = report(order(BUY, "9.5", time_in_force=FOK))
    assert killed.message == "fill-or-kill, and 2.5 cannot be filled"


def test_fill_or_kill_fits_the_reduced_quantity() -> None:
    capped = report(
        order(SELL, "10", time_in_force=FOK, reduce_only=True), None, holding("3", "300")
    )
    assert outcome(capped) == (OrderStatus.FILLED, "3", Reason.REDUCE_ONLY_CAPPED)


@pytest.mark.parametrize(("direction", "held"), [(BUY, "0"), (SELL, "0"), (BUY, "2"), (SELL, "-2")])
def test_reduce_only_on_a_flat_or_same_side_position_is_rejected(
    direction: Direction, held: str
) -> None:
    ran = run(order(direction, reduce_only=True), None, holding(held))
    assert outcome(ran.report) == (OrderStatus.REJECTED, "0", Reason.REDUCE_ONLY)
    assert ran.rests_on_position, "with another position it might have been filled"


def test_reduce_only_is_capped_to_the_position_and_filled_relative_to_it() -> None:
    ran = run(order(SELL, "5", reduce_only=True), None, holding("3", "300"))
    given = ran.report
    assert outcome(given) == (OrderStatus.FILLED, "3", Reason.REDUCE_ONLY_CAPPED)
    assert (given.quantity, given.effective_quantity, given.remaining_quantity) == ("5", "3", "0")
    assert given.realized_pnl == "-2"  # 1 at 100, 2 at 99, against an entry of 100
    assert ran.position is not None
    assert ran.position.quantity == 0


def test_reduce_only_within_the_position_is_as_any_order() -> None:
    given = report(order(SELL, "2", reduce_only=True), None, holding("3", "300"))
    assert outcome(given) == (OrderStatus.FILLED, "2", Reason.NONE)
    assert given.reduce_only


@pytest.mark.parametrize(
    ("limit", "reason"),
    [(None, Reason.INSUFFICIENT_LIQUIDITY), ("99", Reason.PRICE_PROTECTION)],
)
def test_a_capped_order_that_falls_short_says_why_it_fell_short(
    limit: str | None, reason: Reason
) -> None:
    capped = order(SELL, "10", reduce_only=True, limit_price=limit)
    given = report(capped, None, holding("9", "900"))
    assert (given.status, given.reason, given.effective_quantity) == (
        OrderStatus.PARTIAL,
        reason,
        "9",
    )


@pytest.mark.parametrize(
    ("spec", "quantity", "message"),
    [
        (filtered(quantity_step="0.5"), "1.25", "quantity_step of BTC-USDT is 0.5"),
        (filtered(min_quantity="1"), "0.999", "min_quantity of BTC-USDT is 1"),
        (filtered(max_quantity="2"), "2.001", "max_quantity of BTC-USDT is 2"),
    ],
)
def test_a_broken_quantity_filter_is_a_rejection_that_names_it(
    spec: SymbolSpec, quantity: str, message: str
) -> None:
    given = report(order(BUY, quantity), quote(BUY, ASKS, spec))
    assert outcome(given) == (OrderStatus.REJECTED, "0", Reason.FILTER)
    assert given.message == f"{message}; the order has {quantity}"


def test_the_notional_filter_counts_at_the_best_price_shown() -> None:
    market = quote(BUY, ASKS, filtered(min_notional="100"))
    market.available[0] = 0
    given = report(order(BUY, "0.999"), market)
    assert outcome(given) == (OrderStatus.REJECTED, "0", Reason.FILTER)
    assert given.message == "min_notional of BTC-USDT is 100; the order has 99.9"


@pytest.mark.parametrize(
    ("spec", "quantity"),
    [
        (filtered(quantity_step="0.5"), "1.5"),
        (filtered(min_quantity="1"), "1"),
        (filtered(max_quantity="2"), "2"),
        (filtered(min_notional="100"), "1"),
    ],
)
def test_a_filter_is_inclusive(spec: SymbolSpec, quantity: str) -> None:
    assert report(order(BUY, quantity), quote(BUY, ASKS, spec)).status is OrderStatus.FILLED


def test_the_order_is_filtered_as_it_was_sent_not_as_it_was_capped() -> None:
    spec = filtered(min_quantity="1", quantity_step="0.5")
    given = report(
        order(SELL, "2", reduce_only=True), quote(SELL, BIDS, spec), holding("0.3", "30")
    )
    assert outcome(given) == (OrderStatus.FILLED, "0.3", Reason.REDUCE_ONLY_CAPPED)


def test_a_filter_is_checked_without_a_book_as_far_as_it_can_be() -> None:
    bad = replace(BAD, spec=filtered(min_quantity="2"))
    assert report(order(BUY, "1"), bad).reason is Reason.FILTER
    bad = replace(BAD, spec=filtered(min_notional="1000"))
    assert report(order(BUY, "1"), bad).reason is Reason.BAD_BOOK


def test_reasons_apply_in_the_order_of_the_lifecycle() -> None:
    spec = filtered(min_quantity="50")
    bad, empty = replace(BAD, spec=spec), quote(BUY, ())
    everything = order(
        BUY, "10", reduce_only=True, time_in_force=FOK, limit_price="100", max_slippage_bps=0
    )
    short = holding("-20", "2000")
    free = replace(everything, reduce_only=False, time_in_force=TimeInForce.IOC)
    assert report(everything, bad).reason is Reason.REDUCE_ONLY
    assert report(everything, bad, short).reason is Reason.FILTER
    assert report(everything, BAD, short).reason is Reason.BAD_BOOK
    assert report(everything, None, short).reason is Reason.FOK_UNFILLABLE
    assert report(everything, empty, short).reason is Reason.FOK_UNFILLABLE
    assert report(free).reason is Reason.PRICE_PROTECTION
    assert report(free, empty).reason is Reason.NO_LIQUIDITY


def test_an_unknown_symbol_is_a_rejection() -> None:
    unknown = Unusable(SymbolSpec("NOPE"), Reason.UNKNOWN_SYMBOL, "not known")
    given = report(order(symbol="NOPE"), unknown)
    assert outcome(given) == (OrderStatus.REJECTED, "0", Reason.UNKNOWN_SYMBOL)
    assert given.snapshot is None


def test_every_number_finer_than_its_scale_is_named_at_once() -> None:
    fine = order(quantity="1.0001", limit_price="1.001", trigger_price="2.001")
    with pytest.raises(InvalidArgument) as caught:
        run(fine)
    assert [violation.field for violation in caught.value.violations] == [
        "quantity",
        "limit_price",
        "trigger_price",
    ]


def test_one_number_finer_than_its_scale_is_enough() -> None:
    for fine in (
        order(quantity="1.0001"),
        order(limit_price="1.001"),
        order(trigger_price="0.005"),
    ):
        with pytest.raises(InvalidArgument, match=r"finer than the [23] decimals of BTC-USDT"):
            run(fine)


@pytest.mark.parametrize(
    ("quantity", "fits"), [("9223372036854775.807", True), ("9223372036854775.808", False)]
)
def test_a_quantity_beyond_int64_is_an_error_never_wrapped(quantity: str, *, fits: bool) -> None:
    if fits:
        assert report(order(quantity=quantity)).filled_quantity == "7"
        return
    with pytest.raises(InvalidArgument, match=r"quantity is 9223372036854775.808, more than int64"):
        run(order(quantity=quantity))


def test_a_number_that_does_not_fit_is_an_error_before_any_rejection() -> None:
    with pytest.raises(InvalidArgument):
        run(order(quantity="1.0001", reduce_only=True), BAD)


def test_a_notional_beyond_int64_is_exact() -> None:
    spec = SymbolSpec("BTC-USDT", 8, 8)
    market = quote(BUY, [("90000000000", "90000000000")], spec)
    given = report(order(quantity="90000000000"), market)
    assert (given.notional, given.average_price) == ("8100000000000000000000", "90000000000")


def test_the_trade_id_is_a_pure_function_of_user_and_order_id() -> None:
    # Consumers recognise replays by it: it may never change, not even once.
    assert UUID("6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90") == TRADE_NAMESPACE
    assert trade_id("ann", "o-1") == str(uuid5(TRADE_NAMESPACE, "ann/o-1"))
    assert trade_id("ann", "o-1") == report(order(BUY, "3")).trade_id
    assert trade_id("ann", "o-1") != trade_id("bob", "o-1") != trade_id("bob", "o-2")


def test_what_was_taken_is_told_by_level() -> None:
    market = quote(BUY, ASKS)
    assert run(order(BUY, "2.5"), market).taken == (1000, 1500)
    assert market.available.tolist() == [1000, 2000, 4000], "taking it is for the caller to do"


def test_a_fill_always_rests_on_its_position_and_moves_it_by_one_version() -> None:
    ran = run(order(SELL, "3"), None, holding("1", "100"))
    assert ran.rests_on_position
    assert ran.position is not None
    assert (ran.position.version, ran.position.quantity) == (6, -2 * 10**QUANTITY_DECIMALS)


def test_a_rejection_that_no_position_could_change_rests_on_none() -> None:
    assert not run(order(), BAD).rests_on_position
    assert run(order(reduce_only=True), BAD, holding("-1")).rests_on_position


def test_an_empty_quote_may_be_walked() -> None:
    empty = np.array([], np.int64)
    market = Quote(SPEC, SnapshotRef("test"), empty, empty.copy(), None)
    assert report(order(max_slippage_bps=5), market).reason is Reason.NO_LIQUIDITY
