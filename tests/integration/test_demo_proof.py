"""The demo's proof over a real Redis: true orders pass, and every way to lie is caught."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from redis_server import RedisServer
from world import SYMBOL, World

from execution.adapters.keys import REJECT_STREAM, TRADE_STREAM, order_key, position_key
from execution.cli.demo.proof import Before, Check, look, prove
from execution.cli.demo.state import Session
from execution.v1 import execution_pb2 as pb

USERS = ("u1", "u2")


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(redis_server.url, decode_responses=True) as connected:
        yield connected


async def traded(world: World) -> tuple[Session, Before]:
    """Ten orders of both directions, two of them rejected."""
    before = await look(world.store, USERS, [SYMBOL])
    session = Session(begun=0)
    for number in range(10):
        report = await world.market_order(
            order_id=f"o-{number}",
            user_id=USERS[number % 2],
            direction=pb.DIRECTION_SELL if number % 3 else pb.DIRECTION_BUY,
            quantity="99" if number in {4, 7} else "0.25",
            time_in_force=pb.TIME_IN_FORCE_FOK,
        )
        session.executed(report, number)
    assert session.executions == 8
    return session, before


async def entries(world: World, stream: str) -> list[tuple[str, dict[Any, Any]]]:
    found: Any = await world.store.xrange(stream)
    return list(found)


async def verdict(world: World, session: Session, before: Before) -> list[Check]:
    return await prove(world.store, before, session.outcomes)


def broken(checks: list[Check]) -> list[str]:
    return [check.line() for check in checks if not check.ok]


async def test_what_happened_is_proven(world: World) -> None:
    session, before = await traded(world)
    checks = await verdict(world, session, before)
    assert not broken(checks)
    lines = "\n".join(check.line() for check in checks)
    assert "8 executed orders, 8 entries in STREAM:TRADE" in lines
    assert "2 rejected orders, 2 entries in STREAM:REJECT" in lines
    assert "10 ORDER hashes" in lines
    assert "2 POSITION hashes" in lines


async def test_what_was_there_before_is_not_counted(world: World) -> None:
    await traded(world)
    before = await look(world.store, USERS, [SYMBOL])
    session = Session(begun=0)
    session.executed(await world.market_order(order_id="later", quantity="0.5"), 1)
    checks = await verdict(world, session, before)
    assert not broken(checks)
    assert "1 executed orders, 1 entries" in checks[0].line()


async def test_orders_of_others_meanwhile_do_no_harm(world: World) -> None:
    session, before = await traded(world)
    await world.market_order(order_id="not-ours", user_id="u1", quantity="0.5")
    await world.market_order(order_id="nor-this", user_id="stranger", quantity="0.5")
    assert not broken(await verdict(world, session, before))


async def test_a_doubled_trade_is_found(world: World) -> None:
    session, before = await traded(world)
    (_, fields), *_ = await entries(world, TRADE_STREAM)
    await world.store.xadd(TRADE_STREAM, fields)
    lines = broken(await verdict(world, session, before))
    assert any("o-0 2 times" in line for line in lines)
    assert any(position_key("u1", SYMBOL) in line for line in lines)


async def test_a_lost_trade_is_found(world: World) -> None:
    session, before = await traded(world)
    (entry_id, _), *_ = await entries(world, TRADE_STREAM)
    await world.store.xdel(TRADE_STREAM, entry_id)
    assert any("o-0 0 times" in line for line in broken(await verdict(world, session, before)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("qty", 0.26), ("price", 100), ("pnl", 1), ("side", "SELL"), ("trade_id", "x")],
)
async def test_a_trade_that_says_something_else_is_found(
    world: World, name: str, value: Any
) -> None:
    session, before = await traded(world)
    published = await entries(world, TRADE_STREAM)
    await world.store.delete(TRADE_STREAM)
    for _, fields in published:
        trade = json.loads(fields["trade"])
        if trade["order_id"] == "o-0":
            trade[name] = value
        await world.store.xadd(TRADE_STREAM, {**fields, "trade": json.dumps(trade)})
    before = Before("0-0", before.reject_id, before.holdings)
    lines = broken(await verdict(world, session, before))
    assert any("say what their clients were told" in line and "o-0" in line for line in lines)


async def test_a_doubled_rejection_is_found(world: World) -> None:
    session, before = await traded(world)
    (_, fields), *_ = await entries(world, REJECT_STREAM)
    await world.store.xadd(REJECT_STREAM, fields)
    assert any("o-4 2 times" in line for line in broken(await verdict(world, session, before)))


@pytest.mark.parametrize("field", ["status", "executed_qty", "avg_price", "trade_id"])
async def test_an_order_hash_that_says_something_else_is_found(world: World, field: str) -> None:
    session, before = await traded(world)
    await world.store.hset(order_key("o-3"), field, "7")
    (line,) = broken(await verdict(world, session, before))
    assert "ORDER hashes" in line
    assert "o-3" in line


@pytest.mark.parametrize("field", ["qty", "realized_pnl"])
async def test_a_position_that_is_not_the_sum_of_its_trades_is_found(
    world: World, field: str
) -> None:
    session, before = await traded(world)
    await world.store.hset(position_key("u2", SYMBOL), field, "7")
    (line,) = broken(await verdict(world, session, before))
    assert position_key("u2", SYMBOL) in line


async def test_an_order_that_never_was_is_found(world: World) -> None:
    session, before = await traded(world)
    session.outcomes["ghost"] = session.outcomes["o-0"]
    lines = broken(await verdict(world, session, before))
    assert any("ghost 0 times" in line for line in lines)
    assert any("ORDER hashes" in line and "ghost" in line for line in lines)


async def test_an_empty_redis_proves_nothing_wrong(store: Any) -> None:
    before = await look(store, USERS, [SYMBOL])
    assert not broken(await prove(store, before, {}))


async def test_more_than_a_page_is_read_whole(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution.cli.demo.proof.PAGE", 3)
    before = await look(store, USERS, [SYMBOL])
    for number in range(8):
        trade = {"user": "u1", "symbol": SYMBOL, "side": "BUY", "qty": 1, "pnl": 0}
        entry = {"trade": json.dumps({**trade, "order_id": f"x-{number}"})}
        await store.xadd(TRADE_STREAM, entry)
    await store.hset(position_key("u1", SYMBOL), mapping={"qty": "8", "realized_pnl": "0"})
    assert not broken(await prove(store, before, {}))
    await store.hset(position_key("u1", SYMBOL), "qty", "7")
    assert broken(await prove(store, before, {}))
