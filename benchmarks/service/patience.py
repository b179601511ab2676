"""How long a caller waits: alone, at half of what the service can do, and for the disk."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from redis_server import RedisServer

from service.bench import Bench, empty
from service.figures import Figure, median, ratio
from service.load import Measured
from service.processes import NotServedError, Server, start_embedded
from service.script import drive
from service.throughput import cpu, rate

DURABLE_IN_FLIGHT = {64: 0.5, 256: 0.7}
"""Calls in flight, and the share of everysec's rate that is wanted of fsync."""
HIGHS = {"p99": 5.0, "p99.9": None}
"""How many times p50 they may be at half load."""
POLL_US = 300
"""For `--busy-poll-us`, beside the service without."""
WORKERS = 2
WORKER_CONNECTIONS = 16
"""The kernel deals connections out; with this many each worker gets some."""


def alone(bench: Bench, services: Mapping[str, Server], packed: Path) -> None:
    """One call at a time, against an empty call and one call of the script. `packed`: one each."""
    for transport, server in services.items():
        name = f"{transport}: p50 alone / (empty call + one script call)"
        echo = bench.echo(transport)
        if echo is None:
            bench.report.figures.append(Figure(name, None, note="no echo on this transport"))
            continue

        def script() -> float:
            empty(bench.redis)
            return drive(bench.redis, packed, bench.cores.server, window=1).p50_us

        def p50(where: Server, mode: str) -> float:
            return bench.load(where, mode, in_flight=1).latency_us["p50"]

        with bench.service(transport, "--busy-poll-us", str(POLL_US)) as awake:
            ways: dict[str, Callable[[], float]] = {
                "echo": partial(p50, echo, "echo"),
                "serve": partial(p50, server, "unary"),
                "awake": partial(p50, awake, "unary"),
                "script": script,
            }
            taken = bench.rounds(f"{transport}, one in flight", ways)
        least = [sum(pair) for pair in zip(taken["echo"], taken["script"], strict=True)]
        for way, which, most in (("serve", name, 1.5), ("awake", f"{name}, busy polling", None)):
            measured = ratio(taken[way], least, float)
            bench.report.figures.append(Figure(which, measured, most, at_least=False))


def at_half_load(bench: Bench, services: Mapping[str, Server]) -> None:
    """Calls that come at a fixed pace, half of what a closed loop reached just before.

    And at the same pace empty calls, which show what the machine does to any server.
    """
    for transport, server in services.items():
        echo = bench.echo(transport)

        def half(server: Server = server, echo: Server | None = echo) -> list[Measured]:
            pace = bench.load(server, "unary", in_flight=64).per_second / 2
            measured = [bench.load(server, "unary", rate=pace)]
            if echo is not None:
                measured.append(bench.load(echo, "echo", rate=pace))
            return measured

        samples = bench.rounds(f"{transport}, half load", {"open loop": half})["open loop"]
        served, *empty_calls = zip(*samples, strict=True)
        for high, most in HIGHS.items():
            name = f"{transport}: {high} / p50 at half load"
            bench.report.figures.append(_tail(name, served, high, most))
            for calls in empty_calls:
                name = f"{transport}: {high} / p50 of empty calls at that pace"
                bench.report.figures.append(_tail(name, calls, high, None))


def _tail(name: str, samples: Sequence[Measured], high: str, most: float | None) -> Figure:
    ratios = [one.latency_us[high] / one.latency_us["p50"] for one in samples]
    return Figure(name, median(ratios, float), most, at_least=False)


