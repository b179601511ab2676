"""The guard: how many instructions each kernel function takes, against a committed baseline.

    python benchmarks/instructions.py [--record] [--baseline FILE] [--package DIRECTORY]

callgrind counts with collection switched on at the entry of the function and off at its exit,
so that neither the interpreter nor a busy machine is in the number: it is the same in every
run. More than 1 % away from the baseline, up or down, is exit code 1: record what is meant.

Counts depend on compiler, Cython, Python and numpy; a baseline is kept for each combination.
An unknown combination is recorded, said, and passes. Without valgrind or nm there is nothing
to count with: that is said, and passes, too. valgrind knows no AVX-512: the plain loops are
counted.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BASELINE = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.01

SETUP = """
import numpy as np
from execution import Book, format_decimal, parse_decimal, walk, walk_batch
def asks(depth):
    level = np.arange(depth, dtype=np.int64)
    return 6_180_000_000_000 + level * 10_000_000, 12_345_678_901 + level * 1_001
def book(depth):
    return Book([], [], *asks(depth))
order = 5_000_000_000
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Calls of one function; `symbol` is a pattern for its name in the compiled module."""

    symbol: str
    prepare: str
    call: str
    calls: int = 4000  # so many that what happens once does not show


CASES = {
    "buy, L1": Case(r"pw_\w*4Book_\d+buy$", "b = book(1)", "b.buy(order)"),
    "sell, none": Case(r"pw_\w*4Book_\d+sell$", "b = book(1)", "b.sell(order)"),
    "fill, L1": Case(r"_usual_fill$", "b = book(1)", "b.fill('BUY', order, None)"),
    "fill, L15 with limit": Case(
        r"_usual_fill$", "b = book(15); limit = 6_180_100_000_000", "b.fill('BUY', 10**12, limit)"
    ),
    "walk, L1 five-tuple": Case(r"_usual_walk$", "b = book(1)", "b.walk('BUY', order, None)"),
    "buy, L1000 prefix sums": Case(
        r"pw_\w*4Book_\d+buy$",
        "b = book(1000)\nfor _ in range(9): b.buy(10**18)",
        "b.buy(6_000_000_000_000)",
    ),
    "buy_notional, L15": Case(
        r"pw_\w*4Book_\d+buy_notional$", "b = book(15)", "b.buy_notional(6 * 10**23)"
    ),
    "float fill, L15": Case(
        r"_usual_fill$",
        "b = Book([], [], np.arange(1.0, 16.0), np.ones(15))",
        "b.fill('BUY', 7.5, None)",
    ),
    "walk(), L20": Case(
        r"pw_9execution_6_match_\d+walk$", "p, q = asks(20)", "walk(p, q, 10**11, None)"
    ),
    "batch of 100, L20": Case(
        r"_match__run$",
        "p, q = (np.tile(a, (100, 1)) for a in asks(20)); w = np.full(100, 10**11)",
        "walk_batch(p, q, w, check=False)",
        calls=50,
    ),
    "check of 100, L20": Case(
        r"_match__check_rows$",
        "p, q = (np.tile(a, (100, 1)) for a in asks(20)); w = np.full(100, 10**11)",
        "walk_batch(p, q, w)",
        calls=50,
    ),
    "parse_decimal": Case(r"_usual_parse$", "", "parse_decimal('61800.2075', 8)"),
    "format_decimal": Case(r"_usual_format$", "", "format_decimal(6_180_020_750_000, 8)"),
}


def key() -> str:
    """What a count depends on."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    named = said.stdout.splitlines()[0] if said.stdout else compiler
    try:
        cython = version("cython")
    except PackageNotFoundError:
        cython = "none"
    return (
        f"{named} | cython {cython} | python {platform.python_version()} | "
        f"numpy {version('numpy')} | {platform.machine()}"
    )


def environment(package: Path | None) -> dict[str, str]:
    """What the counted process sees: nothing that varies, and the package asked for."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    path = {"PYTHONPATH": str(package)} if package else {}
    # Python's own allocator takes another path where a pool is full, and how full one is depends
    # even on the files in the directory that this runs from; malloc's is always the same.
    steady = {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}
    return {**kept, **path, **steady, "PYTHONDONTWRITEBYTECODE": "1"}


def compiled_module(package: Path | None) -> Path:
    """The file of execution._match as the counted process loads it."""
    found = subprocess.run(
        [sys.executable, "-c", "import execution._match as m; print(m.__file__)"],
        env=environment(package),
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(found.stdout.strip())


def functions(module: Path) -> list[str]:
    """The names of all functions in the compiled module."""
    listed = subprocess.run(["nm", str(module)], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in listed.stdout.splitlines() if " t " in line.lower()]


def count(case: Case, names: list[str], package: Path | None) -> float:
    """Instructions a call of this case, callees included."""
    symbols = [name for name in names if re.search(case.symbol, name)]
    if len(symbols) != 1:
        raise SystemExit(f"{case.symbol} names {len(symbols)} functions: {symbols}")
    program = f"{SETUP}\n{case.prepare}\nfor _ in range({case.calls}): {case.call}\n"
    with tempfile.TemporaryDirectory() as directory:
        ran = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--toggle-collect={symbols[0]}",
                f"--callgrind-out-file={directory}/out",
                sys.executable,
                "-c",
                program,
            ],
            env=environment(package),
            capture_output=True,
            text=True,
            check=False,
        )
    collected = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or collected is None:
        raise SystemExit(f"callgrind failed:\n{ran.stderr[-2000:]}")
    return int(collected[1]) / case.calls


def compare(measured: dict[str, float], wanted: dict[str, float]) -> bool:
    """Prints one line a case; whether all are within the tolerance."""
    sound = True
    for name, counted in measured.items():
        before = wanted.get(name)
        if before is None:
            print(f"  {name:28} {counted:10.1f}   new: not in the baseline")
            sound = False
            continue
        change = counted / before - 1
        fits = abs(change) <= TOLERANCE
        sound &= fits
        verdict = "" if fits else "   SLOWER" if change > 0 else "   faster: record it"
        print(f"  {name:28} {counted:10.1f}  {before:10.1f}  {change:+8.2%}{verdict}")
    return sound


def main() -> int:
    """Counts, then compares or records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="make this the baseline")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--package", type=Path, help="a directory that holds another execution")
    parser.add_argument("--only", help="a part of the names of the cases to count")
    options = parser.parse_args()
    for tool in ("valgrind", "nm"):
        if shutil.which(tool) is None:
            print(f"instruction counts: skipped, {tool} is not installed (apt-get install {tool})")
            return 0
    names = functions(compiled_module(options.package))
    measured = {
        name: count(case, names, options.package)
        for name, case in CASES.items()
        if not options.only or options.only in name
    }
    baselines = json.loads(options.baseline.read_text()) if options.baseline.exists() else {}
    mine = key()
    print(f"instructions a call, on {mine}")
    if options.record or mine not in baselines:
        baselines[mine] = {**baselines.get(mine, {}), **measured}
        options.baseline.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")
        for name, counted in measured.items():
            print(f"  {name:28} {counted:10.1f}")
        print(
            f"recorded in {options.baseline}: there was no baseline for this combination"
            if not options.record
            else f"recorded in {options.baseline}"
        )
        return 0
    if compare(measured, baselines[mine]):
        return 0
    print(f"more than {TOLERANCE:.0%} from the baseline; if it is meant: --record")
    return 1


if __name__ == "__main__":
    sys.exit(main())
