"""How long a replica takes to learn of every resting stop when it starts.

    python benchmarks/stop_load.py [stops]

Fills the index of a throwaway Redis and follows it until all is known: twice
without keeping anything, with and without reading the terms of each order,
and once keeping all. The longest pause is that of a task that wants the event
loop every millisecond meanwhile.
"""

import asyncio
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import psutil
from redis_server import RedisServer

from execution.adapters.resting import stop_to_text
from execution.adapters.stop_stream import RedisStopStream, StopStreamConfig
from execution.model import Direction, Order, OrderType, RestingStop
from execution.ports import StopChange, StopsKnown

PER_COMMAND = 1_000
SYMBOLS = 50
NOW_NS = 1_700_000_000_000_000_000


def resting(number: int) -> RestingStop:
    """One stop as a client would send it."""
    order = Order(
        order_id=f"0192f3c1-5a7b-7def-8abc-{number:012}",
        user_id=f"user-{number % 1_000}",
        symbol=f"SYM{number % SYMBOLS}-USDT",
        direction=Direction(1 + number % 2),
        quantity="0.125",
        order_type=OrderType.SL,
        trigger_price=f"{30_000 + number % 5_000}.25",
        received_time_ns=NOW_NS + number,
    )
    return RestingStop(order.order_id, 1, order.payload(), order.received_time_ns)


def fill(server: RedisServer, count: int) -> None:
    """Puts so many stops into the index."""
    for first in range(0, count, PER_COMMAND):
        fields: list[str] = []
        for number in range(first, min(first + PER_COMMAND, count)):
            stop = resting(number)
            fields += [stop.order_id, stop_to_text(stop)]
        server.command("HSET", "STOPS:RESTING", *fields)


class Pauses:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def watch(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            await asyncio.sleep(0.001)
            self.longest_seconds = max(self.longest_seconds, loop.time() - begun - 0.001)


async def load(url: str, *, terms: bool, keep: bool) -> None:
    """Follows until all is known, and prints what it took."""
    process = psutil.Process()
    before_bytes = process.memory_info().rss
    pauses = Pauses()
    watch = asyncio.create_task(pauses.watch())
    kept: dict[str, RestingStop] = {}
    count = 0
    begun, cpu = time.perf_counter(), time.process_time()
    batches: Any = RedisStopStream(StopStreamConfig(url)).follow()
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                if isinstance(event, StopChange) and event.stop is not None:
                    count += 1
                    if terms:
                        event.stop.order()
                    if keep:
                        kept[event.order_id] = event.stop
            if isinstance(batch[-1], StopsKnown):
                break
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    watch.cancel()
    size = f", {(process.memory_info().rss - before_bytes) / count:.0f} bytes each" if keep else ""
    print(
        f"{count:>9,} stops  {seconds:6.2f} s  {cpu:6.2f} s of CPU"
        f"  longest pause {pauses.longest_seconds * 1e3:5.1f} ms"
        f"{'  terms read' if terms else ''}{'  kept' if keep else ''}{size}"
    )


def main() -> None:
    """Runs the three loads on a Redis of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with RedisServer() as server:
        fill(server, count)
        used = server.command("MEMORY", "USAGE", "STOPS:RESTING")
        assert isinstance(used, int)
        print(f"the index takes {used / count:.0f} bytes a stop in Redis")
        for terms, keep in ((False, False), (True, False), (False, True)):
            asyncio.run(load(server.url, terms=terms, keep=keep))


if __name__ == "__main__":
    main()
