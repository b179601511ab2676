"""A Redis with a long and mixed history in it, made by the real service, and hands to damage it.

Fixtures: `history`, `recorded`.

Most of it comes over the wire through the whole service. Stops that have to go a certain
way are moved by hand, through the real decisions and the real ledger.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import grpc
import pytest
import redis
from builders import BUY, SPEC, Levels, order, quote
from ledger_orders import open_ledger
from redis_server import RedisServer
from world import FILTERED, SYMBOL, World, running_world
from world import order as wire_order

from execution.commitments import Commitments, Subject
from execution.engine import Execution
from execution.model import (
    ExecutionReport,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Reason,
    ReferencePrices,
    RestingStop,
)
from execution.ports import Ledger
from execution.pricing import Liquidity
from execution.settlement import FeeRate
from execution.stops import arrive, end, trigger
from execution.testing import SimulatedClock
from execution.v1 import execution_pb2 as pb
from execution.verify.proof import Proof, prove
from execution.verify.state import Options

FEE_BPS = "2.5"
USERS = 7
ORDERS = 240
NOW_NS = 1_795_000_000_123_456_789
RETRY_NS = 5_000_000_000
TWICE = "twice"
"""A market order that was sent twice: BUY 1, filled at 100.5, all that its user ever did."""

STOPS_END = {
    "s-rests": "UNTRIGGERED",
    "s-modified": "FILLED",
    "s-crossed-by-modify": "FILLED",
    "s-cancelled": "CANCELED",
    "s-expired": "EXPIRED",
    "s-waited-filled": "FILLED",
    "s-waited-cancelled": "CANCELED",
    "s-waits": "TRIGGERED",
    "s-at-once": "FILLED",
    "s-protected": "REJECTED",
}
"""Every stop of the history, and how it ends."""


async def fill(server: RedisServer, orders: int = ORDERS, seed: int = 1) -> None:
    """The whole history, onto what is there."""
    async with running_world(server, taker_fee_bps=FEE_BPS) as world:
        for _ in range(2):
            await world.market_order(order_id=TWICE, user_id="twin")
        await trade(world, orders, seed)
    async with stops(server) as hand:
        await hand.every_way()


async def trade(world: World, orders: int, seed: int, prefix: str = "m") -> None:
    """Orders of every kind, several at a time; stops are modified and cancelled meanwhile."""
    rng = random.Random(seed)
    numbers = iter(range(orders))
    resting: list[dict[str, Any]] = []
    while wave := list(islice(numbers, rng.randint(1, 8))):
        for symbol in (SYMBOL, FILTERED):
            world.market.feeds[symbol].set_book(*_book(rng))
        requests = [_request(rng, f"{prefix}-{number}") for number in wave]
        resting += [fields for fields in requests if "trigger_price" in fields]
        changes = [_change(world, rng, rng.choice(resting)) for _ in wave[:2] if resting]
        await asyncio.gather(*(_place(world, fields) for fields in requests), *changes)


async def _place(world: World, fields: dict[str, Any]) -> None:
    if "trigger_price" in fields:
        await world.service.ExecuteSLOrder(wire_order(**fields), timeout=10)
    else:
        await world.market_order(**fields)


async def _change(world: World, rng: random.Random, placed: dict[str, Any]) -> None:
    """A cancel or a modify; one that comes too late is refused."""
    names = {"order_id": placed["order_id"], "user_id": placed["user_id"]}
    try:
        if rng.random() < 0.3:
            await world.service.CancelOrder(pb.CancelOrderRequest(**names), timeout=10)
        else:
            trigger_price, quantity = f"{rng.randint(900, 1100) / 10:.1f}", str(rng.randint(1, 3))
            request = pb.ModifyOrderRequest(**names, trigger_price=trigger_price, quantity=quantity)
            await world.service.ModifyOrder(request, timeout=10)
    except grpc.aio.AioRpcError as error:
        if error.code() not in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}:
            raise


def _book(rng: random.Random) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    middle = rng.randint(900, 1100)

    def side(step: int) -> list[tuple[str, str]]:
        levels = rng.randint(0, 6) if rng.random() < 0.2 else 6
        prices = [middle + step * (1 + level * rng.randint(1, 3)) for level in range(levels)]
        ordered = sorted(set(prices), reverse=step < 0)
        return [(f"{price / 10:.1f}", f"{rng.randint(1, 2500) / 1000:.3f}") for price in ordered]

    return side(-1), side(1)


def _request(rng: random.Random, order_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "order_id": order_id,
        "user_id": f"u{rng.randrange(USERS)}",
        "symbol": rng.choice([SYMBOL, SYMBOL, SYMBOL, FILTERED]),
        "direction": rng.choice([pb.DIRECTION_BUY, pb.DIRECTION_SELL]),
        "quantity": f"{rng.randint(1, 500) / 100:.2f}",
        "reduce_only": rng.random() < 0.2,
    }
    if rng.random() < 0.3:
        fields["trigger_price"] = f"{rng.randint(900, 1100) / 10:.1f}"
    kind = rng.random()
    if kind < 0.2:
        fields["max_slippage_bps"] = rng.randint(0, 90)
    elif kind < 0.4:
        fields["limit_price"] = f"{rng.randint(900, 1100) / 10:.1f}"
    elif kind < 0.5:
        fields["time_in_force"] = pb.TIME_IN_FORCE_FOK
    return fields


@asynccontextmanager
async def stops(server: RedisServer) -> AsyncIterator["StopHand"]:
    """Moves stops by hand, on a ledger of its own."""
    async with open_ledger(server.url) as ledger:
        yield StopHand(ledger)


class StopHand:
    """Takes stops of user `sue` through their lives, one decision at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._commitments = Commitments(ledger, Liquidity(), SimulatedClock(), reserve_ns=0)
        self._ledger = ledger
        self._fees = FeeRate.from_bps(FEE_BPS)
        self._now_ns = NOW_NS

    async def every_way(self) -> None:
        """Every stop of `STOPS_END`."""
        for order_id in STOPS_END:
            if order_id not in {"s-at-once", "s-waits"}:
                await self.arrive(stop(order_id))
        await self.arrive(stop("s-at-once", trigger_price="100"))
        await self.arrive(stop("s-waits", trigger_price="100"), levels=())
        await self.modify("s-modified", stop("s-modified", trigger_price="111", quantity="1.7"))
        await self.trigger("s-modified", "111.5")
        crossed = stop("s-crossed-by-modify", trigger_price="99", quantity="2.3")
        await self.modify("s-crossed-by-modify", crossed)
        await self.end("s-cancelled", OrderStatus.CANCELED, Reason.USER_CANCELED)
        await self.end("s-expired", OrderStatus.EXPIRED, Reason.EXPIRED_UNTRIGGERED)
        for order_id in ("s-waited-filled", "s-waited-cancelled"):
            await self.trigger(order_id, "110", levels=())
        await self.trigger("s-waited-filled", "112")
        await self.end("s-waited-cancelled", OrderStatus.CANCELED, Reason.USER_CANCELED)
        await self.trigger("s-protected", "120", levels=(("120", "5"),))

    async def arrive(self, placed: Order, levels: Levels | None = None) -> None:
        market = quote(BUY, levels)
        await self._keep(placed, None, market, partial(self._arrive, placed, market))

    async def modify(self, order_id: str, changed: Order) -> None:
        record = await self._ledger.order(order_id)
        assert record is not None
        market = quote(BUY)
        follows = record.report.version
        await self._keep(
            changed, follows, market, partial(self._arrive, changed, market), record.payload
        )

    async def trigger(self, order_id: str, price: str, levels: Levels | None = None) -> None:
        resting = await self._resting(order_id)
        market = quote(BUY, levels)

        def decide(position: Position) -> Execution | None:
            now_ns = self._tick()
            return trigger(resting, market, position, self._fees, price, now_ns, RETRY_NS)

        await self._keep(resting.order(), resting.version, market, decide)

    async def end(self, order_id: str, status: OrderStatus, reason: Reason) -> None:
        resting = await self._resting(order_id)
        ending = end(resting, status, reason, self._tick())
        await self._keep(resting.order(), resting.version, None, lambda _: ending)

    async def _resting(self, order_id: str) -> RestingStop:
        record = await self._ledger.order(order_id)
        assert record is not None
        assert record.resting is not None
        return record.resting

    def _arrive(self, placed: Order, market: Quote, position: Position) -> Execution:
        prices = ReferencePrices(SPEC.price_decimals, bid=9990, ask=10000)
        return arrive(placed, market, prices, position, self._fees, self._tick())

    async def _keep(
        self,
        placed: Order,
        follows: int | None,
        market: Quote | None,
        decide: Callable[[Position], Execution | None],
        payload: str | None = None,
    ) -> None:
        subject = Subject(
            placed.order_id, placed.user_id, placed.symbol, payload or placed.payload(), follows
        )
        kept = await self._commitments.keep(subject, market, decide)
        assert isinstance(kept, ExecutionReport), kept

    def _tick(self) -> int:
        self._now_ns += 1_234_567_891
        return self._now_ns


