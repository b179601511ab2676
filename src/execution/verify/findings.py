"""What contradicts the record: each finding has a stable name, a place and a sentence."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

SHOWN_MAX: Final = 50
"""Findings kept in full, unless told otherwise; all are counted."""

VALUE_LENGTH_MAX: Final = 80


class Name(StrEnum):
    """Every kind of contradiction; programs may rely on the names."""

    MALFORMED_TRADE = "MALFORMED_TRADE"
    FIELD_ORDER = "FIELD_ORDER"
    FLAT_FIELDS = "FLAT_FIELDS"
    TRADE_ID = "TRADE_ID"
    DUPLICATE_TRADE = "DUPLICATE_TRADE"
    TRADE_WITHOUT_ORDER = "TRADE_WITHOUT_ORDER"
    TRADE_WITHOUT_UPDATE = "TRADE_WITHOUT_UPDATE"
    TRADE_MISSING = "TRADE_MISSING"
    TRADE_MISMATCH = "TRADE_MISMATCH"
    FILLS_DO_NOT_SUM = "FILLS_DO_NOT_SUM"
    FILL_ORDER = "FILL_ORDER"
    AVERAGE_PRICE = "AVERAGE_PRICE"
    NOTIONAL = "NOTIONAL"
    FEE = "FEE"
    PNL = "PNL"
    REDUCE_ONLY = "REDUCE_ONLY"
    POSITION_QUANTITY = "POSITION_QUANTITY"
    POSITION_COST = "POSITION_COST"
    POSITION_PNL = "POSITION_PNL"
    POSITION_PRICE = "POSITION_PRICE"
    POSITION_VERSION = "POSITION_VERSION"
    POSITION_MISSING = "POSITION_MISSING"
    CORRUPT_POSITION = "CORRUPT_POSITION"
    CORRUPT_HASH = "CORRUPT_HASH"
    ORDER_HASH = "ORDER_HASH"
    ORDER_MISSING = "ORDER_MISSING"
    MALFORMED_UPDATE = "MALFORMED_UPDATE"
    ORDER_UPDATE_GAP = "ORDER_UPDATE_GAP"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    IDENTITY_CHANGED = "IDENTITY_CHANGED"
    UPDATE_MISSING = "UPDATE_MISSING"
    UPDATE_MISMATCH = "UPDATE_MISMATCH"
    REPORT = "REPORT"
    MALFORMED_REJECT = "MALFORMED_REJECT"
    REJECT_MISSING = "REJECT_MISSING"
    REJECT_EXTRA = "REJECT_EXTRA"
    REJECT_MISMATCH = "REJECT_MISMATCH"
    STOP_LOST = "STOP_LOST"
    STOP_EXTRA = "STOP_EXTRA"
    STREAM_TRIMMED = "STREAM_TRIMMED"
    WRONG_TYPE = "WRONG_TYPE"


MEANING: Final[dict[Name, str]] = {
    Name.MALFORMED_TRADE: "a trade that a consumer cannot parse",
    Name.FIELD_ORDER: "an entry whose fields are not those of the contract, in its order",
    Name.FLAT_FIELDS: "flat fields that differ from the trade beside them",
    Name.TRADE_ID: "a trade id that is not the UUIDv5 of user and order id",
    Name.DUPLICATE_TRADE: "an order that was published as a trade more than once",
    Name.TRADE_WITHOUT_ORDER: "a trade whose order has no hash",
    Name.TRADE_WITHOUT_UPDATE: "a trade whose order has no update that executed it",
    Name.TRADE_MISSING: "an executed order without its trade",
    Name.TRADE_MISMATCH: "a trade that differs from the report of its order",
    Name.FILLS_DO_NOT_SUM: "fills that do not add up to the quantity",
    Name.FILL_ORDER: "fills that are not in the order of a walk, or beyond the order's bound",
    Name.AVERAGE_PRICE: "a price that is not the average of its fills",
    Name.NOTIONAL: "a notional that is not the sum of price x quantity",
    Name.FEE: "a fee that differs between trade and report, or from its rate",
    Name.PNL: "a realised PnL that does not follow from the position",
    Name.REDUCE_ONLY: "a reduce-only order that did not reduce",
    Name.POSITION_QUANTITY: "a position that is not the sum of its trades",
    Name.POSITION_COST: "an entry cost that does not follow from the trades",
    Name.POSITION_PNL: "a realised PnL that is not the sum of the trades'",
    Name.POSITION_PRICE: "an entry price that is not cost / quantity",
    Name.POSITION_VERSION: "a position that counts other than its trades",
    Name.POSITION_MISSING: "trades without their position",
    Name.CORRUPT_POSITION: "a position that is not whole, or not spelled as decimals are",
    Name.CORRUPT_HASH: "an order's hash that is not whole, or whose report cannot be read",
    Name.ORDER_HASH: "flat fields of an order that differ from its report",
    Name.ORDER_MISSING: "updates of an order that has no hash",
    Name.MALFORMED_UPDATE: "an update that is no report",
    Name.ORDER_UPDATE_GAP: "versions of an order that do not count 1, 2, 3",
    Name.ILLEGAL_TRANSITION: "a change of status that must never happen",
    Name.IDENTITY_CHANGED: "an order that changed what no order can change",
    Name.UPDATE_MISSING: "an order whose last change is not in the stream",
    Name.UPDATE_MISMATCH: "a last update that differs from the order's hash",
    Name.REPORT: "a report that contradicts itself",
    Name.MALFORMED_REJECT: "a rejection that a consumer cannot parse",
    Name.REJECT_MISSING: "a rejected order that was not published as such",
    Name.REJECT_EXTRA: "a rejection of an order that was not rejected, or a second one",
    Name.REJECT_MISMATCH: "a rejection that differs from the report of its order",
    Name.STOP_LOST: "a resting order that nobody would watch after a restart",
    Name.STOP_EXTRA: "a watched stop whose order does not rest",
    Name.STREAM_TRIMMED: "a stream that lost its beginning (--trimmed if you limit it)",
    Name.WRONG_TYPE: "a key that holds another type",
}
"""What each name says, in a few words."""

Problem: TypeAlias = tuple[Name, str]
"""A name and a sentence; where it is, the caller knows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction."""

    name: Name
    at: str
    """The key, or the stream and the id of the entry."""
    message: str


@dataclass(slots=True)
class Findings:
    """All that was found: the first in full, every one counted."""

    shown_max: int = SHOWN_MAX
    shown: list[Finding] = field(default_factory=list)
    counts: Counter[Name] = field(default_factory=Counter)

    def add(self, name: Name, at: str, message: str) -> None:
        """One more."""
        self.counts[name] += 1
        if len(self.shown) < self.shown_max:
            self.shown.append(Finding(name, printable(at), printable(message)))

    def extend(self, at: str, problems: Iterable[Problem]) -> None:
        """More, all at one place."""
        for name, message in problems:
            self.add(name, at, message)


def quoted(value: object) -> str:
    """A value of somebody else's making, short and on one line."""
    shown = ascii(value)
    return shown if len(shown) <= VALUE_LENGTH_MAX else shown[: VALUE_LENGTH_MAX - 3] + "..."


def printable(line: str) -> str:
    """The line without what a terminal would take for a command."""
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in line)
