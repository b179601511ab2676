"""A gRPC client of one server over ngh2: unary calls and streamed answers, few microseconds each.

What grpcio does with threads, completion queues and a socket pair is done here
in the event loop: a call is a future, and all calls of one tick leave in one
write. No TLS, no load balancing, no name resolver but the system's.
"""

import asyncio
import math
import random
import re
from collections.abc import Callable
from typing import Final

from grpc import StatusCode

from execution.http2.answers import CallError
from execution.http2.client_call import Arrived, Call
from execution.http2.client_link import ClientConfig, Link

_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
_SCHEMES: Final = frozenset({"dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds"})
_EARLY_SECONDS: Final = 0.001
"""How early a timer of the loop may ring; uvloop's count whole milliseconds."""
_CLOSED: Final = "the channel is closed"


class Address:
    """Where a target is: HOST:PORT, or `unix:PATH`. Raises `ValueError` for any other."""

    def __init__(self, target: str) -> None:
        self.path = _unix_path(target)
        self.host, self.port = "", 0
        if not self.path:
            found = _HOST_PORT.fullmatch(target)
            if found is None or found[1] in _SCHEMES or int(found[2]) > 65_535:
                raise ValueError(f"{target!r} is neither HOST:PORT nor unix:PATH")
            self.host, self.port = found[1].strip("[]"), int(found[2])
        self.authority = b"localhost" if self.path else target.encode("ascii")


def _unix_path(target: str) -> str:
    for scheme in ("unix://", "unix:"):
        if target.startswith(scheme):
            return target.removeprefix(scheme)
    return ""


