"""Fuzzes the HTTP/2 server by coverage: `python tools/fuzz_http2.py [--seconds 60] [--runs N]`.

Bytes go to a `Connection` over a transport in memory; tests/http2/harness.py
says what must hold. Wants atheris, which has wheels for some Pythons; without
it there is nothing to do, and it fails.
"""

import argparse
import asyncio
import importlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (
    b"\0",
    b"\1PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    *(bytes((2, 48, 0, method, 49, 0, 64, 0, 20, 30, 0)) for method in range(13)),
    bytes((2, 48, 0, 135, 49, 0, 67, 49, 2, 5, 0, 26, 0, 52, 0, 9, 0)),
)


def main() -> None:
    """Runs until told to end, or until something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1, help="executions at most; -1: no limit")
    parser.add_argument("--corpus", type=Path, help="kept and extended; else a temporary one")
    parser.add_argument("case", nargs="?", type=Path, help="a file of one input, to run it alone")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    if options.case is not None:
        with asyncio.Runner() as runner:
            execute(runner, options.case.read_bytes())
        return
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        sys.exit("fuzz_http2: atheris is not installed; pip install atheris (not for every Python)")
    with atheris.instrument_imports(include=["execution.server.transports", "execution.http2"]):
        import http2.harness  # noqa: F401, PLC0415 - to be instrumented
    with tempfile.TemporaryDirectory() as temporary, asyncio.Runner() as runner:
        corpus = options.corpus or Path(temporary)
        corpus.mkdir(exist_ok=True)
        for number, seed in enumerate(SEEDS):
            (corpus / f"seed-{number}").write_bytes(seed)
        arguments = [
            f"-max_total_time={options.seconds}",
            f"-runs={options.runs}",
            "-max_len=4096",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ]
        atheris.Setup([sys.argv[0], *arguments, str(corpus)], lambda data: execute(runner, data))
        atheris.Fuzz()


def execute(runner: asyncio.Runner, data: bytes) -> None:
    """One connection, as its first byte says: raw, behind a preface, or as a client speaks."""
    from http2.harness import Harness, nothing_unforeseen, spoken  # noqa: PLC0415 - see main
    from http2.raw_client import PREFACE, SETTINGS, frame  # noqa: PLC0415 - as above

    kind, rest = data[:1], data[1:]
    chunks: Iterator[bytes | bool]
    if kind == b"\0":
        chunks = iter([rest])
    elif kind == b"\1":
        chunks = iter([PREFACE + frame(SETTINGS, 0, 0) + rest])
    else:
        chunks = spoken(rest)

    async def feed() -> None:
        await Harness().feed(chunks)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    with nothing_unforeseen():
        runner.run(feed())


if __name__ == "__main__":
    main()
