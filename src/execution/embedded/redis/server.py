"""A live server as its user sees it: our own child, or one that another process keeps."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from execution.embedded.redis.errors import DataDirInUseError, EmbeddedRedisError
from execution.embedded.redis.files import DataDir, ServerState
from execution.embedded.redis.probe import Identity, NotUsableError, Probe, identify
from execution.embedded.redis.process import LeashedProcess

log = logging.getLogger(__name__)

POLICIES = ("no", "everysec", "always")
"""`appendfsync`, from the weakest promise to the strongest."""
_POLL_SECONDS = 0.005
_LOG_TAIL_BYTES = 4096
_LOG_TAIL_LINES = 12


class LiveServer(Protocol):
    """What the keeper needs of either kind."""

    @property
    def state(self) -> ServerState:
        """Where it listens."""

    async def gone(self) -> str:
        """Returns when it no longer lives, with how it went."""

    async def close(self) -> None:
        """Ends our part: our child is stopped, another's server is left alone."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """How to run a server of our own. Times in seconds."""

    binary: Path
    appendfsync: str
    start_timeout: float
    load_timeout: float
    stop_timeout: float


class OwnServer:
    """A server we started; we alone hold the lock of its data dir."""

    def __init__(self, process: LeashedProcess, state: ServerState, stop_timeout: float) -> None:
        self._process = process
        self._state = state
        self._stop_timeout = stop_timeout
        self._status = 0
        self._ended = asyncio.Event()
        # A thread and not a child watcher: it is the same in every event loop.
        self._waiter = threading.Thread(
            target=self._wait, args=(asyncio.get_running_loop(),), name="redis-wait", daemon=True
        )
        self._waiter.start()

    @classmethod
    async def launch(
        cls, spec: LaunchSpec, files: DataDir, port: int, unix_socket: Path
    ) -> "OwnServer":
        """Starts it and waits until it takes commands, its data loaded.

        Raises `EmbeddedRedisError` with the last lines of its log if it does
        not come up; then, or when cancelled, no process is left.
        """
        files.remove_leftovers()
        log_fd = files.open_log()
        try:
            log_start = os.fstat(log_fd).st_size
            process = LeashedProcess(
                _command(spec, port, unix_socket),
                directory=files.path,
                log=log_fd,
                inherit=[files.lock.fd],
            )
        finally:
            os.close(log_fd)
        server = cls(process, ServerState(port, unix_socket), spec.stop_timeout)
        try:
            identity = await server._until_ready(spec, unix_socket)
            server._state = ServerState(port, unix_socket, identity.pid)
            files.write_state(server._state)
        except EmbeddedRedisError as error:
            server._kill()
            tail = _tail(files.log, log_start)
            raise EmbeddedRedisError(f"{spec.binary} in {files.path}: {error}{tail}") from error
        except BaseException:
            server._kill()
            raise
        return server

    @property
    def state(self) -> ServerState:
        """Where it listens."""
        return self._state

    async def gone(self) -> str:
        """Waits for the process's end."""
        await self._ended.wait()
        return _how_it_ended(self._status)

    async def close(self) -> None:
        """SIGTERM, then SIGKILL for one that does not end in time."""
        try:
            self._process.terminate()
            async with asyncio.timeout(self._stop_timeout):
                await self._ended.wait()
        except TimeoutError:
            log.warning("the embedded Redis did not stop in %g s: killed", self._stop_timeout)
        finally:
            self._kill()

    async def _until_ready(self, spec: LaunchSpec, unix_socket: Path) -> Identity:
        clock = asyncio.get_running_loop().time
        started = clock()
        while not self._ended.is_set():
            try:
                return await identify(unix_socket)
            except NotUsableError as problem:
                allowed = spec.load_timeout if problem.loading else spec.start_timeout
                if clock() - started > allowed:
                    message = f"not ready after {allowed:g} s: {problem}"
                    raise EmbeddedRedisError(message) from problem
            # Its end is an event; that it listens at last is not, so ask again soon.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._ended.wait()
        raise EmbeddedRedisError(_how_it_ended(self._status) + " while it started")

    def _kill(self) -> None:
        """Leaves no process and no thread; short, as nothing outlives SIGKILL for long."""
        self._process.kill()
        self._waiter.join()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._status = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop was closed before the server ended
            loop.call_soon_threadsafe(self._ended.set)


class AdoptedServer:
    """The server of another process that uses the same data dir."""

    def __init__(self, probe: Probe, state: ServerState) -> None:
        self._probe = probe
        self._state = state

    @classmethod
    async def adopt(cls, files: DataDir, appendfsync: str) -> "AdoptedServer":
        """Finds the live server of the data dir and makes sure that it is the one.

        Raises `NotUsableError` if there is none to use at the moment, and
        `DataDirInUseError` if it promises less than `appendfsync`.
        """
        state = files.read_state()
        if state is None or state.pid is None:
            raise NotUsableError("its server has not announced itself")
        probe = await Probe.connect(state.unix_socket)
        try:
            _check_adoptable(await probe.identify(), state, files.path, appendfsync)
        except BaseException:
            await probe.close()
            raise
        return cls(probe, state)

    @property
    def state(self) -> ServerState:
        """Where it listens."""
        return self._state

    async def gone(self) -> str:
        """Waits for the end of our connection, which the server closes only with itself."""
        await self._probe.gone()
        return "was stopped or lost by its owner"

    async def close(self) -> None:
        """Leaves the server to its owner."""
        await self._probe.close()


def _command(spec: LaunchSpec, port: int, unix_socket: Path) -> Sequence[str]:
    """Its folder is not named: it runs in it."""
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "protected-mode": "yes",
        "unixsocket": str(unix_socket),
        "unixsocketperm": "600",
        "appendonly": "yes",
        "appendfsync": spec.appendfsync,
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return [str(spec.binary), *options]


def _check_adoptable(
    identity: Identity, state: ServerState, data_dir: Path, appendfsync: str
) -> None:
    same_process = (identity.pid, identity.port) == (state.pid, state.port)
    if not same_process or not _same_folder(identity.data_dir, data_dir):
        raise NotUsableError(f"{state.unix_socket} leads to another server: {identity}")
    if POLICIES.index(identity.appendfsync) < POLICIES.index(appendfsync):
        raise DataDirInUseError(
            f"the server of {data_dir} (pid {identity.pid}) runs with appendfsync "
            f"{identity.appendfsync}, weaker than {appendfsync}: stop its owner or ask for the "
            "same durability"
        )


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with exit status {status}"


def _tail(path: Path, start: int) -> str:
    """What the log says from `start` on, its last lines, ready to append to a message."""
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "".join(f"\n  {line}" for line in ["the end of its log:", *lines]) if lines else ""


def _same_folder(theirs: str, ours: Path) -> bool:
    try:
        return os.path.samefile(theirs, ours)  # noqa: PTH121 - one is only a text yet
    except OSError:
        return False
