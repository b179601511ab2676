"""What one fetched book costs the service, through grpcio and through our own client.

    python benchmarks/fetch_costs.py

Processor time of this process for one fetch, from an order that asks to the
snapshot it is given. The source is a process of its own, and quick, so that not
the waiting for it is measured. Both ways are measured in turn, in one run: the
ratio (median over the rounds) travels, the microseconds (of the best round) are
this machine's.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import grpc
import uvloop

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from scripted_http2 import OK, Peer, Request, serving
from scripted_market import book, l1

from execution.adapters.symbol_service import SymbolServiceBooks, SymbolServiceConfig
from execution.server.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SYMBOLS: Final = tuple(f"SYM{number}-USDT" for number in range(64))
LEVELS: Final = 20
WAYS: Final = {"grpcio": grpc.aio.insecure_channel, "ngh2": None}
KINDS: Final = ("GetL1", "GetBook")
AGE_MS_MAX: Final = 10_000
"""A loaded machine must not turn a measurement into a stale book."""


async def serve(kind: str) -> None:
    """Serves all symbols until killed; prints the address."""
    level = range(LEVELS)
    bids, asks = ([(6_100_000 + sign * n, 1_000 + n) for n in level] for sign in (-1, 1))
    # An answer may leave its symbol out: then it is that of the question.
    answers = {
        b"GetBook": book("", bids=bids, asks=asks[1:]).SerializeToString(),
        b"GetL1": l1("", bid=(61_000.1, 1.25), ask=(61_000.2, 0.75)).SerializeToString(),
    }

    def answer(peer: Peer, request: Request) -> None:
        rpc = request.headers[b":path"].rpartition(b"/")[2]
        if rpc == kind.encode():
            peer.reply(request, answers[rpc])
        else:
            peer.headers_only(request, *OK, (b"grpc-status", b"12"))

    async with serving() as server:
        server.answer = answer
        print(server.target, flush=True)
        await asyncio.Event().wait()


async def fetch_us(books: SymbolServiceBooks, symbols: int, fetches: int) -> float:
    """Processor time of one fetch while `symbols` are fetched side by side."""
    clock = SystemClock()

    async def orders(symbol: str) -> None:
        for _ in range(fetches // symbols):
            snapshot = await books.snapshot(symbol, clock.monotonic_ns())
            assert snapshot is not None
            assert not snapshot.defect

    before = books.fetch_counts.fetches
    begun = time.process_time_ns()
    await asyncio.gather(*(orders(symbol) for symbol in SYMBOLS[:symbols]))
    spent = time.process_time_ns() - begun
    return spent / (books.fetch_counts.fetches - before) / 1_000


@asynccontextmanager
async def connected(address: str, way: str) -> "AsyncIterator[SymbolServiceBooks]":
    config = SymbolServiceConfig(address, AGE_MS_MAX, depth=LEVELS, probe_interval_ms=60_000)
    books = SymbolServiceBooks(config, SystemClock(), connect=WAYS[way])
    await books.start()
    try:
        async with asyncio.timeout(10):
            await books.wait_until_answered()
        yield books
    finally:
        await books.close()


async def compare(address: str, rounds: int, fetches: int) -> "Mapping[str, Mapping[str, float]]":
    """Both ways in turn, alone and 64 at once."""
    found = {}
    async with connected(address, "grpcio") as grpcio, connected(address, "ngh2") as ngh2:
        ways = {"grpcio": grpcio, "ngh2": ngh2}
        for symbols in (1, len(SYMBOLS)):
            spent: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds + 1):
                for way, books in ways.items():
                    spent[way].append(await fetch_us(books, symbols, fetches))
            us = {way: round(min(times[1:]), 1) for way, times in spent.items()}
            pairs = zip(spent["ngh2"][1:], spent["grpcio"][1:], strict=True)
            ratio = median(ours / theirs for ours, theirs in pairs)
            found[f"{symbols} at once"] = us | {"ratio": round(ratio, 3)}
    await asyncio.sleep(0.2)  # grpcio's poller speaks to the loop a little longer
    return found


def measure(kind: str, rounds: int, fetches: int) -> "Mapping[str, Mapping[str, float]]":
    """Starts a source of its own for this kind."""
    source = subprocess.Popen(
        [sys.executable, __file__, "--serve", kind], stdout=subprocess.PIPE, text=True
    )
    try:
        assert source.stdout is not None
        address = source.stdout.readline().strip()
        return uvloop.run(compare(address, rounds, fetches))
    finally:
        source.kill()
        source.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="What one fetched book costs the service.")
    parser.add_argument("--serve", choices=KINDS, help="be the source (for our own use)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--fetches", type=int, default=512, help="in one round of one way")
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve))
        return
    kinds = {kind: measure(kind, options.rounds, options.fetches) for kind in KINDS}
    print(json.dumps({"python": sys.version.split()[0], "cpu_us_a_fetch": kinds}, indent=2))


if __name__ == "__main__":
    main()
