"""A million resting stops: loaded in time, small, and no burden on a market that moves.

    pytest benchmarks/test_stops.py -s

EXECUTION_BENCH_STOPS sets another number of stops.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stop_load import fill
from stop_watch_costs import Costs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from redis_server import RedisServer

HERE = Path(__file__).parent
STOPS = int(os.environ.get("EXECUTION_BENCH_STOPS", "1000000"))
LOAD_SECONDS_MAX = 20.0
BYTES_MAX = 300.0
RATIO_MAX = 3.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def costs() -> Iterator[Costs]:
    """Measured in a process of its own, which has held nothing else."""
    with RedisServer() as server:
        fill(server, STOPS)
        ran = subprocess.run(
            [sys.executable, str(HERE / "stop_watch_costs.py"), server.url],
            capture_output=True,
            text=True,
            check=True,
        )
        measured = Costs(**json.loads(ran.stdout))
        print(
            f"\n{measured.stops:,} stops loaded in {measured.load_seconds:.1f} s"
            f" ({measured.load_cpu_seconds:.1f} s of CPU),"
            f" {measured.bytes_per_stop:.0f} bytes each,"
            f" longest pause {measured.longest_pause_ms:.1f} ms;"
            f" a book update costs {measured.update_us:.1f} us,"
            f" without stops {measured.update_us_without_stops:.1f} us: x{measured.ratio:.2f}"
        )
        yield measured


def test_every_stop_is_loaded_in_time(costs: Costs) -> None:
    assert costs.stops == STOPS
    # Of CPU, which is nearly all of it: what else a machine does is no regression.
    assert costs.load_cpu_seconds < LOAD_SECONDS_MAX


def test_a_resting_stop_takes_little_memory(costs: Costs) -> None:
    assert costs.bytes_per_stop < BYTES_MAX


def test_a_book_that_triggers_nothing_costs_little_more_than_without_stops(costs: Costs) -> None:
    assert costs.ratio < RATIO_MAX
