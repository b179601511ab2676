"""What an operator sees: metrics and logs."""

import logging
import socket
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from threading import Lock, Thread
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from execution._call import CallCounts
from execution._order import Outcomes
from execution.errors import StartupError, StatusCode
from execution.model import OrderStatus, Reason

_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
)  # fmt: skip
_POLL_SECONDS: Final = 0.1
_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Metrics:
    """Every metric family of one service instance, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rpcs: list[RpcMetrics] = []
        self.outcomes = Outcomes()
        """Orders answered since the start."""
        self._totals: list[tuple[str, str, Callable[[], int]]] = []
        self.registry.register(_Families(self._rpcs, self.outcomes, self._totals))
        self._in_flight = Gauge(
            "execution_orders_in_flight", "Orders under way.", registry=self.registry
        )
        self._resting_stops = Gauge(
            "execution_resting_stops",
            "Stops that rest, as this replica knows.",
            registry=self.registry,
        )
        self._dependency = Gauge(
            "execution_dependency_up",
            "Whether a dependency answers (1) or not (0).",
            ("dependency",),
            registry=self.registry,
        )

    def dependency(self, name: str, *, up: bool) -> None:
        """Says whether a dependency answers."""
        self._dependency.labels(name).set(up)

    def track_in_flight(self, count: Callable[[], float]) -> None:
        """Reads the gauge of orders under way from `count` when scraped."""
        self._in_flight.set_function(count)

    def track_resting_stops(self, count: Callable[[], float]) -> None:
        """Reads the gauge of resting stops from `count` when scraped."""
        self._resting_stops.set_function(count)

    def track_total(self, name: str, documentation: str, total: Callable[[], int]) -> None:
        """Reads the counter `execution_NAME_total` from `total` when scraped."""
        self._totals.append((f"execution_{name}", documentation, total))

    def rpc(self, service: str, method: str, kind: str = "unary") -> "RpcMetrics":
        """The counters of one rpc."""
        metrics = RpcMetrics(kind, service, method)
        self._rpcs.append(metrics)
        return metrics


class RpcMetrics(CallCounts):
    """Counts and times the calls of one rpc.

    Plain numbers, read when somebody scrapes: the families of prometheus_client
    cost an order several microseconds.
    """

    __slots__ = ("_buckets", "_handled", "_seconds", "_settling", "kind", "method", "service")

    def __init__(self, kind: str, service: str, method: str) -> None:
        self.kind = kind
        self.service = service
        self.method = method
        self._settling = Lock()
        self._handled = [0] * (max(StatusCode) + 1)
        """By the number of the code."""
        self._buckets = [0] * (len(_SECONDS) + 1)
        self._seconds = 0.0

    @property
    def under_way(self) -> int:
        """Calls that have started and not ended."""
        return self.started - sum(self._handled) - len(self.answered)

    def ended(self, code: int, seconds: float) -> None:
        """Counts one call that has ended; `code` is a `StatusCode`, or the number of one."""
        self._handled[code] += 1
        self._buckets[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def settle(self) -> None:
        """Takes what is `answered` into the other numbers."""
        # Somebody may scrape meanwhile, in another thread.
        with self._settling:
            answered, self.answered = self.answered, []
            self._handled[StatusCode.OK] += len(answered)
            self._seconds += sum(answered)
            _sort_into(self._buckets, answered)

    def add_to(
        self,
        started: CounterMetricFamily,
        handled: CounterMetricFamily,
        seconds: HistogramMetricFamily,
    ) -> None:
        """Adds the present numbers to the families."""
        labels = (self.kind, self.service, self.method)
        with self._settling:
            answered = self.answered.copy()
            numbers, buckets = self._handled.copy(), self._buckets.copy()
            total = self._seconds + sum(answered)
        numbers[StatusCode.OK] += len(answered)
        _sort_into(buckets, answered)
        started.add_metric(labels, self.started)
        for code in StatusCode:
            handled.add_metric((*labels, code.name), numbers[code])
        bounds = (*map(str, map(float, _SECONDS)), "+Inf")
        counts = list(zip(bounds, accumulate(buckets), strict=True))
        seconds.add_metric(labels, counts, total)


def _sort_into(buckets: list[int], seconds: list[float]) -> None:
    """Adds each to the first bucket whose bound is not below it; `seconds` is sorted after that."""
    seconds.sort()
    sorted_in = 0
    for number, bound in enumerate(_SECONDS):
        end = bisect_right(seconds, bound, sorted_in)
        buckets[number] += end - sorted_in
        sorted_in = end
    buckets[-1] += len(seconds) - sorted_in


class _Families(Collector):
    """What is counted in plain numbers, as prometheus_client wants it."""

    def __init__(
        self,
        rpcs: list[RpcMetrics],
        outcomes: Outcomes,
        totals: list[tuple[str, str, Callable[[], int]]],
    ) -> None:
        self._rpcs = rpcs
        self._totals = totals
        self._outcomes = outcomes

    def collect(self) -> Iterable[Metric]:
        """The families at this moment."""
        rpc = ("grpc_type", "grpc_service", "grpc_method")
        started = CounterMetricFamily("grpc_server_started", "RPCs begun.", labels=rpc)
        handled = CounterMetricFamily(
            "grpc_server_handled", "RPCs ended.", labels=(*rpc, "grpc_code")
        )
        seconds = HistogramMetricFamily(
            "grpc_server_handling_seconds", "Time from the request to the answer.", labels=rpc
        )
        for metrics in self._rpcs:
            metrics.add_to(started, handled, seconds)
        orders = CounterMetricFamily(
            "execution_orders",
            "Orders answered, by what became of them; retries count again.",
            labels=("status", "reason"),
        )
        for (status, reason), count in self._outcomes.items():
            orders.add_metric((OrderStatus(status).name, Reason(reason).name), count)
        totals = [
            CounterMetricFamily(name, documentation, value=total())
            for name, documentation, total in self._totals
        ]
        return started, handled, seconds, orders, *totals


class MetricsServer:
    """`/metrics` over HTTP, in a thread of its own."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        name = host.strip("[]")
        shown = f"[{name}]" if ":" in name else name
        try:
            server = _SERVERS[_family(name, port)]
            self._server = make_server(name, port, make_wsgi_app(registry), server, _QuietHandler)
        except (OSError, UnicodeError) as error:  # the latter for a name that none can have
            raise StartupError(
                f"--metrics-listen {shown}:{port}: {getattr(error, 'strerror', None) or error};"
                " use an address of this machine and a free port, 0 for any"
            ) from error
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()
        self.address = f"{shown}:{self._server.server_port}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _IPv6Server(ThreadingWSGIServer):
    """The base class takes addresses of IPv4 only."""

    address_family = socket.AF_INET6


_SERVERS: Final = {socket.AF_INET: ThreadingWSGIServer, socket.AF_INET6: _IPv6Server}


def _family(host: str, port: int) -> socket.AddressFamily:
    """That of the address; IPv4 for a name that has both, as `localhost` has."""
    found = {info[0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    return socket.AF_INET if socket.AF_INET in found else socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    """Scrapes are no news."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


def log_to_stderr(level: str) -> None:
    """Sends the logs of the process to standard error; standard output is for `ready`."""
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=_LOG_FORMAT)
