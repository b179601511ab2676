"""The demo's traders: what they want is seeded, complete and makes sense for the book."""

from collections import Counter
from decimal import Decimal
from itertools import islice

import pytest

from execution.cli.demo.flow import DECK, UNKNOWN_SYMBOL, Kind, OrderFlow, Wish, user_names
from execution.decimals import canonical
from execution.embedded.market.feed import ManualFeed
from execution.model import Direction, SymbolSpec, TimeInForce

FEED = ManualFeed(SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=3))
FEED.set_book([("100", "1"), ("99.5", "2")], [("100.5", "1"), ("101", "4")])
SHOWN = {Direction.BUY: Decimal(5), Direction.SELL: Decimal(3)}
USERS = user_names(3)


def wishes(kind: Kind, count: int = 50, seed: int = 1) -> list[Wish]:
    flow = OrderFlow(USERS, [FEED], seed)
    return [flow.wish(kind, {}) for _ in range(count)]


def test_every_deck_shows_every_kind_as_often_as_it_says() -> None:
    flow = OrderFlow(USERS, [FEED], seed=4)
    for _ in range(3):
        deck = Counter(flow.next_kind() for _ in range(sum(DECK.values())))
        assert deck == DECK
    assert set(DECK) == set(Kind)


def test_a_seed_is_a_story_that_can_be_told_again() -> None:
    def story(seed: int) -> list[Wish | float]:
        flow = OrderFlow(USERS, [FEED], seed)
        return [
            told
            for _ in range(40)
            for told in (flow.wish(flow.next_kind(), {}), flow.gap_seconds(25), flow.pick(9))
        ]

    assert story(1) == story(1)
    assert story(1) != story(2)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.MALFORMED])
def test_every_other_order_is_well_formed(kind: Kind) -> None:
    for wish in wishes(kind):
        assert wish.user_id in USERS
        assert Decimal(canonical(wish.quantity)) > 0
        if wish.limit_price is not None:
            assert canonical(wish.limit_price) == wish.limit_price


def test_a_malformed_quantity_is_one_no_service_may_take() -> None:
    quantities = {wish.quantity for wish in wishes(Kind.MALFORMED)}
    assert quantities == {"ten", "0", "0.0000000000000000001"}


def test_oversize_is_more_than_the_whole_side() -> None:
    for wish in wishes(Kind.OVERSIZE):
        assert Decimal(wish.quantity) > SHOWN[wish.direction]


def test_fill_or_kill_sometimes_fits_and_sometimes_does_not() -> None:
    wanted = wishes(Kind.FOK)
    assert {wish.time_in_force for wish in wanted} == {TimeInForce.FOK}
    assert {Decimal(wish.quantity) > SHOWN[wish.direction] for wish in wanted} == {True, False}


def test_bounds_are_there_where_they_are_meant() -> None:
    prices = {Direction.BUY: {"100.5", "101"}, Direction.SELL: {"100", "99.5"}}
    assert all(wish.limit_price in prices[wish.direction] for wish in wishes(Kind.LIMIT))
    assert all(wish.max_slippage_bps in {0, 1, 2} for wish in wishes(Kind.SLIPPAGE))
    bounds = {(wish.limit_price, wish.max_slippage_bps) for wish in wishes(Kind.PLAIN)}
    assert bounds == {(None, None)}


def test_an_unknown_symbol_is_not_one_of_the_feeds() -> None:
    assert {wish.symbol for wish in wishes(Kind.UNKNOWN_SYMBOL)} == {UNKNOWN_SYMBOL}


def test_whoever_holds_something_mostly_trades_against_it() -> None:
    flow = OrderFlow(("alice",), [FEED], seed=1)
    held = {("alice", "BTC-USDT"): Decimal(-3)}
    sides = Counter(flow.wish(Kind.PLAIN, held).direction for _ in range(200))
    assert sides[Direction.BUY] > 2 * sides[Direction.SELL] > 0


def test_an_empty_book_is_no_reason_to_fail() -> None:
    empty = ManualFeed(SymbolSpec("X-Y", price_decimals=0, quantity_decimals=2))
    flow = OrderFlow(("alice",), [empty], seed=1)
    wanted = [flow.wish(kind, {}) for kind in (Kind.PLAIN, Kind.LIMIT, Kind.OVERSIZE) * 10]
    assert {wish.quantity for wish in wanted} == {"0.01"}
    assert {wish.limit_price for wish in wanted} == {None}


def test_orders_come_at_the_rate_that_was_asked_for() -> None:
    flow = OrderFlow(USERS, [FEED], seed=1)
    gaps = [flow.gap_seconds(50) for _ in range(5_000)]
    assert 0.9 < sum(gaps) / (5_000 / 50) < 1.1


def test_there_are_as_many_names_as_users() -> None:
    names = user_names(100)
    assert len(set(names)) == 100
    assert list(islice(names, 2)) == ["alice", "bob"]
