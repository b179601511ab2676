"""The updates of each order: whether its versions and statuses are a legal history."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, TypeAlias

from execution.verify.contract import EXECUTED, TRANSITIONS
from execution.verify.findings import Name, Problem
from execution.verify.records import Report

_IDENTITY: Final = attrgetter("user", "symbol", "side", "order_type", "reduce_only")
_TERMS: Final = attrgetter("quantity", "trigger_price")


Kept: TypeAlias = tuple[tuple[object, ...], tuple[object, ...]]
"""What no order ever changes, and what only a modify changes."""


@dataclass(slots=True)
class Trail:
    """What the order stream told of one order so far, and what the others owe it."""

    version: int
    status: str
    kept: Kept | None
    """None once the order has ended: no later update is legal anyway."""
    modified: bool = False
    """Whether its bounds may be others than those of the request."""
    owed_trade: bool = False
    """Whether it was executed where the trade stream still reaches."""
    owed_reject: bool = False
    traded: bool = False
    rejected: bool = False
    hashed: bool = False

    @property
    def executed(self) -> bool:
        """Whether it must have a trade."""
        return self.status in EXECUTED


def first(report: Report, *, trimmed: bool) -> tuple[Trail, list[Problem]]:
    """The trail that begins with this update; `trimmed`: earlier ones may have been removed."""
    problems: list[Problem] = []
    if report.version != 1 and not trimmed:
        problems.append(
            (Name.ORDER_UPDATE_GAP, f"{report.order_id} begins with version {report.version}")
        )
    if report.version == 1 and report.status not in TRANSITIONS["RECEIVED"]:
        problems.append((Name.ILLEGAL_TRANSITION, f"{report.order_id} begins as {report.status}"))
    if report.order_type == "MARKET" and TRANSITIONS[report.status]:
        problems.append(
            (Name.ILLEGAL_TRANSITION, f"{report.order_id} is a market order and {report.status}")
        )
    trail = Trail(report.version, report.status, _kept(report), modified=report.version != 1)
    return trail, problems


def follow(trail: Trail, report: Report) -> Iterator[Problem]:
    """What is wrong with the next update; then the trail has it."""
    if report.version != trail.version + 1:
        yield (
            Name.ORDER_UPDATE_GAP,
            f"{report.order_id} has version {report.version} after {trail.version}",
        )
    if report.status not in TRANSITIONS[trail.status]:
        yield (
            Name.ILLEGAL_TRANSITION,
            f"{report.order_id} went from {trail.status} to {report.status}",
        )
    if trail.kept is not None:
        identity, terms = trail.kept
        if identity != _IDENTITY(report):
            before, after = _said(identity), _said(_IDENTITY(report))
            yield (
                Name.IDENTITY_CHANGED,
                f"{report.order_id} changed from {before} to {after}",
            )
        changed = terms != _TERMS(report)
        if changed and trail.status != "UNTRIGGERED":
            before, after = _said(terms), _said(_TERMS(report))
            yield (
                Name.IDENTITY_CHANGED,
                f"{report.order_id} was {trail.status} and changed from {before} to {after}",
            )
        # A modify onto a crossed trigger executes in the same write.
        trail.modified |= changed or report.status == "UNTRIGGERED"
    trail.version, trail.status, trail.kept = report.version, report.status, _kept(report)


def _kept(report: Report) -> Kept | None:
    return (_IDENTITY(report), _TERMS(report)) if TRANSITIONS[report.status] else None


def _said(values: tuple[object, ...]) -> str:
    return " ".join(str(value) for value in values)
