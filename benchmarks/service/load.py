"""The load generator load.c, as a call that returns what it measured."""

import itertools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from service.processes import on_core
from service.tools import built

UNIMPLEMENTED = "12"
RUN_SECONDS_MAX = 600.0

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of the load generator saw; rates and times are those after the warm-up."""

    orders: int
    """In echo mode, calls."""
    seconds: float
    per_second: float
    latency_us: dict[str, float]
    """p50, p90, p99, p99.9, max."""
    cpu_us: tuple[float, ...]
    """An order, of each group of processes that was watched."""
    load_cpu_us: float
    counted: dict[str, int]
    """From the first call to the last: calls, orders, FILLED, PARTIAL, REJECTED, wrong, …"""
    errors: dict[str, int]
    """Calls that failed, by gRPC status code or `lost`."""
    first_error: str

    @property
    def unimplemented(self) -> bool:
        """Whether the server does not have this method."""
        return UNIMPLEMENTED in self.errors

    @property
    def complaint(self) -> str:
        """Why the run does not count: an answer that is wrong, missing or not a fill; else ""."""
        if self.errors:
            return f"failed calls {self.errors}: {self.first_error}"
        odd = {
            name: self.counted[name]
            for name in ("PARTIAL", "REJECTED", "other", "item_errors", "wrong")
            if self.counted[name]
        }
        return f"answers that are no fill: {odd}" if odd else ""


def new_prefix() -> str:
    """A prefix of order and user ids that no other run has used."""
    return f"b{os.getpid() % 100_000:05}-{os.urandom(3).hex()}-{next(_numbers):04}"


def load(
    target: str,
    mode: str,
    core: int,
    flags: Mapping[str, float],
    *,
    cpu_of: Sequence[Sequence[int]] = (),
    prefix: str = "",
) -> Measured:
    """Runs it against `target`; {"in_flight": 64} is --in-flight 64. Raises `RuntimeError`."""
    words = [str(built("load")), "--target", target, "--mode", mode]
    words += ["--prefix", prefix or new_prefix()]
    for name, value in flags.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    for pid in chain.from_iterable(cpu_of):
        words += ["--cpu-of", str(pid)]
    with on_core(core):
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=RUN_SECONDS_MAX
        )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()}")
    return _measured(json.loads(done.stdout), cpu_of)


def _measured(found: dict[str, Any], groups: Sequence[Sequence[int]]) -> Measured:
    each = 1e6 / max(found["orders"], 1)
    spent = iter(found["cpu_seconds"])
    return Measured(
        orders=found["orders"],
        seconds=found["seconds"],
        per_second=found["orders_per_second"],
        latency_us=found["latency_us"],
        cpu_us=tuple(each * sum(islice(spent, len(group))) for group in groups),
        load_cpu_us=found["own_cpu_seconds"] * each,
        counted=found["all"],
        errors=found["errors"],
        first_error=found["first_error"],
    )
