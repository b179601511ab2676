"""What the demo's traders want: seeded, so that a seed is a story that can be told again.

Most orders are plain; the rest is what a service has to get right: bounds,
fill-or-kill, orders larger than the book, unknown symbols, malformed numbers,
retries, an id that is used twice, and stops that are armed, moved and cancelled.
Every kind comes once in a shuffled deck, so that a short demo shows it too.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from execution.decimals import to_text
from execution.embedded.market.feed import BookFeed
from execution.model import Direction, TimeInForce


class Kind(StrEnum):
    """What an order of the demo is meant to show."""

    PLAIN = "plain"
    LIMIT = "limit"
    SLIPPAGE = "slippage"
    FOK = "fill or kill"
    OVERSIZE = "oversize"
    UNKNOWN_SYMBOL = "unknown symbol"
    MALFORMED = "malformed"
    RETRY = "retry"
    REUSED_ID = "reused id"
    STOP = "stop"
    MODIFY = "modify"
    CANCEL = "cancel"


DECK: Final[Mapping[Kind, int]] = {
    Kind.PLAIN: 22,
    Kind.LIMIT: 4,
    Kind.SLIPPAGE: 2,
    Kind.FOK: 2,
    Kind.OVERSIZE: 1,
    Kind.UNKNOWN_SYMBOL: 1,
    Kind.MALFORMED: 1,
    Kind.RETRY: 2,
    Kind.REUSED_ID: 1,
    Kind.STOP: 6,
    Kind.MODIFY: 1,
    Kind.CANCEL: 1,
}
"""How often each kind comes in 44 orders."""

UNKNOWN_SYMBOL: Final = "MOON-USDT"
_NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
_ALL_LEVELS: Final = 10_000
_REDUCES: Final = 0.65
"""How often a trader who holds something trades against it, so that PnL is realised."""
_PROTECTS: Final = 0.7
"""How often a stop against a position may only reduce it."""
_EXPIRE_SECONDS: Final = (None, None, 3.0, 6.0)
_TENTHS_BPS: Final = 100_000
_DISTANCE_TENTHS_MAX: Final = 25
"""Triggers lie up to 2.5 bps from the market: what it moves in some ten seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One order that a trader wants, without its id."""

    kind: Kind
    user_id: str
    symbol: str
    direction: Direction
    quantity: str
    limit_price: str | None = None
    max_slippage_bps: int | None = None
    time_in_force: TimeInForce = TimeInForce.IOC
    trigger_price: str | None = None
    reduce_only: bool = False
    expire_seconds: float | None = None
    """From when it is sent."""


def user_names(count: int) -> tuple[str, ...]:
    """The traders of the demo."""
    return tuple(_NAMES[i] if i < len(_NAMES) else f"user{i + 1}" for i in range(count))


class OrderFlow:
    """Wishes without end; the n-th depends on the seed, the books and the positions."""

    def __init__(self, users: Sequence[str], feeds: Sequence[BookFeed], seed: int) -> None:
        self._users = users
        self._feeds = feeds
        self._random = random.Random(f"demo:{seed}")  # noqa: S311 - a story, not a secret
        self._deck: list[Kind] = []

    def next_kind(self) -> Kind:
        """What the next order shows."""
        if not self._deck:
            self._deck = [kind for kind, count in DECK.items() for _ in range(count)]
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def gap_seconds(self, rate: float) -> float:
        """Time to the next order: they arrive independently, `rate` a second."""
        return self._random.expovariate(rate)

    def pick(self, count: int) -> int:
        """One of so many things."""
        return self._random.randrange(count)

    def wish(self, kind: Kind, held: Mapping[tuple[str, str], Decimal]) -> Wish:
        """An order of that kind; `held` is the signed position of (user, symbol)."""
        rng = self._random
        user, feed = rng.choice(self._users), rng.choice(self._feeds)
        symbol = feed.spec.symbol
        holding = held.get((user, symbol), Decimal(0))
        direction = self._direction(holding)

        def share(levels: int, percent: int) -> str:
            return self._share_of_book(feed, direction, levels, percent)

        plain = Wish(kind, user, symbol, direction, "1")
        match kind:
            case Kind.UNKNOWN_SYMBOL:
                return replace(plain, symbol=UNKNOWN_SYMBOL)
            case Kind.MALFORMED:
                # More digits than any symbol has, no number at all, nothing.
                quantity = rng.choice(("0.0000000000000000001", "ten", "0"))
            case Kind.OVERSIZE:
                quantity = share(_ALL_LEVELS, 130)
            case Kind.FOK:
                # One in two fits into the book.
                quantity = share(_ALL_LEVELS, rng.choice((40, 250)))
            case Kind.LIMIT | Kind.SLIPPAGE:
                quantity = share(3, rng.randint(20, 160))
            case _:
                quantity = share(rng.randint(1, 4), rng.randint(2, 60))
        wanted = replace(plain, quantity=quantity)
        if kind is Kind.STOP:
            return self._stop(wanted, holding)
        if kind is Kind.LIMIT:
            return replace(wanted, limit_price=self._price_at(feed, direction, rng.randint(0, 4)))
        if kind is Kind.SLIPPAGE:
            return replace(wanted, max_slippage_bps=rng.randint(0, 2))
        fok = kind is Kind.FOK
        return replace(wanted, time_in_force=TimeInForce.FOK) if fok else wanted

    def trigger_price(self, symbol: str, direction: Direction) -> str | None:
        """Some ticks beyond what the stop looks at; None if that side is empty."""
        feed = next(feed for feed in self._feeds if feed.spec.symbol == symbol)
        buys = direction is Direction.BUY
        prices = feed.book.ask_prices if buys else feed.book.bid_prices
        if not prices:
            return None
        tenths = self._random.randint(1, _DISTANCE_TENTHS_MAX)
        ticks = max(prices[0] * tenths // _TENTHS_BPS, 1)
        trigger = prices[0] + ticks if buys else max(prices[0] - ticks, 1)
        return to_text(trigger, feed.spec.price_decimals)

    def _stop(self, wanted: Wish, holding: Decimal) -> Wish:
        """A stop: against what is held it mostly protects that, and it may expire."""
        rng = self._random
        against = holding > 0 if wanted.direction is Direction.SELL else holding < 0
        return replace(
            wanted,
            trigger_price=self.trigger_price(wanted.symbol, wanted.direction),
            reduce_only=against and rng.random() < _PROTECTS,
            expire_seconds=rng.choice(_EXPIRE_SECONDS),
        )

    def _direction(self, held: Decimal) -> Direction:
        against = Direction.SELL if held > 0 else Direction.BUY
        if held and self._random.random() < _REDUCES:
            return against
        return self._random.choice((Direction.BUY, Direction.SELL))

    def _share_of_book(
        self, feed: BookFeed, direction: Direction, levels: int, percent: int
    ) -> str:
        """So much of what the opposite side's best levels show, at least the minimum."""
        book, decimals = feed.book, feed.spec.quantity_decimals
        shown = book.ask_quantities if direction is Direction.BUY else book.bid_quantities
        return to_text(max(sum(shown[:levels]) * percent // 100, 1), decimals)

    def _price_at(self, feed: BookFeed, direction: Direction, level: int) -> str | None:
        """The price of the opposite side's level; None if that side is empty."""
        book = feed.book
        prices = book.ask_prices if direction is Direction.BUY else book.bid_prices
        if not prices:
            return None
        return to_text(prices[min(level, len(prices) - 1)], feed.spec.price_decimals)
