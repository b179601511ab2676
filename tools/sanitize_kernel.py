"""Runs the tests of the compiled modules under AddressSanitizer and UndefinedBehaviorSanitizer.

    python tools/sanitize_kernel.py [pytest arguments]

The modules are built anew in a temporary copy. Memory comes from malloc, so that the sanitizer
sees every array and book; leaks are not its business (Python itself never frees everything,
and the sanitizer keeps what was freed): FLAT watches those in a build without it. Any finding
ends the run with exit code 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZERS = "address,undefined"
TESTS = ("tests/unit", "tests/property")
NAMES = ("test_match*", "test_order_*", "test_http2_call*", "test_http2_twins*")
FLAT = "test_memory_and_reference_counts_are_flat_over_ten_million_calls"
# A sanitizer writes to the file descriptor and ends the process: pytest must not hold that back.
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--capture=sys", "-k", f"not {FLAT}")


def main() -> int:
    """Builds, runs, and answers with the exit code of the tests."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for name in ("setup.py", "pyproject.toml", "README.md"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, copy)
        shutil.copytree(
            ROOT / "src",
            copy / "src",
            ignore=shutil.ignore_patterns(
                "*.so", "_match.c", "_order.c", "_call.c", "__pycache__", "*.egg-info"
            ),
        )
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=copy,
            env={**os.environ, "EXECUTION_SANITIZE": SANITIZERS},
            check=True,
        )
        tests = [
            str(path)
            for part in TESTS
            for name in NAMES
            for path in sorted((ROOT / part).glob(name))
        ]
        return subprocess.run(
            [sys.executable, *PYTEST, *tests, *sys.argv[1:]],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(copy / "src"),
                "PYTHONMALLOC": "malloc",
                "LD_PRELOAD": f"{runtime('asan')} {runtime('ubsan')}",
                "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:abort_on_error=0",
                "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            },
            check=False,
        ).returncode


def runtime(name: str) -> str:
    """The library of a sanitizer: Python is not linked with it, so it is loaded first."""
    found = subprocess.run(
        ["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
