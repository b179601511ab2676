"""Whatever many users do at once, through two replicas, Redis tells one story that adds up.

A seed draws a program of orders, stops, cancels, modifies, retries and books;
all of it is sent without waiting for one another to two services on one Redis,
whose connections break now and then. At the end everything written is held
against a plain model, and proven by `verify`.

The schedule is the machine's, so a seed repeats the program, not the race. A
long campaign: EXECUTION_INTERLEAVINGS=500 (seeds) pytest tests/property/test_interleavings.py
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from fractions import Fraction
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from market import Market, spec
from plain_model import Asked, Levels, Shown, Story
from recorded_history import proof_of
from redis_server import RedisServer

from execution.adapters.records import report_from_json
from execution.server.app import App
from execution.server.config import ServeConfig
from execution.server.messages import report_message
from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc
from execution.verify.state import Options

SEEDS = int(os.environ.get("EXECUTION_INTERLEAVINGS", "10"))
FIRST_SEED = int(os.environ.get("EXECUTION_INTERLEAVINGS_FROM", "0"))
OPERATIONS = int(os.environ.get("EXECUTION_INTERLEAVED", "300"))
AT_ONCE = 32
QUIET_SECONDS = 20.0
SNAPSHOT_AGES_MS = (500, 500, 30)
FEE_BPS = "2.5"
REFERENCED, PLAIN, COARSE = "AAA-USDT", "BBB-USDT", "CCC-USDT"
SPECS = {
    REFERENCED: spec(REFERENCED, price_decimals=1, quantity_decimals=3),
    PLAIN: spec(PLAIN, price_decimals=2, quantity_decimals=2, quantity_step="0.1"),
    COARSE: spec(COARSE, price_decimals=0, quantity_decimals=1, min_quantity="0.2"),
}
USERS = ("ann", "bob", "cem", "dee")
FORESEEN = {
    grpc.StatusCode.FAILED_PRECONDITION: "too late, or another version",
    grpc.StatusCode.NOT_FOUND: "cancelled before it was sent",
    grpc.StatusCode.ALREADY_EXISTS: "the id was used for another order",
    grpc.StatusCode.INVALID_ARGUMENT: "expired before it arrived",
}


class Program:
    """One seed's users and market, on two replicas of the service."""

    def __init__(self, seed: int, server: RedisServer, market: Market) -> None:
        self.random = Random(seed)
        self.server = server
        self.market = market
        self.services: list[Any] = []
        self.asked: dict[str, Asked] = {}
        self.requests: dict[str, tuple[str, pb.OrderRequest]] = {}
        self.shown: dict[tuple[str, int], Shown] = {}
        self.newest: dict[str, Shown] = {}
        self.middle = dict.fromkeys(SPECS, 100.0)
        self.codes: Counter[str] = Counter()
        self.doubts = 0
        """Commits whose outcome a replica did not hear: it gave back what they had taken."""
        self.permits = asyncio.Semaphore(AT_ONCE)

    # --- the market

    def show(self, symbol: str, book: Shown) -> None:
        feed = self.market.feeds[symbol]
        self.shown[symbol, feed.book.sequence + 1] = self.newest[symbol] = book
        feed.set_book(book.bids, book.asks, last=book.last, mark=book.mark)

    def price(self, symbol: str, value: float) -> str:
        return f"{max(value, 1):.{SPECS[symbol].price_decimals}f}"

    def draw_book(self, symbol: str) -> Shown:
        """A random walk; now and then a side is empty, or the book is crossed."""
        draw = self.random
        self.middle[symbol] = min(max(self.middle[symbol] + draw.gauss(0, 1.2), 60), 140)
        middle, fate = self.middle[symbol], draw.random()
        tick = 10.0 ** -SPECS[symbol].price_decimals

        def side(sign: int) -> Levels:
            best = middle + sign * tick * draw.randint(1, 3)
            prices = [self.price(symbol, best + sign * n * tick) for n in range(4)]
            return tuple((price, f"{draw.randint(1, 40) / 10}") for price in prices)

        bids, asks = side(-1), side(1)
        if fate < 0.04:
            bids = ()
        elif fate < 0.08:
            asks = ()
        elif fate < 0.11:
            bids, asks = side(1), side(-1)
        if symbol != REFERENCED:
            return Shown(bids, asks)
        near = [self.price(symbol, middle + draw.uniform(-1, 1)) for _ in range(2)]
        return Shown(bids, asks, last=near[0], mark=near[1])

    # --- what users send

    def quantity(self) -> str:
        return f"{self.random.randint(2, 50) / 10}"

    def draw_order(self, number: int) -> None:
        """A new market or stop order; remembered, to be sent and sent again."""
        draw = self.random
        symbol, user_id = draw.choice(list(SPECS)), draw.choice(USERS)
        direction = draw.choice(("BUY", "SELL"))
        asked = Asked(user_id, symbol, direction, reduce_only=draw.random() < 0.3)
        asked.fok = draw.random() < 0.1
        request = pb.OrderRequest(
            order_id=f"o-{number}",
            user_id=user_id,
            symbol=symbol,
            direction=pb.Direction.Value(f"DIRECTION_{direction}"),
            quantity=self.quantity(),
            reduce_only=asked.reduce_only,
        )
        if asked.fok:
            request.time_in_force = pb.TIME_IN_FORCE_FOK
        if draw.random() < 0.2:
            request.limit_price = self.near(symbol)
        if draw.random() < 0.1:
            request.max_slippage_bps = draw.randint(0, 300)
        asked.limits.append(request.limit_price if request.HasField("limit_price") else None)
        method = "ExecuteMarketOrder"
        if draw.random() < 0.6:
            method = "ExecuteSLOrder"
            self.make_a_stop(request, asked)
        self.asked[request.order_id] = asked
        self.requests[request.order_id] = (method, request)

    def make_a_stop(self, request: pb.OrderRequest, asked: Asked) -> None:
        draw = self.random
        if draw.random() < 0.05:
            return
        request.trigger_price = self.near(asked.symbol)
        request.reject_if_triggered = draw.random() < 0.1
        if asked.symbol == REFERENCED:
            asked.trigger_by = draw.choice(("BID_ASK", "LAST", "MARK"))
            request.trigger_by = pb.TriggerBy.Value(f"TRIGGER_BY_{asked.trigger_by}")
        if draw.random() < 0.15:
            asked.expire_time_ns = time.time_ns() + int(draw.uniform(0.05, 2) * 1e9)
            moment = Timestamp()
            moment.FromNanoseconds(asked.expire_time_ns)
            request.expire_time.CopyFrom(moment)

    def near(self, symbol: str) -> str:
        return self.price(symbol, self.middle[symbol] + self.random.gauss(0, 3))

    async def send(self, order_id: str) -> None:
        method, request = self.requests[order_id]
        await self.call(order_id, method, request)

    async def send_another(self, order_id: str) -> None:
        """The same id for another order: one of the two never executes."""
        method, request = self.requests[order_id]
        other = pb.OrderRequest.FromString(request.SerializeToString())
        other.quantity = "77"
        await self.call(order_id, method, other)

    async def cancel(self, order_id: str) -> None:
        request = pb.CancelOrderRequest(order_id=order_id, user_id=self.asked[order_id].user_id)
        await self.call(order_id, "CancelOrder", request)

    async def modify(self, order_id: str, **changes: Any) -> None:
        asked = self.asked[order_id]
        request = pb.ModifyOrderRequest(order_id=order_id, user_id=asked.user_id, **changes)
        if "limit_price" in changes:
            asked.limits.append(changes["limit_price"])
        await self.call(order_id, "ModifyOrder", request)

    def draw_change(self, symbol: str) -> dict[str, Any]:
        changes: dict[str, Any] = {"trigger_price": self.near(symbol)}
        if self.random.random() < 0.3:
            changes = {"quantity": self.quantity()}
        if self.random.random() < 0.15:
            changes["limit_price"] = self.near(symbol)
        if self.random.random() < 0.3:
            changes["expected_version"] = self.random.randint(1, 3)
        return changes

    async def call(self, order_id: str, method: str, request: Any) -> None:
        """Through either replica, again while it says UNAVAILABLE; keeps what it answers."""
        first, other = self.random.sample(self.services, 2)
        look_again = self.random.random() < 0.3
        async with self.permits:
            answer = await self.insist(getattr(first, method), request)
            if answer is None:
                return
            self.keep(answer)
            if look_again:
                get = pb.GetOrderRequest(order_id=order_id, user_id=answer.user_id)
                seen = await self.insist(other.GetOrder, get)
                assert seen is not None
                assert seen.version >= answer.version, f"{order_id} went back in time"
                self.keep(seen)

    async def insist(
        self, rpc: Callable[..., Awaitable[pb.ExecutionReport]], request: Any
    ) -> pb.ExecutionReport | None:
        """The report, None where the refusal is foreseen."""
        for _ in range(200):
            try:
                report = await rpc(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                self.codes[error.code().name] += 1
                self.doubts += "outcome is unknown" in str(error.details())
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    await asyncio.sleep(0.02)
                    continue
                if error.code() not in FORESEEN:
                    raise
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT and (
                    self.asked[request.order_id].expire_time_ns is None
                ):
                    raise
                self.keep_state_in(error)
                return None
            self.codes[pb.OrderStatus.Name(report.status)] += 1
            return report
        raise AssertionError(f"never available: {request}")

    def keep_state_in(self, error: grpc.aio.AioRpcError) -> None:
        """The present state that a refusal carries is an answer, too."""
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        for packed in status_pb2.Status.FromString(details).details if details else ():
            report = pb.ExecutionReport()
            if packed.Unpack(report):
                self.keep(report)

    def keep(self, report: pb.ExecutionReport) -> None:
        self.asked[report.order_id].answers.append(report.SerializeToString(deterministic=True))

    # --- the program

    async def run(self, operations: int) -> None:
        """Sends everything, then shows a last book and waits until nothing moves."""
        draw, tasks = self.random, set[asyncio.Task[None]]()
        for number in range(operations):
            for work in self.draw_operation(number):
                tasks.add(asyncio.create_task(work))
            await asyncio.sleep(draw.choice((0, 0, 0, 0.001, 0.005)))
            async with self.permits:
                pass
        await asyncio.gather(*tasks)
        for symbol in SPECS:
            mid = self.middle[symbol]
            bid, ask = self.price(symbol, mid - 1), self.price(symbol, mid + 1)
            prices = (self.price(symbol, mid),) * 2 if symbol == REFERENCED else (None, None)
            self.show(symbol, Shown(((bid, "9000"),), ((ask, "9000"),), *prices))
        await self.quiet()

    def draw_operation(self, number: int) -> list[Coroutine[Any, Any, None]]:
        draw, known = self.random, list(self.asked)[-40:]
        what = draw.random()
        if what < 0.25:
            symbol = draw.choice(list(SPECS))
            self.show(symbol, self.draw_book(symbol))
            return []
        if what < 0.70 or not known:
            self.draw_order(number)
            times = 1 if draw.random() < 0.85 else 3
            return [self.send(f"o-{number}") for _ in range(times)]
        order_id = draw.choice(known)
        if what < 0.80:
            return [self.cancel(order_id)]
        if what < 0.92:
            return [self.modify(order_id, **self.draw_change(self.asked[order_id].symbol))]
        if what < 0.98:
            return [self.send(order_id)]
        if what < 0.99:
            return [self.send_another(order_id)]
        self.server.command("CLIENT", "KILL", "TYPE", "normal")
        return []

    async def quiet(self) -> None:
        """Until every stop the market has crossed, and every time that is up, has been seen to."""
        deadline = time.monotonic() + QUIET_SECONDS
        while True:
            story = Story(self.server)
            left = story.unfinished(self.asked, self.newest, time.time_ns() + 2_000_000_000)
            if not left:
                return
            assert time.monotonic() < deadline, [story.updates[order_id] for order_id in left]
            await asyncio.sleep(0.05)

    async def check(self) -> None:
        story = Story(self.server)
        for order_id, order in self.asked.items():
            order.told = [
                report_message(report_from_json(text)).SerializeToString(deterministic=True)
                for text in story.texts[order_id]
            ]
        story.check_updates(self.asked)
        story.check_answers(self.asked)
        holdings = story.check_trades(self.asked, SPECS, FEE_BPS)
        replicas = None if self.doubts else len(self.services)
        story.check_market(self.asked, self.shown, replicas)
        for service in self.services:
            for order_id, updates in story.updates.items():
                get = pb.GetOrderRequest(order_id=order_id, user_id=updates[0]["user_id"])
                report = await service.GetOrder(get, timeout=20)
                told = self.asked[order_id].told[-1]
                assert report.SerializeToString(deterministic=True) == told, order_id
            for (user_id, symbol), holding in holdings.items():
                ask = pb.GetPositionRequest(user_id=user_id, symbol=symbol)
                position = await service.GetPosition(ask, timeout=20)
                assert Fraction(position.quantity) == holding.quantity
                assert Fraction(position.realized_pnl) == holding.pnl
        proof = await asyncio.to_thread(proof_of, self.server, Options(Fraction(FEE_BPS)))
        assert proof.ok, proof.findings
        assert proof.counts.trades == sum(holding.trades for holding in holdings.values())


async def run(seed: int, server: RedisServer, log: pytest.LogCaptureFixture) -> Counter[str]:
    """One seed from beginning to end; returns what callers were answered."""
    market = Market(SPECS.values())
    async with market, AsyncExitStack() as closing:
        # Now and then pushed books are stale between two heartbeats, and others are fetched.
        age_ms = SNAPSHOT_AGES_MS[seed % len(SNAPSHOT_AGES_MS)]
        apps = [await replica(server, market, closing, age_ms) for _ in range(2)]
        program = Program(seed, server, market)
        for symbol in SPECS:
            program.show(symbol, program.draw_book(symbol))
        for app in apps:
            ready = await asyncio.wait_for(app.ready(), 20)
            channel = await closing.enter_async_context(grpc.aio.insecure_channel(ready.grpc))
            program.services.append(execution_pb2_grpc.ExecutionServiceStub(channel))
        await program.run(OPERATIONS)
        program.doubts += "is tried again" in log.text
        await program.check()
        for app in apps:
            await app.drain(1)
        return program.codes


async def replica(
    server: RedisServer, market: Market, closing: AsyncExitStack, snapshot_age_ms: int
) -> App:
    app = App(
        ServeConfig(
            listen="127.0.0.1:0",
            metrics_listen="127.0.0.1:0",
            redis_url=server.url,
            symbol_service=market.address,
            taker_fee_bps=FEE_BPS,
            trigger_retry_ms=300,
            max_snapshot_age_ms=snapshot_age_ms,
        )
    )
    closing.push_async_callback(app.close)
    await app.start()
    return app


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
async def test_whatever_is_interleaved_adds_up(
    redis_server: RedisServer, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    codes = await run(seed, redis_server, caplog)
    # A program in which nothing happens proves nothing. The schedule is the
    # machine's, so a kind of end that a seed nearly always meets may once be missing.
    ends = [f"ORDER_STATUS_{name}" for name in ("FILLED", "REJECTED", "UNTRIGGERED", "CANCELED")]
    met = [end for end in (*ends, "FAILED_PRECONDITION") if codes[end]]
    assert len(met) >= 4, (seed, codes)
