"""Proves from Redis what became of the stops, each once.

`STREAM:ORDER` is the record: a stop may trigger after its client has heard the
last of it, so what a client was told is one version of it, not always the last.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from execution.adapters.keys import ORDER_STREAM, STOPS_RESTING, TRADE_STREAM
from execution.cli.demo.proof import Before, Check, entries
from execution.cli.demo.state import Outcome
from execution.cli.demo.stops import RESTING, Told
from execution.model import Direction, OrderStatus, OrderType

_UNTRADED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


@dataclass(slots=True)
class StopRecords:
    """What the order stream says of the stops that were told of."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """As the newest entry of each says, by order id."""
    versions: set[tuple[str, Told]] = field(default_factory=set)
    """Every entry, as a client would be told of it."""

    def add(self, order: Mapping[str, Any]) -> None:
        """The next entry."""
        status = OrderStatus[order["status"]]
        filled, average = order.get("filled_quantity", ""), order.get("average_price", "")
        trade_id = order.get("trade_id", "")
        told = Told(int(order["version"]), status, filled, average, trade_id)
        self.versions.add((order["order_id"], told))
        self.outcomes[order["order_id"]] = Outcome(
            order["user_id"],
            order["symbol"],
            Direction[order["direction"]],
            status,
            filled,
            average,
            order.get("realized_pnl", ""),
            trade_id,
        )


async def read_stops(redis: Redis, before: Before, told: Mapping[str, Told]) -> StopRecords:
    """Everything that the stream has of these stops."""
    records = StopRecords()
    async for fields in entries(redis, ORDER_STREAM, before.order_id):
        order = json.loads(fields["order"])
        if order["order_type"] == OrderType.SL.name and order["order_id"] in told:
            records.add(order)
    return records


async def prove_stops(
    redis: Redis, before: Before, told: Mapping[str, Told], records: StopRecords
) -> list[Check]:
    """What holds for stops beyond what holds for every order."""
    untold = [item[0] for item in told.items() if item not in records.versions]
    resting: Any = await redis.hkeys(STOPS_RESTING)
    return [
        Check(f"{len(told)} stops were told as they are in {ORDER_STREAM}", untold),
        _rest(set(resting), records),
        await _traded(redis, before, records),
    ]


def _rest(resting: set[str], records: StopRecords) -> Check:
    """Those that wait rest in Redis, and nothing that ended does."""
    waiting = {
        order_id for order_id, outcome in records.outcomes.items() if outcome.status in RESTING
    }
    ended = records.outcomes.keys() - waiting
    offenders = sorted((waiting - resting) | (ended & resting))
    text = f"{len(waiting)} stops are in {STOPS_RESTING}, none of the {len(ended)} that ended"
    return Check(text, offenders)


async def _traded(redis: Redis, before: Before, records: StopRecords) -> Check:
    """No stop has more than one trade, and those that came to nothing have none."""
    trades = Counter[str]()
    async for fields in entries(redis, TRADE_STREAM, before.trade_id):
        order_id = json.loads(fields["trade"])["order_id"]
        if order_id in records.outcomes:
            trades[order_id] += 1
    offenders = [
        f"{order_id} {outcome.status.name} {trades[order_id]} trades"
        for order_id, outcome in records.outcomes.items()
        if trades[order_id] > (outcome.status not in RESTING | _UNTRADED)
    ]
    statuses = Counter(outcome.status for outcome in records.outcomes.values())
    text = (
        f"{len(trades)} stops traded, each once; {statuses[OrderStatus.CANCELED]} canceled,"
        f" {statuses[OrderStatus.EXPIRED]} expired and none of them traded"
    )
    return Check(text, offenders)
