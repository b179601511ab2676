"""Every speed claim of the kernel, as ratios in one run; ends with a table and a picture.

    python benchmarks/kernel_report.py [--picture docs/kernel.svg] [--quick]

Every round times each contender once, so that a busy machine slows them alike; a ratio is the
median of the rounds' ratios. Times of Python calls are net of the empty loop around them.
"""

import argparse
import math
import statistics
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import contenders
import picture
from batches import add_batches
from sweep import sweep_ns

from execution import Book, format_decimal, parse_decimal, walk

Measure = Callable[[], float]
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "kernel.svg"


@dataclass(slots=True)
class Run:
    """What is timed, what it took round by round (ns), and what is claimed of it."""

    rounds: int
    measures: dict[str, Measure] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=dict)
    claims: list[tuple[str, str, tuple[str, ...], float, bool]] = field(default_factory=list)

    def time(self, name: str, measure: Measure) -> None:
        self.measures[name] = measure

    def claim_at_most(self, text: str, ours: str, theirs: tuple[str, ...], most: float) -> None:
        """`ours` takes at most so many times what all of `theirs` take together."""
        self.claims.append((text, ours, theirs, most, False))

    def claim_faster(self, text: str, ours: str, theirs: str, least: float) -> None:
        """`ours` is at least so many times as fast."""
        self.claims.append((text, ours, (theirs,), least, True))

    def go(self) -> None:
        for measure in self.measures.values():
            measure()  # caches, prefix sums and specialised bytecode are warm
        for _ in range(self.rounds):
            for name, measure in self.measures.items():
                self.taken.setdefault(name, []).append(measure())

    def median(self, name: str) -> float:
        return statistics.median(self.taken[name])

    def ratio(self, ours: str, theirs: tuple[str, ...]) -> float:
        columns = [self.taken[name] for name in theirs]
        rounds = zip(self.taken[ours], *columns, strict=True)
        return float(statistics.median([mine / math.fsum(others) for mine, *others in rounds]))


def python_call(owner: Any, *arguments: Any, method: str = "", number: int = 20_000) -> Measure:
    """ns of owner(*arguments) or owner.method(*arguments), by timeit, net of its empty loop."""
    names = {f"a{i}": argument for i, argument in enumerate(arguments)}
    call = f"f{'.' + method if method else ''}({', '.join(names)})"
    timer = timeit.Timer(call, globals={"f": owner, **names})
    empty = timeit.Timer("pass")
    return lambda: (timer.timeit(number) - empty.timeit(number)) * 1e9 / number


def ladder(depth: int) -> tuple[contenders.Ints, contenders.Ints]:
    """Asks at the default scales (8 and 8 decimals), where an int64 notional overflows."""
    rng = np.random.default_rng(7)
    prices = 6_180_000_000_000 + np.cumsum(rng.integers(1, 50_000_000, depth))
    return prices.astype(np.int64), rng.integers(1_000_000, 10**11, depth).astype(np.int64)


def add_calls(run: Run, c: Any) -> None:
    empty = c.Empty()
    run.time("empty METH_O", python_call(empty, 5, method="one"))
    run.time("empty FASTCALL, 3", python_call(empty, 1, 2, 3, method="three"))
    run.time("empty FASTCALL, 2", python_call(c.empty_two, 1, 2))


def add_book(run: Run, c: Any, depth: int, part: float, label: str, peers: bool) -> None:
    """One book, one order for `part` of it, by the kernel and by everyone else."""
    prices, quantities = ladder(depth)
    want, limit = int(int(quantities.sum()) * part), int(prices[-1])
    book = Book([], [], prices, quantities)
    number = 20_000 if depth <= 20 else 3_000
    check_book(book, prices, quantities, want, limit)
    order = "BUY", want, limit
    run.time(f"{label} buy", python_call(book, want, method="buy", number=number))
    run.time(f"{label} fill", python_call(book, *order, method="fill", number=number))
    run.time(f"{label} tuple", python_call(book, *order, method="walk", number=number))
    arrays = prices, quantities
    run.time(f"{label} walk()", python_call(walk, *arrays, want, limit, number=number))
    run.time(f"{label} C", lambda: float(c.loop_ns(prices, quantities, want, limit, number)))
    if peers:
        add_peers(run, prices, quantities, want, limit, label)


def add_peers(
    run: Run,
    prices: contenders.Ints,
    quantities: contenders.Ints,
    want: int,
    limit: int,
    label: str,
) -> None:
    exact = contenders.expected(prices, quantities, want, limit)
    lists = prices.tolist(), quantities.tolist()
    assert contenders.python_walk(*lists, want, limit) == exact
    run.time(
        f"{label} python", python_call(contenders.python_walk, *lists, want, limit, number=500)
    )
    arrays = prices, quantities
    assert_near(contenders.numpy_walk(*arrays, want, limit), exact)
    run.time(f"{label} numpy", python_call(contenders.numpy_walk, *arrays, want, limit, number=500))
    if loop := contenders.numba_walk():
        assert_near(loop(*arrays, want, limit), exact)
        run.time(f"{label} numba", python_call(loop, *arrays, want, limit, number=2000))
    # nautilus holds at most 9 decimals in 64 bits: the same book in smaller units.
    small = prices // 100, quantities // 100
    if peer := contenders.nautilus(*small):
        some, bound = want // 100, limit // 100
        near = contenders.expected(*small, some, bound)
        average = peer.average_price(some)
        assert abs(average() / (near[1] / near[0]) - 1) < 1e-9
        fills = peer.simulated_fills(some, bound)
        assert len(fills()) == near[2]
        run.time(f"{label} nautilus average", python_call(average, number=2000))
        run.time(f"{label} nautilus fill", python_call(fills, number=500))


