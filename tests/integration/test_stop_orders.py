"""Stop-loss orders in the running service: they rest, trigger once, end or wait."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from market import Market
from redis_server import RedisServer
from world import SPECS, SYMBOL, World, order, running_world

from execution.v1 import execution_pb2 as pb

UNTRIGGERED, TRIGGERED = pb.ORDER_STATUS_UNTRIGGERED, pb.ORDER_STATUS_TRIGGERED
FILLED, PARTIAL = pb.ORDER_STATUS_FILLED, pb.ORDER_STATUS_PARTIAL
REJECTED, EXPIRED = pb.ORDER_STATUS_REJECTED, pb.ORDER_STATUS_EXPIRED


async def stop(world: World, **fields: Any) -> pb.ExecutionReport:
    """A BUY stop of 1 at 102, with these fields instead."""
    settings = {"trigger_price": "102"} | fields
    return await world.service.ExecuteSLOrder(order(**settings), timeout=10)


async def state(world: World, order_id: str = "o-1") -> pb.ExecutionReport:
    request = pb.GetOrderRequest(order_id=order_id, user_id="u1")
    return await world.service.GetOrder(request, timeout=10)


async def reaches(world: World, status: int, order_id: str = "o-1") -> pb.ExecutionReport:
    """The order's report once it has that status."""
    async with asyncio.timeout(10):
        while True:
            report = await state(world, order_id)
            if report.status == status:
                return report
            await asyncio.sleep(0.01)


async def versions(world: World, order_id: str = "o-1") -> list[tuple[int, str]]:
    """(version, status) of every update of the order in the stream."""
    updates = [json.loads(entry["order"]) for entry in (await world.stored())["STREAM:ORDER"]]
    return [(u["version"], u["status"]) for u in updates if u["order_id"] == order_id]


async def test_without_a_trigger_price_it_executes_now(world: World) -> None:
    report = await world.service.ExecuteSLOrder(order(), timeout=10)
    assert (report.status, report.order_type) == (FILLED, pb.ORDER_TYPE_SL)
    assert report.trigger_price == report.triggered_by_price == ""


async def test_it_rests_durably_and_fills_at_the_book_when_its_trigger_is_crossed(
    world: World,
) -> None:
    report = await stop(world)
    assert (report.status, report.version, report.trigger_price) == (UNTRIGGERED, 1, "102")
    assert (report.filled_quantity, report.remaining_quantity) == ("0", "1")
    stored = await world.stored()
    assert stored["ORDER:o-1"]["status"] == "UNTRIGGERED"
    assert "STREAM:TRADE" not in stored
    world.feed.set_book([("101", "1")], [("101.9", "1")])
    again = await stop(world)
    assert again.SerializeToString() == report.SerializeToString()
    # The market gaps through the trigger: the fill is the book's price.
    world.feed.set_book([("104", "1")], [("105", "5")])
    done = await reaches(world, FILLED)
    assert (done.average_price, done.trigger_price) == ("105", "102")
    assert (done.triggered_by_price, done.version) == ("105", 2)
    assert done.received_time == report.received_time
    assert await versions(world) == [(1, "UNTRIGGERED"), (2, "FILLED")]
    assert (await world.position()).quantity == "1"
    assert (await stop(world)).SerializeToString() == done.SerializeToString()
    assert "STOPS:RESTING" not in await world.stored()


@pytest.mark.parametrize(
    ("direction", "crossing"),
    [
        (pb.DIRECTION_BUY, ([("101", "9")], [("102", "9")])),
        (pb.DIRECTION_SELL, ([("98", "9")], [("99", "9")])),
    ],
)
async def test_equality_triggers(world: World, direction: Any, crossing: Any) -> None:
    trigger = "102" if direction == pb.DIRECTION_BUY else "98"
    await stop(world, direction=direction, trigger_price=trigger)
    world.feed.set_book(*crossing)
    report = await reaches(world, FILLED)
    assert report.triggered_by_price == report.average_price == trigger


async def test_already_crossed_on_arrival_executes_or_is_rejected_as_asked(world: World) -> None:
    report = await stop(world, trigger_price="100.5")
    assert (report.status, report.triggered_by_price) == (FILLED, "100.5")
    refused = await stop(world, order_id="o-2", trigger_price="99", reject_if_triggered=True)
    assert (refused.status, refused.reason) == (REJECTED, pb.REASON_WOULD_IMMEDIATELY_TRIGGER)
    rests = await stop(world, order_id="o-3", reject_if_triggered=True)
    assert rests.status == UNTRIGGERED


