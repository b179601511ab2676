"""Messages of symbol-service become snapshots exactly, or say why they cannot."""

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from scripted_market import book, l1

from execution.adapters.book_messages import (
    LEVELS_MAX,
    LISTED_MAX,
    Listing,
    book_snapshot,
    l1_snapshot,
    listing,
    listings,
    text_time_ns,
)
from execution.decimals import INT64_MAX
from execution.model import Snapshot, SymbolSpec
from execution.v1 import marketdata_pb2 as md

SOURCE = "market:50061"
INT64_MIN = -INT64_MAX - 1
int64s = st.integers(INT64_MIN, INT64_MAX)


def depth(message: md.Book, listed: Listing | None = None, asked: str = "BTC-USDT") -> Snapshot:
    return book_snapshot(message, asked, listed, SOURCE)


def top(**fields: Any) -> Snapshot:
    snapshot = l1_snapshot(l1(**fields), "BTC-USDT", SOURCE)
    assert snapshot is not None
    return snapshot


def assert_defective(snapshot: Snapshot, *parts: str) -> None:
    for part in parts:
        assert part in snapshot.defect
    assert not len(snapshot.bid_prices)
    assert not len(snapshot.bid_quantities)
    assert not len(snapshot.ask_prices)
    assert not len(snapshot.ask_quantities)
    assert snapshot.source == SOURCE
    assert snapshot.spec.symbol == "BTC-USDT"


# Depth


def test_a_depth_message_is_carried_over_exactly() -> None:
    message = book(sequence=2**64 - 1, bids=[(1000, 5), (999, 7)], asks=[(1001, 4)])
    message.source_time.CopyFrom(Timestamp(seconds=1_700_000_000, nanos=999_999_999))
    message.last_price = 0
    snapshot = depth(message)
    assert snapshot.defect == ""
    assert snapshot.spec == SymbolSpec("BTC-USDT", 1, 3)
    assert (snapshot.source, snapshot.sequence) == (SOURCE, 2**64 - 1)
    assert snapshot.source_time_ns == 1_700_000_000_999_999_999
    assert snapshot.bid_prices.tolist() == [1000, 999]
    assert snapshot.bid_quantities.tolist() == [5, 7]
    assert snapshot.ask_prices.tolist() == [1001]
    assert snapshot.ask_quantities.tolist() == [4]
    assert (snapshot.last_price, snapshot.mark_price) == (0, None)


@given(levels=st.lists(st.tuples(int64s, int64s), max_size=30), price=int64s)
def test_every_int64_survives_also_those_no_book_should_have(
    levels: list[tuple[int, int]], price: int
) -> None:
    message = book(bids=levels, asks=levels[::-1])
    message.mark_price = price
    snapshot = depth(md.Book.FromString(message.SerializeToString()))
    assert snapshot.bid_prices.dtype == snapshot.ask_quantities.dtype == np.int64
    assert list(zip(snapshot.bid_prices, snapshot.bid_quantities, strict=True)) == levels
    assert list(zip(snapshot.ask_prices, snapshot.ask_quantities, strict=True)) == levels[::-1]
    assert snapshot.mark_price == price
    assert snapshot.defect == ""


def test_a_book_without_sides_is_an_empty_book_and_no_defect() -> None:
    snapshot = depth(md.Book(symbol="BTC-USDT"))
    assert snapshot.defect == ""
    assert len(snapshot.bid_prices) == len(snapshot.ask_prices) == 0
    assert snapshot.spec == SymbolSpec("BTC-USDT", 0, 0)
    assert snapshot.source_time_ns is None


def test_scales_come_from_the_message_and_filters_from_the_listing() -> None:
    listed = Listing(SymbolSpec("BTC-USDT", 8, 8, min_quantity=1, min_notional=7))
    snapshot = depth(book(price_decimals=0, quantity_decimals=18), listed)
    assert snapshot.spec == SymbolSpec("BTC-USDT", 0, 18, min_quantity=1, min_notional=7)


