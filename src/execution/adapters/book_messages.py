"""What symbol-service sends, translated once into the model.

Translation does not judge: crossed, unsorted or negative levels pass, pricing
refuses them. What cannot be held as a book at all (a missing quantity, a scale
no int64 has, NaN) becomes a snapshot with a `defect` and no levels.
"""

import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from execution._match import parse_decimal
from execution.decimals import (
    INT64_MAX,
    MAX_DECIMALS,
    MONEY_DECIMALS,
    QUANTITY_DECIMALS,
    from_double,
    from_text,
)
from execution.model import Int64Array, ReferencePrices, Snapshot, SymbolSpec
from execution.v1 import marketdata_pb2, snapshot_pb2

LEVELS_MAX: Final = 100_000
"""More levels on one side than any venue shows: such an answer is a defect."""

LISTED_MAX: Final = 10_000
"""Symbols read from one listing; the rest is left out and fetched on demand."""

_SYMBOL: Final = re.compile(r"[A-Za-z0-9._/-]{1,32}", re.ASCII)
_EPOCH_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_SECONDS_MAX: Final = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second a protobuf Timestamp can name."""

_FILTERS: Final = (
    ("min_quantity", QUANTITY_DECIMALS),
    ("max_quantity", QUANTITY_DECIMALS),
    ("quantity_step", QUANTITY_DECIMALS),
    ("min_notional", MONEY_DECIMALS),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol as GetSymbols lists it.

    `defect` names a filter that cannot be read. Such a symbol cannot be traded:
    to leave the filter out would invent a rule its source does not have.
    """

    spec: SymbolSpec
    defect: str = ""


class _Defect(Exception):
    """Why a message is no book."""


def listings(message: marketdata_pb2.Symbols) -> dict[str, Listing]:
    """Every listed symbol an order could name, in the order of the list."""
    found: dict[str, Listing] = {}
    for listed in message.symbols:
        if len(found) >= LISTED_MAX:
            break
        if _SYMBOL.fullmatch(listed.symbol):
            found[listed.symbol] = listing(listed)
    return found


def listing(message: marketdata_pb2.SymbolSpec) -> Listing:
    """One listed symbol; a filter that is empty or zero does not apply."""
    try:
        filters = {name: _filter(message, name, decimals) for name, decimals in _FILTERS}
        spec = SymbolSpec(
            message.symbol,
            _decimals("price_decimals", message.price_decimals),
            _decimals("quantity_decimals", message.quantity_decimals),
            **filters,
        )
    except _Defect as defect:
        return Listing(SymbolSpec(message.symbol), f"GetSymbols: {defect}")
    return Listing(spec)


def book_snapshot(
    book: marketdata_pb2.Book, symbol: str, listed: Listing | None, source: str
) -> Snapshot:
    """The snapshot of a depth message; `listed` brings the symbol's filters.

    Scales are those of the message. A message that names no symbol answers the
    one that was asked for.
    """
    spec = listed.spec if listed is not None else _spec(symbol)
    try:
        return _depth(book, spec, listed.defect if listed is not None else "", source)
    except _Defect as defect:
        return _defective(spec, source, str(defect), book.sequence)


def book_prices(book: marketdata_pb2.Book) -> ReferencePrices:
    """What triggers are compared with; no best price of a book that is crossed.

    Looks at the best levels alone, because it is done for every pushed book of
    a symbol that has stops; an order that triggers meets the whole book.
    """
    bid, ask, decimals = _best(book.bids), _best(book.asks), book.price_decimals
    if decimals > MAX_DECIMALS:
        return ReferencePrices(0)
    if bid is not None and (bid <= 0 or (ask is not None and bid > ask)):
        bid = ask = None
    elif ask is not None and ask <= 0:
        ask = None
    # A price of zero or less is none; it would trigger every SELL there is.
    last = book.last_price if book.last_price > 0 else None
    mark = book.mark_price if book.mark_price > 0 else None
    return ReferencePrices(decimals, bid, ask, last, mark)


def _best(side: marketdata_pb2.Side) -> int | None:
    """The best price with any quantity."""
    prices, quantities = side.prices, side.quantities
    if prices and quantities and quantities[0] > 0:
        return prices[0]  # as good as always, and much the cheapest to find out
    levels = zip(prices, quantities, strict=False)
    return next((price for price, quantity in levels if quantity > 0), None)


def l1_snapshot(
    answer: snapshot_pb2.L1SnapshotResponse, symbol: str, source: str
) -> Snapshot | None:
    """The snapshot of a GetL1 answer at the default scales; None if it has no side.

    Doubles are read through their shortest text and rounded half-even to the
    scale (SEMANTICS, Numbers). Exactly one side is a defect, because a lone ask
    arrives in `bid` (CONTRACT, 2). A level whose quantity is zero stays: it is
    a side without liquidity.
    """
    if not answer.HasField("bid") and not answer.HasField("ask"):
        return None
    spec = _spec(symbol)
    try:
        return _top(answer, spec, source)
    except _Defect as defect:
        return _defective(spec, source, str(defect))


