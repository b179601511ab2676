"""Price discovery: which books are usable, which side, and what is left of it."""

from dataclasses import replace

import numpy as np
import pytest
from builders import BUY, SELL, SPEC, Levels, scaled_snapshot

from execution.model import Direction, Quote, Reason, Snapshot, SnapshotRef, SymbolSpec, Unusable
from execution.pricing import SYMBOLS_MAX, Liquidity, LiquidityMode, reference, unknown_symbol
from execution.testing import book_snapshot

BIDS = [("99", "1"), ("98", "2")]
ASKS = [("101", "3"), ("102", "4")]


def book(bids: Levels = BIDS, asks: Levels = ASKS, sequence: int = 1) -> Snapshot:
    return book_snapshot(SPEC, bids, asks, sequence=sequence)


def quoted(liquidity: Liquidity, snapshot: Snapshot, direction: Direction = BUY) -> Quote:
    quote = liquidity.quote(snapshot, direction)
    assert isinstance(quote, Quote)
    return quote


def unusable(snapshot: Snapshot, direction: Direction = BUY) -> Unusable:
    market = Liquidity().quote(snapshot, direction)
    assert isinstance(market, Unusable)
    return market


def test_a_buy_meets_the_asks_and_a_sell_the_bids() -> None:
    bought = quoted(Liquidity(), book(), BUY)
    sold = quoted(Liquidity(), book(), SELL)
    assert (bought.prices.tolist(), bought.available.tolist()) == ([10100, 10200], [3000, 4000])
    assert (sold.prices.tolist(), sold.available.tolist()) == ([9900, 9800], [1000, 2000])
    assert (bought.best, sold.best) == (10100, 9900)


def test_a_quote_says_which_book_it_is_of() -> None:
    snapshot = book_snapshot(
        SPEC, BIDS, ASKS, sequence=17, source="venue", source_time_ns=1_700_000_000_000_000_000
    )
    ref = SnapshotRef("venue", 17, 1_700_000_000_000_000_000, best_bid="99", best_ask="101")
    assert quoted(Liquidity(), snapshot).ref == ref
    assert reference(snapshot) == ref


def test_a_level_of_size_zero_shows_no_price() -> None:
    snapshot = book(bids=[("99", "0")], asks=[("101", "0"), ("102", "4")])
    bought, sold = quoted(Liquidity(), snapshot, BUY), quoted(Liquidity(), snapshot, SELL)
    assert (bought.best, sold.best) == (10200, None)
    assert (bought.ref.best_bid, bought.ref.best_ask) == ("", "102")


BAD_BOOKS = {
    "crossed": scaled_snapshot([(101, 1)], [(100, 1)]),
    "bids ascend": scaled_snapshot([(98, 1), (99, 1)], [(101, 1)]),
    "asks descend": scaled_snapshot([(99, 1)], [(102, 1), (101, 1)]),
    "negative bid size": scaled_snapshot([(99, -1)], [(101, 1)]),
    "negative ask size": scaled_snapshot([(99, 1)], [(101, -1)]),
    "zero bid price": scaled_snapshot([(0, 1)], [(101, 1)]),
    "zero ask price": scaled_snapshot([], [(0, 1)]),
    "negative price": scaled_snapshot([(-5, 1)], []),
    "a deep level is bad": scaled_snapshot([(99, 1)], [(101, 1), (102, 1), (103, -1)]),
    "ragged": replace(scaled_snapshot([(99, 1)]), bid_quantities=np.array([], np.int64)),
    "the source could not read it": replace(scaled_snapshot(), defect="bid is NaN"),
}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("why", BAD_BOOKS)
def test_a_bad_book_is_unusable_for_both_directions(why: str, direction: Direction) -> None:
    market = unusable(BAD_BOOKS[why], direction)
    assert market.reason is Reason.BAD_BOOK
    assert market.spec == SPEC
    assert market.message.startswith("the book of BTC-USDT is unusable: ")


def test_what_the_source_could_not_read_is_said_and_shows_no_prices() -> None:
    market = unusable(replace(book(), defect="bid is NaN"))
    assert market.message == "the book of BTC-USDT is unusable: bid is NaN"
    assert market.ref == SnapshotRef("simulated", 1)


def test_a_crossed_book_is_shown_in_the_rejection() -> None:
    ref = unusable(BAD_BOOKS["crossed"]).ref
    assert ref is not None
    assert (ref.best_bid, ref.best_ask) == ("1.01", "1")


def test_a_bad_book_does_not_outlive_the_next_one() -> None:
    liquidity = Liquidity()
    assert isinstance(liquidity.quote(BAD_BOOKS["crossed"], BUY), Unusable)
    assert quoted(liquidity, book(sequence=2)).best == 10100


def test_a_locked_book_is_usable() -> None:
    locked = book(bids=[("100", "1")], asks=[("100", "2")])
    assert quoted(Liquidity(), locked, BUY).best == 10000
    assert quoted(Liquidity(), locked, SELL).best == 10000


@pytest.mark.parametrize("direction", Direction)
def test_an_absent_side_has_no_liquidity_and_is_no_defect(direction: Direction) -> None:
    side = quoted(Liquidity(), book(bids=[], asks=[]), direction)
    assert side.available.tolist() == []
    assert side.best is None
    assert (side.ref.best_bid, side.ref.best_ask) == ("", "")