def test_a_missing_quantity_is_a_defect() -> None:
    message = book(sequence=9)
    message.asks.quantities.pop()
    snapshot = depth(message)
    assert_defective(snapshot, "asks have 2 prices and 1 quantities")
    assert snapshot.sequence == 9


def test_a_scale_that_no_int64_holds_is_a_defect() -> None:
    assert depth(book(price_decimals=18, quantity_decimals=18)).defect == ""
    assert_defective(depth(book(price_decimals=19)), "price_decimals", "19")
    assert_defective(depth(book(quantity_decimals=2**32 - 1)), "quantity_decimals", "4294967295")


def test_too_many_levels_are_a_defect() -> None:
    message = md.Book(symbol="BTC-USDT")
    message.bids.prices.extend([1] * LEVELS_MAX)
    message.bids.quantities.extend([1] * LEVELS_MAX)
    assert depth(message).defect == ""
    message.bids.prices.append(1)
    message.bids.quantities.append(1)
    assert_defective(depth(message), "bids have 100001 levels")


def test_an_answer_for_another_symbol_is_a_defect() -> None:
    assert_defective(depth(book("ETH-USDT")), "asked for BTC-USDT", "'ETH-USDT'")
    assert len(depth(book("x" * 10_000)).defect) < 200


def test_an_answer_that_names_no_symbol_answers_what_was_asked() -> None:
    assert depth(book("")).defect == ""


def test_a_filter_that_cannot_be_read_makes_every_book_a_defect() -> None:
    broken = listing(md.SymbolSpec(symbol="BTC-USDT", quantity_step="a lot"))
    assert_defective(depth(book(), broken), "quantity_step", "'a lot'")


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-1, 0), (253_402_300_800, 0), (2**63 - 1, 2**31 - 1), (-(2**63), -(2**31))],
)
def test_a_time_that_no_timestamp_can_name_is_left_out(seconds: int, nanos: int) -> None:
    message = book()
    message.source_time.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))
    snapshot = depth(message)
    assert snapshot.source_time_ns is None
    assert snapshot.defect == ""


# Listings


def test_filters_are_read_exactly() -> None:
    listed = listing(
        md.SymbolSpec(
            symbol="A/B",
            price_decimals=2,
            quantity_decimals=3,
            min_quantity="0.001",
            max_quantity="90",
            quantity_step="0.000000000000000001",
            min_notional="5.00",
        )
    )
    assert listed.defect == ""
    assert listed.spec == SymbolSpec(
        "A/B",
        2,
        3,
        min_quantity=10**15,
        max_quantity=90 * 10**18,
        quantity_step=1,
        min_notional=5 * 10**36,
    )


def test_an_empty_or_zero_filter_does_not_apply() -> None:
    listed = listing(md.SymbolSpec(symbol="A", min_quantity="", quantity_step="0.00"))
    assert listed == Listing(SymbolSpec("A", 0, 0))


@pytest.mark.parametrize(
    "text", ["-1", "1e3", "NaN", "0x1", " 1", "1,5", "0." + "0" * 18 + "1", "1" * 65]
)
def test_a_malformed_filter_is_named(text: str) -> None:
    listed = listing(md.SymbolSpec(symbol="A", max_quantity=text))
    assert "max_quantity" in listed.defect
    assert listed.spec == SymbolSpec("A")


def test_a_listed_scale_that_no_int64_holds_is_named() -> None:
    assert "price_decimals" in listing(md.SymbolSpec(symbol="A", price_decimals=77)).defect


def test_names_no_order_could_use_are_not_listed() -> None:
    names = ["A", "", "B\n", "C:D", "ü", "x" * 33, "E/f_1.2-3", "A"]
    message = md.Symbols(symbols=[md.SymbolSpec(symbol=name) for name in names])
    assert list(listings(message)) == ["A", "E/f_1.2-3"]


