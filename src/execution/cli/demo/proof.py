"""Proves from Redis that what the clients were told is what happened, each once.

Reads the streams and hashes as any consumer may (CONTRACT, Redis) and shares no
code with the service that wrote them but the names of the keys.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from redis.asyncio import Redis

from execution.adapters.keys import (
    ORDER_STREAM,
    REJECT_STREAM,
    TRADE_STREAM,
    order_key,
    position_key,
)
from execution.cli.demo.state import Outcome
from execution.model import Direction, OrderStatus

PAGE: Final = 1_000
ORDER_FIELDS: Final = ["status", "executed_qty", "avg_price", "trade_id"]
HOLDING_FIELDS: Final = ["qty", "realized_pnl"]
EXAMPLES_MAX: Final = 3
"""How many offenders a failed check names."""

Holding = tuple[Decimal, Decimal]
"""Signed quantity and realised PnL."""


@dataclass(frozen=True, slots=True)
class Before:
    """What Redis held when the demo began: it may be no new one."""

    trade_id: str
    reject_id: str
    holdings: Mapping[tuple[str, str], Holding]
    order_id: str = "0-0"
    """The newest entry of the order stream; the two above are of theirs."""


@dataclass(slots=True)
class Check:
    """One thing that has to be true, and what contradicts it."""

    text: str
    offenders: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts it."""
        return not self.offenders

    def line(self) -> str:
        """For people."""
        if self.ok:
            return f"ok      {self.text}"
        named = ", ".join(self.offenders[:EXAMPLES_MAX])
        more = len(self.offenders) - EXAMPLES_MAX
        return f"FAILED  {self.text}: {named}" + (f" and {more} more" if more > 0 else "")


async def look(redis: Redis, users: Collection[str], symbols: Collection[str]) -> Before:
    """What there is before the first order of the demo.

    In one step: a stop of an earlier demo may trigger at any moment.
    """
    names = [(user, symbol) for user in users for symbol in symbols]
    async with redis.pipeline(transaction=True) as pipe:
        for stream in (TRADE_STREAM, REJECT_STREAM, ORDER_STREAM):
            pipe.xrevrange(stream, count=1)
        for name in names:
            pipe.hmget(position_key(*name), HOLDING_FIELDS)
        trades, rejects, orders, *held = await pipe.execute()
    holdings = dict(zip(names, map(_holding, held), strict=True))
    return Before(_newest(trades), _newest(rejects), holdings, _newest(orders))


async def prove(redis: Redis, before: Before, outcomes: Mapping[str, Outcome]) -> list[Check]:
    """Every check, over all that the demo did."""
    filled = {order_id for order_id, outcome in outcomes.items() if outcome.trade_id}
    refused = {
        order_id for order_id, outcome in outcomes.items() if outcome.status is OrderStatus.REJECTED
    }
    trades, published = await _read_trades(redis, before, outcomes)
    rejects = await _read_rejects(redis, before, outcomes)
    return [
        _once(filled, published, "executed orders", TRADE_STREAM),
        trades.check(len(filled)),
        _once(refused, rejects, "rejected orders", REJECT_STREAM),
        await _hashes(redis, outcomes),
        await _positions(redis, before, trades.sums),
    ]


@dataclass(slots=True)
class _Trades:
    """What the trade stream adds up to."""

    sums: dict[tuple[str, str], Holding] = field(default_factory=dict)
    """By (user, symbol), of every trade, also of orders that are not the demo's."""
    different: list[str] = field(default_factory=list)

    def add(self, trade: Mapping[str, Any], outcome: Outcome | None) -> None:
        key = (trade["user"], trade["symbol"])
        quantity, pnl = self.sums.get(key, (Decimal(0), Decimal(0)))
        sign = 1 if trade["side"] == Direction.BUY.name else -1
        self.sums[key] = (quantity + sign * trade["qty"], pnl + trade["pnl"])
        if outcome is not None and not _same(trade, outcome):
            self.different.append(trade["order_id"])

    def check(self, count: int) -> Check:
        text = f"{count} trades say what their clients were told: price, quantity, PnL"
        return Check(text, self.different)


