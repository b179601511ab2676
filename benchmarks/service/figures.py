"""What is claimed of the service, what was measured of it, and the table of both."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

_Sample = TypeVar("_Sample")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    measured: float | None
    """None where it is not served; `note` says why."""
    target: float | None = None
    at_least: bool = True
    """Whether the target is what it must reach, or what it must not exceed."""
    unit: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where nothing is claimed, or nothing could be measured."""
        if self.measured is None or self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def line(self) -> str:
        measured = "not served" if self.measured is None else f"{self.measured:,.2f}{self.unit}"
        wanted = ""
        if self.target is not None:
            wanted = f"{'>=' if self.at_least else '<='} {self.target:g}"
        verdict = {None: "", True: "yes", False: "no"}[self.met]
        line = f"  {self.name:64} {measured:>14}  {wanted:>8}  {verdict:4}{self.note}"
        return line.rstrip()


@dataclass(frozen=True, slots=True)
class Contender:
    """What one server did at 64 calls in flight; medians."""

    name: str
    per_second: float
    cpu_us: float | None
    """Of the server, an order; None where there is none."""
    redis_cpu_us: float | None = None
    load_cpu_us: float | None = None


@dataclass(slots=True)
class Report:
    """All of a run."""

    figures: list[Figure] = field(default_factory=list)
    contenders: list[Contender] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader has to know of the machine."""
    complaints: list[str] = field(default_factory=list)
    """Runs whose answers were not all fills; a figure that rests on one is worth nothing."""

    def print(self) -> None:
        heads = ("orders/s", "CPU us", "Redis us", "load us")
        print(f"\n  {'64 in flight; medians, CPU an order':36}", *(f"{head:>10}" for head in heads))
        for one in self.contenders:
            cpus = (one.cpu_us, one.redis_cpu_us, one.load_cpu_us)
            texts = ("" if cpu is None else f"{cpu:.2f}" for cpu in cpus)
            print(f"  {one.name:36} {one.per_second:10,.0f}", *(f"{text:>10}" for text in texts))
        print(f"\n  {'figure':64} {'measured':>14}  {'target':>8}  met")
        for figure in self.figures:
            print(figure.line())
        for note in self.notes:
            print(f"\n  Note: {note}")
        for complaint in self.complaints:
            print(f"\n  NOT VALID: {complaint}")

    def as_json(self) -> dict[str, Any]:
        figures = [asdict(figure) | {"met": figure.met} for figure in self.figures]
        contenders = [asdict(contender) for contender in self.contenders]
        return {
            "figures": figures,
            "contenders": contenders,
            "notes": self.notes,
            "complaints": self.complaints,
        }


def median(samples: Sequence[_Sample], of: Callable[[_Sample], float]) -> float:
    return float(statistics.median(map(of, samples)))


def ratio(
    ours: Sequence[_Sample], theirs: Sequence[_Sample], of: Callable[[_Sample], float]
) -> float:
    """The median of the rounds' ratios: whatever slows a round slows both."""
    return float(
        statistics.median(of(mine) / of(other) for mine, other in zip(ours, theirs, strict=True))
    )