def text_time_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of ISO 8601 text or whole or broken epoch seconds.

    Text without a zone is UTC. None for anything else: a source's time is a
    courtesy, ages never count by it.

    >>> text_time_ns("1970-01-01 00:00:01"), text_time_ns("1.5"), text_time_ns("noon")
    (1000000000, 1500000000, None)
    """
    text = text.strip()
    if not text:
        return None
    if _EPOCH_SECONDS.fullmatch(text):
        return _within_range(from_text(text, 9))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return _within_range(since // timedelta(microseconds=1) * 1000)


def _depth(
    book: marketdata_pb2.Book, listed: SymbolSpec, listing_defect: str, source: str
) -> Snapshot:
    if listing_defect:
        raise _Defect(listing_defect)
    _check_symbol(listed.symbol, book.symbol)
    spec = _spec_at(listed, book.price_decimals, book.quantity_decimals)
    bid_prices, bid_quantities = _side("bids", book.bids)
    ask_prices, ask_quantities = _side("asks", book.asks)
    bids, asks = len(bid_prices), len(ask_prices)
    # One array for all four: numpy takes longer to make one than to fill it.
    levels = _int64((*bid_prices, *bid_quantities, *ask_prices, *ask_quantities))
    return Snapshot(
        spec=spec,
        source=source,
        sequence=book.sequence,
        source_time_ns=_timestamp_ns(book),
        bid_prices=levels[:bids],
        bid_quantities=levels[bids : 2 * bids],
        ask_prices=levels[2 * bids : 2 * bids + asks],
        ask_quantities=levels[2 * bids + asks :],
        last_price=book.last_price if book.HasField("last_price") else None,
        mark_price=book.mark_price if book.HasField("mark_price") else None,
    )


def _top(answer: snapshot_pb2.L1SnapshotResponse, spec: SymbolSpec, source: str) -> Snapshot:
    _check_symbol(spec.symbol, answer.symbol)
    if not answer.HasField("ask"):
        raise _Defect("GetL1 answered with bid alone, which may be either side")
    if not answer.HasField("bid"):
        raise _Defect("GetL1 answered with ask alone, which may be either side")
    bid, ask = answer.bid, answer.ask
    levels = _int64(
        (
            _scaled("bid.price", bid.price, spec.price_decimals),
            _scaled("bid.qty", bid.qty, spec.quantity_decimals),
            _scaled("ask.price", ask.price, spec.price_decimals),
            _scaled("ask.qty", ask.qty, spec.quantity_decimals),
        )
    )
    return Snapshot(
        spec=spec,
        source=source,
        sequence=0,
        source_time_ns=text_time_ns(answer.timestamp),
        bid_prices=levels[0:1],
        bid_quantities=levels[1:2],
        ask_prices=levels[2:3],
        ask_quantities=levels[3:4],
    )


@lru_cache(maxsize=1_024)
def _spec(symbol: str) -> SymbolSpec:
    """Of a symbol that nothing is known of; cached, because a fetch is made for every order."""
    return SymbolSpec(symbol)


@lru_cache(maxsize=1_024)
def _spec_at(listed: SymbolSpec, price_decimals: int, quantity_decimals: int) -> SymbolSpec:
    """The scales of a book with the filters of the listing; the same for book after book."""
    return replace(
        listed,
        price_decimals=_decimals("price_decimals", price_decimals),
        quantity_decimals=_decimals("quantity_decimals", quantity_decimals),
    )


def _filter(message: marketdata_pb2.SymbolSpec, name: str, decimals: int) -> int | None:
    text: str = getattr(message, name)
    if not text:
        return None
    try:
        value = from_text(text, decimals)
    except ValueError as error:
        raise _Defect(f"{name} {_shown(text)} {error}") from None
    if value < 0:
        raise _Defect(f"{name} {_shown(text)} is negative")
    return value or None


def _decimals(name: str, value: int) -> int:
    if value > MAX_DECIMALS:
        raise _Defect(f"{name} is {value}; an int64 holds at most {MAX_DECIMALS}")
    return value


def _side(name: str, side: marketdata_pb2.Side) -> tuple[Sequence[int], Sequence[int]]:
    prices, quantities = side.prices[:], side.quantities[:]
    count = len(prices)
    if count != len(quantities):
        raise _Defect(f"{name} have {count} prices and {len(quantities)} quantities")
    if count > LEVELS_MAX:
        raise _Defect(f"{name} have {count} levels; at most {LEVELS_MAX} are read")
    return prices, quantities


def _int64(numbers: Iterable[int]) -> Int64Array:
    """An array in half the time that numpy needs to look at every number by itself."""
    return np.frombuffer(array("q", numbers), dtype=np.int64)


def _scaled(name: str, value: float, decimals: int) -> int:
    # NaN and negatives are refused here because a negative too small for the
    # scale would round to a harmless zero.
    if not math.isfinite(value) or value < 0:
        raise _Defect(f"{name} is {value!r}")
    try:
        return parse_decimal(repr(value), decimals)
    except (ValueError, OverflowError):
        scaled = from_double(value, decimals)  # more digits than the scale, or an exponent
    if scaled > INT64_MAX:
        raise _Defect(f"{name} is {value!r}, too large for {decimals} decimals")
    return scaled


def _check_symbol(asked: str, answered: str) -> None:
    if answered not in {asked, ""}:
        raise _Defect(f"asked for {asked}, answered with {_shown(answered)}")


def _defective(spec: SymbolSpec, source: str, defect: str, sequence: int = 0) -> Snapshot:
    empty: Int64Array = np.array([], dtype=np.int64)
    return Snapshot(spec, source, sequence, None, empty, empty, empty, empty, defect=defect)


def _timestamp_ns(book: marketdata_pb2.Book) -> int | None:
    if not book.HasField("source_time"):
        return None
    return _within_range(book.source_time.seconds * 10**9 + book.source_time.nanos)


def _within_range(time_ns: int) -> int | None:
    return time_ns if 0 <= time_ns // 10**9 <= _SECONDS_MAX else None


def _shown(text: str) -> str:
    """A foreign string, safe and short enough for our own messages."""
    return repr(text if len(text) <= 40 else text[:40] + "...")
