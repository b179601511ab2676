"""A market data source in memory: the test says which book, when, and what fails."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from execution._match import parse_decimal
from execution.errors import SymbolServiceUnavailable, Unavailable
from execution.model import Int64Array, ReferencePrices, Snapshot, SymbolSpec
from execution.ports import BookListener
from execution.pricing import reference_prices
from execution.testing.arrivals import Arrivals


@dataclass(frozen=True, slots=True)
class Asked:
    """One question for a book, as it arrived."""

    symbol: str
    arrived_ns: int


def book_snapshot(
    spec: SymbolSpec,
    bids: Iterable[tuple[str, str]] = (),
    asks: Iterable[tuple[str, str]] = (),
    *,
    sequence: int = 0,
    source: str = "simulated",
    source_time_ns: int | None = None,
) -> Snapshot:
    """A snapshot of (price, quantity) levels in decimal text, best first.

    Not judged: a crossed or unsorted book is built as it is given. Raises
    `ValueError` or `OverflowError` for text that does not fit the scales of
    `spec`.

    >>> snapshot = book_snapshot(SymbolSpec("X", 2, 0), asks=[("1.01", "5")])
    >>> snapshot.ask_prices.tolist(), snapshot.ask_quantities.tolist()
    ([101], [5])
    """
    bid_prices, bid_quantities = _side(spec, bids)
    ask_prices, ask_quantities = _side(spec, asks)
    return Snapshot(
        spec=spec,
        source=source,
        sequence=sequence,
        source_time_ns=source_time_ns,
        bid_prices=bid_prices,
        bid_quantities=bid_quantities,
        ask_prices=ask_prices,
        ask_quantities=ask_quantities,
    )


def _side(spec: SymbolSpec, levels: Iterable[tuple[str, str]]) -> tuple[Int64Array, Int64Array]:
    prices, quantities = [], []
    for price, quantity in levels:
        prices.append(parse_decimal(price, spec.price_decimals))
        quantities.append(parse_decimal(quantity, spec.quantity_decimals))
    return np.array(prices, np.int64), np.array(quantities, np.int64)


class SimulatedBooks:
    """A `ports.BookSource`, and a `ports.BookWatch`, under the control of the test.

    A question is answered at once from the present books; after `hold()` it
    waits in `pending` until the test answers it, or fails it. A book of
    sequence 0 comes as a snapshot of its own for every question, as one fetch
    each from a source that keeps no sequence. While it is `pushing`, a listener
    hears of every book that is shown.
    """

    def __init__(self, *, pushing: bool = True, at_once: bool = False) -> None:
        self.pushing = pushing
        """While False nobody hears of a book who does not ask."""
        self.at_once = at_once
        """Whether orders meet the present book without a question, where they may."""
        self.asked: list[Asked] = []
        self.arrivals = Arrivals()
        self._books: dict[str, Snapshot] = {}
        self._error: Unavailable | None = None
        self._held = False
        self._pending: list[PendingBook] = []
        self._listener: BookListener = _nobody

    def set_book(
        self,
        symbol: str,
        bids: Iterable[tuple[str, str]] = (),
        asks: Iterable[tuple[str, str]] = (),
        *,
        sequence: int | None = None,
        spec: SymbolSpec | None = None,
    ) -> Snapshot:
        """Shows a book of decimal text levels from now on, and returns its snapshot.

        Without `sequence` it is one more than the last; without `spec` scales
        and filters stay as they were (eight and eight digits, no filter, for a
        new symbol). Raises as `book_snapshot` does.
        """
        known = self._books.get(symbol)
        if spec is None:
            spec = known.spec if known else SymbolSpec(symbol)
        if sequence is None:
            sequence = known.sequence + 1 if known else 1
        snapshot = book_snapshot(spec, bids, asks, sequence=sequence)
        self.put(snapshot)
        return snapshot

    def put(self, snapshot: Snapshot) -> None:
        """Shows this snapshot from now on, as it is."""
        self._books[snapshot.spec.symbol] = snapshot
        if self.pushing:
            self._listener(snapshot.spec.symbol)

    def listen(self, listener: BookListener) -> None:
        """Calls `listener` with the symbol of every book that is shown while `pushing`."""
        self._listener = listener

    def pushed(self, symbol: str) -> ReferencePrices | None:
        """The prices of the present book; None if nothing is pushed, or all is failing."""
        snapshot = self._books.get(symbol)
        if snapshot is None or self._error is not None or not self.pushing:
            return None
        return reference_prices(snapshot)

    def forget(self, symbol: str) -> None:
        """Delists a symbol: from now on the source does not know it."""
        self._books.pop(symbol, None)

    def fail(self, error: Unavailable | None) -> None:
        """Answers every question with `error` from now on; None ends that."""
        self._error = error

    def hold(self) -> None:
        """Lets every question wait in `pending` from now on."""
        self._held = True

    def release(self) -> None:
        """Answers all that wait, oldest first, and lets no more wait."""
        self._held = False
        for pending in self.pending:
            pending.reply()

    @property
    def pending(self) -> tuple["PendingBook", ...]:
        """The questions that wait for an answer, oldest first."""
        return tuple(self._pending)

    def newest(self, symbol: str) -> Snapshot | None:
        """The present book, if books come `at_once`; see `ports.BookSource`."""
        if not self.at_once or self._held or self._error is not None:
            return None
        return self._newest(symbol)

    async def snapshot(self, symbol: str, arrived_ns: int) -> Snapshot | None:
        """The newest book of the symbol, None if unknown; see `ports.BookSource`."""
        self.asked.append(Asked(symbol, arrived_ns))
        question = PendingBook(self, symbol)
        self._pending.append(question)
        if not self._held:
            question.reply()
        self.arrivals.note()
        try:
            return await question.answer
        finally:
            question.settle()

    def _newest(self, symbol: str) -> Snapshot | None:
        if self._error is not None:
            # A fresh exception: one raised twice would carry the traces of both.
            raise type(self._error)(self._error.message, self._error.metadata)
        snapshot = self._books.get(symbol)
        if snapshot is not None and not snapshot.sequence:
            return replace(snapshot)
        return snapshot


class PendingBook:
    """A question on its way to the source, for the test to answer."""

    def __init__(self, books: SimulatedBooks, symbol: str) -> None:
        self.symbol = symbol
        self.answer: asyncio.Future[Snapshot | None] = asyncio.get_running_loop().create_future()
        self._books = books

    def reply(self) -> None:
        """Answers with the book shown now, or with the error set by `fail`."""
        try:
            snapshot = self._books._newest(self.symbol)
        except Unavailable as error:
            self.fail(error)
        else:
            self.settle()
            if not self.answer.done():
                self.answer.set_result(snapshot)

    def fail(self, error: Unavailable | None = None) -> None:
        """Fails this question alone; `SymbolServiceUnavailable` if nothing else is said."""
        self.settle()
        if not self.answer.done():
            self.answer.set_exception(
                error or SymbolServiceUnavailable("the simulated symbol-service did not answer")
            )

    def settle(self) -> None:
        """Waits no more; also where the caller has gone."""
        if self in self._books._pending:
            self._books._pending.remove(self)


def _nobody(_: str) -> None:
    """Listens to nothing."""
