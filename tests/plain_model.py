"""What a Redis may tell after any interleaving of orders: the rules, in plain fractions.

Nothing of the engine is in it but the table of legal status changes. It knows
every book that was shown and every request that was sent; the rest it reads
from Redis, and adds up again.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

from ledger_orders import entries_of, hash_of
from redis_server import RedisServer

from execution.model import TRANSITIONS, OrderStatus, SymbolSpec

Levels: TypeAlias = tuple[tuple[str, str], ...]
Update: TypeAlias = dict[str, Any]

EXECUTED = frozenset({"FILLED", "PARTIAL"})
RESTS = frozenset({"UNTRIGGERED", "TRIGGERED"})
BASIS_POINTS = 10_000


@dataclass(frozen=True)
class Shown:
    """One book as the market showed it; prices of a bad book trigger nothing."""

    bids: Levels
    asks: Levels
    last: str | None = None
    mark: str | None = None

    def side(self, direction: str) -> dict[Fraction, Fraction]:
        """What an order of this direction could take, by price."""
        levels = self.asks if direction == "BUY" else self.bids
        return {Fraction(price): Fraction(quantity) for price, quantity in levels}

    def reference(self, direction: str, trigger_by: str) -> Fraction | None:
        """The price a trigger is compared with, None where it is not shown."""
        if trigger_by != "BID_ASK":
            text = self.last if trigger_by == "LAST" else self.mark
            return None if text is None else Fraction(text)
        return None if self.bad else next(iter(self.side(direction)), None)

    @property
    def bad(self) -> bool:
        """Whether it is crossed: nobody can execute against it."""
        best_bid, best_ask = (next(iter(self.side(way)), None) for way in ("SELL", "BUY"))
        return best_bid is not None and best_ask is not None and best_bid > best_ask


@dataclass
class Asked:
    """What was asked for under one order id; modifies add to what it may be."""

    user_id: str
    symbol: str
    direction: str
    reduce_only: bool = False
    fok: bool = False
    trigger_by: str = "BID_ASK"
    limits: list[str | None] = field(default_factory=list)
    expire_time_ns: int | None = None
    answers: list[bytes] = field(default_factory=list)
    """Reports that callers were given."""
    told: list[bytes] = field(default_factory=list)
    """Reports that `STREAM:ORDER` has, as a caller would be given them."""


def crosses(direction: str, trigger: Fraction, reference: Fraction | None) -> bool:
    if reference is None:
        return False
    return reference >= trigger if direction == "BUY" else reference <= trigger


@dataclass
class Holding:
    """A position by average cost, and what was realised on it."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    pnl: Fraction = Fraction(0)
    trades: int = 0

    def trade(self, side: str, quantity: Fraction, money: Fraction, digits: int) -> Fraction:
        """Takes a trade in; returns the PnL it realises, money rounded at `digits`."""
        bought = side == "BUY"
        signed = quantity if bought else -quantity
        closed = min(abs(self.quantity), quantity) if self.quantity * signed < 0 else Fraction(0)
        cost_out = _share(self.cost, closed, abs(self.quantity), digits)
        money_out = _share(money, closed, quantity, digits)
        realised = cost_out - money_out if bought else money_out - cost_out
        self.quantity += signed
        self.cost += money - money_out - cost_out
        self.pnl += realised
        self.trades += 1
        return realised


def _share(money: Fraction, part: Fraction, whole: Fraction, digits: int) -> Fraction:
    if not part:
        return Fraction(0)
    return Fraction(round(money * part / whole * 10**digits), 10**digits)


def fee_of(notional: Fraction, bps: str, digits: int) -> Fraction:
    return Fraction(round(notional * Fraction(bps) / BASIS_POINTS * 10**digits), 10**digits)


