"""Market orders over the wire: every field of the request, every reason of the answer."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from market import Market
from redis_server import RedisServer
from world import SPECS, SYMBOL, World, running_world

from execution.v1 import execution_pb2 as pb

FILLED, PARTIAL, REJECTED = (
    pb.ORDER_STATUS_FILLED,
    pb.ORDER_STATUS_PARTIAL,
    pb.ORDER_STATUS_REJECTED,
)


def fills(report: pb.ExecutionReport) -> list[tuple[str, str]]:
    return [(fill.price, fill.quantity) for fill in report.fills]


async def test_a_buy_takes_asks_from_the_best_up(world: World) -> None:
    report = await world.market_order(quantity="2.50")
    assert report.status == FILLED
    assert report.reason == pb.REASON_UNSPECIFIED
    assert fills(report) == [("100.5", "1"), ("101", "1.5")]
    assert (report.quantity, report.effective_quantity) == ("2.5", "2.5")
    assert (report.filled_quantity, report.remaining_quantity) == ("2.5", "0")
    assert (report.notional, report.average_price) == ("252", "100.8")
    assert (report.realized_pnl, report.fee, report.version) == ("0", "0", 1)
    assert report.order_type == pb.ORDER_TYPE_MARKET
    assert (report.snapshot.best_bid, report.snapshot.best_ask) == ("100", "100.5")
    assert report.snapshot.sequence == world.feed.book.sequence
    assert report.snapshot.source == world.market.address


async def test_a_sell_takes_bids_from_the_best_down(world: World) -> None:
    report = await world.market_order(direction=pb.DIRECTION_SELL, quantity="3.001")
    assert fills(report) == [("100", "1"), ("99.5", "2"), ("99", "0.001")]
    assert report.average_price == "99.666444518"  # 299.099 / 3.001, half-even at 9 digits


async def test_what_is_not_shown_is_not_filled(world: World) -> None:
    report = await world.market_order(quantity="7")
    assert (report.status, report.reason) == (PARTIAL, pb.REASON_INSUFFICIENT_LIQUIDITY)
    assert (report.filled_quantity, report.remaining_quantity) == ("6", "1")


async def test_two_orders_on_one_snapshot_do_not_get_the_same_quantity(world: World) -> None:
    first = await world.market_order(order_id="a", quantity="5")
    second = await world.market_order(order_id="b", quantity="5", user_id="u2")
    third = await world.market_order(order_id="c", quantity="5")
    assert first.snapshot.sequence == third.snapshot.sequence
    assert fills(second) == [("101.5", "1")]
    assert (third.status, third.reason) == (REJECTED, pb.REASON_NO_LIQUIDITY)
    world.feed.set_book([("100", "1")], [("100.5", "9")])
    async with asyncio.timeout(5):
        number = 0
        while (
            await world.market_order(order_id=f"d{number}", quantity="1")
        ).snapshot.sequence == first.snapshot.sequence:
            number += 1


@pytest.mark.parametrize(
    ("limits", "status", "reason", "filled"),
    [
        ({"limit_price": "101"}, PARTIAL, pb.REASON_PRICE_PROTECTION, "3"),
        ({"limit_price": "101.0"}, PARTIAL, pb.REASON_PRICE_PROTECTION, "3"),
        ({"limit_price": "100.4"}, REJECTED, pb.REASON_PRICE_PROTECTION, "0"),
        ({"limit_price": "999"}, FILLED, pb.REASON_UNSPECIFIED, "4"),
        ({"max_slippage_bps": 0}, PARTIAL, pb.REASON_PRICE_PROTECTION, "1"),
        # 50 bps of 100.5 is 0.5025: 101.0025 still takes the level at 101.
        ({"max_slippage_bps": 50}, PARTIAL, pb.REASON_PRICE_PROTECTION, "3"),
        ({"max_slippage_bps": 49}, PARTIAL, pb.REASON_PRICE_PROTECTION, "1"),
        ({"max_slippage_bps": 4294967295}, FILLED, pb.REASON_UNSPECIFIED, "4"),
        ({"max_slippage_bps": 9999, "limit_price": "100.5"}, PARTIAL, 2, "1"),
        ({"max_slippage_bps": 0, "limit_price": "101"}, PARTIAL, 2, "1"),
        ({"time_in_force": pb.TIME_IN_FORCE_FOK}, FILLED, pb.REASON_UNSPECIFIED, "4"),
        (
            {"time_in_force": pb.TIME_IN_FORCE_FOK, "limit_price": "101"},
            REJECTED,
            pb.REASON_FOK_UNFILLABLE,
            "0",
        ),
    ],
)
async def test_price_bounds_are_inclusive_and_the_tighter_wins(
    world: World, limits: dict[str, Any], status: int, reason: int, filled: str
) -> None:
    report = await world.market_order(quantity="4", **limits)
    assert (report.status, report.reason, report.filled_quantity) == (status, reason, filled)


async def test_slippage_counts_from_what_the_snapshot_shows_not_from_what_is_left(
    world: World,
) -> None:
    await world.market_order(order_id="a", quantity="1")
    report = await world.market_order(order_id="b", quantity="1", max_slippage_bps=0)
    assert (report.status, report.reason) == (REJECTED, pb.REASON_PRICE_PROTECTION)


async def test_a_rejected_order_is_recorded_and_published_and_not_traded(world: World) -> None:
    fok = {"quantity": "7", "time_in_force": pb.TIME_IN_FORCE_FOK}
    report = await world.market_order(**fok)
    assert (report.status, report.reason) == (REJECTED, pb.REASON_FOK_UNFILLABLE)
    assert (report.filled_quantity, report.remaining_quantity) == ("0", "7")
    assert (report.effective_quantity, report.average_price, report.notional) == ("7", "", "0")
    assert (report.trade_id, fills(report)) == ("", [])
    world.feed.set_book([("100", "1")], [("100.5", "9")])
    again = await world.market_order(**fok)
    assert again.SerializeToString() == report.SerializeToString()
    stored = await world.stored()
    assert "STREAM:TRADE" not in stored
    assert len(stored["STREAM:REJECT"]) == len(stored["STREAM:ORDER"]) == 1


@pytest.mark.parametrize(
    ("quantity", "named"),
    [
        ("0.001", "quantity_step"),
        ("0.015", "quantity_step"),
        ("101", "max_quantity"),
        ("0.01", "min_notional"),
    ],
)
async def test_a_broken_filter_is_named(world: World, quantity: str, named: str) -> None:
    report = await world.market_order(symbol="ETH-USDT", quantity=quantity)
    assert (report.status, report.reason) == (REJECTED, pb.REASON_FILTER)
    assert named in report.message


async def test_an_unknown_symbol_is_a_rejection_that_is_recorded(world: World) -> None:
    report = await world.market_order(symbol="NO/SUCH")
    assert (report.status, report.reason) == (REJECTED, pb.REASON_UNKNOWN_SYMBOL)
    assert (await world.stored())["ORDER:o-1"]["reason"] == "UNKNOWN_SYMBOL"


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([("101", "1")], [("100.9", "1")]),
        ([("99", "1"), ("100", "1")], [("101", "1")]),
        ([("100", "1")], [("102", "1"), ("101", "1")]),
        ([("100", "-1")], [("101", "1")]),
        ([("0", "1")], [("101", "1")]),
    ],
    ids=["crossed", "unsorted bids", "unsorted asks", "negative size", "zero price"],
)
async def test_a_book_that_cannot_be_true_is_refused(
    world: World, bids: list[tuple[str, str]], asks: list[tuple[str, str]]
) -> None:
    world.feed.set_book(bids, asks)
    report = await eventually(world, pb.REASON_BAD_BOOK)
    assert report.status == REJECTED


async def test_a_locked_book_is_allowed_and_an_empty_side_has_no_liquidity(world: World) -> None:
    world.feed.set_book([("100", "1")], [("100", "5")])
    async with asyncio.timeout(5):
        number = 0
        while (await world.market_order(order_id=f"l{number}")).average_price != "100":
            number += 1
    world.feed.set_book([("100", "1")], [])
    report = await eventually(world, pb.REASON_NO_LIQUIDITY)
    assert report.status == REJECTED


async def eventually(world: World, reason: int) -> pb.ExecutionReport:
    """The first report with that reason: a pushed book takes a moment to arrive."""
    async with asyncio.timeout(5):
        number = 0
        while True:
            report = await world.market_order(order_id=f"e{number}", quantity="0.001")
            if report.reason == reason:
                return report
            number += 1


async def test_an_order_without_an_id_gets_one(world: World) -> None:
    first = await world.market_order(order_id="", quantity="0.5")
    second = await world.market_order(order_id="", quantity="0.5")
    assert len(first.order_id) == 36
    assert first.order_id < second.order_id


async def test_positions_follow_the_trades_by_average_cost(world: World) -> None:
    await world.market_order(order_id="a", quantity="3")  # 1 at 100.5 and 2 at 101
    sold = await world.market_order(order_id="b", quantity="4", direction=pb.DIRECTION_SELL)
    # 4 sold for 100 + 199 + 99 = 398; 3 of them close what cost 302.5.
    assert sold.realized_pnl == "-4"
    position = await world.position()
    assert (position.quantity, position.entry_price, position.version) == ("-1", "99.5", 2)
    assert position.realized_pnl == "-4"
    unknown = await world.position(user_id="nobody")
    assert (unknown.quantity, unknown.entry_price, unknown.version) == ("0", "", 0)


async def test_reduce_only_never_opens_and_never_flips(world: World) -> None:
    flat = await world.market_order(order_id="a", reduce_only=True)
    assert (flat.status, flat.reason) == (REJECTED, pb.REASON_REDUCE_ONLY)
    await world.market_order(order_id="b", quantity="1")
    same_side = await world.market_order(order_id="c", reduce_only=True)
    assert same_side.reason == pb.REASON_REDUCE_ONLY
    capped = await world.market_order(
        order_id="d", quantity="5", reduce_only=True, direction=pb.DIRECTION_SELL
    )
    assert (capped.status, capped.reason) == (FILLED, pb.REASON_REDUCE_ONLY_CAPPED)
    assert (capped.quantity, capped.effective_quantity) == ("5", "1")
    assert (capped.filled_quantity, capped.remaining_quantity) == ("1", "0")
    assert (await world.position()).quantity == "0"


async def test_many_orders_at_once_on_one_position_add_up(world: World) -> None:
    world.feed.set_book([("100", "1000")], [("100.5", "1000")])
    reports = await asyncio.gather(
        *(world.market_order(order_id=f"m{number}", quantity="0.1") for number in range(200))
    )
    assert {report.status for report in reports} == {FILLED}
    position = await world.position()
    assert Decimal(position.quantity) == 20
    assert position.version == 200


async def test_one_id_from_many_connections_executes_once(world: World) -> None:
    reports = await asyncio.gather(*(world.market_order(symbol=SYMBOL) for _ in range(50)))
    assert len({report.SerializeToString() for report in reports}) == 1
    stored = await world.stored()
    assert len(stored["STREAM:TRADE"]) == len(stored["STREAM:ORDER"]) == 1
    later = await world.market_order(order_id="o-2", quantity="9")
    assert later.filled_quantity == "5", "what the duplicates took was given back"


@pytest.mark.parametrize("l1_only", [False, True])
async def test_a_book_that_is_fetched_is_newer_than_its_order(
    redis_server: RedisServer, l1_only: bool
) -> None:
    async with running_world(redis_server, Market(SPECS, l1_only=l1_only, push=False)) as world:
        for number in range(20):
            price = f"{200 + number}.5"
            world.feed.set_book([("100", "1")], [(price, "1")])
            report = await world.market_order(order_id=f"f{number}", quantity="0.5")
            assert report.average_price == price


async def test_with_get_l1_alone_each_fetch_is_a_snapshot_of_its_own(
    redis_server: RedisServer,
) -> None:
    market = Market(SPECS, l1_only=True)
    async with running_world(redis_server, market) as world:
        first = await world.market_order(order_id="a", quantity="5")
        again = await world.market_order(order_id="b", quantity="5")
        assert first.filled_quantity == again.filled_quantity == "1"
        assert (first.status, first.reason) == (PARTIAL, pb.REASON_INSUFFICIENT_LIQUIDITY)
        assert first.snapshot.sequence == 0
        calls = market.calls["GetL1"]
        together = await asyncio.gather(
            *(world.market_order(order_id=f"t{n}", quantity="0.1") for n in range(100))
        )
        assert market.calls["GetL1"] - calls < 70, "fetches are shared"
        unknown = await world.market_order(order_id="x", symbol="NO-SUCH")
        assert unknown.reason == pb.REASON_UNKNOWN_SYMBOL
        world.feed.set_book([("100", "1")], [])
        lone = await world.market_order(order_id="y")
        assert lone.reason == pb.REASON_BAD_BOOK
    assert {report.status for report in together} <= {FILLED, PARTIAL, REJECTED}
    filled = sum(Decimal(report.filled_quantity) for report in together)
    assert filled <= market.calls["GetL1"]
