"""Simulated books: the same every time, well formed, and like a market."""

import doctest
from collections.abc import Callable
from itertools import pairwise

import pytest

from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, to_text
from execution.embedded.market import feed, simulate
from execution.embedded.market.feed import MarketBook
from execution.embedded.market.simulate import (
    DEPTH_DEFAULT,
    DEPTH_MAX,
    INSTRUMENTS,
    SimulatedFeed,
    SimulatedMarket,
    instrument_of,
    simulated_feeds,
)

SYMBOLS = [*INSTRUMENTS, "MADE-UP"]
STEPS = 1500


def books(
    symbol: str, seed: int = 5, depth: int = DEPTH_DEFAULT, steps: int = STEPS
) -> list[MarketBook]:
    market = SimulatedMarket(instrument_of(symbol), seed, depth)
    return [market.step(time_ns=step) for step in range(steps)]


@pytest.mark.parametrize("module", [feed, simulate])
def test_examples_in_the_docstrings_run(module: object) -> None:
    failed, attempted = doctest.testmod(module)  # type: ignore[arg-type]  # a module is one
    assert (failed, attempted > 0) == (0, True)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_same_seed_gives_the_same_books_and_another_seed_others(symbol: str) -> None:
    assert books(symbol, seed=7, steps=200) == books(symbol, seed=7, steps=200)
    assert books(symbol, seed=7, steps=200) != books(symbol, seed=8, steps=200)


def test_the_first_book_of_a_seed_stays_what_it_was() -> None:
    """Recorded runs and bug reports name seeds: a change here breaks them."""
    book = books("BTC-USDT", seed=1, depth=3, steps=1)[0]
    assert (book.bid_prices, book.ask_prices) == (
        (618009, 618007, 618005),
        (618010, 618015, 618018),
    )


def test_two_symbols_of_one_seed_do_not_move_together() -> None:
    one, other = (
        [book.bid_prices[0] for book in books(symbol, steps=300)] for symbol in ("MADE-UP", "TOO")
    )
    assert one != other


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("depth", [1, 2, DEPTH_DEFAULT])
def test_every_book_is_sorted_uncrossed_full_and_positive(symbol: str, depth: int) -> None:
    for book in books(symbol, depth=depth):
        check_well_formed(book, depth)


def test_the_deepest_book_of_the_cheapest_symbol_stays_above_zero() -> None:
    for book in books("XRP-USDT", depth=DEPTH_MAX, steps=20):
        check_well_formed(book, DEPTH_MAX)


def check_well_formed(book: MarketBook, depth: int) -> None:
    assert len(book.bid_prices) == len(book.ask_prices) == depth
    assert len(book.bid_quantities) == len(book.ask_quantities) == depth
    assert list(book.bid_prices) == sorted(set(book.bid_prices), reverse=True)
    assert list(book.ask_prices) == sorted(set(book.ask_prices))
    assert book.bid_prices[0] < book.ask_prices[0]
    assert min(book.bid_prices + book.bid_quantities + book.ask_quantities) > 0
    assert book.last_price is not None
    assert book.mark_price is not None


def test_sequence_counts_the_steps_and_the_stamp_is_the_callers() -> None:
    market = SimulatedMarket(instrument_of("BTC-USDT"), seed=1)
    stamped = [market.step(time_ns) for time_ns in (17, 4)]
    assert [(book.sequence, book.source_time_ns) for book in stamped] == [(1, 17), (2, 4)]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_spread_is_one_to_a_few_ticks_and_mostly_one(symbol: str) -> None:
    spreads = [book.ask_prices[0] - book.bid_prices[0] for book in books(symbol)]
    assert min(spreads) == 1
    assert max(spreads) <= 5
    assert spreads.count(1) > len(spreads) / 2


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_price_moves_and_yet_stays_in_the_region(symbol: str) -> None:
    start = instrument_of(symbol).start_ticks
    tops = [book.bid_prices[0] for book in books(symbol)]
    assert len(set(tops)) > 10
    assert all(start * 0.8 < top < start * 1.25 for top in tops)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_most_levels_stay_from_one_book_to_the_next(symbol: str) -> None:
    run = books(symbol)
    stayed = total = 0
    for before, after in pairwise(run):
        old = set(zip(before.bid_prices, before.bid_quantities, strict=True))
        stayed += len(old & set(zip(after.bid_prices, after.bid_quantities, strict=True)))
        total += len(old)
    assert stayed / total > 0.4


