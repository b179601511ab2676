"""The stop book, rule by rule."""

import sys
from dataclasses import replace

import pytest
from builders import BUY, SELL, order

from execution.model import Direction, ReferencePrices, TriggerBy
from execution.stop_book import Crossing, StopBook

SYMBOL = "BTC-USDT"


def book_of(*stops: tuple[str, Direction, str]) -> StopBook:
    book = StopBook()
    for order_id, direction, trigger in stops:
        book.add(order(direction, order_id=order_id, trigger_price=trigger), 1)
    return book


def ids(crossings: list[Crossing]) -> list[str]:
    return [crossing.order_id for crossing in crossings]


def test_equality_crosses_on_both_sides() -> None:
    book = book_of(("buy", BUY, "101.5"), ("sell", SELL, "99.5"))
    assert book.take_crossed(SYMBOL, ReferencePrices(1, bid=996, ask=1014)) == []
    found = book.take_crossed(SYMBOL, ReferencePrices(1, bid=995, ask=1015))
    assert found == [
        Crossing("buy", 1, SYMBOL, "101.5"),
        Crossing("sell", 1, SYMBOL, "99.5"),
    ]


def test_a_crossing_is_told_once() -> None:
    book = book_of(("buy", BUY, "101"))
    prices = ReferencePrices(0, ask=102)
    assert ids(book.take_crossed(SYMBOL, prices)) == ["buy"]
    assert book.take_crossed(SYMBOL, prices) == []
    assert (len(book), list(book.symbols)) == (0, [])


def test_a_side_that_is_not_shown_crosses_nothing() -> None:
    book = book_of(("buy", BUY, "1"), ("sell", SELL, "900"))
    assert book.take_crossed(SYMBOL, ReferencePrices(0)) == []
    assert book.take_crossed("ETH-USDT", ReferencePrices(0, bid=1, ask=1)) == []


@pytest.mark.parametrize("by", ["last", "mark"])
def test_each_stop_looks_at_its_own_reference(by: str) -> None:
    book = StopBook()
    stop = order(trigger_price="100")
    book.add(replace(stop, trigger_by=TriggerBy[by.upper()]), 1)
    others = {"bid": 200, "ask": 200, "last": 200, "mark": 200} | {by: 99}
    assert book.take_crossed(SYMBOL, ReferencePrices(0, **others)) == []
    assert ids(book.take_crossed(SYMBOL, ReferencePrices(0, **{by: 100}))) == ["o-1"]


def test_triggers_and_prices_of_other_scales_are_compared_exactly() -> None:
    book = book_of(("fine", BUY, "100.000000000000000001"))
    assert book.take_crossed(SYMBOL, ReferencePrices(0, ask=100)) == []
    fine = ReferencePrices(18, ask=100 * 10**18 + 1)
    assert [it.price for it in book.take_crossed(SYMBOL, fine)] == ["100.000000000000000001"]


def test_only_a_newer_version_replaces_what_is_known() -> None:
    book = StopBook()
    for version, trigger in ((2, "110"), (1, "90"), (2, "95")):
        book.add(order(trigger_price=trigger), version)
    assert book.take_crossed(SYMBOL, ReferencePrices(0, ask=109)) == []
    book.add(order(trigger_price="105"), 3)
    assert book.take_crossed(SYMBOL, ReferencePrices(0, ask=109)) == [
        Crossing("o-1", 3, SYMBOL, "109")
    ]


def test_a_modify_takes_its_new_expiry_along() -> None:
    book = StopBook()
    book.add(replace(order(trigger_price="110"), expire_time_ns=5), 1)
    book.add(replace(order(trigger_price="110"), expire_time_ns=9), 2)
    assert book.take_expired(5) == []
    assert book.take_expired(9) == [("o-1", 2)]


def test_what_was_crossed_does_not_expire() -> None:
    book = StopBook()
    book.add(replace(order(trigger_price="110"), expire_time_ns=5), 1)
    assert ids(book.take_crossed(SYMBOL, ReferencePrices(0, ask=110))) == ["o-1"]
    assert book.take_expired(5) == []


def test_stops_that_come_and_go_leave_nothing_behind() -> None:
    """Market makers replace their stops all day: what is dead is cleared out."""
    book = StopBook()
    book.add(order(order_id="stays", trigger_price="500"), 1)
    for number in range(20_000):
        book.add(replace(order(trigger_price=f"{600 + number % 7}"), expire_time_ns=9), number)
    (lane,) = book._lanes[SYMBOL].values()
    assert len(lane.heap) <= 2_100
    assert len(book._expiries) <= 2_100
    assert sys.getsizeof(lane.heap) < 40_000
    assert len(book) == 2
    assert ids(book.take_crossed(SYMBOL, ReferencePrices(0, ask=700))) == ["stays", "o-1"]
