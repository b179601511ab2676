"""What the probe believes when answers overtake each other."""

import asyncio
from collections.abc import Mapping

from execution.adapters.book_messages import Listing
from execution.adapters.market_channel import MarketChannel
from execution.adapters.market_probe import MarketProbe
from execution.testing import SimulatedClock
from execution.v1 import marketdata_pb2 as md


class Overtaking(MarketChannel):
    """Answers GetSymbols when, and in the order, the test says."""

    def __init__(self) -> None:
        self.target = "market"
        self.answers: list[asyncio.Future[bytes]] = []

    async def get_symbols(self, timeout_seconds: float) -> bytes:
        assert timeout_seconds == 1.0
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer


def symbols(*names: str) -> bytes:
    return md.Symbols(symbols=[md.SymbolSpec(symbol=name) for name in names]).SerializeToString()


async def test_an_older_listing_never_replaces_a_newer_one() -> None:
    channel, clock = Overtaking(), SimulatedClock()
    heard: list[tuple[set[str], int]] = []

    def found(listed: Mapping[str, Listing], asked_ns: int) -> None:
        heard.append((set(listed), asked_ns))

    probe = MarketProbe(channel, clock, 1.0, found)
    older = asyncio.create_task(probe.listing("NEW", 1.0))
    await asyncio.sleep(0)
    clock.advance(5)
    newer = asyncio.create_task(probe.listing("NEW", 1.0))
    await asyncio.sleep(0)
    channel.answers[1].set_result(symbols("OLD", "NEW"))
    assert await newer is not None
    channel.answers[0].set_result(symbols("OLD"))
    assert await older is not None
    assert set(probe.listed) == {"OLD", "NEW"}
    assert heard == [({"OLD", "NEW"}, 5)]
