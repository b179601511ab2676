"""How long a caller waits: alone, at half of what the service can do, and for the disk."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from service.bench import Bench, empty
from service.figures import Figure, median, ratio
from service.load import Measured
from service.processes import NotServedError, Server
from service.script import drive
from service.throughput import rate

DURABLE_IN_FLIGHT = (64, 256)


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

        ways: dict[str, Callable[[], float]] = {
            "echo": partial(p50, echo, "echo"),
            "serve": partial(p50, server, "unary"),
            "script": script,
        }
        taken = bench.rounds(f"{transport}, one in flight", ways)
        least = [sum(pair) for pair in zip(taken["echo"], taken["script"], strict=True)]
        measured = ratio(taken["serve"], least, float)
        bench.report.figures.append(Figure(name, measured, at_least=False))


def at_half_load(bench: Bench, services: Mapping[str, Server]) -> None:
    """Calls that come at a fixed pace, half of what a closed loop reached just before."""
    for transport, server in services.items():

        def half(server: Server = server) -> Measured:
            peak = bench.load(server, "unary", in_flight=64).per_second
            return bench.load(server, "unary", rate=peak / 2)

        samples = bench.rounds(f"{transport}, half load", {"open loop": half})["open loop"]
        for high in ("p99", "p99.9"):
            ratios = [one.latency_us[high] / one.latency_us["p50"] for one in samples]
            name = f"{transport}: {high} / p50 at half load"
            bench.report.figures.append(Figure(name, median(ratios, float), at_least=False))


def durability(bench: Bench, transport: str, everysec: Server) -> None:
    """What it costs to wait for the disk."""
    redis = bench.start_redis("always")
    try:
        with bench.service(transport, "--durability", "fsync", redis=redis) as fsync:
            for in_flight in DURABLE_IN_FLIGHT:
                contenders = {
                    "everysec": partial(bench.load, everysec, "unary", in_flight=in_flight),
                    "fsync": partial(bench.load, fsync, "unary", redis=redis, in_flight=in_flight),
                }
                taken = bench.rounds(f"durability, {in_flight} in flight", contenders)
                name = f"{transport}: orders/s with fsync against everysec, {in_flight} in flight"
                bench.report.figures.append(
                    Figure(name, ratio(taken["fsync"], taken["everysec"], rate))
                )
    except NotServedError as problem:
        bench.say(str(problem))
        bench.report.figures.append(Figure(f"{transport}: durability fsync", None))


def memory(bench: Bench, transport: str) -> None:
    """What a service holds after many orders, and how soon it is ready."""
    orders = bench.effort.memory_orders
    with bench.service(transport) as server:
        add = bench.report.figures.append
        add(Figure(f"{transport}: from start to ready", server.start_seconds, unit=" s"))
        if not orders:
            return
        held = [server.resident_bytes]
        for half in ("first", "second"):
            bench.say(f"memory: the {half} half of {orders:,} orders")
            bench.load(server, "unary", in_flight=64, warm_up=0, seconds=600, requests=orders // 2)
            held.append(server.resident_bytes)
        add(Figure(f"{transport}: memory at start", held[0] / 2**20, unit=" MiB"))
        add(Figure(f"{transport}: memory after {orders:,} orders", held[2] / 2**20, unit=" MiB"))
        growth = (held[2] - held[1]) / (orders / 2)
        add(Figure(f"{transport}: growth in the second half, an order", growth, unit=" B"))
