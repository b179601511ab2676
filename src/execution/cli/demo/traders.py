"""The demo's traders: wishes go out as orders, answers come back into the session."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, NamedTuple

from execution.cli.demo.flow import Kind, OrderFlow, Wish
from execution.cli.demo.state import Session
from execution.cli.demo.stop_traders import StopTraders
from execution.client import AsyncClient, Direction
from execution.errors import (
    DeadlineExceeded,
    ExecutionError,
    InvalidArgument,
    OrderIdReused,
    OrderNotFound,
    Overloaded,
    Unavailable,
)
from execution.v1 import execution_pb2 as pb

ORDERS_MAX: Final = 500_000
"""Then the demo ends by itself: the proof keeps every answer in memory."""
IN_FLIGHT_MAX: Final = 128
BEHIND_SECONDS_MAX: Final = 1.0
"""Orders that are overdue longer than this are not made up for."""
REMEMBERED: Final = 50
SETTLE_SECONDS: Final = 5.0

MUST_FAIL: Final = {Kind.MALFORMED: InvalidArgument, Kind.REUSED_ID: OrderIdReused}
"""What the service has to say to these; anything else is a failure of the demo."""


class _Answered(NamedTuple):
    """An order that can be sent again."""

    order_id: str
    wish: Wish
    answer: bytes


class Traders:
    """Everybody who trades in the demo."""

    def __init__(self, client: AsyncClient, flow: OrderFlow, session: Session) -> None:
        self._client = client
        self._flow = flow
        self._session = session
        self._stops = StopTraders(client, flow, session)
        self._answered: deque[_Answered] = deque(maxlen=REMEMBERED)

    async def trade(self, rate: float, stop: asyncio.Event) -> None:
        """Sends orders, `rate` a second on average, until `stop`; then ends those under way.

        They come as they come, whether earlier ones are answered or not, up to
        `IN_FLIGHT_MAX` at once.
        """
        clock = asyncio.get_running_loop().time
        free = asyncio.Semaphore(IN_FLIGHT_MAX)
        due = clock()
        async with asyncio.TaskGroup() as orders:
            while self._session.orders < ORDERS_MAX:
                due = max(due + self._flow.gap_seconds(rate), clock() - BEHIND_SECONDS_MAX)
                if await _is_set_within(stop, due - clock()):
                    return
                await free.acquire()
                order = orders.create_task(self._next_order())
                order.add_done_callback(lambda _: free.release())

    def watching(self, users: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Hears what becomes of these users' stops, as long as the block lasts."""
        return self._stops.watching(users)

    async def settle(self) -> None:
        """Asks, for some seconds, what became of the orders that were never answered."""
        await asyncio.gather(*map(self._ask, list(self._session.in_doubt)))

    async def _next_order(self) -> None:
        kind = self._flow.next_kind()
        earlier = self._answered[self._flow.pick(len(self._answered))] if self._answered else None
        if earlier is not None and kind is Kind.RETRY:
            await self._retry(earlier)
        elif earlier is not None and kind is Kind.REUSED_ID:
            await self._reuse(earlier)
        elif kind in {Kind.STOP, Kind.MODIFY, Kind.CANCEL}:
            await self._stop(kind)
        else:
            kind = kind if kind not in {Kind.RETRY, Kind.REUSED_ID} else Kind.PLAIN
            await self._order(self._flow.wish(kind, self._session.held()))

    async def _order(self, wish: Wish, order_id: str | None = None) -> None:
        begun_ns = time.perf_counter_ns()
        try:
            report = await self._send(wish, order_id)
        except ExecutionError as error:
            self._failed(wish, error)
            return
        self._session.latencies.add(time.perf_counter_ns() - begun_ns, time.monotonic())
        self._session.executed(report, time.time_ns())
        if wish.kind in MUST_FAIL:
            self._session.unexpected.append(f"{wish.kind} order {report.order_id} was executed")
        self._answered.append(_Answered(report.order_id, wish, _bytes(report)))
        if report.fills:
            await self._stops.look_at_position(report)

    async def _retry(self, earlier: _Answered) -> None:
        try:
            report = await self._send(earlier.wish, earlier.order_id)
        except ExecutionError as error:
            self._failed(earlier.wish, error)
            return
        same = _bytes(report) == earlier.answer
        self._session.retried(earlier.wish, time.time_ns(), same=same)

    async def _reuse(self, earlier: _Answered) -> None:
        """Another order under an id that is taken: the other side of the same trade."""
        sells = earlier.wish.direction is Direction.SELL
        other = Direction.BUY if sells else Direction.SELL
        wish = replace(earlier.wish, kind=Kind.REUSED_ID, direction=other)
        await self._order(wish, earlier.order_id)

    async def _stop(self, kind: Kind) -> None:
        """Arms a stop, or changes one; what becomes of it later is watched."""
        stop = self._stops.chosen(kind)
        wish = self._flow.wish(Kind.STOP, self._session.held())
        try:
            if stop is None:
                await self._stops.arm(wish)
            else:
                await self._stops.change(kind, stop)
        except ExecutionError as error:
            self._failed(wish if stop is None else _as_wish(kind, stop), error)

    async def _ask(self, order_id: str) -> None:
        try:
            report = await self._client.get_order(
                order_id=order_id,
                user_id=self._session.in_doubt[order_id],
                timeout_seconds=SETTLE_SECONDS,
            )
        except OrderNotFound:
            pass  # it never arrived
        except (Unavailable, DeadlineExceeded):
            return
        else:
            if report.order_type == pb.ORDER_TYPE_SL:
                await self._stops.hear(report)
            else:
                self._session.executed(report, time.time_ns())
        del self._session.in_doubt[order_id]

    def _failed(self, wish: Wish, error: ExecutionError) -> None:
        self._session.failed(wish, error, time.time_ns())
        if isinstance(error, Unavailable | DeadlineExceeded | Overloaded):
            order_id = error.metadata["order_id"]
            if not self._is_known(order_id):
                self._session.in_doubt[order_id] = wish.user_id
        elif type(error) is not MUST_FAIL.get(wish.kind):
            self._session.unexpected.append(f"{wish.kind} order: {type(error).__name__} {error}")

    def _is_known(self, order_id: str) -> bool:
        return order_id in self._session.outcomes or order_id in self._session.stops.told

    def _send(self, wish: Wish, order_id: str | None) -> Awaitable[pb.ExecutionReport]:
        return self._client.execute_market_order(
            order_id=order_id,
            user_id=wish.user_id,
            symbol=wish.symbol,
            direction=wish.direction,
            quantity=wish.quantity,
            limit_price=wish.limit_price,
            max_slippage_bps=wish.max_slippage_bps,
            time_in_force=wish.time_in_force,
        )


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _as_wish(kind: Kind, stop: pb.ExecutionReport) -> Wish:
    """What a change of that stop is called on the screen."""
    return Wish(kind, stop.user_id, stop.symbol, Direction(stop.direction), stop.quantity)


def _bytes(report: pb.ExecutionReport) -> bytes:
    return report.SerializeToString(deterministic=True)
