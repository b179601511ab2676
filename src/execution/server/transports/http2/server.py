"""A gRPC server over HTTP/2, used as a `grpc.aio.Server` is."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import ngh2
from grpc import StatusCode

from execution.server.transports.call import PlainHandler, PlainStreamHandler
from execution.server.transports.http2.blocking import Threads
from execution.server.transports.http2.connection import Connection
from execution.server.transports.http2.handshakes import Handshakes
from execution.server.transports.http2.limits import HARD, Limits
from execution.server.transports.http2.listening import Port, listen_on
from execution.server.transports.http2.methods import Methods, RpcHandler
from execution.server.transports.http2.task_call import TaskCall
from execution.server.transports.tls import Tls

_POLL_SECONDS: Final = 0.005
NOTICE_SECONDS: Final = 0.5
"""At most, between the two GOAWAY frames of a drain: what crosses with the first is answered."""
_LAST_SECONDS: Final = 0.1
"""For clients to read what ends their calls, and for threads to return."""
_CANCEL_SECONDS: Final = 5.0
"""For handlers to clean up."""
_STOPPED: Final = "this server has shut down"

_log = logging.getLogger(__name__)


class Http2Server:
    """Takes asyncio servicers as generated code adds them; use within one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._threads = Threads(self.limits.threads_max)
        self.methods = Methods(self._threads)
        self.config = _configuration(self.limits)
        self._connections: set[Connection] = set()
        self._handshakes: Handshakes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port: Port | None = None
        self._checks: asyncio.TimerHandle | None = None
        self._stopping = False

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """As of `grpc.aio.Server`."""
        self.methods.add_generic(handlers)

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, RpcHandler]
    ) -> None:
        """As of `grpc.aio.Server`."""
        self.methods.add(service, handlers)

    def add_plain_handlers(self, service: str, handlers: Mapping[str, PlainHandler]) -> None:
        """Unary rpcs that are answered without a task of their own."""
        self.methods.add_plain(service, handlers)

    def add_plain_streams(self, service: str, handlers: Mapping[str, PlainStreamHandler]) -> None:
        """Rpcs whose requests are answered one by one, without a task of their own."""
        self.methods.add_plain_streams(service, handlers)

    async def start(self, listen: str, tls: Tls | None = None, *, reuse_port: bool = False) -> str:
        """Listens on HOST:PORT (port 0: any) or unix:PATH; returns the address.

        `reuse_port`: other processes may listen there too, and the kernel deals
        connections out among them. Raises `StartupError` if the address cannot
        be had or the certificates do not fit together.
        """
        accept: Callable[[], asyncio.Protocol] = self._connection
        if tls is not None:
            self._handshakes = Handshakes(
                tls.context(), self.limits.handshake_seconds, accept, self._has_room
            )
            accept = self._handshakes.accept
        self._port = await listen_on(listen, accept, reuse_port=reuse_port)
        loop = asyncio.get_running_loop()
        self._checks = loop.call_later(self.limits.check_seconds, self._check)
        return self._port.address

    async def notify_of_shutdown(self) -> None:
        """The first of two steps: clients are asked to go elsewhere, calls still come.

        Returns after what crossed with the notice has arrived: when every client
        has answered, or had time to. Connections that come later are not told.
        """
        connections = list(self._connections)
        for connection in connections:
            connection.notify_of_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTICE_SECONDS):
                for connection in connections:
                    await connection.told.wait()

    def go_away(self) -> None:
        """The second step: each connection ends with the calls it has."""
        for connection in list(self._connections):
            connection.go_away()

    async def stop(self, grace: float | None = None) -> None:
        """Closes the port, gives calls `grace` seconds, ends what is left."""
        self._stopping = True
        if self._checks is not None:
            self._checks.cancel()
        if self._port is not None:
            self._port.close()
        if self._handshakes is not None:
            self._handshakes.stop()
        self.go_away()
        if grace:
            await self._within(grace, lambda: any(c.calls for c in self._connections))
        for connection in list(self._connections):
            connection.break_off(StatusCode.UNAVAILABLE, _STOPPED)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=_CANCEL_SECONDS)
            if stubborn:
                _log.error("%s handlers do not heed that they are cancelled", len(stubborn))
        await self._threads.stop(_LAST_SECONDS)
        # What they are told is on its way; who reads it closes.
        await self._within(_LAST_SECONDS, lambda: bool(self._connections))
        for connection in list(self._connections):
            connection.abort()
        await self._within(_LAST_SECONDS, lambda: bool(self._connections))
        if self._port is not None:
            await self._port.closed()
            self._port = None

    # For connections; see `connection.Host`.

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        if self._handshakes is not None:
            self._handshakes.agreed(connection)
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections_max and not self._stopping

    def closed(self, connection: Connection) -> None:
        """It is no more."""
        self._connections.discard(connection)

    def spawn(self, call: TaskCall) -> "asyncio.Task[None]":
        """Runs the call."""
        task = asyncio.get_running_loop().create_task(call.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    @property
    def shaking(self) -> int:
        """How many have not finished their TLS handshake, and may never."""
        return 0 if self._handshakes is None else len(self._handshakes)

    def _connection(self) -> Connection:
        return Connection(self)

    def _has_room(self) -> bool:
        """For one more that has not shown yet who it is."""
        taken = len(self._connections) + self.shaking
        return taken < self.limits.connections_max and not self._stopping

    async def _within(self, seconds: float, busy: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while busy():  # noqa: ASYNC110 - too seldom for an event at every end
                    await asyncio.sleep(_POLL_SECONDS)

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._checks = loop.call_later(self.limits.check_seconds, self._check)


def _configuration(limits: Limits) -> ngh2.Configuration:
    return ngh2.Configuration(
        auto_window_update=False,
        max_inbound_header_list_size=HARD * limits.header_bytes_max,
        max_inbound_header_count=HARD * limits.headers_max,
        # Its estimate is generous; what we send is bounded before.
        max_send_header_block_length=2 * limits.reply_header_bytes_max + 65_536,
        max_continuations=limits.continuations_max,
        stream_reset_rate_limit=limits.resets,
        glitch_rate_limit=limits.glitches,
    )
