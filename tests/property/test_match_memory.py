"""Ten million calls leave memory and reference counts where they were; threads share a book."""

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from execution import Book, Fills, format_decimal, parse_decimal, walk, walk_batch

CALLS = 10_000_000
STATM = Path("/proc/self/statm")


def asks(depth: int) -> tuple[Any, Any]:
    level = np.arange(depth, dtype=np.int64)
    return 6_180_000_000_000 + level * 10_000_000, 12_345_678_901 + level * 1_001


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * 4096 if STATM.exists() else 0


def everything(book: Book[int], floats: Book[float]) -> list[tuple[int, Callable[[], object]]]:
    """(how often, a call) so that together they are ten million, failing calls among them."""
    prices, quantities = asks(20)
    rows = np.tile(prices, (50, 1)), np.tile(quantities, (50, 1))
    wants, out = np.full(50, 10**11), Fills.allocate(50)
    want, limit = 10**11 + 7, 6_180_200_000_000

    def refused(call: Callable[..., object], *arguments: Any) -> Callable[[], object]:
        def attempt() -> None:
            try:
                call(*arguments)
            except (ValueError, TypeError, OverflowError):
                return
            raise AssertionError(f"{call} took {arguments}")

        return attempt

    return [
        (4_000_000, lambda: book.buy(want)),
        (2_000_000, lambda: book.fill("SELL", want, limit)),
        (1_000_000, lambda: book.walk("BUY", want, limit)),
        (500_000, lambda: book.walk(side="buy", quantity=want)),
        (500_000, lambda: parse_decimal("-61800.2075", 8)),
        (500_000, lambda: format_decimal(-6_180_020_750_000, 8)),
        (300_000, lambda: floats.fill("BUY", 7.5).astuple()),
        (300_000, lambda: walk(prices, quantities, want, limit)),
        (200_000, lambda: book.buy(want).average_price),
        (200_000, lambda: book.buy_notional(10**24).remaining),
        (150_000, lambda: Book([], [], prices, quantities).ask_prices),
        (20_000, lambda: walk_batch(*rows, wants, out=out)),
        (20_000, lambda: walk_batch(*rows, wants).notional),
        (60_000, refused(book.buy, -1)),
        (60_000, refused(book.fill, "HOLD", 1)),
        (60_000, refused(parse_decimal, "1e5", 8)),
        (60_000, refused(walk, prices[::-1], quantities, 1)),
        (60_000, refused(Book, [2], [1], [1], [1])),
        (10_000, refused(walk_batch, *rows, wants[:1])),
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_and_reference_counts_are_flat_over_ten_million_calls() -> None:
    # Alone in a process: a test runner's own threads allocate, too.
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def ten_million_calls() -> None:
    prices, quantities = asks(20)
    book = Book(99 - np.arange(5), np.ones(5, np.int64), prices, quantities)
    floats = Book([], [], np.arange(1.0, 16.0), np.ones(15))
    calls = everything(book, floats)
    assert sum(count for count, _ in calls) == CALLS
    watched = (book, floats, "BUY", prices, quantities)

    def half() -> tuple[list[int], int, int]:
        """(reference counts, blocks, bytes resident) after half of them."""
        for count, call in calls:
            for _ in range(count // 2):
                call()
        gc.collect()
        counts = [sys.getrefcount(one) for one in watched]
        return counts, sys.getallocatedblocks(), resident_bytes()

    # The first half fills the free lists, pools, prefix sums and numpy's caches. They go on
    # breathing by a hundred blocks; a block lost in the rarest of the calls makes thousands.
    references, blocks, resident = half()
    references_after, blocks_after, resident_after = half()
    assert references_after == references, f"{references_after}, before {references}"
    assert blocks_after - blocks < min(count for count, _ in calls) // 10, (
        f"{blocks_after - blocks} blocks more"
    )
    assert resident_after - resident < 2 * 2**20, f"{resident_after - resident} bytes more"


def test_threads_may_ask_one_book_while_its_prefix_sums_are_made() -> None:
    prices, quantities = asks(200)
    wants = [int(want) for want in np.cumsum(quantities)[::7]]
    expected = [walk(prices, quantities, want) for want in wants]
    for _ in range(20):
        book = Book([], [], prices, quantities)
        answers: list[list[Any]] = [[] for _ in range(4)]
        begin = threading.Barrier(len(answers))

        def ask(answer: list[Any], book: Book[int] = book, begin: Any = begin) -> None:
            begin.wait()
            answer.extend(book.walk("BUY", want) for want in wants * 3)

        threads = [threading.Thread(target=ask, args=(answer,)) for answer in answers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answer == expected * 3 for answer in answers)


if __name__ == "__main__":
    ten_million_calls()
