"""What is odd about the sequences of pushed books is counted, and the newest book is taken."""

from collections.abc import Iterable

import grpc
import pytest
from scripted_market import book
from symbol_service_client import BTC, either_library, following, push_market

Code = grpc.StatusCode
pytestmark = pytest.mark.usefixtures(either_library.__name__)
ETH = "ETH-USDT"


@pytest.mark.parametrize(
    ("sequences", "gaps", "restarts"),
    [
        (range(2, 30), 0, 0),
        ([*range(2, 12), 14, 15], 1, 0),
        ([*range(2, 12), *range(14, 30), 31], 2, 0),
        (range(3, 90, 3), 0, 0),
        ([*range(2, 6), 9], 0, 0),
        ([*range(2, 12), 1, 2], 0, 1),
        ([0, *range(5, 15), 0, 90], 0, 0),
    ],
    ids=["one by one", "a gap", "two", "by three", "too soon to tell", "a restart", "unnumbered"],
)
async def test_books_left_out_and_restarts_are_counted_and_the_newest_is_taken(
    sequences: Iterable[int], gaps: int, restarts: int
) -> None:
    market = push_market()
    async with following(market) as it:
        pushed = list(sequences)
        for sequence in pushed:
            market.set_book(book(sequence=sequence))
        await it.until(lambda: it.books.feed_counts.books == 1 + len(pushed))
        newest = it.books.newest(BTC)
        assert newest is not None
        assert newest.sequence == pushed[-1]
        counts = it.books.feed_counts
        assert (counts.gaps, counts.restarts, counts.rewrites) == (gaps, restarts, 0)


async def test_a_sequence_that_repeats_with_other_levels_is_counted_and_taken() -> None:
    market = push_market()
    async with following(market) as it:
        market.set_book(book(sequence=1, asks=[(2000, 1)]))
        await it.until(lambda: it.books.feed_counts.rewrites == 1)
        newest = it.books.newest(BTC)
        assert newest is not None
        assert newest.ask_prices.tolist() == [2000]


async def test_each_symbol_is_numbered_by_itself_and_each_stream_anew() -> None:
    market = push_market()
    market.list_symbol(ETH)
    async with following(market) as it:
        for sequence in range(2, 20):
            market.set_book(book(sequence=sequence))
            market.set_book(book(ETH, sequence=1_000 - sequence))
        await it.until(lambda: it.books.feed_counts.books == 38)
        assert it.books.feed_counts.restarts == 17  # all but the first of ETH-USDT are lower
        market.books[BTC] = book(sequence=500)
        market.streams[0].end(Code.UNAVAILABLE)
        await it.pushed(sequence=500)
        assert it.books.feed_counts.gaps == 0
