"""The C++ contender of the benchmarks does what this service does: same books, same records.

Skipped where its libraries are not installed. The first run compiles it, once for all.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pytest
from google.rpc.status_pb2 import Status
from processes import parse_ready
from recorded_history import proof_of
from redis_server import RedisServer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from peers.build import MissingError, build

from execution.adapters.records import report_from_json
from execution.decimals import DEFAULT_DECIMALS
from execution.engine import execute
from execution.errors import InvalidArgument
from execution.model import (
    Direction,
    ExecutionReport,
    Order,
    OrderType,
    Position,
    Quote,
    Reason,
    SymbolSpec,
    Unusable,
)
from execution.pricing import unknown_symbol
from execution.server.messages import report_message
from execution.server.requests import order_of
from execution.server.statuses import DETAILS_KEY, status_of
from execution.settlement import FeeRate
from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

FORMS = ("blocking", "coalescing")
SYMBOLS: Final = 3
LEVEL_QUANTITY = 1_500
ORDERS = 400
IN_FLIGHT = 64
UNKNOWN = "NOWHERE"
BUILD_SECONDS_MAX = 600
SEED = 20_261_125


@pytest.fixture(scope="session")
def program() -> Path:
    try:
        return build()
    except MissingError as missing:
        pytest.skip(f"the C++ contender cannot be built: {missing}")


@asynccontextmanager
async def served(
    program: Path, redis: RedisServer, form: str
) -> AsyncIterator["execution_pb2_grpc.ExecutionServiceAsyncStub"]:
    """The contender in a process of its own, with small books; ends by SIGTERM, in order."""
    process = await asyncio.create_subprocess_exec(
        program, "--redis-socket", redis.unix_socket, "--form", form, "--symbols", str(SYMBOLS),
        "--level-quantity", "1.5", stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 10)
        async with grpc.aio.insecure_channel(parse_ready(line.decode())["grpc"]) as channel:
            yield execution_pb2_grpc.ExecutionServiceStub(channel)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def requests(count: int, prefix: str = "o") -> Iterator[pb.OrderRequest]:
    """Orders of every kind, few enough users and symbols that positions open, close and flip."""
    chance = random.Random(SEED)
    for number in range(count):
        request = pb.OrderRequest(
            order_id=f"{prefix}-{number}",
            user_id=f"u{chance.randrange(3)}",
            symbol=f"S00{chance.randrange(SYMBOLS)}",
            direction=chance.choice((pb.DIRECTION_BUY, pb.DIRECTION_SELL)),
            quantity=f"{chance.choice((0.001, 1, 1.5, 7, 31)) * chance.randint(1, 9):.3f}",
            reduce_only=chance.random() < 0.2,
            time_in_force=chance.choice(
                (pb.TIME_IN_FORCE_UNSPECIFIED, pb.TIME_IN_FORCE_IOC, pb.TIME_IN_FORCE_FOK)
            ),
        )
        if chance.random() < 0.2:
            request.limit_price = f"{10_000 + chance.randrange(-20, 40) / 10}"
        if chance.random() < 0.2:
            request.max_slippage_bps = chance.randrange(3)
        if chance.random() < 0.02:
            request.symbol = UNKNOWN
        yield request


async def sent(
    stub: "execution_pb2_grpc.ExecutionServiceAsyncStub", orders: list[pb.OrderRequest]
) -> list[pb.ExecutionReport]:
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one(order: pb.OrderRequest) -> pb.ExecutionReport:
        async with room:
            while True:
                try:
                    return await stub.ExecuteMarketOrder(order, timeout=10)
                except grpc.aio.AioRpcError as error:
                    # A position that two programs fight for; the same id is safe.
                    if "attempts to commit" not in (error.details() or ""):
                        raise

    return await asyncio.gather(*map(one, orders))


def market_of(order: Order, report: ExecutionReport) -> Quote | Unusable:
    """The book that the contender makes of its flags, in plain Python."""
    if report.snapshot is None:
        return unknown_symbol(order.symbol)
    middle = 100_000 + 100 * int(order.symbol.removeprefix("S"))
    step = 1 if order.direction is Direction.BUY else -1
    assert report.snapshot.source == "memory"
    assert report.snapshot.best_ask == f"{(middle + 1) / 10}"
    assert report.snapshot.best_bid == f"{(middle - 1) / 10}"
    return Quote(
        spec=SymbolSpec(order.symbol, price_decimals=1, quantity_decimals=3),
        ref=report.snapshot,
        prices=np.array([middle + step * level for level in range(1, 21)], np.int64),
        available=np.full(20, LEVEL_QUANTITY, np.int64),
        best=middle + step,
    )


def committed(redis: RedisServer) -> list[ExecutionReport]:
    """Every report, in the order of the commits."""
    entries: Any = redis.command("XRANGE", "STREAM:ORDER", "-", "+")
    return [report_from_json(fields[1]) for _, fields in entries]


def assert_as_engine(redis: RedisServer, answers: dict[str, pb.ExecutionReport]) -> None:
    """Executes all again by the engine of this service, in the order of the commits."""
    positions: dict[tuple[str, str], Position] = {}
    reports = committed(redis)
    for report in reports:
        key = (report.user_id, report.symbol)
        payload = str(redis.command("HGET", f"ORDER:{report.order_id}", "payload"))
        order = Order.from_payload(payload, report.order_id, report.received_time_ns)
        execution = execute(
            order,
            market_of(order, report),
            positions.get(key, Position(*key)),
            FeeRate(),
            report.transact_time_ns,
        )
        assert report == execution.report
        assert answers[report.order_id] == report_message(report)
        if execution.position is not None:
            positions[key] = execution.position
    assert {report.order_id for report in reports} == answers.keys()


@pytest.mark.timeout(BUILD_SECONDS_MAX)
@pytest.mark.parametrize("form", FORMS)
async def test_it_executes_as_the_engine_does(
    program: Path, redis_server: RedisServer, form: str
) -> None:
    orders = list(requests(ORDERS))
    async with served(program, redis_server, form) as stub:
        reports = await sent(stub, orders)
        again = await sent(stub, orders[::10])
    assert again == reports[::10]
    assert_as_engine(redis_server, {report.order_id: report for report in reports})
    assert {report.status for report in reports} == {
        pb.ORDER_STATUS_FILLED,
        pb.ORDER_STATUS_PARTIAL,
        pb.ORDER_STATUS_REJECTED,
    }
    assert {report.reason for report in reports} >= {
        pb.REASON_INSUFFICIENT_LIQUIDITY,
        pb.REASON_PRICE_PROTECTION,
        pb.REASON_REDUCE_ONLY,
        pb.REASON_REDUCE_ONLY_CAPPED,
        pb.REASON_FOK_UNFILLABLE,
        pb.REASON_UNKNOWN_SYMBOL,
    }
    assert any(report.realized_pnl not in ("", "0") for report in reports)
    assert any(len(report.average_price.partition(".")[2]) == 9 for report in reports)
    proof = proof_of(redis_server)
    assert proof.findings.shown == []
    assert proof.counts.orders == ORDERS
    assert proof.counts.unproven == 0


@pytest.mark.timeout(BUILD_SECONDS_MAX)
async def test_two_of_them_share_a_redis(program: Path, redis_server: RedisServer) -> None:
    """Each meets positions that the other moved, and orders that the other committed."""
    orders = list(requests(ORDERS))
    async with (
        served(program, redis_server, FORMS[0]) as left,
        served(program, redis_server, FORMS[1]) as right,
    ):
        halves = await asyncio.gather(sent(left, orders[::2]), sent(right, orders[1::2]))
        crosswise = await asyncio.gather(sent(right, orders[::2]), sent(left, orders[1::2]))
    assert halves == crosswise
    answers = {report.order_id: report for half in halves for report in half}
    assert_as_engine(redis_server, answers)
    assert proof_of(redis_server).ok


@pytest.mark.timeout(BUILD_SECONDS_MAX)
@pytest.mark.parametrize("form", FORMS)
async def test_an_id_is_used_once(program: Path, redis_server: RedisServer, form: str) -> None:
    order = next(requests(1))
    async with served(program, redis_server, form) as stub:
        await sent(stub, [order])
        order.quantity = "123"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ExecuteMarketOrder(order, timeout=10)
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        order.order_id = ""
        named = await stub.ExecuteMarketOrder(order, timeout=10)
        assert named.order_id[14] == "7"


@pytest.mark.timeout(BUILD_SECONDS_MAX)
@pytest.mark.parametrize("form", FORMS)
async def test_a_redis_that_forgot_the_script_learns_it_again(
    program: Path, redis_server: RedisServer, form: str
) -> None:
    orders = list(requests(IN_FLIGHT))
    async with served(program, redis_server, form) as stub:
        reports = await sent(stub, orders[:8])
        redis_server.command("SCRIPT", "FLUSH", "SYNC")
        reports += await sent(stub, orders[8:])
    assert_as_engine(redis_server, {report.order_id: report for report in reports})


BAD_FIELDS: Final[list[dict[str, Any]]] = [
    {"order_id": "a b"},
    {"user_id": ""},
    {"user_id": "x" * 65},
    {"symbol": "S:000"},
    {"symbol": "", "quantity": ""},
    {"direction": 0},
    {"direction": 7, "time_in_force": 9},
    {"quantity": "0.000"},
    {"quantity": "-1"},
    {"quantity": "1."},
    {"quantity": ".5"},
    {"quantity": "1e3"},
    {"quantity": "9" * 65},
    {"quantity": "0.0001"},
    {"quantity": "9223372036854776"},
    {"limit_price": "0"},
    {"limit_price": "1.25", "quantity": "1.0005"},
    {"trigger_by": pb.TRIGGER_BY_LAST, "reject_if_triggered": True},
    {"symbol": UNKNOWN, "quantity": "0.000000001"},
]


@pytest.mark.timeout(BUILD_SECONDS_MAX)
async def test_it_names_the_same_bad_fields(program: Path, redis_server: RedisServer) -> None:
    async with served(program, redis_server, FORMS[1]) as stub:
        for bad in BAD_FIELDS:
            request = market_order(**bad)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ExecuteMarketOrder(request, timeout=10)
            details = dict(caught.value.trailing_metadata() or ())[DETAILS_KEY]
            assert Status.FromString(bytes(details)) == refused(request), bad
    assert committed(redis_server) == []


def market_order(**fields: Any) -> pb.OrderRequest:
    """BUY 1 S000, with these fields instead."""
    settings: dict[str, Any] = {
        "order_id": "o",
        "user_id": "u",
        "symbol": "S000",
        "direction": pb.DIRECTION_BUY,
        "quantity": "1",
    }
    return pb.OrderRequest(**(settings | fields))


def refused(request: pb.OrderRequest) -> Status:
    """What this service answers."""
    decimals = (DEFAULT_DECIMALS,) * 2 if request.symbol == UNKNOWN else (1, 3)
    spec = SymbolSpec(request.symbol, *decimals)
    market = Unusable(spec, Reason.UNKNOWN_SYMBOL, "")
    try:
        order = order_of(request, OrderType.MARKET, 1, lambda: "new")
        execute(order, market, Position("u", order.symbol), FeeRate(), 1)
    except InvalidArgument as error:
        return status_of(error)
    pytest.fail(f"it is a good order: {request}")