class Channel:
    """Calls to one server. Every call that does not end with OK raises `CallError`.

    Connects at the first call or `watch`, and from then on whenever the
    connection is lost. A call made while an attempt is under way waits for it;
    one made between attempts fails at once with UNAVAILABLE.
    """

    def __init__(
        self,
        target: str,
        config: ClientConfig | None = None,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._address = Address(target)
        self._config = config or ClientConfig()
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop | None = None
        """Kept, because before Python 3.12 to ask which loop runs is a system call."""
        self._link: Link | None = None
        """What new calls go to; None while there is no connection."""
        self._links: set[Link] = set()
        """All that are not lost; older ones still end the calls they have."""
        self._waiting: list[Call] = []
        self._problem = ""
        """Why there is no connection, between attempts; empty while one is under way."""
        self._attempt: asyncio.Future[str] | None = None
        self._gone: asyncio.Future[str] | None = None
        """Done when the present link takes no calls any more."""
        self._connector: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._closed = asyncio.Event()
        self._changed: Callable[[bool], None] = _nobody

    @property
    def connected(self) -> bool:
        """Whether a call would leave at once."""
        return self._link is not None

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """Tells of every connection that is made (True) or lost (False), until closed."""
        self._changed = changed
        self._connect()
        await self._closed.wait()

    async def unary(self, path: bytes, request: bytes, timeout_seconds: float | None) -> bytes:
        """The one message that answers this one. Raises `CallError`."""
        return await self._answer(self._begin(path, request, timeout_seconds, None))

    async def stream(self, path: bytes, request: bytes, arrived: Arrived) -> None:
        """Hands over every message of the answer at once; returns at its end.

        What `arrived` raises ends the call and is raised here.
        """
        await self._answer(self._begin(path, request, None, arrived))

    async def close(self) -> None:
        """Ends every call and the connection."""
        self._closed.set()
        self._changed = _nobody
        if self._timer is not None:
            self._timer.cancel()
        if self._connector is not None:
            self._connector.cancel()
            await asyncio.gather(self._connector, return_exceptions=True)
        self._let_go(CallError(StatusCode.CANCELLED, _CLOSED))
        links = list(self._links)
        for link in links:
            link.close(_CLOSED)
        # Shielded, so that who stops waiting cancels no link's own future.
        await asyncio.shield(asyncio.gather(*(link.lost for link in links)))

    # Calls.

    def _begin(
        self, path: bytes, request: bytes, timeout_seconds: float | None, arrived: Arrived | None
    ) -> Call:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        deadline = None if timeout_seconds is None else loop.time() + timeout_seconds
        bytes_max = self._config.message_bytes_max
        call = Call(loop.create_future(), path, request, deadline, bytes_max, arrived)
        link = self._link
        if link is None:
            self._wait(call)
        elif len(link) < self._config.calls_max:
            link.send(call)
        else:
            call.fail(_too_many(self._config.calls_max))
        if deadline is not None and deadline < self._rings_at:
            self._ring_at(deadline)
        return call

    async def _answer(self, call: Call) -> bytes:
        try:
            return await call.done
        except asyncio.CancelledError:
            for link in self._links:
                link.abandon(call)
            raise

    def _wait(self, call: Call) -> None:
        if self._closed.is_set():
            call.fail(CallError(StatusCode.CANCELLED, _CLOSED))
        elif self._problem:
            call.fail(CallError(StatusCode.UNAVAILABLE, self._problem))
        elif len(self._waiting) >= self._config.calls_max:
            call.fail(_too_many(self._config.calls_max))
        else:
            self._waiting.append(call)
            self._connect()

    def _let_go(self, error: CallError) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.fail(CallError(error.code, error.details))

    # Deadlines: one timer for all calls, for the earliest.

    def _ring_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        """Ends what is due. Calls that were answered in time have left no timer behind."""
        self._timer, self._rings_at = None, math.inf
        now = asyncio.get_running_loop().time() + _EARLY_SECONDS
        for link in self._links:
            link.sweep(now)
        for call in self._waiting:
            if call.deadline is not None and call.deadline <= now:
                call.expire()
        self._waiting = [call for call in self._waiting if not call.done.done()]
        calls = [*self._waiting, *(call for link in self._links for call in link.calls)]
        deadlines = [call.deadline for call in calls if call.deadline is not None]
        if deadlines:
            self._ring_at(min(deadlines))

    # The connection.

    def _connect(self) -> None:
        if self._connector is None and not self._closed.is_set():
            self._connector = asyncio.create_task(self._keep_connected(), name="http2 connection")

    async def _keep_connected(self) -> None:
        """Connects, waits until that connection is gone, and connects again."""
        loop, config = asyncio.get_running_loop(), self._config
        backoff = config.backoff_seconds_min
        while True:
            begun = loop.time()
            # After a connection that was lost calls wait for the next attempt;
            # after an attempt that failed they need not.
            self._problem = await self._open()
            if not self._problem and self._gone is not None:
                await self._gone
            elapsed = loop.time() - begun
            if elapsed > config.backoff_seconds_max:
                backoff = config.backoff_seconds_min
            await asyncio.sleep(max(0.0, backoff * (1 + 0.25 * self._jitter()) - elapsed))
            self._problem = ""
            backoff = min(2 * backoff, config.backoff_seconds_max)

    async def _open(self) -> str:
        """One attempt. Returns why it failed, or "" if calls can be made."""
        loop = asyncio.get_running_loop()
        self._attempt = loop.create_future()
        address, limit = self._address, self._config.connect_seconds
        link = Link(address.authority, self._config, self._made, self._lost)
        try:
            async with asyncio.timeout(limit):
                if address.path:
                    await loop.create_unix_connection(lambda: link, address.path)
                else:
                    await loop.create_connection(lambda: link, address.host, address.port)
                self._links.add(link)
                link.lost.add_done_callback(lambda _: self._links.discard(link))
                problem = await self._attempt
        except TimeoutError:
            problem = f"no HTTP/2 connection within {limit} s"
            link.close(problem)
        except (OSError, ValueError) as error:  # ValueError: no host can be called so
            problem = f"cannot connect: {error}"
        if problem:
            self._let_go(CallError(StatusCode.UNAVAILABLE, problem))
        return problem

    def _made(self, link: Link) -> None:
        self._link = link
        self._gone = asyncio.get_running_loop().create_future()
        _settle(self._attempt, "")
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if not call.done.done():
                link.send(call)
        self._changed(True)

    def _lost(self, link: Link, reason: str) -> None:
        if link is self._link:
            self._link = None
            _settle(self._gone, reason)
            self._changed(False)
        else:
            _settle(self._attempt, reason)


def _settle(future: asyncio.Future[str] | None, reason: str) -> None:
    """Tells the connector, unless it has been ended meanwhile."""
    if future is not None and not future.done():
        future.set_result(reason)


def _too_many(calls_max: int) -> CallError:
    return CallError(StatusCode.RESOURCE_EXHAUSTED, f"{calls_max} calls are under way already")


def _nobody(_: bool) -> None:
    """Listens to nothing."""
