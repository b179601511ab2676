"""The watch sees every crossing, once, through whatever befalls Redis and the market."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from builders import BUY, SELL, SPEC, order
from watching_world import CALM, RETRY_MS, RISEN, World, ticks, turns, until, watching

from execution.errors import SymbolServiceUnavailable
from execution.model import Direction, OrderStatus, Reason, TriggerBy
from execution.stop_orders import Modification
from execution.testing import Fault, SimulatedBooks, book_snapshot


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    it.show(CALM)
    async with watching(it):
        yield it


# --- crossing


@pytest.mark.parametrize(
    ("direction", "trigger", "book", "price"),
    [
        (BUY, "105", RISEN, "105"),
        (SELL, "96", ([("96", "9")], [("97", "9")]), "96"),
    ],
)
async def test_a_pushed_price_at_the_trigger_executes_the_stop(
    world: World, direction: Direction, trigger: str, book: Any, price: str
) -> None:
    await world.stop(trigger=trigger, direction=direction)
    world.show(book)
    done = await world.reaches(OrderStatus.FILLED)
    assert (done.triggered_by_price, done.average_price) == (price, price)
    assert len(world.watch) == 0


async def test_a_price_short_of_the_trigger_does_nothing(world: World) -> None:
    await world.stop()
    world.show(([("101", "9")], [("102.99", "9")]))
    await ticks()
    assert world.statuses() == ["UNTRIGGERED"]
    assert len(world.watch) == 1


async def test_two_replicas_execute_it_once() -> None:
    one = World()
    other = World(store=one.store, books=SimulatedBooks())
    for world in (one, other):
        world.show(CALM)
    async with watching(one), watching(other):
        for number in range(50):
            await one.stop(f"o-{number}", user_id=f"u{number}")
        assert (len(one.watch), len(other.watch)) == (50, 50)
        for world in (one, other):
            world.show(([("104", "900")], [("105", "900")]))
        await until(lambda: len(one.store.resting) == 0)
        await ticks()
    assert len(one.store.history) == 100


async def test_stops_are_executed_in_the_order_in_which_the_price_reached_them(
    world: World,
) -> None:
    for order_id, trigger in (("far", "104.5"), ("near", "102"), ("middle", "103")):
        await world.stop(order_id, trigger, user_id=order_id)
    world.show(RISEN)
    await until(lambda: not world.store.resting)
    done = [record.report.order_id for record in world.store.history[3:]]
    assert done == ["near", "middle", "far"]


async def test_a_crossing_seen_while_redis_is_away_executes_at_the_price_that_was_seen(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.stop()
    await world.stop("o-2", user_id="bob")
    world.ledger.connected = False
    world.show(RISEN)
    await ticks()
    world.show(CALM)
    await ticks()
    assert world.statuses() == ["UNTRIGGERED"]
    world.ledger.connected = True
    done = await world.reaches(OrderStatus.FILLED)
    assert (done.triggered_by_price, done.average_price) == ("105", "101")
    await world.reaches(OrderStatus.FILLED, "o-2")
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, "one outage is one line, however many stops it meets"


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.LOST_BEFORE, Fault.REFUSED])
async def test_a_commit_of_unknown_outcome_executes_once(world: World, fault: Fault) -> None:
    await world.stop()
    world.ledger.inject(fault)
    world.show(RISEN)
    assert (await world.reaches(OrderStatus.FILLED)).version == 2
    await ticks()
    assert world.statuses() == ["UNTRIGGERED", "FILLED"]


async def test_a_crossing_is_seen_through_while_the_market_is_away(world: World) -> None:
    await world.stop()
    world.books.hold()
    world.show(RISEN)
    await turns()
    world.books.fail(SymbolServiceUnavailable("gone"))
    world.books.release()
    await ticks()
    world.books.fail(None)
    assert (await world.reaches(OrderStatus.FILLED)).triggered_by_price == "105"


async def test_a_stop_that_is_modified_while_its_trigger_is_under_way_rests_on(
    world: World,
) -> None:
    await world.stop()
    world.books.hold()
    world.show(RISEN)
    await until(lambda: bool(world.books.pending))
    other = World(store=world.store, books=SimulatedBooks(), clock=world.clock)
    other.show(CALM)
    changed = await other.orders.modify("o-1", "ann", Modification(trigger_price="120"))
    assert (changed.status, changed.version) == (OrderStatus.UNTRIGGERED, 2)
    await turns()
    world.books.release()
    await ticks()
    assert world.statuses() == ["UNTRIGGERED", "UNTRIGGERED"]
    world.show(([("120", "9")], [("121", "9")]))
    assert (await world.reaches(OrderStatus.FILLED)).version == 3


async def test_a_stop_that_is_cancelled_while_its_trigger_is_under_way_stays_cancelled(
    world: World,
) -> None:
    await world.stop()
    world.books.hold()
    world.show(RISEN)
    await until(lambda: bool(world.books.pending))
    await world.orders.cancel("o-1", "ann")
    world.books.release()
    await ticks()
    assert world.statuses() == ["UNTRIGGERED", "CANCELED"]
    assert len(world.watch) == 0


async def test_a_stop_told_after_the_price_moved_is_looked_at_at_once(world: World) -> None:
    world.told.hold()
    await world.stop()
    world.show(RISEN)
    await ticks()
    assert world.statuses() == ["UNTRIGGERED"]
    world.told.release()
    assert (await world.reaches(OrderStatus.FILLED)).version == 2


async def test_a_stop_told_while_the_feed_was_stale_is_looked_at_when_it_is_fresh_again(
    world: World,
) -> None:
    """A heartbeat makes the last book fresh again, and the next one may be long in coming."""
    world.told.hold()
    await world.stop()
    world.show(RISEN)
    stale = SymbolServiceUnavailable("stale")
    world.books.fail(stale)
    world.told.release()
    await ticks()
    assert world.statuses() == ["UNTRIGGERED"]
    world.books.fail(None)
    assert (await world.reaches(OrderStatus.FILLED)).version == 2


# --- waiting for liquidity


def show_last(world: World, last: str, **sides: Any) -> None:
    sequence = world.clock.time_ns() % 1_000_003 + len(world.store.history)
    shown = book_snapshot(SPEC, sequence=sequence, **sides)
    world.books.put(replace(shown, last_price=int(float(last) * 100)))


async def waiting_stop(world: World) -> None:
    """One that triggered on a book without a side to take."""
    show_last(world, "100", bids=CALM[0], asks=CALM[1])
    await world.stop(trigger_by=TriggerBy.LAST)
    show_last(world, "104", bids=CALM[0])
    await world.reaches(OrderStatus.TRIGGERED)


async def test_a_triggered_stop_waits_for_the_next_book_with_liquidity(world: World) -> None:
    await waiting_stop(world)
    show_last(world, "99", bids=[("99", "1")])
    await ticks()
    assert world.statuses() == ["UNTRIGGERED", "TRIGGERED"]
    assert len(world.watch) == 1
    show_last(world, "98", asks=[("98.5", "9")])
    done = await world.reaches(OrderStatus.FILLED)
    assert (done.triggered_by_price, done.average_price) == ("104", "98.5")


async def test_a_triggered_stop_is_rejected_once_it_has_waited_too_long(world: World) -> None:
    await waiting_stop(world)
    world.clock.advance(RETRY_MS * 1_000_000 - 1)
    await ticks()
    assert world.report().status is OrderStatus.TRIGGERED
    world.clock.advance(2)
    done = await world.reaches(OrderStatus.REJECTED)
    assert (done.reason, done.triggered_by_price) == (Reason.NO_LIQUIDITY, "104")


async def test_a_triggered_stop_can_be_cancelled(world: World) -> None:
    await waiting_stop(world)
    await world.orders.cancel("o-1", "ann")
    show_last(world, "104", asks=[("104", "9")])
    await ticks()
    assert world.statuses() == ["UNTRIGGERED", "TRIGGERED", "CANCELED"]


# --- expiry


async def test_it_expires_when_its_time_is_up_and_not_before(world: World) -> None:
    at = world.clock.time_ns() + 1_000
    await world.stop(expire_time_ns=at)
    world.clock.advance(999)
    await ticks()
    assert world.statuses() == ["UNTRIGGERED"]
    world.clock.advance(1)
    done = await world.reaches(OrderStatus.EXPIRED)
    assert done.reason is Reason.EXPIRED_UNTRIGGERED


async def test_an_expiry_that_meets_an_outage_is_seen_through(world: World) -> None:
    await world.stop(expire_time_ns=world.clock.time_ns() + 1_000)
    world.ledger.connected = False
    world.clock.advance(1_000)
    await ticks()
    world.show(RISEN)
    world.ledger.connected = True
    assert (await world.reaches(OrderStatus.EXPIRED)).version == 2
    assert world.statuses() == ["UNTRIGGERED", "EXPIRED"]


async def test_a_stop_that_expired_while_nobody_watched_is_not_executed() -> None:
    world = World()
    world.show(CALM)
    await world.stop(expire_time_ns=world.clock.time_ns() + 1_000)
    world.clock.advance(3_600 * 10**9)
    world.show(RISEN)
    async with watching(world):
        assert (await world.reaches(OrderStatus.EXPIRED)).version == 2
    assert world.statuses() == ["UNTRIGGERED", "EXPIRED"]


# --- polling


async def test_what_is_not_pushed_is_asked_for_once_an_interval_however_many_stops() -> None:
    world = World(books=SimulatedBooks(pushing=False))
    world.show(CALM)
    async with watching(world):
        for number in range(30):
            await world.stop(f"o-{number}", user_id=f"u{number}")
        world.books.hold()
        await until(lambda: bool(world.books.pending))
        world.books.asked.clear()
        for _ in range(3):
            world.books.release()
            world.books.hold()
            await until(lambda: bool(world.books.pending))
            assert len(world.books.pending) == 1
        assert len(world.books.asked) == 3
        world.books.release()
        world.show(([("104", "900")], [("105", "900")]))
        await until(lambda: not world.store.resting)


async def test_a_symbol_without_stops_is_never_asked_for() -> None:
    world = World(books=SimulatedBooks(pushing=False))
    world.show(CALM)
    async with watching(world):
        await ticks(10)
        assert world.books.asked == []


async def test_a_stop_meets_the_newest_book_not_the_one_that_was_polled() -> None:
    """An older book would restore what orders took from it, and from the newer one."""
    world = World(books=SimulatedBooks(pushing=False))
    world.show(CALM)
    async with watching(world):
        await world.stop(quantity="5")
        world.books.hold()
        world.show(RISEN)
        await until(lambda: bool(world.books.pending))
        world.books.pending[0].reply()
        world.show(([("107", "6")], [("108", "6")]))
        world.books.release()
        taken = await world.executor.execute(order(quantity="4", order_id="o-2", user_id="bob"))
        done = await world.reaches(OrderStatus.PARTIAL)
    assert (done.triggered_by_price, done.average_price) == ("105", "108")
    assert (taken.filled_quantity, done.filled_quantity) == ("4", "2")
