"""The stop book: which resting stops a price crosses. Pure.

Every replica holds all resting stops in memory, as a projection of the ledger.
A stop is one small tuple in a heap per symbol, direction and reference, so that
a price that crosses nothing is one comparison, and one that does is
O(log n) for each stop it crosses. Source: SEMANTICS, Stop-loss orders.
"""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias

from execution.decimals import MAX_DECIMALS, from_text, to_text
from execution.model import Direction, Order, ReferencePrices, TriggerBy
from execution.stops import reference_price

_Entry: TypeAlias = tuple[int, str, int, int]
"""(trigger, order id, version, number of the lane): the trigger at `MAX_DECIMALS`,
negated for SELL, so that the smallest is always the next to be crossed. Nothing but
numbers and text: a million of them are no work for the garbage collector."""

_DEAD_ENTRIES_MIN: Final = 1_024
"""Entries of cancelled stops are cleared out once they are that many and the majority."""

_TO_MAX_DECIMALS: Final = tuple(10 ** (MAX_DECIMALS - digits) for digits in range(MAX_DECIMALS + 1))


@dataclass(frozen=True, slots=True)
class Crossing:
    """A resting stop, at the version it was crossed at, and the price that did it."""

    order_id: str
    version: int
    symbol: str
    price: str


class StopBook:
    """The untriggered stops of every symbol, by the price that crosses them next."""

    def __init__(self) -> None:
        self._live: dict[str, _Entry] = {}
        self._lanes: dict[str, dict[tuple[Direction, TriggerBy], _Lane]] = {}
        self._numbered: dict[int, _Lane] = {}
        self._numbers = count()
        self._expiries: list[tuple[int, str, int]] = []

    def __len__(self) -> int:
        return len(self._live)

    @property
    def symbols(self) -> Collection[str]:
        """Symbols that have a stop."""
        return self._lanes.keys()

    @property
    def order_ids(self) -> Collection[str]:
        """Every stop that is watched."""
        return self._live.keys()

    def version(self, order_id: str) -> int | None:
        """At which version it is watched; None if it is not."""
        entry = self._live.get(order_id)
        return None if entry is None else entry[2]

    def add(self, order: Order, version: int) -> None:
        """Watches for the order's trigger from now on; an older version is forgotten.

        A version that is not newer than what is known changes nothing.
        """
        known = self._live.get(order.order_id)
        if known is not None:
            if known[2] >= version:
                return
            self.remove(order.order_id)
        lanes = self._lanes.setdefault(order.symbol, {})
        kind = (order.direction, order.trigger_by)
        lane = lanes.get(kind)
        if lane is None:
            lane = lanes[kind] = _Lane(next(self._numbers), order.symbol, *kind)
            self._numbered[lane.number] = lane
        trigger = from_text(order.trigger_price or "0", MAX_DECIMALS)
        entry = (lane.sign * trigger, order.order_id, version, lane.number)
        self._live[order.order_id] = entry
        heapq.heappush(lane.heap, entry)
        if order.expire_time_ns is not None:
            heapq.heappush(self._expiries, (order.expire_time_ns, order.order_id, version))
            self._clear_out_expiries()

    def remove(self, order_id: str) -> None:
        """Forgets the stop, if it is known."""
        entry = self._live.pop(order_id, None)
        if entry is not None:
            self._left_behind(self._numbered[entry[3]])

    def clear(self) -> None:
        """Forgets every stop."""
        self._live.clear()
        self._lanes.clear()
        self._numbered.clear()
        self._expiries.clear()

    def crosses(self, symbol: str, prices: ReferencePrices) -> bool:
        """Whether there may be any for `take_crossed`; much the cheaper question."""
        for lane in self._lanes.get(symbol, _NO_LANES).values():
            if lane.seen(prices) is not None:
                return True
        return False

    def take_crossed(self, symbol: str, prices: ReferencePrices) -> list[Crossing]:
        """The stops these prices cross, the first to be crossed first; they are forgotten."""
        crossings: list[Crossing] = []
        for lane in list(self._lanes.get(symbol, _NO_LANES).values()):
            seen = lane.seen(prices)
            if seen is None:
                continue
            text = to_text(lane.sign * seen, MAX_DECIMALS)
            crossings += [
                Crossing(order_id, version, symbol, text)
                for _, order_id, version, _ in self._pop_until(lane, seen)
            ]
        return crossings

    def take_expired(self, now_ns: int) -> list[tuple[str, int]]:
        """(order id, version) of stops whose time is up; they are forgotten."""
        expired: list[tuple[str, int]] = []
        while self._expiries and self._expiries[0][0] <= now_ns:
            _, order_id, version = heapq.heappop(self._expiries)
            entry = self._live.get(order_id)
            if entry is not None and entry[2] == version:
                self.remove(order_id)
                expired.append((order_id, version))
        return expired

    def _pop_until(self, lane: "_Lane", seen: int) -> Iterator[_Entry]:
        while lane.heap and lane.heap[0][0] <= seen:
            entry = heapq.heappop(lane.heap)
            if self._live.get(entry[1]) is entry:
                del self._live[entry[1]]
                yield entry
            else:
                lane.dead -= 1
        self._drop_if_empty(lane)

    def _left_behind(self, lane: "_Lane") -> None:
        """Counts an entry that stays in its heap, dead; clears out when most are."""
        lane.dead += 1
        if lane.dead == len(lane.heap) or (
            lane.dead > _DEAD_ENTRIES_MIN and 2 * lane.dead > len(lane.heap)
        ):
            lane.heap = [entry for entry in lane.heap if self._live.get(entry[1]) is entry]
            heapq.heapify(lane.heap)
            lane.dead = 0
            self._drop_if_empty(lane)

    def _clear_out_expiries(self) -> None:
        """Drops the times of stops that are gone or have changed, once they are the majority."""
        if len(self._expiries) > max(_DEAD_ENTRIES_MIN, 2 * len(self._live)):
            self._expiries = [it for it in self._expiries if self.version(it[1]) == it[2]]
            heapq.heapify(self._expiries)

    def _drop_if_empty(self, lane: "_Lane") -> None:
        if lane.heap:
            return
        lanes = self._lanes[lane.symbol]
        del lanes[lane.direction, lane.trigger_by]
        del self._numbered[lane.number]
        if not lanes:
            del self._lanes[lane.symbol]


class _Lane:
    """The stops of one symbol, direction and reference, next to be crossed first."""

    __slots__ = ("dead", "direction", "heap", "looks_at", "number", "sign", "symbol", "trigger_by")

    def __init__(
        self, number: int, symbol: str, direction: Direction, trigger_by: TriggerBy
    ) -> None:
        self.number = number
        self.symbol = symbol
        self.direction = direction
        self.trigger_by = trigger_by
        # A SELL is crossed from above: negated, the next one is the smallest too.
        self.sign = 1 if direction is Direction.BUY else -1
        # Which of the prices it is: the rule, asked once, not with every book.
        self.looks_at = reference_price(direction, trigger_by, ReferencePrices(0, 1, 2, 3, 4)) or 0
        self.heap: list[_Entry] = []
        self.dead = 0

    def seen(self, prices: ReferencePrices) -> int | None:
        """The price that is looked at, comparable with triggers, if it reaches the next."""
        reference = prices[self.looks_at]
        if reference is None:
            return None
        seen = self.sign * reference * _TO_MAX_DECIMALS[prices[0]]
        return seen if self.heap[0][0] <= seen else None


_NO_LANES: Final[dict[tuple[Direction, TriggerBy], _Lane]] = {}
