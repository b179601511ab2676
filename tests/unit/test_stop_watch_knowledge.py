"""The watch knows every stop that rests, through reloads, failovers and mistakes, until closed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from builders import order
from watching_world import CALM, RISEN, World, ticks, turns, until, watching

from execution.model import OrderStatus, RestingStop
from execution.ports import StopChange, StopEvent, StopsAnew, StopsKnown


async def test_stops_that_rested_before_are_watched_from_the_start() -> None:
    before = World()
    before.show(CALM)
    await before.stop()
    world = World(store=before.store)
    world.show(CALM)
    async with watching(world):
        assert len(world.watch) == 1
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2


class Told:
    """A stop stream that says what the test wants said."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[Sequence[StopEvent]] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[Sequence[StopEvent]]:
        while True:
            yield await self.batches.get()

    def tell(self, *events: StopEvent) -> None:
        self.batches.put_nowait(events)


def resting(order_id: str, trigger: str = "103", version: int = 1, **fields: Any) -> RestingStop:
    placed = replace(order(order_id=order_id, trigger_price=trigger), **fields)
    return RestingStop(order_id, version, placed.payload(), placed.received_time_ns)


@asynccontextmanager
async def told_world() -> AsyncIterator[tuple[World, Told]]:
    told = Told()
    world = World(stream=told)
    world.show(CALM)
    told.tell(StopsAnew(), StopsKnown())
    async with watching(world):
        yield world, told


async def test_while_all_is_told_anew_what_was_known_is_still_watched() -> None:
    async with told_world() as (world, told):
        await world.stop()
        told.tell(StopChange("o-1", world.store.resting["o-1"]))
        told.tell(StopsAnew())
        await turns()
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2


async def test_what_is_not_told_again_is_forgotten() -> None:
    async with told_world() as (world, told):
        told.tell(StopChange("gone", resting("gone")), StopChange("kept", resting("kept")))
        told.tell(StopsAnew(), StopChange("kept", resting("kept")), StopsKnown())
        await turns()
        assert len(world.watch) == 1


async def test_a_ledger_that_went_back_is_believed() -> None:
    """A failover may lose a modify: the older version is then what rests."""
    async with told_world() as (world, told):
        await world.stop(trigger="103")
        first = world.store.resting["o-1"]
        told.tell(StopChange("o-1", resting("o-1", "200", version=2)))
        told.tell(StopsAnew(), StopChange("o-1", first), StopsKnown())
        await turns()
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2


async def test_a_trigger_that_was_lost_by_a_failover_rests_again() -> None:
    async with told_world() as (world, told):
        await world.stop(trigger="103")
        first = world.store.resting["o-1"]
        waits = replace(first, version=2, triggered_time_ns=1, triggered_by_price="104")
        told.tell(StopChange("o-1", waits))
        told.tell(StopsAnew(), StopChange("o-1", first), StopsKnown())
        await turns()
        assert len(world.watch) == 1
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2


async def test_a_stop_that_cannot_be_read_does_not_blind_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with told_world() as (world, told):
        bad = [RestingStop("bad", 1, "nonsense", 0)]
        bad.append(replace(resting("bad-2"), terms=resting("bad-2").terms.replace("BUY", "UP")))
        told.tell(*(StopChange(stop.order_id, stop) for stop in bad))
        await turns()
        await world.stop()
        told.tell(StopChange("o-1", world.store.resting["o-1"]))
        await turns()
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2
    assert sum("NOT watched" in record.message for record in caplog.records) == 2


async def test_a_watch_that_failed_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Told):
        async def follow(self) -> AsyncIterator[Sequence[StopEvent]]:
            if await self.batches.get():
                raise RuntimeError("a mistake of ours")
            yield [StopsAnew(), *self.rest, StopsKnown()]
            await asyncio.Event().wait()

        rest: Sequence[StopEvent] = ()

    told = Broken()
    world = World(stream=told)
    world.show(CALM)
    await world.stop()
    told.rest = [StopChange("o-1", world.store.resting["o-1"])]
    told.tell(StopsKnown())
    told.tell()
    async with watching(world):
        world.show(RISEN)
        assert (await world.reaches(OrderStatus.FILLED)).version == 2
    assert any("begins again" in record.message for record in caplog.records)


async def test_a_stop_told_twice_over_its_expiry_is_no_trouble() -> None:
    """A page may show a stop that the changes after it name again."""
    async with told_world() as (world, told):
        await world.stop(expire_time_ns=world.clock.time_ns() + 1_000)
        stop = world.store.resting["o-1"]
        other = resting("o-0", "103")
        world.ledger.connected = False
        told.tell(StopChange("o-0", other), StopChange("o-1", stop))
        await turns()
        world.clock.advance(2_000)
        await ticks()
        told.tell(StopChange("o-1", stop))
        await ticks()
        world.ledger.connected = True
        assert (await world.reaches(OrderStatus.EXPIRED)).version == 2


# --- the end


async def test_once_closed_it_begins_nothing_more() -> None:
    world = World()
    world.show(CALM)
    async with watching(world):
        await world.stop()
    world.show(RISEN)
    await turns()
    assert world.statuses() == ["UNTRIGGERED"]
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()


async def test_a_price_that_crosses_very_many_begins_a_bounded_number_at_once() -> None:
    async with told_world() as (world, told):
        count = 20_000
        told.tell(*(StopChange(f"o-{n}", resting(f"o-{n}")) for n in range(count)))
        await until(lambda: len(world.watch) == count)
        before = len(asyncio.all_tasks())
        world.ledger.connected = False
        world.show(RISEN)
        assert len(asyncio.all_tasks()) - before <= 300
        await ticks()
        assert len(asyncio.all_tasks()) - before <= 300
        # None of them is in the ledger: nothing is to be done, for any.
        world.ledger.connected = True
        await until(lambda: len(asyncio.all_tasks()) == before)
