"""The trade stream: each trade by itself, beside its order, and in its position."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from execution.verify.contract import TRADE_FIELDS
from execution.verify.findings import Name, Problem
from execution.verify.position_hashes import settle
from execution.verify.positions import Executed, Holding
from execution.verify.reader import Entry
from execution.verify.records import Report, Trade, read_report, read_trade
from execution.verify.state import State
from execution.verify.strict import Malformed
from execution.verify.walks import flat_problems, mismatch_problems, trade_problems

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_SECOND: Final = timedelta(seconds=1)
_ORDER_ID: Final = re.compile(r'"order_id" ?: ?"([A-Za-z0-9._-]{1,64})"', re.ASCII)


@dataclass(frozen=True, slots=True)
class _Published:
    """An entry of the stream, and the trade if it is one."""

    entry: Entry
    order_id: str
    trade: Trade | None


def read_trades(state: State, entries: Iterable[Entry]) -> None:
    """Judges a page of trades. Their orders' updates were read before."""
    page = [published for entry in entries if (published := _read(state, entry)) is not None]
    reports = state.reader.values([state.keys.order(it.order_id) for it in page], "report")
    for published, (_, stored) in zip(page, reports, strict=True):
        _judge(state, published, stored)


def _read(state: State, entry: Entry) -> _Published | None:
    state.counts.trades += 1
    text = state.text_of(state.keys.trades, entry, TRADE_FIELDS) or ""
    try:
        trade = read_trade(text)
    except Malformed as error:
        state.findings.add(Name.MALFORMED_TRADE, f"{state.keys.trades} {entry.id}", str(error))
        # What order it was of is still known, often: then that order is not called unpublished.
        found = _ORDER_ID.search(text)
        return _Published(entry, found[1], None) if found else None
    return _Published(entry, trade.order_id, trade)


def _judge(state: State, published: _Published, stored: object) -> None:
    entry, trade, report = published.entry, published.trade, _report(stored)
    at = f"{state.keys.trades} {entry.id}"
    alone: list[Problem] = []
    beside: list[Problem] = []
    if trade is not None:
        alone += trade_problems(trade, state.options.fee_bps)
        beside += _flat(entry, trade)
        if report is not None:
            beside += mismatch_problems(trade, report)
    if stored is None:
        beside.append((Name.TRADE_WITHOUT_ORDER, "its order has no record"))
    again = not _publish(state, entry, published.order_id)
    if again:
        beside.append((Name.DUPLICATE_TRADE, "its order was published before"))
    problems = [*alone, *beside]
    state.findings.extend(at, ((name, f"{published.order_id}: {it}") for name, it in problems))
    if not again and (told := _tellings(trade, report, trusted=not alone)):
        _hold(state, at, told)


def _report(stored: object) -> Report | None:
    """The report of the order's hash; one that cannot be read was found with the updates."""
    try:
        return read_report(stored) if isinstance(stored, str) else None
    except Malformed:
        return None


def _flat(entry: Entry, trade: Trade) -> Iterator[Problem]:
    if len(entry.fields) != len(TRADE_FIELDS) or {*dict(entry.fields)} != {*TRADE_FIELDS}:
        return  # found by their names
    try:
        moment = _EPOCH + trade.time_ms // 1000 * _ONE_SECOND
    except OverflowError:
        yield Name.FLAT_FIELDS, f"ts is {trade.time_ms}, beyond the calendar"
        return
    timestamp = moment.isoformat(" ", "seconds")[: -len("+00:00")]
    yield from flat_problems(trade, dict(entry.fields), timestamp)


def _publish(state: State, entry: Entry, order_id: str) -> bool:
    """Notes that the order was published; False if it was before."""
    trail = state.trails.get(order_id)
    if trail is not None:
        before, trail.traded = trail.traded, True
        return not before
    if order_id in state.orphans:
        return False
    state.orphans.add(order_id)
    if state.reaches(state.keys.orders, entry.id):
        state.findings.add(
            Name.TRADE_WITHOUT_UPDATE,
            f"{state.keys.trades} {entry.id}",
            f"{order_id}: {state.keys.orders} has no update of its order",
        )
    return True


def _hold(state: State, at: str, told: Sequence[Executed]) -> None:
    """Adds the trade to its position: the first telling of it that follows, or the first."""
    following = (it for it in told if _holding(state, it).follows(it))
    executed = next(following, told[0])
    holding = state.holdings.setdefault((executed.user, executed.symbol), Holding())
    holding.apply(at, executed)
    stored = holding.awaited
    if stored is not None and stored.version == holding.trades:
        holding.awaited = None
        settle(state, executed.user, executed.symbol, holding, stored)


def _holding(state: State, executed: Executed) -> Holding:
    return state.holdings.get((executed.user, executed.symbol)) or Holding()


def _tellings(trade: Trade | None, report: Report | None, *, trusted: bool) -> list[Executed]:
    """What happened, as the trade and as its report tell it.

    A trade that contradicts itself was found already: then the report comes
    first, so that one wrong number is not found in all that follows.
    """
    told: list[Executed] = []
    if report is not None and report.fills:
        told.append(
            Executed(
                report.user,
                report.symbol,
                report.side == "BUY",
                report.filled,
                report.fills,
                report.pnl,
                report.reduce_only,
            )
        )
    if trade is not None:
        reduce_only = report is not None and report.reduce_only
        published = Executed(
            trade.user,
            trade.symbol,
            trade.side == "BUY",
            trade.quantity,
            trade.fills,
            trade.pnl,
            reduce_only,
        )
        told.insert(0 if trusted else len(told), published)
    return told
