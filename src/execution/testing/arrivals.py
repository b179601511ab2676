"""Counts calls into the simulated world, and lets a test await the n-th."""

import asyncio


class Arrivals:
    """How many calls came, and who waits for more of them."""

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def note(self) -> None:
        """One more call came."""
        self.count += 1
        for wanted, waiter in self._waiters:
            if wanted <= self.count and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(wanted, waiter) for wanted, waiter in self._waiters if not waiter.done()]

    async def reached(self, count: int) -> None:
        """Returns once `count` calls came, counted from the beginning."""
        if self.count >= count:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((count, waiter))
        await waiter
