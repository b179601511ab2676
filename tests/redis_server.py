"""A throw-away real server for tests, to be stopped, killed, paused and flushed at will.

Fixtures (name this module in `pytest_plugins` of `tests/conftest.py`):

`redis_server`
    The session's server, up, awake and empty at the start of each test. For
    tests that change its settings or its role, start a `RedisServer` instead.

::

    with RedisServer("--appendonly", "yes") as server:
        client = Redis.from_url(server.url)
        server.kill()
        server.start()  # the same port, socket and data
"""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import hiredis
import pytest

from execution.embedded.redis.binary import find_server_binary
from execution.embedded.redis.files import DataDir, port_is_free
from execution.embedded.redis.process import LeashedProcess

START_TIMEOUT_SECONDS = 10.0
ANSWER_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.002


class RedisServer:
    """One server on a loopback port and a unix socket, in a folder of its own.

    `arguments` are options as on the server's command line; they win over ours
    (no persistence at all). It cannot outlive the test process. Blocking: the
    longest wait is that of a start, some 30 ms.
    """

    def __init__(self, *arguments: str, binary: Path | None = None) -> None:
        self._arguments = arguments
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="redis-test-"))
        self._log = self._folder / "redis.log"
        self._process: LeashedProcess | None = None
        self._pid = 0
        self.unix_socket = self._folder / "redis.sock"
        self.port = 0
        """0 until the first start; the same ever after."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the server itself, also where something stands between it and us."""
        return self._pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts it, or does nothing if it runs; returns when it takes commands."""
        while not self.running:
            port = self.port or DataDir(self._folder).choose_port(None)
            self._process = self._spawn(port)
            if self._comes_up(self._process):
                self.port = port
                self._pid = int(self._server_info()["process_id"])
            else:
                self._end(signal.SIGKILL)
                if self.port or port_is_free(port):
                    raise RuntimeError(f"the server did not start:\n{self._log.read_text()}")
        return self

    def stop(self) -> None:
        """In order, by SIGTERM; one that is paused wakes up for it."""
        if self.running:
            self.resume()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Down in order and up again, at the same address, on what it had persisted."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered, until `resume`."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def command(self, *words: str | bytes | int) -> object:
        """The reply to one command, on a connection of its own; raises error replies."""
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_SECONDS)
            connection.connect(str(self.unix_socket))
            connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # bytes are packed, too
            while (reply := reader.gets()) is False:
                received = connection.recv(65536)
                if not received:
                    raise ConnectionResetError("the server closed the connection")
                reader.feed(received)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def flush(self) -> None:
        """No keys, no scripts, no functions."""
        self.command("FLUSHALL", "SYNC")
        self.command("SCRIPT", "FLUSH", "SYNC")
        self.command("FUNCTION", "FLUSH", "SYNC")

    def close(self) -> None:
        """For good: the process and the folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self, port: int) -> LeashedProcess:
        ours = {
            "bind": "127.0.0.1",
            "port": str(port),
            "unixsocket": str(self.unix_socket),
            "unixsocketperm": "600",
            "save": "",
            "appendonly": "no",
        }
        options = [part for name, value in ours.items() for part in (f"--{name}", value)]
        binary = self._binary or find_server_binary()
        with self._log.open("ab") as log:
            return LeashedProcess(
                [str(binary), *options, *self._arguments],
                directory=self._folder,
                log=log.fileno(),
            )

    def _comes_up(self, process: LeashedProcess) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self.command("PING")
            except (OSError, hiredis.ReplyError):  # not there yet; or still loading
                time.sleep(POLL_SECONDS)
            else:
                return True
        return False

    def _server_info(self) -> dict[str, str]:
        lines = str(self.command("INFO", "server")).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if how == signal.SIGTERM:
            process.terminate()
        else:
            process.kill()
        process.wait()
        process.kill()  # nothing any more, but it frees the leash


@pytest.fixture(scope="session")
def redis_of_the_session() -> Iterator[RedisServer]:
    """Use `redis_server`."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_of_the_session: RedisServer) -> RedisServer:
    """The session's server, up, awake and empty."""
    server = redis_of_the_session.start()
    server.resume()
    server.flush()
    return server
