"""Whom a call acts for: the same on every rpc and either transport, or nobody."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from redis_server import RedisServer
from refusals import refusal
from world import World, order, running_world

from execution.v1 import execution_pb2 as pb

MINE, THEIRS = (("authorization", f"Bearer tok-{number}") for number in (1, 2))


@pytest.fixture(params=["http2", "grpcio"])
async def world(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[World]:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tok-1": ["u1"], "tok-2": ["u2"]}')
    async with running_world(redis_server, auth_tokens=tokens, transport=request.param) as world:
        yield world


def calls(world: World, metadata: Any) -> dict[str, Any]:
    """One of each kind, for u1."""
    service, begin = world.service, {"timeout": 10, "metadata": metadata}
    return {
        "ExecuteMarketOrder": service.ExecuteMarketOrder(order(), **begin),
        "ExecuteBatch": service.ExecuteBatch(pb.OrderBatch(orders=[order()]), **begin),
        "ExecuteStream": service.ExecuteStream(iter([order()]), **begin).read(),
        "GetOrder": service.GetOrder(pb.GetOrderRequest(order_id="o-1", user_id="u1"), **begin),
        "WatchOrders": service.WatchOrders(pb.WatchOrdersRequest(user_id="u1"), **begin).read(),
    }


@pytest.mark.parametrize(
    "metadata",
    [(), (MINE, THEIRS), (THEIRS, MINE), (MINE, MINE), (MINE, ("authorization", ""))],
    ids=["none", "mine, theirs", "theirs, mine", "twice", "and an empty one"],
)
async def test_none_or_several_credentials_are_nobodys(world: World, metadata: Any) -> None:
    for rpc, call in calls(world, metadata).items():
        assert (rpc, (await refusal(call)).code()) == (rpc, StatusCode.UNAUTHENTICATED)
    assert "ORDER:o-1" not in await world.stored()


async def test_other_metadata_may_come_several_times(world: World) -> None:
    more = (("x-trace", "1"), MINE, ("x-trace", "2"))
    report = await world.service.ExecuteMarketOrder(order(), timeout=10, metadata=more)
    asked = pb.GetOrderRequest(order_id="o-1", user_id="u1")
    found = await world.service.GetOrder(asked, timeout=10, metadata=more)
    assert found == report


async def test_a_stream_that_is_refused_says_why_to_who_writes_at_once(world: World) -> None:
    """Many times, because it is a race whether one ends before its client's first write."""
    for _ in range(50):
        stream = world.service.ExecuteStream(iter([order()]), timeout=10)
        assert (await refusal(stream.read())).code() == StatusCode.UNAUTHENTICATED
