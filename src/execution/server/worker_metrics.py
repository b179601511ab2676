"""The metrics of several workers as those of one service."""

import logging
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_READ_SECONDS_MAX: Final = 2.0
_READ_BYTES_MAX: Final = 16 * 1024 * 1024
_JOINED: Final[dict[str, Callable[[float, float], float]]] = {
    # Every worker watches every stop, and a service is up where all of it is.
    "execution_resting_stops": max,
    "execution_dependency_up": min,
}
_Key = tuple[str, tuple[tuple[str, str], ...]]

_log = logging.getLogger(__name__)


def worker_registry(addresses: Callable[[], Iterable[str]]) -> CollectorRegistry:
    """Reads every worker's metrics when scraped, and adds them up."""
    registry = CollectorRegistry()
    registry.register(_Workers(addresses))
    return registry


class _Workers(Collector):
    def __init__(self, addresses: Callable[[], Iterable[str]]) -> None:
        self._addresses = addresses

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the workers run."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Each family once, over all workers that answer."""
        families: dict[str, Metric] = {}
        values: dict[_Key, float] = {}
        for address in self._addresses():
            for family in _read(address):
                joined: Any = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    if key in values:
                        values[key] = _JOINED.get(sample.name, _sum)(values[key], sample.value)
                    else:
                        values[key] = sample.value
                        joined.add_sample(sample.name, sample.labels, sample.value)
        for family in families.values():
            samples, family.samples = family.samples, []
            joined = family
            for sample in samples:
                value = values[sample.name, tuple(sorted(sample.labels.items()))]
                joined.add_sample(sample.name, sample.labels, value)
        return families.values()


def _sum(one: float, other: float) -> float:
    return one + other


def _read(address: str) -> list[Metric]:
    try:
        with urllib.request.urlopen(
            f"http://{address}/metrics", timeout=_READ_SECONDS_MAX
        ) as answer:
            text = answer.read(_READ_BYTES_MAX).decode()
    except OSError as error:
        _log.warning("the worker at %s gives no metrics: %s", address, error)
        return []
    return list(text_string_to_metric_families(text))
