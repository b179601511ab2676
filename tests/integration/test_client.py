"""Both clients over sockets: against a server that fails by script, and against the service."""

import asyncio
import shutil
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from redis_server import RedisServer
from world import ASKS, SYMBOL, World, running_world

from execution.client import (
    AsyncClient,
    Client,
    Direction,
    OrderStatus,
    Reason,
    RetryPolicy,
    Tls,
)
from execution.client.connection import Chance
from execution.errors import (
    DeadlineExceeded,
    ExecutionError,
    InvalidArgument,
    LedgerUnavailable,
    OrderIdReused,
    OrderNotFound,
    Overloaded,
    PermissionDenied,
    StaleBook,
    TooLate,
    Unauthenticated,
    Unavailable,
    VersionMismatch,
)
from execution.server.statuses import DETAILS_KEY, status_of
from execution.testing.fault_proxy import FaultProxy, Way
from execution.v1 import execution_pb2 as pb

SERVICE = "execution.v1.ExecutionService"
CODES = {code.value[0]: code for code in grpc.StatusCode}
QUICK = RetryPolicy(timeout_seconds=5, attempt_timeout_seconds=2, backoff_initial_seconds=0.001)
ORDER: dict[str, Any] = {
    "user_id": "u1",
    "symbol": SYMBOL,
    "direction": Direction.BUY,
    "quantity": "1",
}

Calls = Callable[..., Any]


