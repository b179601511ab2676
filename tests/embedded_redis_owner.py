"""A process of its own that keeps an embedded Redis, and the test's handle on it.

As a script: starts an `EmbeddedRedis`, tells its address in one JSON line,
then answers each line of its standard input with another one, until the input
ends or says `stop`. With `--write` it sets the keys 0, 1, 2, ... instead, and
prints each number once the server has acknowledged it.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import redis.asyncio
import uvloop

from execution.embedded.redis import EmbeddedRedis, EmbeddedRedisConfig
from execution.embedded.redis.binary import find_server_binary

ANSWER_TIMEOUT_SECONDS = 20.0


def server_binaries() -> list[Any]:
    """Each kind of server we promise to run on, as parameters of a test."""
    kinds = {"packaged": str(find_server_binary()), "redis-server": shutil.which("redis-server")}
    return [
        pytest.param(
            Path(path or "absent"),
            id=kind,
            marks=[] if path else pytest.mark.skip(reason=f"{kind} is not on this machine"),
        )
        for kind, path in kinds.items()
    ]


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        yield client


async def eventually(condition: Callable[[], bool]) -> None:
    """For what other processes do, where nothing tells us that it has happened."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


class OwnerProcess:
    """The script in a child process. SIGKILL at the end, whatever happened."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self._command = [sys.executable, __file__, str(data_dir), *options]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def line(self) -> str:
        """The next line it prints; "" after its end."""
        assert self._child.stdout is not None
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            return (await self._child.stdout.readline()).decode().strip()

    async def told(self) -> dict[str, Any]:
        """What it tells next."""
        line = await self.line()
        assert line, f"the owner ended with status {await self._child.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self) -> dict[str, Any]:
        """How things are with it now."""
        self._say("tell")
        return await self.told()

    async def stop(self) -> int:
        """In order; its exit status."""
        self._say("stop")
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            return await self._child.wait()

    async def kill(self) -> list[str]:
        """SIGKILL; the whole lines it had printed and nobody had read."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        if self._child.returncode is None:
            self._child.kill()
        rest = await self._child.stdout.read()
        await self._child.wait()
        self._child.stdin.close()
        return rest.decode().rpartition("\n")[0].splitlines()

    @property
    def _child(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    def _say(self, word: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{word}\n".encode())


async def wait_until_gone(pid: int, timeout_seconds: float) -> None:
    """Returns when that process, no child of ours, has ended; `TimeoutError` if it has not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(timeout_seconds):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def _own(options: argparse.Namespace) -> None:
    config = EmbeddedRedisConfig(options.data_dir, server_binary=options.binary)
    async with EmbeddedRedis(config) as embedded:
        _tell(embedded)
        if options.write:
            await _write_for_ever(embedded)
        else:
            await _answer(embedded)


async def _answer(embedded: EmbeddedRedis) -> None:
    loop = asyncio.get_running_loop()
    while (await loop.run_in_executor(None, sys.stdin.readline)).strip() == "tell":
        _tell(embedded)


async def _write_for_ever(embedded: EmbeddedRedis) -> None:
    client = redis.asyncio.Redis(unix_socket_path=str(embedded.unix_socket))
    number = 0
    while True:
        await client.set(str(number), number)
        print(number, flush=True)
        number += 1


def _tell(embedded: EmbeddedRedis) -> None:
    print(
        json.dumps(
            {
                "url": embedded.url,
                "unix_socket": str(embedded.unix_socket),
                "adopted": embedded.adopted,
                "server_pid": embedded.pid,
            }
        ),
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--off-main-thread", action="store_true")
    options = parser.parse_args(arguments)

    def run() -> None:
        factory = uvloop.new_event_loop if options.uvloop else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_own(options))

    if options.off_main_thread:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    else:
        run()


if __name__ == "__main__":
    main()