def durability(bench: Bench, transport: str, everysec: Server) -> None:
    """What it costs to wait for the disk."""
    redis = bench.start_redis("always")
    try:
        with bench.service(transport, "--durability", "fsync", redis=redis) as fsync:
            for in_flight, least in DURABLE_IN_FLIGHT.items():
                contenders = {
                    "everysec": partial(bench.load, everysec, "unary", in_flight=in_flight),
                    "fsync": partial(bench.load, fsync, "unary", redis=redis, in_flight=in_flight),
                }
                taken = bench.rounds(f"durability, {in_flight} in flight", contenders)
                name = f"{transport}: orders/s with fsync against everysec, {in_flight} in flight"
                bench.report.figures.append(
                    Figure(name, ratio(taken["fsync"], taken["everysec"], rate), least)
                )
    except NotServedError as problem:
        bench.say(str(problem))
        bench.report.figures.append(Figure(f"{transport}: durability fsync", None))


def workers(bench: Bench, transport: str, alone: Server) -> None:
    """What an order costs with several workers, all on the one core: accounting, not speed.

    Processes that take turns on a core find its caches cold, which those on cores of their own do
    not. What that alone makes dearer two services show that share no more than the core: beside
    them stand two workers, each with as many calls. And with the calls of one shared among both,
    which makes the commits of each smaller.
    """
    redis = bench.start_redis("everysec")

    def one(server: Server, where: RedisServer = bench.redis, share: int = 1) -> float:
        empty(where)
        return loaded(server, where, share)

    def loaded(server: Server, where: RedisServer, share: int) -> float:
        flags = {"in_flight": 64 * share, "connections": WORKER_CONNECTIONS * share}
        return cpu(bench.load(server, "unary", redis=where, is_empty=True, **flags))

    with (
        bench.service(transport, "--workers", str(WORKERS)) as several,
        bench.service(transport, redis=redis) as other,
        ThreadPoolExecutor(WORKERS) as both,
    ):

        def apart() -> float:
            # Both before either: no log is rewritten beside a load.
            empty(bench.redis)
            empty(redis)
            costs = list(both.map(loaded, (alone, other), (bench.redis, redis), (1, 1)))
            return sum(costs) / len(costs)

        ways: dict[str, Callable[[], float]] = {
            "one worker": partial(one, alone),
            "two services": apart,
            "two workers": partial(one, several, share=WORKERS),
            "two workers, sharing": partial(one, several),
        }
        taken = bench.rounds("workers", ways)
    add = bench.report.figures.append
    for way, beside, most in (
        ("two workers", "two services", 1.1),
        ("two services", "one worker", None),
        ("two workers", "one worker", None),
        ("two workers, sharing", "one worker", None),
    ):
        name = f"{transport}: CPU an order of {way} on a core against {beside}"
        add(Figure(name, ratio(taken[way], taken[beside], float), most, at_least=False))


def start(bench: Bench) -> None:
    """How soon a service is ready that brings its own Redis and its own market."""
    with tempfile.TemporaryDirectory(prefix="service-bench-") as folder:
        seconds = []
        for number in range(bench.effort.rounds):
            with start_embedded(Path(folder, str(number)), bench.cores.server) as server:
                seconds.append(server.start_seconds)
    measured = median(seconds, float)
    figure = Figure("from start to ready, embedded", measured, 1.5, at_least=False, unit=" s")
    bench.report.figures.append(figure)


def memory(bench: Bench, transport: str) -> None:
    """What a service holds after many orders."""
    orders = bench.effort.memory_orders
    with bench.service(transport) as server:
        add = bench.report.figures.append
        if not orders:
            return
        held = [server.resident_bytes]
        for half in ("first", "second"):
            bench.say(f"memory: the {half} half of {orders:,} orders")
            bench.load(server, "unary", in_flight=64, warm_up=0, seconds=600, requests=orders // 2)
            held.append(server.resident_bytes)
        add(Figure(f"{transport}: memory at start", held[0] / 2**20, unit=" MiB"))
        name = f"{transport}: memory after {orders:,} orders"
        add(Figure(name, held[2] / 2**20, 150.0, at_least=False, unit=" MiB"))
        growth = (held[2] - held[1]) / (orders / 2)
        add(Figure(f"{transport}: growth in the second half, an order", growth, unit=" B"))
