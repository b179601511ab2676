"""The market beside the service: a hundred symbols, twenty levels a side, deeper than any run.

    python -m service.books

Serves them as symbol-service does, pushed; every book changes once a second, as a quiet market's
would, so that the service takes its books from the wire while it is measured. Prints a `ready`
line; ends with SIGTERM.
"""

import asyncio
import signal
import time
from collections.abc import Callable

from execution.decimals import QUANTITY_DECIMALS
from execution.embedded.market.feed import MarketBook
from execution.embedded.market.symbol_service import SymbolService
from execution.model import SymbolSpec

SYMBOLS = 100
DEPTH = 20
PRICE_DECIMALS, LOT_DECIMALS = 2, 3
LEVEL_LOTS = 5_000 * 10**LOT_DECIMALS
"""More than all orders of a second take, so that every order fills whole."""
STEP_SECONDS = 1.0


def symbol(number: int) -> str:
    """The name of a symbol, as the load generator writes it."""
    return f"SYM{number:03}-USDT"


def spec(number: int) -> SymbolSpec:
    """Its scales, and filters that every order meets."""
    lot: int = 10 ** (QUANTITY_DECIMALS - LOT_DECIMALS)
    return SymbolSpec(
        symbol(number),
        price_decimals=PRICE_DECIMALS,
        quantity_decimals=LOT_DECIMALS,
        min_quantity=lot,
        max_quantity=lot * LEVEL_LOTS * DEPTH,
        quantity_step=lot,
    )


def book(number: int, sequence: int) -> MarketBook:
    """The book of a symbol; from one sequence to the next it moves by a tick, to and fro."""
    middle = (100 + number) * 10**PRICE_DECIMALS + sequence % 2
    levels = range(DEPTH)
    quantities = tuple(LEVEL_LOTS + level for level in levels)
    return MarketBook(
        sequence=sequence,
        source_time_ns=time.time_ns(),
        bid_prices=tuple(middle - 1 - level for level in levels),
        bid_quantities=quantities,
        ask_prices=tuple(middle + 1 + level for level in levels),
        ask_quantities=quantities,
        last_price=middle,
    )


class SteadyFeed:
    """A symbol whose book changes at a steady pace."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.spec = spec(number)
        self.book = book(number, 1)

    async def play(self, publish: Callable[[], None]) -> None:
        """A book every `STEP_SECONDS`, for ever."""
        # The symbols take turns, so that no second begins with all of them.
        await asyncio.sleep(STEP_SECONDS * self._number / SYMBOLS)
        while True:
            await asyncio.sleep(STEP_SECONDS)
            self.book = book(self._number, self.book.sequence + 1)
            publish()


async def _serve() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    service = SymbolService(SteadyFeed(number) for number in range(SYMBOLS))
    print(f"ready grpc={await service.start('127.0.0.1:0')}", flush=True)
    await ended.wait()
    await service.stop()


if __name__ == "__main__":
    asyncio.run(_serve())
