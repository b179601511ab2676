"""The kernel against the oracle on recorded books."""

import random
from decimal import Decimal

import oracle
import pytest
import recorded

from execution import Book, walk

BOOKS_PER_SET = 60


def orders(levels: recorded.Levels, decimals: int, rng: random.Random) -> list[Decimal]:
    """Quantities that end inside, on the edge of and beyond the levels."""
    total = sum((quantity for _, quantity in levels), Decimal(0))
    count = rng.randint(1, len(levels))
    edge = sum((quantity for _, quantity in levels[:count]), Decimal(0))
    part = (total * Decimal(rng.random())).quantize(Decimal(1).scaleb(-decimals))
    return [levels[0][1], edge, part, total * 2]


@pytest.mark.parametrize("name", recorded.SETS)
def test_orders_against_recorded_books_cost_what_the_oracle_says(name: str) -> None:
    if not recorded.data_directory().is_dir():
        pytest.skip(f"no recorded books in {recorded.data_directory()}")
    recording = recorded.recording(name)
    rng = random.Random(name)
    seen = 0
    for snapshot in recording.books(every=37):
        book = Book(*recording.scaled(snapshot.bids), *recording.scaled(snapshot.asks))
        for side, levels in (("BUY", snapshot.asks), ("SELL", snapshot.bids)):
            for quantity in orders(levels, recording.quantity_decimals, rng):
                limit = rng.choice([None, rng.choice(levels)[0]])
                check_order(recording, book, side, levels, quantity, limit)
        seen += 1
        if seen == BOOKS_PER_SET:
            break
    assert seen


def check_order(
    recording: recorded.Recording,
    book: Book[int],
    side: str,
    levels: recorded.Levels,
    quantity: Decimal,
    limit: Decimal | None,
) -> None:
    judged = oracle.walk(levels, quantity, limit, side)
    price_scale, quantity_scale = 10**recording.price_decimals, 10**recording.quantity_decimals
    asked = int(quantity * quantity_scale)
    bound = None if limit is None else int(limit * price_scale)
    got = book.walk(side, asked, bound)
    assert got == (
        judged.filled * quantity_scale,
        judged.notional * price_scale * quantity_scale,
        judged.remaining * quantity_scale,
        judged.levels,
        None if judged.worst_price is None else judged.worst_price * price_scale,
    )
    assert walk(*recording.scaled(levels), asked, bound, side == "SELL") == got