class Threaded:
    """A `Client` whose calls leave the event loop free for the server they go to."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, method: str) -> Calls:
        async def call(**arguments: Any) -> Any:
            return await asyncio.to_thread(getattr(self._client, method), **arguments)

        return call


@asynccontextmanager
async def sync_client(target: str, **settings: Any) -> AsyncIterator[Any]:
    with Client(target, **settings) as client:
        yield Threaded(client)


@asynccontextmanager
async def async_client(target: str, **settings: Any) -> AsyncIterator[Any]:
    async with AsyncClient(target, **settings) as client:
        yield client


Connect = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(params=[sync_client, async_client], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    chosen: Connect = request.param
    return chosen


@dataclass
class Script:
    """A server that does what it is told, call by call, and keeps what it was sent."""

    address: str = ""
    failures: deque[ExecutionError | grpc.StatusCode | None] = field(default_factory=deque)
    """For the calls to come; None is silence. Once empty, calls are answered."""
    orders: list[pb.OrderRequest] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)

    async def market_order(self, request: pb.OrderRequest, context: Any) -> pb.ExecutionReport:
        self.orders.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())
        if self.failures:
            await self._fail(self.failures.popleft(), context)
        return pb.ExecutionReport(order_id=request.order_id, status=pb.ORDER_STATUS_FILLED)

    async def _fail(self, failure: ExecutionError | grpc.StatusCode | None, context: Any) -> None:
        if failure is None:
            await asyncio.Event().wait()  # until the client's deadline ends the call
        if isinstance(failure, ExecutionError):
            status = status_of(failure)
            trailers = ((DETAILS_KEY, status.SerializeToString()),)
            await context.abort(CODES[status.code], status.message, trailers)
        await context.abort(failure, "by script")


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    made = Script()
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        made.market_order,
        request_deserializer=pb.OrderRequest.FromString,
        response_serializer=pb.ExecutionReport.SerializeToString,
    )
    handlers = {"ExecuteMarketOrder": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield made
    await server.stop(None)


# Retries


async def test_a_call_is_repeated_under_one_id_until_it_is_answered(
    connect: Connect, script: Script
) -> None:
    stale = StaleBook("too old")
    stale.retry_after_ms = 1
    script.failures.extend([stale, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
    async with connect(script.address, retry=QUICK) as client:
        report = await client.execute_market_order(**ORDER)
    assert report.status == OrderStatus.FILLED
    assert len(script.orders) == 4
    assert {order.order_id for order in script.orders} == {report.order_id}
    assert all(order == script.orders[0] for order in script.orders)


async def test_an_attempt_without_an_answer_is_given_up_and_repeated(
    connect: Connect, script: Script
) -> None:
    script.failures.append(None)
    policy = RetryPolicy(timeout_seconds=20, attempt_timeout_seconds=0.2)
    async with connect(script.address, retry=policy) as client:
        report = await client.execute_market_order(**ORDER, order_id="o-7")
    assert report.order_id == "o-7"
    assert [order.order_id for order in script.orders] == ["o-7", "o-7"]


async def test_every_attempt_tells_the_service_its_deadline(
    connect: Connect, script: Script
) -> None:
    async with connect(script.address, retry=QUICK) as client:
        await client.execute_market_order(**ORDER)
        await client.execute_market_order(**ORDER, timeout_seconds=0.7)
    # gRPC sends deadlines in whole milliseconds, rounded up.
    assert 1.0 < script.seconds_left[0] < 2.01
    assert 0.0 < script.seconds_left[1] < 0.71


async def test_the_wait_that_the_service_asks_for_is_kept(connect: Connect, script: Script) -> None:
    busy = Overloaded("too much")
    busy.retry_after_ms = 150
    script.failures.append(busy)
    async with connect(script.address, retry=QUICK) as client:
        begun = asyncio.get_running_loop().time()
        await client.execute_market_order(**ORDER)
    assert asyncio.get_running_loop().time() - begun >= 0.15


async def test_a_wait_beyond_the_time_of_the_call_is_not_begun(
    connect: Connect, script: Script
) -> None:
    later = LedgerUnavailable("down")
    later.retry_after_ms = 3_600_000
    script.failures.append(later)
    async with connect(script.address, retry=QUICK) as client:
        with pytest.raises(LedgerUnavailable, match="down") as caught:
            await client.execute_market_order(**ORDER, order_id="o-8")
    assert caught.value.metadata["order_id"] == "o-8"
    assert len(script.orders) == 1


async def test_time_bounds_all_attempts_together(connect: Connect, script: Script) -> None:
    script.failures.extend([grpc.StatusCode.UNAVAILABLE] * 100_000)
    async with connect(script.address, retry=QUICK) as client:
        # The last attempt may be one that the end of the time cuts short.
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await client.execute_market_order(**ORDER, timeout_seconds=0.3)
    assert len(script.orders) > 1


async def test_a_service_that_never_answers_costs_the_callers_time_and_no_more(
    connect: Connect, script: Script
) -> None:
    script.failures.extend([None] * 100)
    async with connect(script.address, retry=QUICK) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.execute_market_order(**ORDER, order_id="o-9", timeout_seconds=0.3)
    assert caught.value.metadata["order_id"] == "o-9"


async def test_what_stays_wrong_is_raised_at_once(connect: Connect, script: Script) -> None:
    script.failures.append(OrderIdReused("taken"))
    async with connect(script.address, retry=QUICK) as client:
        with pytest.raises(OrderIdReused, match="taken"):
            await client.execute_market_order(**ORDER)
    assert len(script.orders) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_a_status_that_nobody_foresaw_is_raised_as_it_came(
    connect: Connect, script: Script, code: grpc.StatusCode
) -> None:
    script.failures.append(code)
    async with connect(script.address, retry=QUICK) as client:
        with pytest.raises(grpc.RpcError) as caught:
            await client.execute_market_order(**ORDER)
    assert caught.value.code() is code


async def test_nobody_listening_is_unavailable(connect: Connect) -> None:
    async with connect("127.0.0.1:1", retry=QUICK) as client:
        with pytest.raises(Unavailable):
            await client.get_position(user_id="u1", symbol=SYMBOL, timeout_seconds=0.3)


async def test_the_id_and_the_chance_can_be_given(connect: Connect, script: Script) -> None:
    drawn: list[float] = []

    def fraction() -> float:
        drawn.append(0.25)
        return drawn[-1]

    script.failures.append(grpc.StatusCode.UNAVAILABLE)
    chance = Chance(new_order_id=lambda: "from-the-test", fraction=fraction)
    async with connect(script.address, retry=QUICK, chance=chance) as client:
        report = await client.execute_market_order(**ORDER)
    assert report.order_id == "from-the-test"
    assert drawn == [0.25]


async def test_the_token_travels_with_every_attempt(connect: Connect, script: Script) -> None:
    script.failures.append(grpc.StatusCode.UNAVAILABLE)
    async with connect(script.address, retry=QUICK, token="s3cret") as client:
        await client.execute_market_order(**ORDER)
    assert [sent["authorization"] for sent in script.metadata] == ["Bearer s3cret"] * 2


# Against the service


async def test_an_order_its_record_and_its_position(connect: Connect, world: World) -> None:
    async with connect(world.ready.grpc) as client:
        report = await client.execute_market_order(**(ORDER | {"quantity": "2"}))
        again = await client.get_order(order_id=report.order_id, user_id="u1")
        position = await client.get_position(user_id="u1", symbol=SYMBOL)
    assert report.status == OrderStatus.FILLED
    assert [(fill.price, fill.quantity) for fill in report.fills] == [
        (ASKS[0][0], "1"),
        ("101", "1"),
    ]
    assert again == report
    assert (position.quantity, position.entry_price, position.version) == ("2", "100.75", 1)


async def test_a_rejection_is_a_report_and_a_bad_request_an_error(
    connect: Connect, world: World
) -> None:
    async with connect(world.ready.grpc) as client:
        rejected = await client.execute_market_order(
            **(ORDER | {"quantity": 99}), time_in_force="FOK"
        )
        with pytest.raises(InvalidArgument) as caught:
            await client.execute_market_order(**(ORDER | {"quantity": "-1", "user_id": "a b"}))
        with pytest.raises(OrderNotFound):
            await client.get_order(order_id="never-sent", user_id="u1")
    assert rejected.status == OrderStatus.REJECTED
    assert rejected.reason == Reason.FOK_UNFILLABLE
    assert {violation.field for violation in caught.value.violations} == {"quantity", "user_id"}


async def test_a_stop_is_left_changed_and_cancelled(connect: Connect, world: World) -> None:
    key = {"order_id": "s-1", "user_id": "u1"}
    terms = ORDER | {
        "order_id": "s-1",
        "trigger_price": Decimal(200),
        "trigger_by": "BID_ASK",
        "expire_time": datetime(2999, 1, 1, tzinfo=UTC),
    }
    async with connect(world.ready.grpc) as client:
        armed = await client.execute_sl_order(**terms)
        assert await client.execute_sl_order(**terms) == armed
        moved = await client.modify_order(**key, trigger_price=201, quantity="2", limit_price=300)
        with pytest.raises(VersionMismatch) as outrun:
            await client.modify_order(**key, quantity=3, expected_version=1)
        ended = await client.cancel_order(**key)
        assert await client.cancel_order(**key) == ended
        with pytest.raises(TooLate) as late:
            await client.modify_order(**key, quantity=3)
        with pytest.raises(OrderNotFound):
            await client.cancel_order(order_id="s-1", user_id="u2")
    assert OrderStatus(armed.status) is OrderStatus.UNTRIGGERED
    assert (moved.trigger_price, moved.quantity, moved.version) == ("201", "2", 2)
    assert outrun.value.report.version == 2
    assert OrderStatus(ended.status) is OrderStatus.CANCELED
    assert (late.value.report.status, late.value.report.version) == (OrderStatus.CANCELED, 3)
    assert late.value.metadata["order_id"] == "s-1"


async def test_a_lost_answer_to_a_stop_or_a_cancel_changes_nothing_twice(
    connect: Connect, world: World
) -> None:
    host, _, port = world.ready.grpc.rpartition(":")
    async with (
        FaultProxy(host, int(port)) as proxy,
        connect(f"127.0.0.1:{proxy.port}", retry=QUICK) as client,
    ):
        await client.get_position(user_id="u1", symbol=SYMBOL)
        lost = proxy.cut_after(Way.TO_CLIENT, 0)
        armed = await client.execute_sl_order(**ORDER, order_id="s-1", trigger_price="200")
        assert lost.done()
        lost = proxy.cut_after(Way.TO_CLIENT, 0)
        ended = await client.cancel_order(order_id="s-1", user_id="u1")
        assert lost.done()
    assert (armed.version, ended.version) == (1, 2)
    assert await world.store.xlen("STREAM:ORDER") == 2


async def test_an_id_used_twice_is_one_order_or_an_error(connect: Connect, world: World) -> None:
    async with connect(world.ready.grpc) as client:
        first = await client.execute_market_order(**ORDER, order_id="mine")
        second = await client.execute_market_order(**(ORDER | {"quantity": "1.0"}), order_id="mine")
        with pytest.raises(OrderIdReused):
            await client.execute_market_order(**(ORDER | {"quantity": "2"}), order_id="mine")
    assert second.SerializeToString() == first.SerializeToString()
    assert await world.store.xlen("STREAM:TRADE") == 1


async def test_a_lost_answer_does_not_become_a_second_order(connect: Connect, world: World) -> None:
    host, _, port = world.ready.grpc.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        async with connect(f"127.0.0.1:{proxy.port}", retry=QUICK) as client:
            await client.get_position(user_id="u1", symbol=SYMBOL)
            lost = proxy.cut_after(Way.TO_CLIENT, 0)
            report = await client.execute_market_order(**ORDER)
            position = await client.get_position(user_id="u1", symbol=SYMBOL)
        assert lost.done()
    assert report.status == OrderStatus.FILLED
    assert position.quantity == "1"
    assert await world.store.xlen("STREAM:TRADE") == 1


async def test_a_service_that_comes_back_is_found_again(connect: Connect, world: World) -> None:
    host, _, port = world.ready.grpc.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        policy = RetryPolicy(timeout_seconds=20, backoff_initial_seconds=0.02)
        async with connect(f"127.0.0.1:{proxy.port}", retry=policy) as client:
            await client.get_position(user_id="u1", symbol=SYMBOL)
            await proxy.refuse()
            call = asyncio.ensure_future(client.execute_market_order(**ORDER))
            await asyncio.wait([call], timeout=0.3)
            assert not call.done()
            await proxy.start()
            assert (await call).status == OrderStatus.FILLED


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for the name `execution.test`, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ("-subj", "/CN=execution.test", "-addext", "subjectAltName=DNS:execution.test")
    files = ("-out", chain, "-keyout", key)
    subprocess.run((openssl, *words.split(), *names, *files), check=True, capture_output=True)
    return chain, key


async def test_tls_with_tokens(
    connect: Connect, redis_server: RedisServer, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    chain, key = certificate
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tok-1": ["u1"]}')
    tls = Tls.from_files(root_certificates=chain, server_name="execution.test")
    config: dict[str, Any] = {"tls_cert": chain, "tls_key": key, "auth_tokens": tokens}
    async with running_world(redis_server, **config) as world:
        async with connect(world.ready.grpc, tls=tls, token="tok-1") as client:
            assert (await client.execute_market_order(**ORDER)).status == OrderStatus.FILLED
            with pytest.raises(PermissionDenied):
                await client.get_position(user_id="u2", symbol=SYMBOL)
        async with connect(world.ready.grpc, tls=tls, token="guessed") as client:
            with pytest.raises(Unauthenticated):
                await client.get_position(user_id="u1", symbol=SYMBOL)
        async with connect(world.ready.grpc) as client:
            with pytest.raises(Unavailable):
                await client.get_position(user_id="u1", symbol=SYMBOL, timeout_seconds=0.3)


async def test_a_cancelled_call_stops_trying(script: Script) -> None:
    script.failures.extend([grpc.StatusCode.UNAVAILABLE] * 100_000)
    async with AsyncClient(script.address, retry=QUICK) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.execute_market_order(**ORDER)
        tried = len(script.orders)
    assert tried >= 1
    assert len(script.orders) == tried
