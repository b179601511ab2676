"""Doubles of the three programs that read STREAM:TRADE; none of them is ours to change.

Each parses exactly as strictly as the real one does (CONTRACT, Redis) and reads
entries as Redis gives them: a flat list of fields and values, in order. None
removes duplicates.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

RawEntry = tuple[str, list[str]]
"""A stream id, and fields and values by turns."""

_TRADE_TYPES: Final = {
    "user": str,
    "symbol": str,
    "price": Decimal,
    "qty": Decimal,
    "side": str,
    "pnl": Decimal,
    "order_id": str,
    "trade_id": str,
}
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_PLAIN: Final = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Aborted(Exception):
    """The consumer has ended for good and reads nothing any more."""


@dataclass(slots=True)
class PnlService:
    """Takes the value of the first field as JSON. Any wrong key or type ends it for good."""

    realized: dict[str, Decimal] = field(default_factory=dict)
    """Sum of pnl by user."""
    quantity: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    """Signed quantity by user and symbol."""
    trades: int = 0
    aborted: str = ""

    def read(self, entry: RawEntry) -> None:
        """Raises `Aborted` now and ever after, once an entry is not as it must be."""
        if self.aborted:
            raise Aborted(self.aborted)
        try:
            trade = _numbers_as_decimals(entry[1][1])
            self._check(trade)
        except (ValueError, LookupError, TypeError) as error:
            self.aborted = f"{entry[0]}: {error!r}"
            raise Aborted(self.aborted) from error
        signed = trade["qty"] if trade["side"] == "BUY" else -trade["qty"]
        key = (trade["user"], trade["symbol"])
        self.quantity[key] = self.quantity.get(key, Decimal(0)) + signed
        self.realized[trade["user"]] = self.realized.get(trade["user"], Decimal(0)) + trade["pnl"]
        self.trades += 1

    def _check(self, trade: Any) -> None:
        for name, kind in _TRADE_TYPES.items():
            if type(trade[name]) is not kind:
                raise TypeError(f"{name} is {trade[name]!r}")
        if trade["side"] not in {"BUY", "SELL"}:
            raise ValueError(f"side is {trade['side']!r}")


@dataclass(slots=True)
class WalletSyncService:
    """Takes the value of the first field as JSON and books a numeric pnl to the user."""

    wallets: dict[str, Decimal] = field(default_factory=dict)

    def read(self, entry: RawEntry) -> None:
        """Raises `TypeError`, `KeyError` or `ValueError` for an entry it cannot book."""
        trade = _numbers_as_decimals(entry[1][1])
        user, pnl = trade["user"], trade["pnl"]
        if type(user) is not str or not user or type(pnl) is not Decimal:
            raise TypeError(f"user {user!r}, pnl {pnl!r}")
        self.wallets[user] = self.wallets.get(user, Decimal(0)) + pnl


@dataclass(slots=True)
class Candle:
    """One minute of a symbol."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(slots=True)
class KlineService:
    """Reads the flat fields by name and builds candles of a minute."""

    candles: dict[tuple[str, datetime], Candle] = field(default_factory=dict)

    def read(self, entry: RawEntry) -> None:
        """Raises `KeyError` or `ValueError` for an entry it cannot use."""
        fields = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
        price, quantity = self._decimal(fields["price"]), self._decimal(fields["quantity"])
        key = (fields["symbol"], self._minute(fields["timestamp"]))
        candle = self.candles.get(key)
        if candle is None:
            self.candles[key] = Candle(price, price, price, price, quantity)
            return
        candle.high, candle.low = max(candle.high, price), min(candle.low, price)
        candle.close = price
        candle.volume += quantity

    def _decimal(self, text: str) -> Decimal:
        if not _PLAIN.fullmatch(text):
            raise ValueError(f"{text!r} is no plain decimal")
        return Decimal(text)

    def _minute(self, text: str) -> datetime:
        if not _TIMESTAMP.fullmatch(text):
            raise ValueError(f"{text!r} is not YYYY-MM-DD HH:MM:SS")
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return moment.replace(second=0)


def _numbers_as_decimals(text: str) -> Any:
    """JSON as a strict parser reads it: no NaN, no Infinity; every number exact."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse)