class Story:
    """Everything a Redis tells of orders, to be held against what was asked and shown."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.updates: dict[str, list[Update]] = defaultdict(list)
        self.texts: dict[str, list[str]] = defaultdict(list)
        for entry in entries_of(server, "STREAM:ORDER"):
            update = json.loads(entry["order"])
            self.updates[update["order_id"]].append(update)
            self.texts[update["order_id"]].append(entry["order"])
        self.trades = [
            json.loads(entry["trade"], parse_float=Fraction, parse_int=Fraction)
            for entry in entries_of(server, "STREAM:TRADE")
        ]
        self.resting = hash_of(server, "STOPS:RESTING")

    def open_orders(self) -> dict[str, Update]:
        """Orders that have not ended, by their last update."""
        return {
            order_id: updates[-1]
            for order_id, updates in self.updates.items()
            if updates[-1]["status"] in RESTS
        }

    def unfinished(
        self, asked: dict[str, Asked], final: dict[str, Shown], now_ns: int
    ) -> list[str]:
        """Orders that something still has to happen to, the market being what it is."""
        found = []
        for order_id, update in self.open_orders().items():
            order, trigger = asked[order_id], Fraction(update["trigger_price"])
            reference = final[order.symbol].reference(order.direction, order.trigger_by)
            overdue = order.expire_time_ns is not None and order.expire_time_ns < now_ns
            crossed = crosses(order.direction, trigger, reference)
            if update["status"] == "TRIGGERED" or crossed or overdue:
                found.append(order_id)
        return found

    def check_updates(self, asked: dict[str, Asked]) -> None:
        """Versions are gap-free, changes legal, hashes their last update, the index complete."""
        for order_id, updates in self.updates.items():
            assert [u["version"] for u in updates] == list(range(1, len(updates) + 1)), order_id
            before = OrderStatus.RECEIVED
            for update in updates:
                status = OrderStatus[update["status"]]
                assert status in TRANSITIONS[before], (order_id, before, status)
                before = status
                order = asked[order_id]
                told = update["user_id"], update["symbol"], update["direction"]
                assert told == (order.user_id, order.symbol, order.direction), order_id
            stored = hash_of(self.server, f"ORDER:{order_id}")
            assert stored["report"] == self.texts[order_id][-1], order_id
            last = updates[-1]
            assert stored["status"] == last["status"], order_id
            assert stored["version"] == str(last["version"]), order_id
            assert stored["executed_qty"] == last["filled_quantity"], order_id
        assert set(self.resting) == set(self.open_orders())
        keys: Any = self.server.command("KEYS", "ORDER:*")
        assert set(keys) == {f"ORDER:{order_id}" for order_id in self.updates}
        rejects = Counter(
            json.loads(entry["reject"])["order_id"]
            for entry in entries_of(self.server, "STREAM:REJECT")
        )
        ended = {i: updates[-1]["status"] for i, updates in self.updates.items()}
        assert rejects == Counter(i for i, status in ended.items() if status == "REJECTED")

    def check_answers(self, asked: dict[str, Asked]) -> None:
        """Whatever a caller was told was once the state of the order."""
        for order_id, order in asked.items():
            for answer in order.answers:
                assert answer in order.told, (order_id, answer, self.texts[order_id])

    def check_trades(
        self, asked: dict[str, Asked], specs: dict[str, SymbolSpec], fee_bps: str
    ) -> dict[tuple[str, str], Holding]:
        """Each order trades once or never, and positions are the sums; returns them."""
        executed = {i: us[-1] for i, us in self.updates.items() if us[-1]["status"] in EXECUTED}
        assert Counter(t["order_id"] for t in self.trades) == Counter(list(executed))
        holdings: dict[tuple[str, str], Holding] = defaultdict(Holding)
        for trade in self.trades:
            order_id = trade["order_id"]
            order, report = asked[order_id], executed[order_id]
            spec = specs[order.symbol]
            assert (trade["user"], trade["symbol"]) == (order.user_id, order.symbol)
            holding = holdings[order.user_id, order.symbol]
            quantity, money = _sums(trade["fills"])
            assert quantity == trade["qty"] == Fraction(report["filled_quantity"]), order_id
            assert money == Fraction(report["notional"]), order_id
            assert trade["side"] == order.direction
            if order.reduce_only:
                signed = quantity if order.direction == "BUY" else -quantity
                assert holding.quantity * signed < 0, f"{order_id} reduces nothing"
                assert abs(holding.quantity) >= quantity, f"{order_id} crosses flat"
            digits = spec.price_decimals + spec.quantity_decimals
            realised = holding.trade(order.direction, quantity, money, digits)
            assert trade["pnl"] == realised == Fraction(report["realized_pnl"]), order_id
            fee = fee_of(money, fee_bps, spec.price_decimals + 8)
            assert trade["fee"] == fee == Fraction(report["fee"]), order_id
        for (user_id, symbol), holding in holdings.items():
            stored = hash_of(self.server, f"POSITION:{user_id}:{symbol}")
            assert Fraction(stored["qty"]) == holding.quantity, (user_id, symbol)
            assert Fraction(stored["entry_cost"]) == holding.cost, (user_id, symbol)
            assert Fraction(stored["realized_pnl"]) == holding.pnl, (user_id, symbol)
            assert int(stored["version"]) == holding.trades, (user_id, symbol)
        keys: Any = self.server.command("KEYS", "POSITION:*")
        assert len(keys) == len(holdings)
        return holdings

    def check_market(
        self, asked: dict[str, Asked], shown: dict[tuple[str, int], Shown], replicas: int | None
    ) -> None:
        """Fills are of books that were shown, triggers of prices that were, rests of neither.

        `replicas` shared each book; None: they are in doubt about what they took.
        """
        taken: dict[tuple[str, int, str, Fraction], Fraction] = defaultdict(Fraction)
        for order_id, update in self._every_update():
            order = asked[order_id]
            trigger = Fraction(update["trigger_price"]) if "trigger_price" in update else None
            sequence = update.get("snapshot", {}).get("sequence", 0)
            book = shown.get((order.symbol, sequence))
            if update["status"] == "UNTRIGGERED" and book is not None and not book.bad:
                assert trigger is not None, order_id
                reference = book.reference(order.direction, order.trigger_by)
                assert not crosses(order.direction, trigger, reference), (order_id, update)
            if by := update.get("triggered_by_price"):
                assert trigger is not None
                assert crosses(order.direction, trigger, Fraction(by)), (order_id, update)
                seen = _references(shown, order)
                assert Fraction(by) in seen, f"{order_id}: {by} was never shown"
            if update["status"] not in EXECUTED:
                continue
            assert not (order.fok and update["status"] == "PARTIAL"), order_id
            assert book is not None, f"{order_id} met a book that was never shown: {update}"
            self._check_fills(order_id, update, order, book.side(order.direction))
            for fill in update["fills"]:
                price = Fraction(fill["price"])
                taken[order.symbol, sequence, order.direction, price] += Fraction(fill["quantity"])
        for (symbol, sequence, direction, price), quantity in taken.items():
            available = shown[symbol, sequence].side(direction)[price]
            # The account of what was taken is exact within a process.
            most = replicas and replicas * available
            assert most is None or quantity <= most, (symbol, sequence, direction, price, quantity)

    def _check_fills(
        self, order_id: str, update: Update, order: Asked, side: dict[Fraction, Fraction]
    ) -> None:
        prices = [Fraction(fill["price"]) for fill in update["fills"]]
        assert prices == sorted(prices, reverse=order.direction == "SELL"), order_id
        for fill in update["fills"]:
            assert Fraction(fill["quantity"]) <= side[Fraction(fill["price"])], (order_id, update)
        if None not in order.limits:
            limits = [Fraction(limit) for limit in order.limits if limit is not None]
            worst = prices[-1]
            kept = worst <= max(limits) if order.direction == "BUY" else worst >= min(limits)
            assert kept, f"{order_id} traded at {worst}, beyond its limit"
        filled = Fraction(update["filled_quantity"])
        effective = Fraction(update["effective_quantity"])
        assert filled + Fraction(update["remaining_quantity"]) == effective, order_id
        assert effective <= Fraction(update["quantity"]), order_id
        assert order.reduce_only or effective == Fraction(update["quantity"]), order_id
        assert (filled == effective) is (update["status"] == "FILLED"), order_id
        average, notional = Fraction(update["average_price"]), Fraction(update["notional"])
        assert abs(average - notional / filled) < Fraction(1, 10**8), order_id

    def _every_update(self) -> Iterator[tuple[str, Update]]:
        for order_id, updates in self.updates.items():
            for update in updates:
                yield order_id, update


def _sums(fills: list[list[Fraction]]) -> tuple[Fraction, Fraction]:
    quantity = sum((quantity for _, quantity in fills), Fraction(0))
    return quantity, sum((price * quantity for price, quantity in fills), Fraction(0))


def _references(shown: dict[tuple[str, int], Shown], order: Asked) -> set[Fraction | None]:
    return {
        book.reference(order.direction, order.trigger_by)
        for (symbol, _), book in shown.items()
        if symbol == order.symbol
    }
