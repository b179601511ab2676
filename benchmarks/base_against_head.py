"""Is this commit slower than its base? Both are built and run by turns, in one go.

    python benchmarks/base_against_head.py BASE [--allow 1.15] [--turns 3]

The benchmarks of the head run against the kernels of both; what is compared is the minimum of
each benchmark over all turns, which a busy machine disturbs least. Exit code 1 where the head
needs more than `--allow` times the base. Where nothing the kernel is made of has changed, or
there is no such base (the first commit, a shallow clone), there is nothing to compare: 0.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MADE_OF = ("setup.py", "src/execution/_match*")


def difference(base: str, head: str) -> bool | None:
    """Whether the kernel differs between two commits; None where one of them is not there."""
    compared = subprocess.run(
        ["git", "diff", "--quiet", base, head, "--", *MADE_OF],
        cwd=ROOT,
        capture_output=True,
        check=False,
    ).returncode
    return None if compared > 1 else bool(compared)


def unpack(commit: str, into: Path) -> Path:
    """The tree of a commit, its kernel built in place; the directory to import it from."""
    packed = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    into.mkdir()
    with tarfile.open(fileobj=BytesIO(packed)) as tree:
        tree.extractall(into, filter="data")
    return build(into)


def build(tree: Path) -> Path:
    """Builds the kernel of this tree in place."""
    ran = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree,
        env={**os.environ, "EXECUTION_MODULES": "_match"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{tree} does not build:\n{ran.stderr[-3000:]}")
    return tree / "src"


def minima(package: Path, report: Path) -> dict[str, float]:
    """One run of the kernel benchmarks against this package: the minimum of each."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            f"--benchmark-json={report}",
            str(ROOT / "benchmarks" / "test_kernel.py"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        check=True,
    )
    measured = json.loads(report.read_text())["benchmarks"]
    return {one["name"]: one["stats"]["min"] for one in measured}


def main() -> int:
    """Builds, runs by turns, compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("--head", default="HEAD")
    parser.add_argument("--allow", type=float, default=1.15)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    changed = difference(options.base, options.head)
    if not changed:
        why = "no such commits" if changed is None else "the kernel is the same in both"
        print(f"{options.base} against {options.head}: nothing to compare, {why}")
        return 0
    best: dict[str, dict[str, float]] = {"base": {}, "head": {}}
    with tempfile.TemporaryDirectory() as directory:
        at = Path(directory)
        packages = {
            "base": unpack(options.base, at / "base"),
            "head": unpack(options.head, at / "head"),
        }
        for _ in range(options.turns):
            for side, package in packages.items():
                for name, taken in minima(package, at / "report.json").items():
                    best[side][name] = min(taken, best[side].get(name, taken))
    slower = 0
    for name, head in best["head"].items():
        base = best["base"].get(name)
        ratio = head / base if base else float("nan")
        slower += ratio > options.allow
        print(f"  {name:32} {ratio:6.2f}{'   SLOWER' if ratio > options.allow else ''}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
