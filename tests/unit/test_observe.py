"""What is counted, as a scrape shows it."""

from prometheus_client import CollectorRegistry

from execution.errors import StatusCode
from execution.server.observe import Metrics

LABELS = {"grpc_type": "unary", "grpc_service": "a.Service", "grpc_method": "Method"}


def shown(registry: CollectorRegistry) -> dict[str, float | None]:
    """Calls by code, by bound, and their seconds."""
    codes = {
        code.name: registry.get_sample_value(
            "grpc_server_handled_total", {**LABELS, "grpc_code": code.name}
        )
        for code in (StatusCode.OK, StatusCode.UNAVAILABLE)
    }
    bounds = {
        bound: registry.get_sample_value(
            "grpc_server_handling_seconds_bucket", {**LABELS, "le": bound}
        )
        for bound in ("0.0001", "0.001", "0.0025", "5.0", "+Inf")
    }
    seconds = registry.get_sample_value("grpc_server_handling_seconds_sum", LABELS)
    return {**codes, **bounds, "seconds": seconds}


def test_a_scrape_shows_the_same_before_and_after_answers_are_settled() -> None:
    metrics = Metrics()
    rpc = metrics.rpc("a.Service", "Method")
    rpc.started = 7
    # A bound belongs to its bucket.
    rpc.ended(StatusCode.OK, 0.001)
    rpc.ended(StatusCode.UNAVAILABLE, 0.25)
    rpc.answered += [64.0, 0.001, 0.0625, 0.002]
    expected = {
        "OK": 5, "UNAVAILABLE": 1, "seconds": 64.3165,
        "0.0001": 0, "0.001": 2, "0.0025": 3, "5.0": 5, "+Inf": 6,
    }  # fmt: skip
    for _ in range(2):
        assert shown(metrics.registry) == expected
        assert rpc.under_way == 1
        rpc.settle()
        assert rpc.answered == []
