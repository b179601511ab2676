"""The demo's stops over the whole service: armed, changed and watched, then proven from Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from world import SYMBOL, World

from execution.adapters.keys import ORDER_STREAM, STOPS_RESTING, TRADE_STREAM, order_key
from execution.cli.demo.flow import Kind, OrderFlow, Wish
from execution.cli.demo.proof import Before, Check, look, prove
from execution.cli.demo.state import Session
from execution.cli.demo.stop_proof import prove_stops, read_stops
from execution.cli.demo.stop_traders import RESTING_MAX, StopTraders
from execution.client import AsyncClient
from execution.errors import InvalidArgument
from execution.model import Direction, OrderStatus
from execution.v1 import execution_pb2 as pb

USERS = ("u1", "u2")
FAR, NEAR = "90", "99.5"
"""SELL triggers: BTC-USDT is bid 100."""


class Listening(StopTraders):
    """Traders who say when they have heard something."""

    def __init__(self, client: AsyncClient, flow: OrderFlow, session: Session) -> None:
        super().__init__(client, flow, session)
        self.news = asyncio.Event()

    async def hear(self, report: pb.ExecutionReport) -> None:
        await super().hear(report)
        self.news.set()


class Demo:
    """Traders with stops on a service, and what they have heard."""

    def __init__(self, world: World, client: AsyncClient, before: Before) -> None:
        self.world = world
        self.before = before
        self.session = Session(begun=0)
        self.flow = OrderFlow(USERS, [world.feed], seed=1)
        self.traders = Listening(client, self.flow, self.session)

    async def arm(self, trigger_price: str | None = FAR, **fields: Any) -> pb.ExecutionReport:
        """A SELL of u1; the stop as it rests."""
        known = set(self.session.stops.resting)
        wish = Wish(Kind.STOP, "u1", SYMBOL, Direction.SELL, "0.5", trigger_price=trigger_price)
        await self.traders.arm(replace(wish, **fields))
        (order_id,) = set(self.session.stops.resting) - known
        return self.session.stops.resting[order_id].report

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for what the watch is to tell."""
        async with asyncio.timeout(10):
            while not holds():
                self.traders.news.clear()
                await self.traders.news.wait()

    async def checks(self) -> list[Check]:
        """The whole proof."""
        store, told = self.world.store, self.session.stops.told
        records = await read_stops(store, self.before, told)
        outcomes = self.session.outcomes | records.outcomes
        return [
            *await prove(store, self.before, outcomes),
            *await prove_stops(store, self.before, told, records),
        ]

    async def broken(self) -> str:
        """The checks that fail."""
        return "\n".join(check.line() for check in await self.checks() if not check.ok)


@asynccontextmanager
async def demo_on(world: World) -> AsyncIterator[Demo]:
    before = await look(world.store, USERS, [SYMBOL])
    async with AsyncClient(world.ready.grpc) as client:
        it = Demo(world, client, before)
        async with it.traders.watching(USERS):
            yield it


@pytest.fixture
async def demo(world: World) -> AsyncIterator[Demo]:
    async with demo_on(world) as it:
        yield it


async def story(demo: Demo) -> dict[str, str]:
    """One stop of each end, by what became of it."""
    rests, cancels = await demo.arm(), await demo.arm()
    expires, triggers = await demo.arm(expire_seconds=0.3), await demo.arm(NEAR)
    await demo.traders.change(Kind.CANCEL, cancels)
    demo.world.feed.set_book([("99", "2")], [("101", "2")])
    await demo.until(lambda: len(demo.session.stops.ended) == 3)
    return {
        "rests": rests.order_id,
        "canceled": cancels.order_id,
        "expired": expires.order_id,
        "filled": triggers.order_id,
    }


async def test_what_becomes_of_stops_is_heard_and_proven(demo: Demo) -> None:
    stops = await story(demo)
    session = demo.session
    assert session.stops.counted() == ["1 rest", "1 triggered", "1 canceled", "1 expired"]
    assert list(session.stops.resting) == [stops["rests"]]
    assert session.traded == {SYMBOL: 1}
    await demo.until(lambda: bool(session.positions))
    assert session.positions["u1", SYMBOL].quantity == "-0.5"
    lines = "\n".join(check.line() for check in await demo.checks())
    assert "FAILED" not in lines
    assert "4 stops were told" in lines
    assert "1 stops are in STOPS:RESTING, none of the 3 that ended" in lines
    assert "1 stops traded, each once; 1 canceled, 1 expired and none of them traded" in lines


async def test_a_moved_trigger_is_heard_and_proven(demo: Demo) -> None:
    stop = await demo.arm(FAR)
    await demo.traders.change(Kind.MODIFY, stop)
    (moved,) = demo.session.stops.resting.values()
    assert moved.report.version == 2
    assert moved.report.trigger_price != FAR
    assert demo.session.stops.modified == 1
    assert await demo.broken() == ""


