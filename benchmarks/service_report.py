"""The whole service measured from outside: one table of ratios, what is compared taking turns.

    python benchmarks/service_report.py [--quick] [--json FILE] [--memory-orders 1000000]

The service has one core to itself; load, Redis and market share another. It runs as a user starts
it, on a real Redis whose log is on, with books pushed from a symbol-service. Every order is new,
every answer is read: a run in which one did not fill is named below the table.
"""

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from service import patience, throughput
from service.bench import FULL, QUICK, TRANSPORTS, Bench
from service.processes import NotServedError, Server
from service.tools import ToolMissingError, built


def measure(bench: Bench, *, quick: bool) -> None:
    """All figures, the most wanted first."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(throughput.folder()))
        services: dict[str, Server] = {}
        for transport in TRANSPORTS:
            try:
                services[transport] = stack.enter_context(bench.service(transport))
            except NotServedError as problem:
                bench.say(str(problem))
        if not services:
            raise NotServedError("the service starts on no transport")
        throughput.measure(bench, services, folder)
        best = next(iter(services))
        others = {best: services[best]} if quick else services
        patience.alone(bench, others, folder / "packed-1")
        throughput.batches_and_streams(bench, others)
        if not quick:
            patience.at_half_load(bench, services)
            patience.durability(bench, best, services[best])
            patience.workers(bench, best, services[best])
    patience.start(bench)
    patience.memory(bench, best)


def main() -> int:
    """Measures, prints; 1 if a run was not valid, 2 if there is nothing to measure with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, fewer figures")
    parser.add_argument("--json", type=Path, help="where to write it all")
    parser.add_argument("--memory-orders", type=int, help="orders before memory is read")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    for name in ("memory_orders", "rounds"):
        if getattr(options, name) is not None:
            effort = dataclasses.replace(effort, **{name: getattr(options, name)})
    # What was started ends with us, also when a supervisor ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        built("load"), built("script_driver")
    except ToolMissingError as problem:
        print(f"bench-service: {problem}", file=sys.stderr)
        return 2
    bench = Bench(effort)
    try:
        with bench:
            measure(bench, quick=options.quick)
    except (NotServedError, RuntimeError) as problem:
        # What was measured before it is worth printing all the same.
        bench.report.complaints.append(f"ended early: {problem}")
    bench.report.print()
    if options.json:
        options.json.write_text(json.dumps(bench.report.as_json(), indent=1) + "\n")
    return 1 if bench.report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
