"""The order stream, and the hash of every order beside its last update."""

from collections.abc import Iterable, Sequence
from typing import Final

from execution.verify.contract import EXECUTED, HASH_FIELDS, ORDER_FIELDS
from execution.verify.findings import Name
from execution.verify.reader import Content, Entry, WrongType
from execution.verify.records import Report, read_report
from execution.verify.state import State
from execution.verify.strict import Malformed
from execution.verify.updates import first, follow
from execution.verify.walks import bound_of, bound_problems, hash_problems, report_problems

NO_HASH: Final = "the record of an order is a hash"
_WHOLE_HASH: Final = frozenset({*HASH_FIELDS, "version", "ts", "payload", "report"})


def read_orders(state: State, entries: Iterable[Entry]) -> None:
    """Judges a page of updates by itself, by what came before, and by the hashes."""
    stream = state.keys.orders
    last: dict[str, tuple[str, str, Report]] = {}
    for entry in entries:
        state.counts.updates += 1
        text = state.text_of(stream, entry, ORDER_FIELDS)
        at = f"{stream} {entry.id}"
        try:
            report = read_report(text or "")
        except Malformed as error:
            state.findings.add(Name.MALFORMED_UPDATE, at, str(error))
            continue
        problems = report_problems(report, state.options.fee_bps)
        state.findings.extend(at, ((name, f"{report.order_id}: {it}") for name, it in problems))
        _follow(state, entry, report)
        last[report.order_id] = (at, text or "", report)
    pairs = zip(last.values(), _hashes(state, list(last)), strict=True)
    for (at, text, report), content in pairs:
        _compare(state, at, text, report, content)


def check_hash(
    state: State, order_id: str, content: Content, known: tuple[str, Report] | None = None
) -> Report | None:
    """The report of an order's hash, which has to be whole and agree with itself.

    None if it cannot be told. `known`: a text that has been read already.
    """
    key = state.keys.order(order_id)
    if isinstance(content, WrongType):
        state.findings.add(Name.WRONG_TYPE, key, NO_HASH)
        return None
    if missing := sorted(_WHOLE_HASH - content.keys()):
        state.findings.add(Name.CORRUPT_HASH, key, f"it lacks {', '.join(missing)}")
        return None
    if known is not None and content["report"] == known[0]:
        report = known[1]
    else:
        try:
            report = read_report(content["report"])
        except Malformed as error:
            state.findings.add(Name.CORRUPT_HASH, key, f"its report: {error}")
            return None
    if report.order_id != order_id:
        state.findings.add(Name.ORDER_HASH, key, f"its report is of {report.order_id}")
    state.findings.extend(key, hash_problems(content, report))
    return report


def _follow(state: State, entry: Entry, report: Report) -> None:
    at = f"{state.keys.orders} {entry.id}"
    trail = state.trails.get(report.order_id)
    if trail is None:
        state.counts.users.add(report.user)
        state.counts.symbols.add(report.symbol)
        trail, problems = first(report, trimmed=state.trimmed(state.keys.orders))
        state.trails[report.order_id] = trail
        state.findings.extend(at, problems)
    else:
        state.findings.extend(at, follow(trail, report))
    if report.status in EXECUTED:
        trail.owed_trade = state.reaches(state.keys.trades, entry.id)
    if report.status == "REJECTED":
        trail.owed_reject = state.reaches(state.keys.rejects, entry.id)


def _hashes(state: State, order_ids: Sequence[str]) -> Iterable[Content]:
    keys = [state.keys.order(order_id) for order_id in order_ids]
    return (content for _, content in state.reader.hashes(keys))


def _compare(state: State, at: str, text: str, report: Report, content: Content) -> None:
    """The hash was read after the update: it is of this version or of a later one."""
    order_id = report.order_id
    if content == {}:
        state.findings.add(Name.ORDER_MISSING, state.keys.order(order_id), f"but there is {at}")
        return
    stored = check_hash(state, order_id, content, (text, report))
    if stored is None or isinstance(content, WrongType):
        return
    if stored.version < report.version:
        state.findings.add(
            Name.UPDATE_MISMATCH,
            at,
            f"{order_id} has version {report.version} here and {stored.version} in its hash",
        )
    elif stored.version == report.version and stored.fields != report.fields:
        names = sorted(
            name
            for name in stored.fields.keys() | report.fields.keys()
            if stored.fields.get(name) != report.fields.get(name)
        )
        state.findings.add(
            Name.UPDATE_MISMATCH, at, f"{order_id} differs from its hash in {', '.join(names)}"
        )
    trail = state.trails[order_id]
    if trail.executed and not trail.modified:
        problems = bound_problems(report, bound_of(content["payload"]))
        state.findings.extend(at, ((name, f"{order_id}: {it}") for name, it in problems))
