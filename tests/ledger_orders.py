"""Orders for a ledger, made by the real engine, and what a Redis holds of them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from builders import BUY, SELL, SPEC, Levels, order, quote
from redis_server import RedisServer

from execution.adapters.commit_limits import CommitLimits
from execution.adapters.ledger import LedgerConfig, RedisLedger
from execution.adapters.wire import WireLimits
from execution.engine import execute
from execution.model import Direction
from execution.ports import CommitResult, Conflict, Entry, Ledger
from execution.settlement import FeeRate

NOW_NS = 1_700_000_000_123_456_789
ATTEMPTS_MAX = 8
ASKS: Levels = (("100.5", "1"), ("101", "2"))
BIDS: Levels = (("100", "1"), ("99.5", "2"))

QUICK = CommitLimits(commit_timeout_ms=600)
QUICK_WIRE = WireLimits(connect_timeout_ms=300, request_timeout_ms=250)


def entry_for(
    ledger: Ledger, direction: Direction = BUY, quantity: str = "1", **fields: Any
) -> Entry:
    """An entry as the executor makes one, on what the ledger recalls at this moment."""
    levels = fields.pop("levels", ASKS if direction is BUY else BIDS)
    now_ns = fields.pop("now_ns", NOW_NS)
    placed = order(direction, quantity, **fields)
    basis = ledger.recall(placed.user_id, placed.symbol)
    execution = execute(placed, quote(direction, levels), basis, FeeRate.from_bps("2.5"), now_ns)
    return Entry(
        payload=placed.payload(),
        report=execution.report,
        basis=basis if execution.rests_on_position else None,
        position=execution.position,
    )


async def place(
    ledger: Ledger, direction: Direction = BUY, quantity: str = "1", **fields: Any
) -> tuple[CommitResult, int]:
    """Commits an order as the executor does, and says at which attempt it was through."""
    for attempt in range(1, 1_000):
        result = await ledger.commit(entry_for(ledger, direction, quantity, **fields))
        if not isinstance(result, Conflict):
            return result, attempt
    raise AssertionError("the position never held still")


async def place_many(
    ledger: Ledger, ids: Iterable[str], **fields: Any
) -> list[tuple[CommitResult, int]]:
    """One order of each id, all at once, alternately two bought and one sold."""
    return await asyncio.gather(
        *(
            place(ledger, SELL if number % 3 == 2 else BUY, order_id=order_id, **fields)
            for number, order_id in enumerate(ids)
        )
    )


@asynccontextmanager
async def open_ledger(url: str, **settings: Any) -> AsyncIterator[RedisLedger]:
    """A started ledger, closed at the end whatever happens."""
    ledger = RedisLedger(LedgerConfig(url, **settings))
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


def entries_of(server: RedisServer, stream: str) -> list[dict[str, str]]:
    """The entries of a stream, oldest first, fields in their order."""
    found: Any = server.command("XRANGE", stream, "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in found]


def hash_of(server: RedisServer, key: str) -> dict[str, str]:
    found: Any = server.command("HGETALL", key)
    return dict(zip(found[::2], found[1::2], strict=True))


def trades_of(server: RedisServer) -> list[dict[str, Any]]:
    """The trade objects, numbers as exact decimals."""
    return [
        json.loads(entry["trade"], parse_float=Decimal, parse_int=Decimal)
        for entry in entries_of(server, "STREAM:TRADE")
    ]


def assert_consistent(server: RedisServer, orders: int) -> None:
    """So many orders filled, each once, and every position is the sum of its trades."""
    trades = trades_of(server)
    ids = Counter(trade["order_id"] for trade in trades)
    assert [found for found, times in ids.items() if times > 1] == []
    assert len(ids) == orders
    keys: Any = server.command("KEYS", "ORDER:*")
    assert sorted(keys) == sorted(f"ORDER:{order_id}" for order_id in ids)
    updates = [json.loads(entry["order"]) for entry in entries_of(server, "STREAM:ORDER")]
    assert sorted(update["order_id"] for update in updates) == sorted(ids)
    for update in updates:
        stored = hash_of(server, f"ORDER:{update['order_id']}")
        assert json.loads(stored["report"]) == update
    sums: dict[str, Decimal] = {}
    pnl: dict[str, Decimal] = {}
    versions: Counter[str] = Counter()
    for trade in trades:
        key = f"POSITION:{trade['user']}:{trade['symbol']}"
        signed = trade["qty"] if trade["side"] == "BUY" else -trade["qty"]
        sums[key] = sums.get(key, Decimal(0)) + signed
        pnl[key] = pnl.get(key, Decimal(0)) + trade["pnl"]
        versions[key] += 1
    for key, total in sums.items():
        position = hash_of(server, key)
        assert Decimal(position["qty"]) == total
        assert Decimal(position["realized_pnl"]) == pnl[key]
        assert int(position["version"]) == versions[key]


__all__ = [
    "ATTEMPTS_MAX",
    "BUY",
    "NOW_NS",
    "QUICK",
    "QUICK_WIRE",
    "SELL",
    "SPEC",
    "assert_consistent",
    "entries_of",
    "entry_for",
    "hash_of",
    "open_ledger",
    "place",
    "place_many",
    "trades_of",
]