def test_a_level_of_size_zero_has_no_liquidity_and_is_no_defect() -> None:
    assert quoted(Liquidity(), book(asks=[("101", "0")])).available.tolist() == [0]


def test_what_was_taken_is_gone_for_the_next_order_on_the_snapshot() -> None:
    liquidity = Liquidity()
    snapshot = book()
    liquidity.take(quoted(liquidity, snapshot), (3000, 500))
    assert quoted(liquidity, snapshot).available.tolist() == [0, 3500]
    assert quoted(liquidity, book()).available.tolist() == [0, 3500], "the same, fetched again"


def test_one_side_is_not_drawn_down_by_the_other() -> None:
    liquidity = Liquidity()
    liquidity.take(quoted(liquidity, book(), BUY), (3000,))
    assert quoted(liquidity, book(), SELL).available.tolist() == [1000, 2000]


def test_one_symbol_is_not_drawn_down_by_another() -> None:
    liquidity = Liquidity()
    other = replace(book(), spec=replace(SPEC, symbol="ETH-USDT"))
    liquidity.take(quoted(liquidity, book()), (3000,))
    assert quoted(liquidity, other).available.tolist() == [3000, 4000]


def test_the_best_price_stays_the_one_shown_when_it_is_taken() -> None:
    liquidity = Liquidity()
    liquidity.take(quoted(liquidity, book()), (3000,))
    quote = quoted(liquidity, book())
    assert quote.best == 10100
    assert quote.ref.best_ask == "101"


def test_the_snapshot_itself_is_never_changed() -> None:
    liquidity = Liquidity()
    snapshot = book()
    liquidity.take(quoted(liquidity, snapshot), (3000, 4000))
    assert snapshot.ask_quantities.tolist() == [3000, 4000]


def test_what_is_given_back_is_there_again() -> None:
    liquidity = Liquidity()
    quote = quoted(liquidity, book())
    liquidity.take(quote, (3000, 500))
    liquidity.give_back(quote, (3000, 500))
    assert quoted(liquidity, book()).available.tolist() == [3000, 4000]


@pytest.mark.parametrize("sequence", [2, 10**15])
def test_a_higher_sequence_restores_the_book(sequence: int) -> None:
    assert restored(book(sequence=1), book(sequence=sequence))


def test_a_lower_sequence_restores_the_book_for_the_source_restarted() -> None:
    assert restored(book(sequence=900), book(sequence=3))


def test_the_same_sequence_of_another_source_restores_the_book() -> None:
    assert restored(book(), replace(book(), source="another"))


def test_a_source_without_sequences_shows_a_book_of_its_own_with_every_fetch() -> None:
    assert restored(book(sequence=0), book(sequence=0))


def test_orders_that_share_a_fetch_without_a_sequence_share_its_book() -> None:
    fetched = book(sequence=0)
    assert not restored(fetched, fetched)


def test_a_source_that_repeats_a_sequence_with_other_levels_is_believed() -> None:
    assert restored(book(), book(asks=[("101", "9"), ("102", "4")]))
    assert restored(book(), book(bids=[("99", "1")]))


def restored(first: Snapshot, second: Snapshot) -> bool:
    """Whether `second` shows everything again after `first` was drawn down."""
    liquidity = Liquidity()
    liquidity.take(quoted(liquidity, first), (3000,))
    return np.array_equal(quoted(liquidity, second).available, second.ask_quantities)


def test_giving_back_to_a_snapshot_that_is_gone_adds_nothing_to_the_new_one() -> None:
    liquidity = Liquidity()
    old = quoted(liquidity, book(sequence=1))
    liquidity.take(old, (3000,))
    new = quoted(liquidity, book(sequence=2))
    liquidity.give_back(old, (3000,))
    assert new.available.tolist() == [3000, 4000]


def test_in_mode_snapshot_every_order_sees_the_full_book() -> None:
    liquidity = Liquidity(LiquidityMode.SNAPSHOT)
    quote = quoted(liquidity, book())
    liquidity.take(quote, (3000, 4000))
    assert quoted(liquidity, book()).available.tolist() == [3000, 4000]
    liquidity.give_back(quote, (3000, 4000))
    assert quoted(liquidity, book()).available.tolist() == [3000, 4000]


def test_the_least_used_symbol_is_forgotten_first() -> None:
    liquidity = Liquidity()
    bare = scaled_snapshot(asks=[(1, 5)])

    def of(number: int) -> Snapshot:
        return replace(bare, spec=SymbolSpec(f"S{number}"))

    for number in range(SYMBOLS_MAX):
        liquidity.take(quoted(liquidity, of(number)), (5,))
    assert quoted(liquidity, of(0)).available.tolist() == [0], "used again, so it is kept"
    quoted(liquidity, of(SYMBOLS_MAX))
    assert quoted(liquidity, of(0)).available.tolist() == [0]
    assert quoted(liquidity, of(2)).available.tolist() == [0]
    assert quoted(liquidity, of(1)).available.tolist() == [5]


def test_an_unknown_symbol_is_a_rejection_that_names_it() -> None:
    market = unknown_symbol("NOPE", source="venue")
    assert market.reason is Reason.UNKNOWN_SYMBOL
    assert "'NOPE'" in market.message
    assert market.ref == SnapshotRef("venue")
    assert unknown_symbol("NOPE").ref is None
