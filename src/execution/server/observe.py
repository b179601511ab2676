"""What an operator sees: metrics and logs."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from execution.errors import StartupError, StatusCode
from execution.model import ExecutionReport

_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
)  # fmt: skip
_POLL_SECONDS: Final = 0.02
_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Metrics:
    """Every metric family of one service instance, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        rpc = ("grpc_type", "grpc_service", "grpc_method")
        self._started = Counter("grpc_server_started", "RPCs begun.", rpc, registry=self.registry)
        self._handled = Counter(
            "grpc_server_handled", "RPCs ended.", (*rpc, "grpc_code"), registry=self.registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from the request to the answer.",
            rpc,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._orders = Counter(
            "execution_orders",
            "Orders answered, by what became of them; retries count again.",
            ("status", "reason"),
            registry=self.registry,
        )
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

    def executed(self, report: ExecutionReport) -> None:
        """Counts one answered order."""
        self._orders.labels(report.status.name, report.reason.name).inc()

    def dependency(self, name: str, *, up: bool) -> None:
        """Says whether a dependency answers."""
        self._dependency.labels(name).set(up)

    def track_in_flight(self, count: Callable[[], float]) -> None:
        """Reads the gauge of orders under way from `count` when scraped."""
        self._in_flight.set_function(count)

    def track_resting_stops(self, count: Callable[[], float]) -> None:
        """Reads the gauge of resting stops from `count` when scraped."""
        self._resting_stops.set_function(count)

    def rpc(self, service: str, method: str, kind: str = "unary") -> "RpcMetrics":
        """The counters of one rpc, looked up once."""
        labels = (kind, service, method)
        return RpcMetrics(
            self._started.labels(*labels), self._handled, self._seconds.labels(*labels), labels
        )


class RpcMetrics:
    """Counts and times the calls of one rpc."""

    def __init__(
        self, started: Counter, handled: Counter, seconds: Histogram, labels: tuple[str, str, str]
    ) -> None:
        self._started = started
        self._seconds = seconds
        self._handled = {code: handled.labels(*labels, code.name) for code in StatusCode}

    @contextmanager
    def call(self) -> Iterator["CallOutcome"]:
        """Counts one call; set `code` on the outcome before leaving."""
        outcome = CallOutcome()
        self._started.inc()
        begun = time.perf_counter()
        try:
            yield outcome
        finally:
            self._seconds.observe(time.perf_counter() - begun)
            self._handled[outcome.code].inc()


class CallOutcome:
    """How a call ended; CANCELLED unless somebody knows better."""

    __slots__ = ("code",)

    def __init__(self) -> None:
        self.code = StatusCode.CANCELLED


class MetricsServer:
    """`/metrics` over HTTP, in a thread of its own."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        try:
            self._server = make_server(
                host, port, make_wsgi_app(metrics.registry), ThreadingWSGIServer, _QuietHandler
            )
        except OSError as error:
            raise StartupError(
                f"--metrics-listen {host}:{port}: {error.strerror}; choose a free port, 0 for any"
            ) from error
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _QuietHandler(WSGIRequestHandler):
    """Scrapes are no news."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


def log_to_stderr(level: str) -> None:
    """Sends the logs of the process to standard error; standard output is for `ready`."""
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=_LOG_FORMAT)