async def _read_trades(
    redis: Redis, before: Before, outcomes: Mapping[str, Outcome]
) -> tuple[_Trades, Counter[str]]:
    trades, published = _Trades(), Counter[str]()
    async for fields in entries(redis, TRADE_STREAM, before.trade_id):
        trade = json.loads(fields["trade"], parse_float=Decimal, parse_int=Decimal)
        outcome = outcomes.get(trade["order_id"])
        trades.add(trade, outcome)
        if outcome is not None:
            published[trade["order_id"]] += 1
    return trades, published


async def _read_rejects(
    redis: Redis, before: Before, outcomes: Mapping[str, Outcome]
) -> Counter[str]:
    published = Counter[str]()
    async for fields in entries(redis, REJECT_STREAM, before.reject_id):
        order_id = json.loads(fields["reject"])["order_id"]
        if order_id in outcomes:
            published[order_id] += 1
    return published


def _once(expected: set[str], published: Counter[str], what: str, stream: str) -> Check:
    """Each expected order has one entry, and no other order has any."""
    offenders = [
        f"{order_id} {published[order_id]} times"
        for order_id in sorted(expected | published.keys())
        if published[order_id] != (order_id in expected)
    ]
    text = f"{len(expected)} {what}, {published.total()} entries in {stream}, none twice"
    return Check(text, offenders)


async def _hashes(redis: Redis, outcomes: Mapping[str, Outcome]) -> Check:
    check = Check(f"{len(outcomes)} ORDER hashes say what the clients were told")
    order_ids = list(outcomes)
    for begin in range(0, len(order_ids), PAGE):
        page = order_ids[begin : begin + PAGE]
        async with redis.pipeline(transaction=False) as pipe:
            for order_id in page:
                pipe.hmget(order_key(order_id), ORDER_FIELDS)
            hashes = await pipe.execute()
        for order_id, found in zip(page, hashes, strict=True):
            outcome = outcomes[order_id]
            told = [
                outcome.status.name,
                outcome.filled_quantity,
                outcome.average_price,
                outcome.trade_id,
            ]
            if found != told:
                check.offenders.append(order_id)
    return check


async def _positions(
    redis: Redis, before: Before, sums: Mapping[tuple[str, str], Holding]
) -> Check:
    check = Check(f"{len(sums)} POSITION hashes are the sum of their trades: quantity and PnL")
    for key, (quantity, pnl) in sums.items():
        if key not in before.holdings:
            continue  # another program's user: what it held before was not looked at
        begun_quantity, begun_pnl = before.holdings[key]
        fields: Any = await redis.hmget(position_key(*key), HOLDING_FIELDS)
        if _holding(fields) != (begun_quantity + quantity, begun_pnl + pnl):
            check.offenders.append(position_key(*key))
    return check


async def entries(redis: Redis, stream: str, after: str) -> AsyncIterator[Mapping[str, str]]:
    """The entries after an id, oldest first, a page at a time."""
    while True:
        page: Any = await redis.xrange(stream, f"({after}", "+", count=PAGE)
        if not page:
            return
        for _, fields in page:
            yield fields
        after = page[-1][0]


def _newest(page: Any) -> str:
    return str(page[0][0]) if page else "0-0"


def _holding(fields: Any) -> Holding:
    quantity, pnl = fields
    return Decimal(quantity or 0), Decimal(pnl or 0)


def _same(trade: Mapping[str, Any], outcome: Outcome) -> bool:
    return bool(
        trade["user"] == outcome.user_id
        and trade["symbol"] == outcome.symbol
        and trade["side"] == outcome.direction.name
        and trade["trade_id"] == outcome.trade_id
        and trade["qty"] == Decimal(outcome.filled_quantity)
        and trade["price"] == Decimal(outcome.average_price or 0)
        and trade["pnl"] == Decimal(outcome.realized_pnl)
    )