def test_quantities_are_humped_behind_the_best_price() -> None:
    run = books("ETH-USDT")
    mean = [sum(book.ask_quantities[level] for book in run) / STEPS for level in (0, 5, 24)]
    assert mean[0] < mean[1] > mean[2]


def test_volatility_comes_in_bursts_that_cool_down() -> None:
    market = SimulatedMarket(instrument_of("BTC-USDT"), seed=2)
    calm: list[int] = []
    wild: list[int] = []
    before = market.step(0).bid_prices[0]
    for step in range(6000):
        top = market.step(step).bid_prices[0]
        (wild if market.heat > 3 else calm).append(abs(top - before))
        before = top
    assert len(calm) > len(wild) > 50
    assert sum(wild) / len(wild) > 3 * sum(calm) / len(calm)


def test_the_last_price_is_a_price_the_book_before_showed_as_best() -> None:
    run = books("BTC-USDT")
    prints = 0
    for before, after in pairwise(run):
        if after.last_price != before.last_price:
            assert after.last_price in (before.bid_prices[0], before.ask_prices[0])
            prints += 1
    assert prints > STEPS / 10


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_filters_let_any_shown_quantity_through(symbol: str) -> None:
    spec = instrument_of(symbol).spec
    assert spec.min_quantity == spec.quantity_step == 10 ** (18 - spec.quantity_decimals)
    assert spec.max_quantity is not None
    assert spec.min_notional is not None
    scale = 10 ** (QUANTITY_DECIMALS - spec.quantity_decimals)
    for book in books(symbol, steps=50):
        assert sum(book.ask_quantities) * scale < spec.max_quantity
    assert float(to_text(spec.min_notional, MONEY_DECIMALS)) < 1


def test_the_usual_symbols_have_different_scales_eight_decimals_among_them() -> None:
    scales = {(s.spec.price_decimals, s.spec.quantity_decimals) for s in INSTRUMENTS.values()}
    assert len(scales) == len(INSTRUMENTS)
    assert 8 in {price for price, _ in scales}


@pytest.mark.parametrize("depth", [0, -1, DEPTH_MAX + 1])
def test_a_depth_nobody_can_simulate_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="depth"):
        SimulatedMarket(instrument_of("BTC-USDT"), 1, depth)


async def test_a_feed_has_a_book_before_it_plays_and_publishes_every_step() -> None:
    market = SimulatedMarket(instrument_of("BTC-USDT"), seed=1)
    feed = SimulatedFeed(market, step_seconds=0, time_ns=iter(range(10)).__next__)
    assert (feed.book.sequence, feed.book.source_time_ns) == (1, 0)
    seen: list[tuple[int, int]] = []
    with pytest.raises(StopAsyncPlay):
        await feed.play(recorder(feed, seen, until=4))
    assert seen == [(2, 1), (3, 2), (4, 3)]


class StopAsyncPlay(Exception):
    """Thrown out of a play that would go on for ever."""


def recorder(feed: SimulatedFeed, seen: list[tuple[int, int]], until: int) -> Callable[[], None]:
    def publish() -> None:
        seen.append((feed.book.sequence, feed.book.source_time_ns))
        if feed.book.sequence == until:
            raise StopAsyncPlay

    return publish


def test_feeds_come_in_the_order_asked_for_with_the_depth_asked_for() -> None:
    feeds = simulated_feeds(["XRP-USDT", "MADE-UP"], seed=1, depth=20)
    assert [feed.spec.symbol for feed in feeds] == ["XRP-USDT", "MADE-UP"]
    assert {len(feed.book.bid_prices) for feed in feeds} == {20}
