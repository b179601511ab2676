"""The demo's stops as clients handle them: armed, moved, cancelled and watched."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from execution.cli.demo.flow import Kind, OrderFlow, Wish
from execution.cli.demo.state import Session
from execution.client import AsyncClient, AsyncOrderWatch, Direction
from execution.errors import (
    DeadlineExceeded,
    ExecutionError,
    InvalidArgument,
    Overloaded,
    ResumeTokenGone,
    TooLate,
    Unavailable,
)
from execution.v1 import execution_pb2 as pb

RESTING_MAX: Final = 60
"""With so many at rest one is cancelled before another is armed: a demo may run for hours."""
WATCH_AGAIN_SECONDS: Final = 0.5


class StopTraders:
    """Whoever has stops in the demo. What fails raises `ExecutionError`."""

    def __init__(self, client: AsyncClient, flow: OrderFlow, session: Session) -> None:
        self._client = client
        self._flow = flow
        self._session = session

    async def arm(self, wish: Wish) -> None:
        """Sends a stop."""
        lasts = wish.expire_seconds
        expires = None if lasts is None else datetime.now(UTC) + timedelta(seconds=lasts)
        try:
            report = await self._client.execute_sl_order(
                user_id=wish.user_id,
                symbol=wish.symbol,
                direction=wish.direction,
                quantity=wish.quantity,
                trigger_price=wish.trigger_price,
                reduce_only=wish.reduce_only,
                expire_time=expires,
            )
        except InvalidArgument:
            if expires is None or datetime.now(UTC) < expires:
                raise
            # Redis was away for longer than the stop was to rest.
            self._session.stops.too_late += 1
        else:
            await self.hear(report)

    def chosen(self, kind: Kind) -> pb.ExecutionReport | None:
        """The stop that such an order is about: any that rests; None to arm another."""
        resting = list(self._session.stops.resting.values())
        full = kind is Kind.STOP and len(resting) >= RESTING_MAX
        if not resting or (kind is Kind.STOP and not full):
            return None
        return resting[self._flow.pick(len(resting))].report

    async def change(self, kind: Kind, stop: pb.ExecutionReport) -> None:
        """Moves its trigger, or cancels it; it may trigger first, and then has won."""
        order_id, user_id = stop.order_id, stop.user_id
        try:
            if kind is Kind.MODIFY:
                direction = Direction(stop.direction)
                moved = self._flow.trigger_price(stop.symbol, direction)
                report = await self._client.modify_order(
                    order_id=order_id,
                    user_id=user_id,
                    trigger_price=moved or stop.trigger_price,
                )
                self._session.stops.modified += 1
            else:
                report = await self._client.cancel_order(order_id=order_id, user_id=user_id)
        except TooLate:
            self._session.stops.too_late += 1
        else:
            await self.hear(report)

    async def hear(self, report: pb.ExecutionReport) -> None:
        """Takes what was told of a stop, and looks what it did to the position."""
        if self._session.stop_told(report, time.time_ns()) and report.fills:
            await self.look_at_position(report)

    async def look_at_position(self, report: pb.ExecutionReport) -> None:
        """Asks what the trader of that report holds now."""
        try:
            position = await self._client.get_position(user_id=report.user_id, symbol=report.symbol)
        except (Unavailable, DeadlineExceeded) as error:
            self._session.errors[type(error).__name__] += 1
        else:
            self._session.hold(position)

    @asynccontextmanager
    async def watching(self, users: Iterable[str]) -> AsyncIterator[None]:
        """Hears of every change of these users' stops; stands before the block begins."""
        watches = {user: self._client.watch_orders(user_id=user) for user in users}
        await asyncio.gather(*(watch.__aenter__() for watch in watches.values()))
        tasks = [asyncio.create_task(self._watch(*item)) for item in watches.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, user_id: str, watch: AsyncOrderWatch) -> None:
        while True:
            token = ""
            try:
                async for report in watch:
                    if report.order_type == pb.ORDER_TYPE_SL:
                        await self.hear(report)
            except (Unavailable, DeadlineExceeded, Overloaded):
                token = watch.token
            except ResumeTokenGone:
                pass  # from now on, then
            except ExecutionError as error:
                self._session.unexpected.append(f"watch of {user_id}: {error}")
                return
            finally:
                watch.close()
            await asyncio.sleep(WATCH_AGAIN_SECONDS)
            watch = self._client.watch_orders(user_id=user_id, resume_token=token)
