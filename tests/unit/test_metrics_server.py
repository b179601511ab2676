"""Where metrics are served, and what is said where they cannot be."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from execution.errors import StartupError
from execution.server.config import ServeConfig, host_port
from execution.server.observe import Metrics, MetricsServer


def has_ipv6() -> bool:
    """Whether the machine has the loopback address of IPv6; containers often have not."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        ("127.0.0.1:0", "127.0.0.1:"),
        ("localhost:0", "localhost:"),
        ("[::1]:0", "[::1]:"),
        ("::1:0", "[::1]:"),
    ],
)
def test_metrics_are_served_on_either_kind_of_address(listen: str, shown: str) -> None:
    if "::1" in listen and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    metrics = Metrics()
    server = MetricsServer(metrics.registry, *host_port(listen, "--metrics-listen"))
    try:
        assert server.address.startswith(shown)
        with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=5) as answer:
            assert b"execution_orders_in_flight" in answer.read()
    finally:
        server.close()


@pytest.mark.parametrize("listen", ["unix:/tmp/metrics.sock", "[]:9464", "9464", "h:65536", "h:"])
def test_an_address_that_cannot_have_metrics_is_refused(listen: str) -> None:
    with pytest.raises(StartupError, match=r"^--metrics-listen .*HOST:PORT"):
        ServeConfig(metrics_listen=listen).check()


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "no..name", "\u00fc" * 64])
def test_an_address_that_cannot_be_bound_is_named_with_what_to_do(host: str) -> None:
    with pytest.raises(StartupError, match=r"^--metrics-listen .*:0: .*this machine") as refused:
        MetricsServer(CollectorRegistry(), host, 0)
    assert f"{host}:0" in str(refused.value)


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    server = MetricsServer(CollectorRegistry(), "127.0.0.1", 0)
    try:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(StartupError, match=rf"^--metrics-listen 127.0.0.1:{port}: .*0 for any"):
            MetricsServer(CollectorRegistry(), "127.0.0.1", port)
    finally:
        server.close()
