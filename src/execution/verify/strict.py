"""Members of a JSON object, read as strictly as the readers of the streams need them.

A number is a JSON number in plain digits and a text is a text; a name that is
there twice, or a NaN, is an error. Names nobody asks for are left alone: fields
may be added.
"""

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import Any, Final, TypeAlias

from execution.verify.exact import number
from execution.verify.findings import printable, quoted

Fills: TypeAlias = tuple[tuple[Fraction, Fraction], ...]
"""Price and quantity of each level, in the order of the walk."""

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_ZERO: Final = Fraction(0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class Malformed(ValueError):
    """Something is not what it has to be; says all that is wrong with it."""


class Token(str):
    """A JSON number, as it is spelled."""

    __slots__ = ()


class Sign(Enum):
    """Which numbers a member may hold."""

    ANY = "any"
    NOT_NEGATIVE = "zero or more"
    ABOVE_ZERO = "more than zero"


class Members:
    """Reads the members of one object; collects what is wrong with them.

    What is wrong is read as something harmless, until `done` raises.
    """

    def __init__(self, members: dict[str, Any], of: str = "") -> None:
        self._members = members
        self._of = of
        self.wrong: list[str] = []

    def text(self, name: str, *, optional: bool = False) -> str:
        """A text, not empty; or "" if it need not be there."""
        value = self._members.get(name)
        if type(value) is str and (value or optional):
            return value
        if name in self._members or not optional:
            self._bad(name, "is empty" if value == "" else "is no text")
        return ""

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        """A text of this form."""
        value = self.text(name)
        if value and not pattern.fullmatch(value):
            self._bad(name, f"does not match {pattern.pattern}")
        return value

    def one_of(self, name: str, values: Collection[str]) -> str:
        """One of these texts."""
        value = self.text(name)
        if value and value not in values:
            self._bad(name, "is not one of " + ", ".join(sorted(values)))
        return value

    def flag(self, name: str) -> bool:
        """A boolean; False if it is not there."""
        value = self._members.get(name, False)
        if type(value) is not bool:
            self._bad(name, "is no boolean")
        return value is True

    def integer(self, name: str, *, optional: bool = False) -> int:
        """A whole number, zero or above; or 0 if it need not be there."""
        if optional and name not in self._members:
            return 0
        value = self._members.get(name)
        if type(value) is Token and _INTEGER.fullmatch(value):
            return int(value)
        self._bad(name, "is no whole number")
        return 0

    def decimal(self, name: str, kind: type[str], sign: Sign = Sign.ANY) -> Fraction:
        """An exact decimal: `kind` is `Token` for a JSON number, `str` for a text."""
        return self._decimal(name, self._members.get(name), kind, sign)

    def above_zero(self, name: str, kind: type[str]) -> Fraction:
        """As `decimal`, above zero."""
        return self.decimal(name, kind, Sign.ABOVE_ZERO)

    def not_negative(self, name: str, kind: type[str]) -> Fraction:
        """As `decimal`, zero or above."""
        return self.decimal(name, kind, Sign.NOT_NEGATIVE)

    def optional(self, name: str, kind: type[str]) -> Fraction | None:
        """As `above_zero`; None if it is not there."""
        return self.above_zero(name, kind) if name in self._members else None

    def fills(self, kind: type[str]) -> Fills:
        """Levels: [price, quantity] where numbers are numbers, else objects of text."""
        levels = self._members.get("fills")
        if type(levels) is not list:
            self._bad("fills", "is no list")
            return ()
        return tuple(self._fill(level, kind) for level in levels)

    def time_ms(self, name: str) -> int:
        """Milliseconds since the epoch of an RFC 3339 time."""
        match = _TIME.fullmatch(self.text(name))
        try:
            moment = datetime.fromisoformat(match[1] if match else "").replace(tzinfo=UTC)
        except ValueError:
            self._bad(name, "is no RFC 3339 time in UTC")
            return 0
        fraction = (match[2] if match else None) or "0"
        return (moment - _EPOCH) // _SECOND * 1000 + int(fraction.ljust(9, "0")[:3])

    def member(self, name: str) -> "Members":
        """A reader of the object in this one; of an empty one if there is none."""
        value = self._members.get(name)
        if type(value) is dict:
            return Members(value, f"{name}.")
        self._bad(name, "is no object")
        return Members({})

    def done(self, *others: "Members") -> None:
        """Raises `Malformed` if anything was wrong, here or there."""
        if wrong := [line for reader in (self, *others) for line in reader.wrong]:
            raise Malformed("; ".join(wrong))

    def _fill(self, level: Any, kind: type[str]) -> tuple[Fraction, Fraction]:
        if kind is Token and type(level) is list and len(level) == 2:
            price, quantity = level
        elif kind is str and type(level) is dict:
            price, quantity = level.get("price"), level.get("quantity")
        else:
            price = quantity = level
        return (
            self._decimal("fills", price, kind, Sign.ABOVE_ZERO),
            self._decimal("fills", quantity, kind, Sign.ABOVE_ZERO),
        )

    def _decimal(self, name: str, value: Any, kind: type[str], sign: Sign) -> Fraction:
        exact = number(value) if type(value) is kind else None
        if exact is None:
            what = "a number" if kind is Token else "decimal text"
            self._bad(name, f"is not {what} in plain digits")
        elif exact.numerator < 0 and sign is not Sign.ANY:
            self._bad(name, "is below zero")
        elif not exact and sign is Sign.ABOVE_ZERO:
            self._bad(name, "is not above zero")
        return _ZERO if exact is None else exact

    def _bad(self, name: str, problem: str) -> None:
        value = self._members.get(name)
        shown = str(value) if type(value) is Token else quoted(value)
        line = f"{problem}: {shown}" if name in self._members else "is missing"
        self.wrong.append(f"{self._of}{name} {line}")


def members_of(text: str) -> dict[str, Any]:
    """The members of a JSON object. Raises `Malformed`."""
    try:
        value = _JSON.decode(text)
    except RecursionError:
        raise Malformed("nested too deep to be read") from None
    except ValueError as error:
        raise Malformed(f"is no JSON: {printable(str(error))}") from None
    if type(value) is not dict:
        raise Malformed(f"is no JSON object: {quoted(value)}")
    return value


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a name is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_JSON: Final = json.JSONDecoder(
    parse_float=Token, parse_int=Token, parse_constant=_refuse, object_pairs_hook=_unique
)
