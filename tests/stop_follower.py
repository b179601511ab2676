"""One who follows a stream of stops, and remembers what it was told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from execution.adapters.stop_reader import ReadLimits
from execution.adapters.stop_stream import RedisStopStream, StopStreamConfig
from execution.adapters.wire import WireLimits
from execution.model import RestingStop
from execution.ports import Record, StopChange, StopEvent, StopsAnew, StopsKnown, StopStream

BOUND_SECONDS = 10.0
"""Far above everything a test waits for: what takes longer hangs."""

QUICK_READ = ReadLimits(block_ms=40)
QUICK_WIRE = WireLimits(connect_timeout_ms=300, request_timeout_ms=250)


class Follower:
    """Applies every event at once, and checks that none goes back in time."""

    def __init__(self) -> None:
        self.stops: dict[str, RestingStop] = {}
        self.known = False
        self.begun = 0
        """How often everything was told anew."""
        self.events: list[StopEvent] = []
        self._versions: dict[str, int] = {}
        self._heard = asyncio.Event()
        self.pace: Callable[[], Any] | None = None
        """Awaited after each batch."""

    async def follow(self, stream: StopStream) -> None:
        batches: Any = stream.follow()
        async with aclosing(batches):
            async for batch in batches:
                assert batch, "a batch is never empty"
                for event in batch:
                    self._hear(event)
                self._heard.set()
                if self.pace is not None:
                    await self.pace()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until it holds after some batch."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not holds():
                self._heard.clear()
                await self._heard.wait()

    async def until_knows(self, stops: dict[str, RestingStop]) -> None:
        """Waits until it knows all, and these are all."""
        await self.until(lambda: self.known and self.stops == stops)

    def _hear(self, event: StopEvent) -> None:
        self.events.append(event)
        match event:
            case StopsAnew():
                self.begun += 1
                self.known = False
                self.stops.clear()
                self._versions.clear()
            case StopsKnown():
                assert not self.known
                self.known = True
            case StopChange(order_id, None):
                self.stops.pop(order_id, None)
                self._versions[order_id] = 1 << 62
            case StopChange(order_id, RestingStop() as stop):
                assert stop.order_id == order_id
                assert stop.version >= self._versions.get(order_id, 0), "it goes back in time"
                self._versions[order_id] = stop.version
                self.stops[order_id] = stop


def stop_stream(url: str, **read: int) -> RedisStopStream:
    """A stream that notices everything quickly."""
    limits = ReadLimits(**{"block_ms": QUICK_READ.block_ms, **read})
    return RedisStopStream(StopStreamConfig(url, limits, QUICK_WIRE))


@asynccontextmanager
async def following(
    stream: StopStream, pace: Callable[[], Any] | None = None
) -> AsyncIterator[Follower]:
    """Follows until the end of the block; a failure while following is raised there."""
    follower = Follower()
    follower.pace = pace
    task = asyncio.create_task(follower.follow(stream))
    try:
        yield follower
    finally:
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def failure_of(stream: RedisStopStream) -> str:
    """Why nothing is heard at the moment, "" while all is well."""
    return "" if stream.failure is None else stream.failure.message


def stops_of(*records: Record) -> dict[str, RestingStop]:
    """What whoever follows should know of them."""
    return {r.report.order_id: r.resting for r in records if r.resting is not None}
