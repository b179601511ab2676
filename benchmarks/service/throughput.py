"""Orders a second and CPU an order: the service, empty servers, the peers, the bare script."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from service.bench import TRANSPORTS, Bench, empty
from service.figures import Contender, Figure, median, ratio
from service.load import Measured
from service.processes import NotServedError, Server
from service.script import Driven, drive, write_packed

IN_FLIGHT = 64
ECHO = "empty echo, grpc.aio"
TARGETS = {"http2": (6.0, 0.15), "grpcio": (0.8, None)}
"""Of the empty echo: rate at least, CPU at most."""
SCRIPT_CALLS = (16, 64)
SCRIPT_WINDOW = 4
"""Calls under way: Redis never waits for us."""
FORMS = {"blocking": 2.0, "coalescing": 1.0}
"""The ways of the C++ server to commit, and how many times its rate is wanted."""


def rate(sample: Measured) -> float:
    return sample.per_second


def cpu(sample: Measured) -> float:
    return sample.cpu_us[0]


def service_name(transport: str) -> str:
    return f"serve, {transport}"


def measure(bench: Bench, services: Mapping[str, Server], folder: Path) -> None:
    """All of it in the same rounds. `services` are those that run, by transport."""
    contenders: dict[str, Callable[[], Measured]] = {}
    for transport in ("grpcio", "http2"):
        if echo := bench.echo(transport):
            name = ECHO if transport == "grpcio" else f"empty echo, {transport}"
            contenders[name] = partial(bench.load, echo, "echo", in_flight=IN_FLIGHT)
    for transport, server in services.items():
        contenders[service_name(transport)] = partial(
            bench.load, server, "unary", in_flight=IN_FLIGHT
        )
    for form in FORMS:
        if peer := bench.peer(form):
            contenders[peer.name] = partial(bench.load, peer, "unary", in_flight=IN_FLIGHT)
    taken = bench.rounds("unary", contenders)
    _list(bench, taken)
    for transport in TRANSPORTS:
        _add_against_echo(bench, transport, taken)
    _add_against_peers(bench, taken)
    _add_redis_limit(bench, services, folder)


def _list(bench: Bench, taken: Mapping[str, list[Measured]]) -> None:
    for name, samples in taken.items():
        on_redis = not name.startswith("empty")
        bench.report.contenders.append(
            Contender(
                name,
                median(samples, rate),
                median(samples, cpu),
                median(samples, lambda sample: sample.cpu_us[1]) if on_redis else None,
                median(samples, lambda sample: sample.load_cpu_us),
            )
        )


def _add_against_echo(bench: Bench, transport: str, taken: Mapping[str, list[Measured]]) -> None:
    least, most = TARGETS[transport]
    ours, add = taken.get(service_name(transport)), bench.report.figures.append
    rate_name = f"{transport}: orders/s against the empty grpc.aio echo"
    cpu_name = f"{transport}: server CPU an order against that echo's call"
    if ours is None:
        add(Figure(rate_name, None, least))
        add(Figure(cpu_name, None, most, at_least=False))
        return
    add(Figure(rate_name, ratio(ours, taken[ECHO], rate), least))
    add(Figure(cpu_name, ratio(ours, taken[ECHO], cpu), most, at_least=False))


def _add_against_peers(bench: Bench, taken: Mapping[str, list[Measured]]) -> None:
    ours = taken.get(service_name("http2")) or taken[service_name("grpcio")]
    which = "http2" if service_name("http2") in taken else "grpcio"
    for form, least in FORMS.items():
        peer = taken.get(f"C++ {form}")
        name = f"{which}: orders/s against the C++ gRPC server, {form}"
        measured = None if peer is None else ratio(ours, peer, rate)
        bench.report.figures.append(Figure(name, measured, least))
        if peer is not None:
            name = f"{which}: server CPU an order against it, {form}"
            bench.report.figures.append(Figure(name, ratio(ours, peer, cpu), at_least=False))


def _add_redis_limit(bench: Bench, services: Mapping[str, Server], folder: Path) -> None:
    """How near the service comes to what its Redis can do with the same script."""
    transport, server = next(iter(services.items()))
    bench.say(f"packing {bench.effort.script_orders:,} orders for the bare script")
    files = {per_call: folder / f"packed-{per_call}" for per_call in (1, *SCRIPT_CALLS)}
    write_packed(files, bench.effort.script_orders)

    def bare(per_call: int) -> Driven:
        empty(bench.redis)
        # On the server's core, which is idle now: there the service's client of Redis is, too.
        return drive(bench.redis, files[per_call], bench.cores.server, window=SCRIPT_WINDOW)

    served = f"serve, {transport}"
    ways: dict[str, Callable[[], Driven]] = {
        **{f"script, {n} orders a call": partial(bare, n) for n in SCRIPT_CALLS},
        served: lambda: _as_driven(bench.load(server, "unary", in_flight=IN_FLIGHT)),
    }
    taken = bench.rounds("Redis", ways)
    add = bench.report.figures.append
    for per_call in SCRIPT_CALLS:
        bound = taken[f"script, {per_call} orders a call"]
        name = f"{transport}: orders/s against the bare script, {per_call} a call"
        add(Figure(name, ratio(taken[served], bound, lambda one: one.per_second), 0.7))
        name = f"{transport}: CPU of Redis an order against it, {per_call} a call"
        spent = ratio(taken[served], bound, lambda one: one.redis_cpu_us)
        add(Figure(name, spent, 1.15, at_least=False))
        bench.report.contenders.append(
            Contender(
                f"bare script, {per_call} a call",
                median(bound, lambda one: one.per_second),
                None,
                median(bound, lambda one: one.redis_cpu_us),
            )
        )


def _as_driven(measured: Measured) -> Driven:
    return Driven(measured.per_second, measured.cpu_us[1], measured.latency_us["p50"])


def batches_and_streams(bench: Bench, services: Mapping[str, Server]) -> None:
    """What many orders a call, and many on one stream, cost against one call each."""
    ways: dict[str, tuple[str, float, dict[str, Any]]] = {
        "ExecuteBatch of 100, 4 in flight": ("batch", 1.5, {"in_flight": 4, "batch": 100}),
        "ExecuteStream, 64 in flight": ("stream", 1.2, {"in_flight": IN_FLIGHT}),
    }
    for transport, server in services.items():
        for name, (mode, least, flags) in ways.items():
            _add_way(bench, server, f"{transport}: {name}", mode, least, flags)


def _add_way(
    bench: Bench, server: Server, name: str, mode: str, least: float, flags: Mapping[str, Any]
) -> None:
    add = bench.report.figures.append
    try:
        taken = bench.rounds(
            name,
            {
                "unary": partial(bench.load, server, "unary", in_flight=IN_FLIGHT),
                mode: partial(bench.load, server, mode, **flags),
            },
        )
    except NotServedError:
        add(Figure(f"{name}, orders/s against unary", None, least))
        return
    add(Figure(f"{name}, orders/s against unary", ratio(taken[mode], taken["unary"], rate), least))
    cpu_ratio = ratio(taken[mode], taken["unary"], cpu)
    add(Figure(f"{name}, CPU an order against unary", cpu_ratio, at_least=False))


def folder() -> "tempfile.TemporaryDirectory[str]":
    """Where packed orders lie while they are needed."""
    return tempfile.TemporaryDirectory(prefix="service-bench-")