@pytest.mark.parametrize("by", ["last", "mark"])
async def test_last_and_mark_trigger_where_the_feed_carries_them(world: World, by: str) -> None:
    kind = {"last": pb.TRIGGER_BY_LAST, "mark": pb.TRIGGER_BY_MARK}[by]
    with pytest.raises(Exception, match="does not carry"):
        await stop(world, order_id="none", trigger_by=kind)

    def show(bid: str, ask: str, reference: str) -> None:
        last, mark = (reference, None) if by == "last" else (None, reference)
        world.feed.set_book([(bid, "9")], [(ask, "9")], last=last, mark=mark)

    show("100", "100.5", reference="101")
    await eventually_accepted(lambda: stop(world, trigger_by=kind))
    show("101", "103", reference="101.9")
    show("99", "99.5", reference="102")
    report = await reaches(world, FILLED)
    assert (report.triggered_by_price, report.average_price) == ("102", "99.5")


async def eventually_accepted(call: Callable[[], Awaitable[pb.ExecutionReport]]) -> None:
    """Until the pushed book with the new price has arrived."""
    async with asyncio.timeout(5):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                    raise
            else:
                return


async def test_without_liquidity_at_the_trigger_it_waits_triggered_for_the_next_book(
    world: World,
) -> None:
    await stop(
        world,
        trigger_by=pb.TRIGGER_BY_BID_ASK,
        direction=pb.DIRECTION_SELL,
        trigger_price="90",
        quantity="2",
    )
    world.feed.set_book([("89", "0.5")], [("91", "1")])
    partial = await reaches(world, PARTIAL)
    assert partial.filled_quantity == "0.5", "some liquidity is some: PARTIAL is terminal"


async def test_a_triggered_stop_fills_on_a_later_book(world: World) -> None:
    world.feed.set_book([("100", "9")], [("100.5", "9")], last="100")
    await eventually_accepted(
        lambda: stop(world, trigger_by=pb.TRIGGER_BY_LAST, trigger_price="102")
    )
    world.feed.set_book([("103", "9")], [], last="103")
    waiting = await reaches(world, TRIGGERED)
    assert (waiting.reason, waiting.version) == (pb.REASON_NO_LIQUIDITY, 2)
    assert waiting.triggered_by_price == "103"
    world.feed.set_book([("100", "9")], [("101", "9")], last="101")
    done = await reaches(world, FILLED)
    assert (done.triggered_by_price, done.average_price, done.version) == ("103", "101", 3)
    assert await versions(world) == [(1, "UNTRIGGERED"), (2, "TRIGGERED"), (3, "FILLED")]


async def test_a_triggered_stop_is_rejected_when_its_time_is_up(redis_server: RedisServer) -> None:
    async with running_world(redis_server, trigger_retry_ms=400) as world:
        world.feed.set_book([("100", "9")], [("100.5", "9")], last="100")
        await eventually_accepted(
            lambda: stop(world, trigger_by=pb.TRIGGER_BY_LAST, trigger_price="102")
        )
        world.feed.set_book([("103", "9")], [], last="103")
        await reaches(world, TRIGGERED)
        report = await reaches(world, REJECTED)
        assert (report.reason, report.version) == (pb.REASON_NO_LIQUIDITY, 3)
        assert len((await world.stored())["STREAM:REJECT"]) == 1


async def test_its_own_limit_or_fok_stops_it_for_good_at_the_trigger(world: World) -> None:
    await stop(world, order_id="limit", limit_price="103")
    await stop(world, order_id="fok", time_in_force=pb.TIME_IN_FORCE_FOK, quantity="7")
    world.feed.set_book([("104", "1")], [("105", "5")])
    limited = await reaches(world, REJECTED, "limit")
    assert limited.reason == pb.REASON_PRICE_PROTECTION
    assert (await reaches(world, REJECTED, "fok")).reason == pb.REASON_FOK_UNFILLABLE


async def test_it_expires_untriggered(world: World) -> None:
    soon = Timestamp()
    soon.FromNanoseconds((await now_ns(world)) + 400_000_000)
    report = await stop(world, expire_time=soon)
    assert report.status == UNTRIGGERED
    expired = await reaches(world, EXPIRED)
    assert (expired.reason, expired.version) == (pb.REASON_EXPIRED_UNTRIGGERED, 2)
    with pytest.raises(Exception, match="expire_time"):
        await stop(world, order_id="late", expire_time=Timestamp(seconds=1))


async def now_ns(world: World) -> int:
    seconds, micros = await world.store.time()
    return seconds * 1_000_000_000 + micros * 1_000


