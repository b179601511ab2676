"""What the contract says of Redis, written down a second time, on purpose.

Nothing here is imported from the service: a name, a rule or a constant that
changed over there has to disagree with this. Source: CONTRACT, Redis; SEMANTICS,
Lifecycle and Exactly once.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

TRADE_NAMESPACE: Final = UUID("6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90")
"""Namespace of trade ids."""

TRADE_FIELDS: Final = ("trade", "symbol", "price", "quantity", "timestamp")
"""Of an entry of the trade stream, in this order."""

REJECT_FIELDS: Final = ("reject",)
ORDER_FIELDS: Final = ("order",)

POSITION_FIELDS: Final = ("qty", "entry_price", "entry_cost", "realized_pnl", "version")

HASH_FIELDS: Final = {
    "status": "status",
    "executed_qty": "filled_quantity",
    "remaining_qty": "remaining_quantity",
    "avg_price": "average_price",
    "user": "user_id",
    "symbol": "symbol",
    "side": "direction",
    "qty": "quantity",
    "trade_id": "trade_id",
    "reason": "reason",
}
"""Flat fields of an order's hash, each with the field of the report it repeats."""

SIDES: Final = frozenset({"BUY", "SELL"})
ORDER_TYPES: Final = frozenset({"MARKET", "SL"})
EXECUTED: Final = frozenset({"FILLED", "PARTIAL"})

_ENDS: Final = EXECUTED | {"REJECTED", "CANCELED", "EXPIRED"}

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "RECEIVED": EXECUTED | {"UNTRIGGERED", "TRIGGERED", "REJECTED"},
    "UNTRIGGERED": _ENDS | {"UNTRIGGERED", "TRIGGERED"},
    "TRIGGERED": _ENDS - {"EXPIRED"},
    **{status: frozenset() for status in _ENDS},
}
"""Every legal change of status; RECEIVED is never written."""

RESTING: Final = frozenset({"UNTRIGGERED", "TRIGGERED"})

STATUSES: Final = {status: status for status in TRANSITIONS if status != "RECEIVED"}
"""What an update may say; by itself, so that a million updates share one text."""

REASONS_OF: Final[dict[str, frozenset[str]]] = {
    "FILLED": frozenset({"", "REDUCE_ONLY_CAPPED"}),
    "PARTIAL": frozenset({"INSUFFICIENT_LIQUIDITY", "PRICE_PROTECTION"}),
    "CANCELED": frozenset({"USER_CANCELED"}),
    "EXPIRED": frozenset({"EXPIRED_UNTRIGGERED"}),
}
"""Where the status says which reasons there can be."""

_KEY: Final = re.compile(
    r"(?P<kind>STREAM:TRADE|STREAM:REJECT|STREAM:ORDER|ORDER|POSITION)"
    r"(?::(?P<tag>\{[0-9]+\}))?(?::(?P<name>.+))?",
    re.ASCII,
)
_ORDER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_POSITION_NAME: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([A-Za-z0-9._/-]{1,32})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition; `tag` is "" or as "{3}"."""

    tag: str = ""

    @property
    def trades(self) -> str:
        """The stream of trades."""
        return self._stream("TRADE")

    @property
    def rejects(self) -> str:
        """The stream of rejections."""
        return self._stream("REJECT")

    @property
    def orders(self) -> str:
        """The stream of order updates."""
        return self._stream("ORDER")

    @property
    def resting(self) -> str:
        """The hash of all stops that rest: what is watched after a restart."""
        return f"STOPS:RESTING:{self.tag}" if self.tag else "STOPS:RESTING"

    def order(self, order_id: str) -> str:
        """The hash of one order."""
        return f"ORDER:{self.tag}:{order_id}" if self.tag else f"ORDER:{order_id}"

    def position(self, user: str, symbol: str) -> str:
        """The hash of one position."""
        middle = f"{self.tag}:" if self.tag else ""
        return f"POSITION:{middle}{user}:{symbol}"

    def _stream(self, name: str) -> str:
        return f"STREAM:{name}:{self.tag}" if self.tag else f"STREAM:{name}"


@dataclass(frozen=True, slots=True)
class KeyName:
    """What a key of ours is the key of."""

    kind: str
    """ORDER, POSITION or a stream's plain name."""
    tag: str
    order_id: str = ""
    user: str = ""
    symbol: str = ""


def key_name(key: str) -> KeyName | None:
    """What the key says, None for a key that cannot be ours.

    >>> key_name("POSITION:{3}:ann:BTC-USDT").symbol
    'BTC-USDT'
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    kind, tag, name = match["kind"], match["tag"] or "", match["name"] or ""
    if kind == "ORDER":
        return KeyName(kind, tag, order_id=name) if _ORDER_NAME.fullmatch(name) else None
    if kind == "POSITION":
        parts = _POSITION_NAME.fullmatch(name)
        return KeyName(kind, tag, user=parts[1], symbol=parts[2]) if parts else None
    return None if name else KeyName(kind, tag)


def trade_id(user: str, order_id: str) -> str:
    """The id that a trade of this user's order must have."""
    return str(uuid5(TRADE_NAMESPACE, f"{user}/{order_id}"))
