"""What symbol-service sends, translated once into the model.

Translation does not judge: crossed, unsorted or negative levels pass, pricing
refuses them. What cannot be held as a book at all (a missing quantity, a scale
no int64 has, NaN) becomes a snapshot with a `defect` and no levels.
"""

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

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
    spec = listed.spec if listed is not None else SymbolSpec(symbol)
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
    spec = SymbolSpec(symbol)
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
    _require(not listing_defect, listing_defect)
    _check_symbol(listed.symbol, book.symbol)
    spec = replace(
        listed,
        price_decimals=_decimals("price_decimals", book.price_decimals),
        quantity_decimals=_decimals("quantity_decimals", book.quantity_decimals),
    )
    bid_prices, bid_quantities = _side("bids", book.bids)
    ask_prices, ask_quantities = _side("asks", book.asks)
    return Snapshot(
        spec=spec,
        source=source,
        sequence=book.sequence,
        source_time_ns=_timestamp_ns(book),
        bid_prices=bid_prices,
        bid_quantities=bid_quantities,
        ask_prices=ask_prices,
        ask_quantities=ask_quantities,
        last_price=book.last_price if book.HasField("last_price") else None,
        mark_price=book.mark_price if book.HasField("mark_price") else None,
    )


def _top(answer: snapshot_pb2.L1SnapshotResponse, spec: SymbolSpec, source: str) -> Snapshot:
    _check_symbol(spec.symbol, answer.symbol)
    _require(answer.HasField("ask"), "GetL1 answered with bid alone, which may be either side")
    _require(answer.HasField("bid"), "GetL1 answered with ask alone, which may be either side")
    bid_price, bid_quantity = _l1_level("bid", answer.bid, spec)
    ask_price, ask_quantity = _l1_level("ask", answer.ask, spec)
    return Snapshot(
        spec=spec,
        source=source,
        sequence=0,
        source_time_ns=text_time_ns(answer.timestamp),
        bid_prices=bid_price,
        bid_quantities=bid_quantity,
        ask_prices=ask_price,
        ask_quantities=ask_quantity,
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Defect(otherwise)


def _filter(message: marketdata_pb2.SymbolSpec, name: str, decimals: int) -> int | None:
    text: str = getattr(message, name)
    if not text:
        return None
    try:
        value = from_text(text, decimals)
    except ValueError as error:
        raise _Defect(f"{name} {_shown(text)} {error}") from None
    _require(value >= 0, f"{name} {_shown(text)} is negative")
    return value or None


def _decimals(name: str, value: int) -> int:
    _require(value <= MAX_DECIMALS, f"{name} is {value}; an int64 holds at most {MAX_DECIMALS}")
    return value


def _side(name: str, side: marketdata_pb2.Side) -> tuple[Int64Array, Int64Array]:
    prices, quantities = len(side.prices), len(side.quantities)
    _require(prices == quantities, f"{name} have {prices} prices and {quantities} quantities")
    _require(prices <= LEVELS_MAX, f"{name} have {prices} levels; at most {LEVELS_MAX} are read")
    return (
        np.array(side.prices, dtype=np.int64),
        np.array(side.quantities, dtype=np.int64),
    )


def _l1_level(
    name: str, level: snapshot_pb2.PriceLevel, spec: SymbolSpec
) -> tuple[Int64Array, Int64Array]:
    return (
        _scaled(f"{name}.price", level.price, spec.price_decimals),
        _scaled(f"{name}.qty", level.qty, spec.quantity_decimals),
    )


def _scaled(name: str, value: float, decimals: int) -> Int64Array:
    # NaN and negatives are refused here because a negative too small for the
    # scale would round to a harmless zero.
    _require(math.isfinite(value) and value >= 0, f"{name} is {value!r}")
    scaled = from_double(value, decimals)
    _require(scaled <= INT64_MAX, f"{name} is {value!r}, too large for {decimals} decimals")
    return np.array([scaled], dtype=np.int64)


def _check_symbol(asked: str, answered: str) -> None:
    _require(answered in {asked, ""}, f"asked for {asked}, answered with {_shown(answered)}")


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