def stop(order_id: str, **fields: Any) -> Order:
    """BUY 1 of sue if the ask comes to 110; at most at 115."""
    settings: dict[str, Any] = {"trigger_price": "110", "limit_price": "115", "user_id": "sue"}
    quantity = fields.pop("quantity", "1")
    return order(BUY, quantity, order_id=order_id, order_type=OrderType.SL, **settings | fields)


@dataclass(slots=True)
class Recorded:
    """A Redis and ways to damage what is in it."""

    server: RedisServer

    def entries(self, stream: str) -> list[tuple[str, list[str]]]:
        """The entries of a stream: id, fields and values by turns."""
        found: Any = self.server.command("XRANGE", stream, "-", "+")
        return [(entry_id, list(fields)) for entry_id, fields in found]

    def rewrite(self, stream: str, entries: list[tuple[str, list[str]]]) -> None:
        """The stream with these entries and no trace of others."""
        with redis.Redis.from_url(self.server.url) as store, store.pipeline() as pipe:
            pipe.delete(stream)
            for entry_id, fields in entries:
                pipe.execute_command("XADD", stream, entry_id, *fields)
            pipe.execute()

    def put(self, stream: str, number: int, fields: list[str]) -> None:
        """Another content for one entry."""
        entries = self.entries(stream)
        entries[number] = (entries[number][0], fields)
        self.rewrite(stream, entries)

    def find(self, stream: str, **wanted: object) -> tuple[int, dict[str, Any]]:
        """The first entry whose JSON has these members: its number, its JSON."""
        for number, (_, fields) in enumerate(self.entries(stream)):
            members = json.loads(fields[1])
            if all(members.get(name) == value for name, value in wanted.items()):
                return number, members
        raise LookupError(f"{stream} has nothing with {wanted}")

    def edit(self, stream: str, number: int, old: str, new: str) -> None:
        """Replaces text in the JSON of an entry; it must be there."""
        fields = self.entries(stream)[number][1]
        assert old in fields[1], (old, fields[1])
        self.put(stream, number, [fields[0], fields[1].replace(old, new, 1), *fields[2:]])

    def hash(self, key: str) -> dict[str, str]:
        found: Any = self.server.command("HGETALL", key)
        return dict(zip(found[::2], found[1::2], strict=True))

    def set(self, key: str, fields: Mapping[str, str]) -> None:
        self.server.command("HSET", key, *(word for pair in fields.items() for word in pair))

    def edit_hash(self, key: str, field: str, old: str, new: str) -> None:
        """Replaces text in a field of a hash; it must be there."""
        value = self.hash(key)[field]
        assert old in value, (old, value)
        self.set(key, {field: value.replace(old, new, 1)})