async def test_reduce_only_is_checked_on_arrival_and_again_at_the_trigger(world: World) -> None:
    flat = await stop(world, reduce_only=True)
    assert (flat.status, flat.reason) == (REJECTED, pb.REASON_REDUCE_ONLY)
    await world.market_order(order_id="open", direction=pb.DIRECTION_SELL, quantity="3")
    rests = await stop(world, order_id="cover", quantity="5", reduce_only=True)
    assert rests.status == UNTRIGGERED
    await world.market_order(order_id="less", quantity="1")
    world.feed.set_book([("104", "9")], [("105", "9")])
    covered = await reaches(world, FILLED, "cover")
    assert (covered.effective_quantity, covered.reason) == ("2", pb.REASON_REDUCE_ONLY_CAPPED)
    assert (await world.position()).quantity == "0"


async def test_many_stops_each_trigger_once(world: World) -> None:
    world.feed.set_book([("100", "1000")], [("100.5", "1000")])
    count = 300
    await asyncio.gather(
        *(
            stop(
                world,
                order_id=f"s{n}",
                user_id=f"u{n % 7}",
                trigger_price=f"{101 + n % 5}",
                quantity="0.1",
            )
            for n in range(count)
        )
    )
    world.feed.set_book([("102.9", "1000")], [("103", "1000")])
    async with asyncio.timeout(20):
        while True:
            stored = await world.stored()
            if len(stored.get("STREAM:TRADE", [])) >= count * 3 // 5:
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    stored = await world.stored()
    triggered = [n for n in range(count) if 101 + n % 5 <= 103]
    assert len(stored["STREAM:TRADE"]) == len(triggered)
    for n in range(count):
        expected = "FILLED" if n in triggered else "UNTRIGGERED"
        assert stored[f"ORDER:s{n}"]["status"] == expected


@pytest.mark.parametrize("l1_only", [False, True])
async def test_what_is_not_pushed_is_polled_once_an_interval_however_many_stops(
    redis_server: RedisServer, l1_only: bool
) -> None:
    market = Market(SPECS, l1_only=l1_only, push=False)
    async with running_world(redis_server, market) as world:
        for n in range(20):
            await stop(world, order_id=f"p{n}")
        rpc = "GetL1" if l1_only else "GetBook"
        before = market.calls[rpc]
        await asyncio.sleep(1)
        assert 3 <= market.calls[rpc] - before <= 8
        world.feed.set_book([("104", "100")], [("105", "100")])
        for n in range(20):
            report = await reaches(world, FILLED, f"p{n}")
            assert report.average_price == "105"
        assert report.symbol == SYMBOL


async def test_stops_survive_a_restart(redis_server: RedisServer) -> None:
    async with running_world(redis_server) as world:
        await stop(world)
    async with running_world(redis_server) as world:
        assert (await state(world)).status == UNTRIGGERED
        world.feed.set_book([("104", "9")], [("105", "9")])
        assert (await reaches(world, FILLED)).average_price == "105"


async def test_a_triggered_stop_ends_in_time_also_when_there_is_no_book_at_all(
    redis_server: RedisServer,
) -> None:
    async with running_world(redis_server, trigger_retry_ms=500) as world:
        world.feed.set_book([("100", "9")], [("100.5", "9")], last="100")
        await eventually_accepted(
            lambda: stop(world, trigger_by=pb.TRIGGER_BY_LAST, trigger_price="102")
        )
        world.feed.set_book([("103", "9")], [], last="103")
        await reaches(world, TRIGGERED)
        await world.market.stop()
        report = await reaches(world, REJECTED)
        assert (report.reason, report.version) == (pb.REASON_NO_LIQUIDITY, 3)
        assert report.triggered_by_price == "103"


async def test_a_stop_whose_time_was_up_while_nobody_watched_expires(
    redis_server: RedisServer,
) -> None:
    async with running_world(redis_server) as world:
        soon = Timestamp()
        soon.FromNanoseconds((await now_ns(world)) + 300_000_000)
        await stop(world, expire_time=soon)
    await asyncio.sleep(0.4)
    market = Market(SPECS)
    async with running_world(redis_server, market) as world:
        market.feeds[SYMBOL].set_book([("104", "9")], [("105", "9")])
        expired = await reaches(world, EXPIRED)
        assert expired.version == 2


@pytest.mark.parametrize("price", ["0", "-5"])
async def test_a_last_price_that_is_none_triggers_nothing(world: World, price: str) -> None:
    sell = {"direction": pb.DIRECTION_SELL, "trigger_by": pb.TRIGGER_BY_LAST}
    world.feed.set_book([("100", "9")], [("100.5", "9")], last="100")
    await eventually_accepted(lambda: stop(world, trigger_price="50", **sell))
    world.feed.set_book([("99", "9")], [("100", "9")], last=price)
    await world.book_arrived()
    world.feed.set_book([("99", "9")], [("100", "9")], last="99")
    await world.book_arrived()
    assert (await stop(world, order_id="o-2", trigger_price="40", **sell)).status == UNTRIGGERED
    assert (await state(world)).status == UNTRIGGERED