async def test_a_cancel_that_comes_after_the_trigger_is_too_late_and_no_failure(demo: Demo) -> None:
    stop = await demo.arm(NEAR)
    demo.world.feed.set_book([("99", "2")], [("101", "2")])
    await demo.until(lambda: bool(demo.session.stops.ended))
    await demo.traders.change(Kind.CANCEL, stop)
    assert demo.session.stops.too_late == 1
    assert demo.session.stops.statuses == {OrderStatus.FILLED: 1}
    assert await demo.broken() == ""


async def test_a_stop_that_arrives_after_its_expiry_is_late_and_any_other_wrong_one_wrong(
    demo: Demo,
) -> None:
    late = Wish(Kind.STOP, "u1", SYMBOL, Direction.SELL, "1", trigger_price=FAR, expire_seconds=-1)
    await demo.traders.arm(late)
    assert demo.session.stops.too_late == 1
    with pytest.raises(InvalidArgument):
        await demo.arm("no price")


async def test_stops_of_an_earlier_demo_may_trigger_in_a_later_one(world: World) -> None:
    async with demo_on(world) as earlier:
        old = await earlier.arm(NEAR)
    async with demo_on(world) as later:
        world.feed.set_book([("99", "2")], [("101", "2")])
        await later.until(lambda: old.order_id in later.session.stops.told)
        assert later.session.stops.triggered == 1
        assert await later.broken() == ""


async def test_a_stop_that_triggers_unheard_is_proven_from_the_stream(demo: Demo) -> None:
    stop = await demo.arm(NEAR)
    told = dict(demo.session.stops.told)
    demo.world.feed.set_book([("99", "2")], [("101", "2")])
    await demo.until(lambda: bool(demo.session.stops.ended))
    demo.session.stops.told = told
    records = await read_stops(demo.world.store, demo.before, told)
    assert records.outcomes[stop.order_id].status is OrderStatus.FILLED
    assert await demo.broken() == ""


async def test_only_so_many_rest_and_then_one_is_given_up_for_each_new_one(demo: Demo) -> None:
    assert demo.traders.chosen(Kind.CANCEL) is None
    for _ in range(RESTING_MAX):
        assert demo.traders.chosen(Kind.STOP) is None
        await demo.arm()
    full = demo.traders.chosen(Kind.STOP)
    assert full is not None
    await demo.traders.change(Kind.STOP, full)
    assert len(demo.session.stops.resting) == RESTING_MAX - 1


# Lies


async def test_a_stop_that_is_lost_from_what_rests_is_found(demo: Demo) -> None:
    stops = await story(demo)
    await demo.world.store.hdel(STOPS_RESTING, stops["rests"])
    broken = await demo.broken()
    assert "STOPS:RESTING" in broken
    assert stops["rests"] in broken


@pytest.mark.parametrize("ended", ["canceled", "expired", "filled"])
async def test_a_stop_that_ended_and_rests_again_is_found(demo: Demo, ended: str) -> None:
    stops = await story(demo)
    await demo.world.store.hset(STOPS_RESTING, stops[ended], "anything")
    assert stops[ended] in await demo.broken()


@pytest.mark.parametrize("kind", ["rests", "canceled", "expired", "filled"])
async def test_a_trade_too_many_is_found(demo: Demo, kind: str) -> None:
    stops = await story(demo)
    published: Any = await demo.world.store.xrange(TRADE_STREAM)
    ((_, fields),) = published
    trade = {**json.loads(fields["trade"]), "order_id": stops[kind]}
    await demo.world.store.xadd(TRADE_STREAM, {**fields, "trade": json.dumps(trade)})
    broken = await demo.broken()
    assert "none twice" in broken
    assert f"{stops[kind]} " in broken
    # Filled ones are named by how often they traded, too.
    assert "none of them traded" in broken


async def test_an_order_hash_that_says_something_else_of_a_stop_is_found(demo: Demo) -> None:
    stops = await story(demo)
    await demo.world.store.hset(order_key(stops["canceled"]), "status", "FILLED")
    broken = await demo.broken()
    assert "ORDER hashes" in broken
    assert stops["canceled"] in broken


async def test_what_was_told_and_is_not_in_the_stream_is_found(demo: Demo) -> None:
    stops = await story(demo)
    published: Any = await demo.world.store.xrange(ORDER_STREAM)
    for entry_id, fields in published:
        order = json.loads(fields["order"])
        if order["order_id"] == stops["expired"] and order["status"] == "EXPIRED":
            await demo.world.store.xdel(ORDER_STREAM, entry_id)
    broken = await demo.broken()
    assert "told as they are in STREAM:ORDER" in broken
    assert stops["expired"] in broken