def test_an_endless_listing_is_cut() -> None:
    specs = [md.SymbolSpec(symbol=f"S{number}") for number in range(LISTED_MAX + 5)]
    assert len(listings(md.Symbols(symbols=specs))) == LISTED_MAX


# GetL1


def test_doubles_are_read_through_their_shortest_text() -> None:
    snapshot = top(bid=(0.1, 0.3), ask=(61800.1, 1e-8), timestamp="2026-11-23 01:02:03")
    assert snapshot.defect == ""
    assert snapshot.spec == SymbolSpec("BTC-USDT", 8, 8)
    assert snapshot.bid_prices.tolist() == [10_000_000]
    assert snapshot.bid_quantities.tolist() == [30_000_000]
    assert snapshot.ask_prices.tolist() == [6_180_010_000_000]
    assert snapshot.ask_quantities.tolist() == [1]
    assert snapshot.sequence == 0
    assert snapshot.source_time_ns == text_time_ns("2026-11-23T01:02:03Z")
    assert (snapshot.last_price, snapshot.mark_price) == (None, None)


@pytest.mark.parametrize(
    ("value", "scaled"),
    [
        (2.5e-8, 2),
        (3.5e-8, 4),
        (1.5e-8, 2),
        (0.4e-8, 0),
        (-0.0, 0),
        (92233720368.54774, 9_223_372_036_854_774_000),
    ],
)
def test_what_does_not_fit_the_scale_is_rounded_half_even(value: float, scaled: int) -> None:
    assert top(ask=(1.0, value)).ask_quantities.tolist() == [scaled]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, -1e-12, 1e11, 1.8e308])
@pytest.mark.parametrize("field", ["bid.price", "bid.qty", "ask.price", "ask.qty"])
def test_doubles_that_are_no_amounts_are_a_defect(field: str, value: float) -> None:
    answer = l1()
    side, _, name = field.partition(".")
    setattr(getattr(answer, side), name, value)
    snapshot = l1_snapshot(answer, "BTC-USDT", SOURCE)
    assert snapshot is not None
    assert_defective(snapshot, field)


def test_neither_side_means_no_such_symbol() -> None:
    assert l1_snapshot(l1(bid=None, ask=None), "BTC-USDT", SOURCE) is None


def test_a_lone_side_is_a_defect_because_it_may_be_the_other_one() -> None:
    assert_defective(top(ask=None), "bid alone")
    assert_defective(top(bid=None), "ask alone")


def test_a_side_without_quantity_stays_a_level_of_zero() -> None:
    snapshot = top(ask=(100.5, 0.0))
    assert snapshot.defect == ""
    assert snapshot.ask_quantities.tolist() == [0]


def test_a_top_of_book_for_another_symbol_is_a_defect() -> None:
    assert_defective(top(symbol="ETH-USDT"), "asked for BTC-USDT", "'ETH-USDT'")
    assert top(symbol="").defect == ""


@given(price=st.floats(0, 9e10), quantity=st.floats(0, 9e10))
def test_every_amount_within_range_is_read_to_within_half_a_unit(
    price: float, quantity: float
) -> None:
    snapshot = top(bid=(price, quantity))
    assert snapshot.defect == ""
    assert abs(int(snapshot.bid_prices[0]) - price * 1e8) <= max(1.0, price * 1e-7)
    assert snapshot.bid_quantities[0] >= 0


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01 00:00:01", 10**9),
        ("1970-01-01T01:00:01+01:00", 10**9),
        (" 1970-01-01T00:00:00.25Z ", 250_000_000),
        ("1732324807", 1_732_324_807 * 10**9),
        ("1732324807.000000001", 1_732_324_807 * 10**9 + 1),
        ("", None),
        ("soon", None),
        ("1732324807123", None),
        ("999999999999", None),
        ("-1", None),
        ("nan", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("\0" * 100_000, None),
    ],
)
def test_a_time_in_text_is_read_where_it_is_one(text: str, time_ns: int | None) -> None:
    assert text_time_ns(text) == time_ns
