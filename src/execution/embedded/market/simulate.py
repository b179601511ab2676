"""Books that look like a market, without one: seeded, and the same every time.

A fair price wanders in calm steps and in bursts, pulled back to where it
started; around it stands a book whose levels mostly stay from one step to the
next, with the hump a few levels behind the best price that real books have.
Randomness is drawn as floats and becomes whole ticks and lots at once: every
price and quantity is an integer from the moment it exists.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, from_text
from execution.embedded.market.feed import MarketBook
from execution.model import SymbolSpec

DEPTH_DEFAULT: Final = 25
DEPTH_MAX: Final = 1000
SEED_DEFAULT: Final = 1
STEP_SECONDS_DEFAULT: Final = 0.125
"""Eight books a second per symbol."""

_SUBTICKS: Final = 64
"""The fair price moves in fractions of a tick, so that slow markets move too."""

_STEP_VOLATILITY: Final = 3.5e-5
"""Relative move of one step: about 50 % a year at eight steps a second."""

_QUIET_STEPS: Final = 0.6
"""Share of steps in which a calm market's price does not move at all."""

_BURST_CHANCE: Final = 0.004
"""Chance per step that volatility jumps: twice a minute."""

_HEAT_DECAY: Final = 0.97
_PULL: Final = 1e-5
_REFRESH_CHANCE: Final = 0.2
_VANISH_CHANCE: Final = 0.03
_WALL_CHANCE: Final = 0.02
_WALL_SIZE: Final = 6
_HUMP_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a simulated symbol is like. One tick and one lot are one scaled unit."""

    spec: SymbolSpec
    start_ticks: int
    """The price it starts at and is pulled back to."""
    level_lots: int
    """Typical quantity of a level at the hump."""
    gap_ticks: int
    """Mean distance between neighbouring levels; below start_ticks / 4000."""


def _instrument(
    symbol: str,
    start: str,
    level: str,
    decimals: tuple[int, int],
    gap_ticks: int = 1,
    min_notional: str = "0.01",
) -> Instrument:
    price_decimals, quantity_decimals = decimals
    lot = 10 ** (QUANTITY_DECIMALS - quantity_decimals)
    level_lots = from_text(level, quantity_decimals)
    return Instrument(
        spec=SymbolSpec(
            symbol=symbol,
            price_decimals=price_decimals,
            quantity_decimals=quantity_decimals,
            min_quantity=lot,
            # Well beyond what any book shows: an order may sweep it all.
            max_quantity=lot * level_lots * 100_000,
            quantity_step=lot,
            min_notional=from_text(min_notional, MONEY_DECIMALS),
        ),
        start_ticks=from_text(start, price_decimals),
        level_lots=level_lots,
        gap_ticks=gap_ticks,
    )


INSTRUMENTS: Final = {
    instrument.spec.symbol: instrument
    for instrument in (
        _instrument("BTC-USDT", "61800.0", "1.2", (1, 3), gap_ticks=4),
        _instrument("ETH-USDT", "2650.00", "18", (2, 3), gap_ticks=2),
        _instrument("XRP-USDT", "0.5800", "52000", (4, 0)),
        _instrument("DOGE-USDT", "0.12000", "240000", (5, 0)),
        _instrument("DASH-BTC", "0.00618955", "3.5", (8, 3), gap_ticks=40, min_notional="0.000001"),
    )
}
"""The symbols that are simulated unless others are named, by symbol."""


def instrument_of(symbol: str) -> Instrument:
    """The instrument of that name; for an unknown one, a market around 100.00."""
    return INSTRUMENTS.get(symbol) or _instrument(symbol, "100.00", "40", (2, 3))


class SimulatedMarket:
    """One symbol's market. The n-th book depends on instrument, seed, depth and n alone.

    >>> market = SimulatedMarket(INSTRUMENTS["XRP-USDT"], seed=7, depth=20)
    >>> book = market.step(time_ns=0)
    >>> book.sequence, len(book.bid_prices), book.bid_prices[0] < book.ask_prices[0]
    (1, 20, True)
    """

    def __init__(self, instrument: Instrument, seed: int, depth: int = DEPTH_DEFAULT) -> None:
        if not 1 <= depth <= DEPTH_MAX:
            raise ValueError(f"depth is {depth}; 1 to {DEPTH_MAX} levels can be simulated")
        self._instrument = instrument
        self._depth = depth
        # Seeded by text, so that the symbols of one seed differ.
        name = f"{seed}:{instrument.spec.symbol}"
        self._random = random.Random(name)  # noqa: S311 - market noise, not a secret
        self._start = instrument.start_ticks * _SUBTICKS
        self._fair = self._mark = self._start
        self._sigma = max(self._start * _STEP_VOLATILITY, _SUBTICKS / 6)
        self._heat = 1.0
        self._drift = 0.0
        self._sequence = 0
        self._last = instrument.start_ticks
        # A side's levels by key, best first: the key is the price in ticks for
        # asks, its negative for bids, so that both sides sort the same way.
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    @property
    def spec(self) -> SymbolSpec:
        """The symbol, its scales and its filters."""
        return self._instrument.spec

    @property
    def heat(self) -> float:
        """How wild it is: 1 in a calm market, up to about 10 in a burst."""
        return self._heat

    def step(self, time_ns: int) -> MarketBook:
        """The next book, stamped with that time."""
        moved = self._move_fair()
        self._trade(moved)
        spread = self._spread_ticks()
        best_bid = self._fair // _SUBTICKS - (spread - 1) // 2
        self._bids = self._reshaped(self._bids, -best_bid)
        self._asks = self._reshaped(self._asks, best_bid + spread)
        self._mark += (self._fair - self._mark) // 8
        self._sequence += 1
        return MarketBook(
            sequence=self._sequence,
            source_time_ns=time_ns,
            bid_prices=tuple(-key for key in self._bids),
            bid_quantities=tuple(self._bids.values()),
            ask_prices=tuple(self._asks),
            ask_quantities=tuple(self._asks.values()),
            last_price=self._last,
            mark_price=self._mark // _SUBTICKS,
        )

    def _move_fair(self) -> int:
        """Moves the fair price; returns the sign of the move."""
        rng = self._random
        self._heat = 1.0 + (self._heat - 1.0) * _HEAT_DECAY
        if rng.random() < _BURST_CHANCE:
            self._heat = min(self._heat + rng.uniform(3, 8), 10.0)
        self._drift = 0.995 * self._drift + rng.gauss(0, 0.02)
        if rng.random() < _QUIET_STEPS / self._heat:
            return 0
        move = round(self._sigma * (self._heat * rng.gauss() + self._drift))
        move += round((self._start - self._fair) * _PULL)
        # Between half and double the start no level can reach a price of zero.
        self._fair = min(max(self._fair + move, self._start // 2), self._start * 2)
        return (move > 0) - (move < 0)

    def _trade(self, moved: int) -> None:
        """A print at the best price that the move, or chance, takes from."""
        rng = self._random
        if not self._bids or (not moved and rng.random() < 0.5):
            return
        buys = moved > 0 or (not moved and rng.random() < 0.5)
        side = self._asks if buys else self._bids
        best, lots = next(iter(side.items()))
        self._last = abs(best)
        side[best] = max(lots - int(lots * rng.random()), 1)

    def _spread_ticks(self) -> int:
        wide = int(self._heat / 2.5)
        return 1 + min(wide, 3) + (self._random.random() < 0.15)

    def _reshaped(self, side: dict[int, int], best: int) -> dict[int, int]:
        """The side from its new best level on: what stays, and new levels in the gaps."""
        rng, gap = self._random, self._instrument.gap_ticks
        levels: dict[int, int] = {}
        previous = best
        for key, lots in side.items():
            if key <= best or rng.random() < _VANISH_CHANCE:
                continue
            while key - previous > 2 * gap:
                previous = self._add_level(levels, previous)
            self._add_level(levels, previous)
            levels[key] = lots
            previous = key
        while len(levels) < self._depth:
            previous = self._add_level(levels, previous)
        kept = dict(list(levels.items())[: self._depth])
        kept[best] = side.get(best, kept[best])
        for index, key in enumerate(kept):
            if rng.random() < _REFRESH_CHANCE:
                kept[key] = self._lots(index)
        return kept

    def _add_level(self, levels: dict[int, int], key: int) -> int:
        """Puts a level at `key` unless one is there; returns a place for the next."""
        if key not in levels:
            levels[key] = self._lots(len(levels))
        return key + 1 + self._random.randrange(2 * self._instrument.gap_ticks - 1)

    def _lots(self, index: int) -> int:
        """A quantity for the level at `index`: humped, skewed, now and then a wall."""
        rng = self._random
        depth = (index + 1) / _HUMP_LEVEL
        shape = depth * math.exp(1 - depth) + 0.15
        wall = _WALL_SIZE if rng.random() < _WALL_CHANCE else 1
        return max(int(self._instrument.level_lots * shape * wall * rng.lognormvariate(0, 0.8)), 1)


class SimulatedFeed:
    """A simulated market in real time: a feed for the symbol-service."""

    def __init__(
        self,
        market: SimulatedMarket,
        step_seconds: float = STEP_SECONDS_DEFAULT,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._market = market
        self._step_seconds = step_seconds
        self._time_ns = time_ns
        self._book = market.step(time_ns())

    @property
    def spec(self) -> SymbolSpec:
        """The symbol, its scales and its filters."""
        return self._market.spec

    @property
    def book(self) -> MarketBook:
        """The newest book."""
        return self._book

    async def play(self, publish: Callable[[], None]) -> None:
        """One step every `step_seconds`, for ever."""
        while True:
            await asyncio.sleep(self._step_seconds)
            self._book = self._market.step(self._time_ns())
            publish()


def simulated_feeds(
    symbols: Sequence[str] = tuple(INSTRUMENTS),
    seed: int = SEED_DEFAULT,
    depth: int = DEPTH_DEFAULT,
) -> list[SimulatedFeed]:
    """A feed for every symbol, each with its own market from the one seed."""
    return [
        SimulatedFeed(SimulatedMarket(instrument_of(symbol), seed, depth)) for symbol in symbols
    ]