Dump: TypeAlias = dict[bytes, bytes]
"""Everything in a Redis, as Redis itself writes it down."""


def dump(server: RedisServer) -> Dump:
    with redis.Redis.from_url(server.url) as store:
        return {key: store.dump(key) for key in store.scan_iter()}


def restore(server: RedisServer, saved: Dump) -> None:
    with redis.Redis.from_url(server.url) as store, store.pipeline() as pipe:
        for key, content in saved.items():
            pipe.restore(key, 0, content)
        pipe.execute()


def proof_of(server: RedisServer, options: Options | None = None) -> Proof:
    """The proof of what is there, with every finding in full."""
    options = replace(options or Options(), shown_max=1_000_000)
    with redis.Redis.from_url(
        server.url, decode_responses=True, encoding_errors="surrogateescape"
    ) as store:
        return prove(store, options, _unseen)


def names_of(proof: Proof) -> set[str]:
    """The names of all that was found."""
    return {str(name) for name in proof.findings.counts}


@pytest.fixture(scope="session")
def history() -> Iterator[Dump]:
    """The history, written once."""
    with RedisServer() as server:
        asyncio.run(fill(server))
        yield dump(server)


@pytest.fixture
def recorded(history: Dump, redis_server: RedisServer) -> Recorded:
    """A Redis that holds the history, to be damaged."""
    restore(redis_server, history)
    return Recorded(redis_server)


def _unseen(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""
