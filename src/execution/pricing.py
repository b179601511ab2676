"""PRICE DISCOVERY: is this book usable, which side of it, and what is left there.

Knows nothing of orders beyond their direction. That a snapshot is fresh enough
is the promise of `ports.BookSource`; whether it is sane, and what earlier
orders already took from it, is decided here.
"""

from enum import StrEnum
from typing import Final

import numpy as np

from execution import _order
from execution._match import Book, format_decimal
from execution._order import Accounts
from execution.model import (
    Direction,
    Int64Array,
    Quote,
    Reason,
    ReferencePrices,
    Snapshot,
    SnapshotRef,
    SymbolSpec,
    Unusable,
)

SYMBOLS_MAX: Final = 10_000
"""Symbols whose account of taken liquidity is kept; the least used goes first."""


class LiquidityMode(StrEnum):
    """`--liquidity`: whether orders on one snapshot share what it shows."""

    CONSUME = "consume"
    SNAPSHOT = "snapshot"


class Liquidity:
    """What orders of this process left of the snapshot each symbol shows now.

    Two orders on the same snapshot never get the same quantity (mode consume).
    Any other snapshot of the symbol restores it. Exact within one process, best
    effort across replicas and restarts. Source: SEMANTICS, Price discovery.
    """

    def __init__(self, mode: LiquidityMode = LiquidityMode.CONSUME) -> None:
        self.consumes = mode is LiquidityMode.CONSUME
        self.accounts = Accounts(SYMBOLS_MAX, _judged, _same)

    def quote(self, snapshot: Snapshot, direction: Direction) -> Quote | Unusable:
        """The opposite side of the book as earlier orders left it, or why there is none."""
        return self.accounts.side(snapshot, direction)

    def take(self, quote: Quote, taken: tuple[int, ...]) -> None:
        """Books `taken` (per level, best first) out of what is available."""
        if self.consumes:
            _order.take(quote, taken)

    def give_back(self, quote: Quote, taken: tuple[int, ...]) -> None:
        """Undoes `take`, for a commit that did not keep it.

        Harmless once the symbol has moved on: the quote's book is then nobody's.
        """
        if self.consumes:
            _order.give_back(quote, taken)


def unknown_symbol(symbol: str, source: str = "") -> Unusable:
    """The answer for a symbol that the source does not list."""
    message = f"symbol {symbol!r} is not known to the market data source"
    ref = SnapshotRef(source) if source else None
    return Unusable(SymbolSpec(symbol), Reason.UNKNOWN_SYMBOL, message, ref)


def reference(snapshot: Snapshot) -> SnapshotRef:
    """What reports say about the book they met."""

    def best(prices: Int64Array, quantities: Int64Array) -> str:
        price = None if snapshot.defect else price_or_none(_best_with_quantity(prices, quantities))
        return "" if price is None else format_decimal(price, snapshot.spec.price_decimals)

    return SnapshotRef(
        source=snapshot.source,
        sequence=snapshot.sequence,
        source_time_ns=snapshot.source_time_ns,
        best_bid=best(snapshot.bid_prices, snapshot.bid_quantities),
        best_ask=best(snapshot.ask_prices, snapshot.ask_quantities),
    )


def reference_prices(snapshot: Snapshot) -> ReferencePrices:
    """What triggers are compared with; of a book that is none, last and mark alone."""
    bid = ask = None
    if not (snapshot.defect or _defect(snapshot)):
        bid = _best_with_quantity(snapshot.bid_prices, snapshot.bid_quantities)
        ask = _best_with_quantity(snapshot.ask_prices, snapshot.ask_quantities)
    return ReferencePrices(
        snapshot.spec.price_decimals,
        bid=bid,
        ask=ask,
        last=price_or_none(snapshot.last_price),
        mark=price_or_none(snapshot.mark_price),
    )


def price_or_none(price: int | None) -> int | None:
    """A price is above zero; anything else is none, and triggers nothing."""
    return price if price is not None and price > 0 else None


def _best_with_quantity(prices: Int64Array, quantities: Int64Array) -> int | None:
    if len(quantities) and quantities[0]:
        return int(prices[0])  # as good as always, and much the cheapest to find out
    shown = np.flatnonzero(quantities)
    return int(prices[shown[0]]) if len(shown) else None


def _same(known: Snapshot, offered: Snapshot) -> bool:
    """Whether two snapshots show the same book at the same moment of its source.

    A source that repeats a sequence with other levels is believed: the levels
    are what an order meets.
    """
    if not offered.sequence or known.sequence != offered.sequence:
        return False
    return (
        known.source == offered.source
        and known.spec == offered.spec
        and known.defect == offered.defect
        and np.array_equal(known.bid_prices, offered.bid_prices)
        and np.array_equal(known.ask_prices, offered.ask_prices)
        and np.array_equal(known.bid_quantities, offered.bid_quantities)
        and np.array_equal(known.ask_quantities, offered.ask_quantities)
    )


def _judged(snapshot: Snapshot) -> tuple[Quote | Unusable, Quote | Unusable]:
    """Asks and bids for orders to draw down, or why there are none."""
    ref = reference(snapshot)
    defect = snapshot.defect or _defect(snapshot)
    if defect:
        message = f"the book of {snapshot.spec.symbol} is unusable: {defect}"
        unusable = Unusable(snapshot.spec, Reason.BAD_BOOK, message, ref)
        return unusable, unusable
    return (
        _side(snapshot, ref, snapshot.ask_prices, snapshot.ask_quantities),
        _side(snapshot, ref, snapshot.bid_prices, snapshot.bid_quantities),
    )


def _defect(snapshot: Snapshot) -> str:
    """Why the levels are no book (crossed, unsorted, negative, zero price), or ""."""
    try:
        Book(
            snapshot.bid_prices,
            snapshot.bid_quantities,
            snapshot.ask_prices,
            snapshot.ask_quantities,
        )
    except (ValueError, OverflowError) as error:
        return str(error)
    return ""


def _side(
    snapshot: Snapshot,
    ref: SnapshotRef,
    prices: Int64Array,
    quantities: Int64Array,
) -> Quote:
    return Quote(
        spec=snapshot.spec,
        ref=ref,
        prices=prices,
        available=quantities.copy(),
        best=_best_with_quantity(prices, quantities),
    )
