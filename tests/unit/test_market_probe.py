"""What the probe believes when answers overtake each other."""

import asyncio
from collections.abc import Mapping

import pytest

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


async def test_what_cannot_be_foreseen_does_not_end_the_asking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_listed: Mapping[str, Listing], _asked_ns: int) -> None:
        raise ZeroDivisionError("a bug")

    channel = Overtaking()
    probe = MarketProbe(channel, SimulatedClock(), 1.0, broken)
    asking = asyncio.create_task(probe.run(lambda: 60.0))
    for number in range(2):
        while len(channel.answers) <= number:
            await asyncio.sleep(0)
        channel.answers[number].set_result(symbols("OLD"))
        probe.wake()
    while len(channel.answers) < 3:
        await asyncio.sleep(0)
    assert (probe.reachable, probe.problem) == (False, "symbol-service market: ZeroDivisionError")
    assert caplog.text.count("a bug") >= 2
    asking.cancel()
