"""Where a symbol-service gets its books from: one feed per symbol."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from execution.decimals import from_text
from execution.model import SymbolSpec


@dataclass(frozen=True, slots=True)
class MarketBook:
    """One state of one symbol's book, as it goes over the wire.

    Prices and quantities are integers scaled by the symbol's decimals, best
    level first. Nothing is checked: a feed may play what a venue really sent.
    """

    sequence: int = 0
    """Changes with every change of the levels; 0: the source keeps none."""
    source_time_ns: int = 0
    """When the source says the book was like this; ns since the epoch."""
    bid_prices: tuple[int, ...] = ()
    bid_quantities: tuple[int, ...] = ()
    ask_prices: tuple[int, ...] = ()
    ask_quantities: tuple[int, ...] = ()
    last_price: int | None = None
    mark_price: int | None = None


class BookFeed(Protocol):
    """The book of one symbol through time."""

    @property
    def spec(self) -> SymbolSpec:
        """The symbol, its scales and its filters; they never change."""

    @property
    def book(self) -> MarketBook:
        """The newest book; the same object until it changes."""

    async def play(self, publish: Callable[[], None]) -> None:
        """Moves `book` on and calls `publish` after every change.

        Returns when no change can come any more; the last book then stays.
        """


class ManualFeed:
    """A feed that its owner moves by hand, for tests and for bridges.

    >>> feed = ManualFeed(SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=3))
    >>> feed.set_book(bids=[("61800.1", "0.5")], asks=[("61800.2", "2")], last="61800.2")
    >>> feed.book.sequence, feed.book.bid_prices, feed.book.bid_quantities
    (1, (618001,), (500,))
    """

    def __init__(self, spec: SymbolSpec, book: MarketBook | None = None) -> None:
        self._spec = spec
        self._book = book or MarketBook()
        self._publish: Callable[[], None] | None = None

    @property
    def spec(self) -> SymbolSpec:
        """The symbol, its scales and its filters."""
        return self._spec

    @property
    def book(self) -> MarketBook:
        """The newest book."""
        return self._book

    def set_book(
        self,
        bids: Iterable[tuple[str, str]],
        asks: Iterable[tuple[str, str]],
        last: str | None = None,
        mark: str | None = None,
        source_time_ns: int = 0,
    ) -> None:
        """The next book: (price, quantity) pairs of signed decimal text.

        The sequence grows by one. Raises `ValueError` for text that is no
        decimal or does not fit the scale.
        """
        price_decimals = self._spec.price_decimals
        bid_prices, bid_quantities = self._scaled(bids)
        ask_prices, ask_quantities = self._scaled(asks)
        self.set(
            MarketBook(
                sequence=self._book.sequence + 1,
                source_time_ns=source_time_ns,
                bid_prices=bid_prices,
                bid_quantities=bid_quantities,
                ask_prices=ask_prices,
                ask_quantities=ask_quantities,
                last_price=None if last is None else from_text(last, price_decimals),
                mark_price=None if mark is None else from_text(mark, price_decimals),
            )
        )

    def set_last(self, last: str) -> None:
        """A trade: the last price alone moves; the book and its sequence stay."""
        self.set(replace(self._book, last_price=from_text(last, self._spec.price_decimals)))

    def set(self, book: MarketBook) -> None:
        """The next book as it is, its sequence included."""
        self._book = book
        if self._publish is not None:
            self._publish()

    async def play(self, publish: Callable[[], None]) -> None:
        """Publishes what is set, until cancelled."""
        self._publish = publish
        # What was set between the start of the service and now is news too.
        publish()
        try:
            await asyncio.Event().wait()
        finally:
            self._publish = None

    def _scaled(self, levels: Iterable[tuple[str, str]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        pairs = tuple(levels)
        return (
            tuple(from_text(price, self._spec.price_decimals) for price, _ in pairs),
            tuple(from_text(quantity, self._spec.quantity_decimals) for _, quantity in pairs),
        )