def check_book(
    book: Book[int], prices: contenders.Ints, quantities: contenders.Ints, want: int, limit: int
) -> None:
    exact = contenders.expected(prices, quantities, want, limit)
    for walked in (book.walk("BUY", want, limit), walk(prices, quantities, want, limit)):
        assert (walked[0], walked[1], walked[3]) == exact


def assert_near(walked: Any, exact: tuple[int, int, int]) -> None:
    assert (int(walked[0]), int(walked[2])) == (exact[0], exact[2])
    assert abs(float(walked[1]) / exact[1] - 1) < 1e-9


def add_sweep(run: Run, c: Any) -> None:
    """The walk itself, without Python: by the address of the exported function."""
    prices, quantities = ladder(1000)
    want = int(quantities.sum())
    run.time("L1000 sweep", lambda: sweep_ns(c, prices, quantities, want, 3_000))


def add_text(run: Run, c: Any) -> None:
    text, value, decimals = "61800.2075", 6_180_020_750_000, 8
    assert parse_decimal(text, decimals) == value
    assert format_decimal(value, decimals) == text
    run.time("parse", python_call(parse_decimal, text, decimals))
    run.time("format", python_call(format_decimal, value, decimals))
    run.time("C parse", lambda: float(c.parse_ns(text, decimals, 20_000)))
    run.time("C format", lambda: float(c.format_ns(value, decimals, 20_000)))
    run.time("decimal parse", python_call(lambda: int(Decimal(text).scaleb(8)), number=3000))
    run.time(
        "decimal format",
        python_call(lambda: format(Decimal(value).scaleb(-8).normalize(), "f"), number=3000),
    )


def claim(run: Run) -> None:
    at_most, faster = run.claim_at_most, run.claim_faster
    at_most("L1 buy / empty METH_O", "L1 buy", ("empty METH_O",), 1.6)
    at_most("L1 fill / empty FASTCALL", "L1 fill", ("empty FASTCALL, 3",), 1.75)
    at_most("L1 five-tuple / empty FASTCALL", "L1 tuple", ("empty FASTCALL, 3",), 4.0)
    faster("L20 fill, against nautilus' average", "L20 fill", "L20 nautilus average", 4.5)
    faster("L20 fill, against nautilus' fill", "L20 fill", "L20 nautilus fill", 35.0)
    faster("L20 fill, against numba", "L20 fill", "L20 numba", 10.0)
    faster("L20 fill, against numpy", "L20 fill", "L20 numpy", 100.0)
    at_most("L1000 sweep (SIMD) / C loop", "L1000 sweep", ("L1000 C",), 0.35)
    at_most("L1000 again and again / L1 buy", "L1000 buy", ("L1 buy",), 1.4)
    at_most("dense batch / C loop", "dense batch", ("dense C",), 1.1)
    at_most("dense batch / memory floor", "dense batch", ("memory floor",), 1.35)
    faster("two threads, against one", "dense batch, two threads", "dense batch", 1.35)
    at_most("CSR, random order / plain walk", "CSR batch", ("random C",), 0.2)
    at_most("parse / empty call + C", "parse", ("empty FASTCALL, 2", "C parse"), 1.5)
    at_most("format / empty call + C", "format", ("empty FASTCALL, 2", "C format"), 1.5)
    faster("parse, against decimal", "parse", "decimal parse", 10.0)
    faster("format, against decimal", "format", "decimal format", 10.0)


def print_table(run: Run) -> None:
    print(f"\n{'ns, median of ' + str(run.rounds):34}")
    for name in run.measures:
        print(f"  {name:32} {run.median(name):12,.1f}")
    print(f"\n{'ratio':44} {'measured':>9}  {'wanted':>8}")
    for text, ours, theirs, bound, inverse in run.claims:
        if ours not in run.taken or any(name not in run.taken for name in theirs):
            print(f"  {text:42} {'-':>9}   (not installed: the [bench] extra)")
            continue
        ratio = run.ratio(ours, theirs)
        ratio = 1 / ratio if inverse else ratio
        met = ratio >= bound if inverse else ratio <= bound
        wanted = f"{'>=' if inverse else '<='} {bound:g}"
        print(f"  {text:42} {ratio:9.2f}  {wanted:>8}  {'' if met else 'not reached'}")


def main() -> None:
    """Measures, prints, draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where it is written")
    parser.add_argument("--quick", action="store_true", help="few rounds, small batches")
    options = parser.parse_args()
    c = contenders.compiled()
    run = Run(rounds=5 if options.quick else 25)
    add_calls(run, c)
    add_book(run, c, 1, 0.5, "L1", peers=True)
    add_book(run, c, 20, 0.5, "L20", peers=True)
    add_book(run, c, 1000, 1.0, "L1000", peers=True)
    add_sweep(run, c)
    add_text(run, c)
    batches = Run(rounds=3 if options.quick else 9)
    add_batches(batches, c, 100_000 if options.quick else 1_000_000)
    run.go()
    batches.go()
    for name, taken in batches.taken.items():
        run.measures[name], run.taken[name] = batches.measures[name], taken
    claim(run)
    print_table(run)
    picture.draw(options.picture, {name: run.median(name) for name in run.taken})
    print(f"\n  picture: {options.picture}")


if __name__ == "__main__":
    main()
