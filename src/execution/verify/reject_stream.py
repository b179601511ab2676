"""The reject stream: one entry for every rejected order, and for no other."""

from collections.abc import Iterable, Iterator

from execution.verify.contract import REJECT_FIELDS
from execution.verify.findings import Name, Problem
from execution.verify.reader import Entry
from execution.verify.records import Rejection, Report, read_rejection, read_report
from execution.verify.state import State
from execution.verify.strict import Malformed
from execution.verify.walks import shown


def read_rejects(state: State, entries: Iterable[Entry]) -> None:
    """Judges a page of rejections. Their orders' updates were read before."""
    stream = state.keys.rejects
    rejections: list[tuple[str, Rejection]] = []
    for entry in entries:
        state.counts.rejects += 1
        text = state.text_of(stream, entry, REJECT_FIELDS)
        at = f"{stream} {entry.id}"
        try:
            rejections.append((at, read_rejection(text or "")))
        except Malformed as error:
            state.findings.add(Name.MALFORMED_REJECT, at, str(error))
    keys = [state.keys.order(rejection.order_id) for _, rejection in rejections]
    reports = state.reader.values(keys, "report")
    for (at, rejection), (_, stored) in zip(rejections, reports, strict=True):
        problems = [*_repeated(state, rejection), *_beside(rejection, stored)]
        state.findings.extend(at, ((name, f"{rejection.order_id}: {it}") for name, it in problems))


def _repeated(state: State, rejection: Rejection) -> Iterator[Problem]:
    trail = state.trails.get(rejection.order_id)
    if trail is not None:
        if trail.rejected:
            yield Name.REJECT_EXTRA, "its order was published as rejected before"
        trail.rejected = True


def _beside(rejection: Rejection, stored: object) -> Iterator[Problem]:
    if stored is None:
        yield Name.REJECT_EXTRA, "there is no hash of its order"
        return
    try:
        report = read_report(stored) if isinstance(stored, str) else None
    except Malformed:
        report = None
    if report is None:
        return  # found with the hash
    if report.status != "REJECTED":
        yield Name.REJECT_EXTRA, f"its order is {report.status}"
    yield from _mismatches(rejection, report)


def _mismatches(rejection: Rejection, report: Report) -> Iterator[Problem]:
    for name in ("user", "symbol", "side", "quantity", "reason", "message"):
        said, told = getattr(rejection, name), getattr(report, name)
        if said != told:
            line = f"its {name} is {shown(said)}; the report says {shown(told)}"
            yield Name.REJECT_MISMATCH, line
