"""The stop book finds what a look at every stop would find, after any history."""

from dataclasses import replace
from typing import Any

from builders import BUY, SELL, order
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from execution.decimals import MAX_DECIMALS, from_text, to_text
from execution.model import Direction, Order, ReferencePrices, TriggerBy
from execution.stop_book import StopBook

SYMBOLS = ("AAA", "BBB")
IDS = [f"o-{number}" for number in range(8)]
DECIMALS = (0, 2, MAX_DECIMALS)
TICKS = st.integers(1, 9)
ANY_PRICE = st.none() | TICKS


def shown(stop: Order, prices: ReferencePrices) -> int | None:
    """What the stop is compared with, looked up the long way."""
    if stop.trigger_by is TriggerBy.BID_ASK:
        return prices.ask if stop.direction is BUY else prices.bid
    return prices.last if stop.trigger_by is TriggerBy.LAST else prices.mark


def crossed(stop: Order, prices: ReferencePrices) -> bool:
    seen = shown(stop, prices)
    if seen is None:
        return False
    price = from_text(to_text(seen, prices.price_decimals), MAX_DECIMALS)
    trigger = from_text(stop.trigger_price or "", MAX_DECIMALS)
    return price >= trigger if stop.direction is BUY else price <= trigger


class AnyHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = StopBook()
        self.model: dict[str, tuple[Order, int]] = {}

    @rule(
        order_id=st.sampled_from(IDS),
        symbol=st.sampled_from(SYMBOLS),
        direction=st.sampled_from(Direction),
        trigger_by=st.sampled_from(TriggerBy),
        trigger=TICKS,
        version=st.integers(1, 3),
        expire=st.none() | st.integers(1, 9),
    )
    def add(self, order_id: str, version: int, expire: int | None, **terms: Any) -> None:
        stop = order(
            terms["direction"],
            order_id=order_id,
            symbol=terms["symbol"],
            trigger_price=str(terms["trigger"]),
        )
        stop = replace(stop, trigger_by=terms["trigger_by"], expire_time_ns=expire)
        known = self.model.get(order_id)
        if known is not None:
            # A symbol and a direction never change.
            stop = replace(stop, symbol=known[0].symbol, direction=known[0].direction)
        if known is None or known[1] < version:
            self.model[order_id] = (stop, version)
        self.book.add(stop, version)

    @rule(order_id=st.sampled_from(IDS))
    def remove(self, order_id: str) -> None:
        self.model.pop(order_id, None)
        self.book.remove(order_id)

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        decimals=st.sampled_from(DECIMALS),
        bid=ANY_PRICE,
        ask=ANY_PRICE,
        last=ANY_PRICE,
        mark=ANY_PRICE,
    )
    def show(self, symbol: str, decimals: int, **ticks: int | None) -> None:
        scaled = {k: None if v is None else v * 10**decimals for k, v in ticks.items()}
        prices = ReferencePrices(decimals, **scaled)
        expected = {
            (order_id, version, to_text(shown(stop, prices) or 0, decimals))
            for order_id, (stop, version) in self.model.items()
            if stop.symbol == symbol and crossed(stop, prices)
        }
        found = self.book.take_crossed(symbol, prices)
        assert {(it.order_id, it.version, it.price) for it in found} == expected
        assert len(found) == len(expected)
        assert all(it.symbol == symbol for it in found)
        self._in_the_order_of_their_triggers([self.model[it.order_id][0] for it in found])
        for order_id, _, _ in expected:
            del self.model[order_id]

    def _in_the_order_of_their_triggers(self, found: list[Order]) -> None:
        for direction in (BUY, SELL):
            for by in TriggerBy:
                triggers = [
                    int(stop.trigger_price or "")
                    for stop in found
                    if stop.direction is direction and stop.trigger_by is by
                ]
                assert triggers == sorted(triggers, reverse=direction is SELL)

    @rule(now_ns=st.integers(0, 10))
    def expire(self, now_ns: int) -> None:
        expected = {
            (order_id, version)
            for order_id, (stop, version) in self.model.items()
            if stop.expire_time_ns is not None and stop.expire_time_ns <= now_ns
        }
        found = self.book.take_expired(now_ns)
        assert set(found) == expected
        assert len(found) == len(expected)
        for order_id, _ in expected:
            del self.model[order_id]

    @rule()
    def clear(self) -> None:
        self.model.clear()
        self.book.clear()

    @invariant()
    def knows_what_is_there(self) -> None:
        assert len(self.book) == len(self.model)
        assert set(self.book.order_ids) == set(self.model)
        assert set(self.book.symbols) == {stop.symbol for stop, _ in self.model.values()}
        for order_id in IDS:
            known = self.model.get(order_id)
            assert self.book.version(order_id) == (None if known is None else known[1])


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
