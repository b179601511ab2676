"""Runs the commands of this project as a user does: as processes, over sockets."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

_started: "list[Running]" = []
"""Every command of the running test, so that one that fails leaves none behind."""

START_SECONDS = 30.0
END_SECONDS = 30.0


@dataclass
class Running:
    """A command that has printed its `ready` line."""

    process: asyncio.subprocess.Process
    ready: dict[str, str]
    log: Path
    lines: list[str] = field(default_factory=list)

    @property
    def grpc(self) -> str:
        return self.ready["grpc"]

    @property
    def redis(self) -> str:
        return self.ready["redis"]

    @property
    def metrics(self) -> str:
        return self.ready["metrics"]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit status; fails if the process does not end."""
        return await asyncio.wait_for(self.process.wait(), END_SECONDS)


def parse_ready(line: str) -> dict[str, str]:
    """`ready a=b c=d` as a dictionary."""
    word, *pairs = line.split()
    assert word == "ready", f"not a ready line: {line!r}"
    return dict(pair.split("=", 1) for pair in pairs)


async def start(
    *arguments: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    wait: bool = True,
    open_files: int | None = None,
) -> Running:
    """Starts `execution-service ARGUMENTS` in `cwd`; returns when it is ready.

    Its log (standard error) goes to a file in `cwd`, shown when it does not start.
    `open_files`: how many it may have open, whatever it does.
    """
    limited = () if open_files is None else ("sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh")
    log = cwd / f"{arguments[0]}-{os.urandom(4).hex()}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(*limited, sys.executable, "-X", "faulthandler", "-m", "execution", *arguments),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    running = Running(process, {}, log)
    _started.append(running)
    if wait:
        await wait_ready(running)
    return running


async def wait_ready(running: Running) -> None:
    """Reads the `ready` line, or fails with the log."""
    assert running.process.stdout is not None
    try:
        line = await asyncio.wait_for(running.process.stdout.readline(), START_SECONDS)
    except TimeoutError:
        line = b""
    if not line:
        await kill(running)
        raise AssertionError(f"no ready line; the log says:\n{running.log.read_text()}")
    running.ready = parse_ready(line.decode())


async def kill(running: Running) -> None:
    """SIGKILL, and the process is reaped."""
    if running.process.returncode is None:
        running.process.kill()
    await running.process.wait()
    close_pipes(running)


async def stop(running: Running) -> int:
    """SIGTERM; returns the exit status. Kills what does not end, and fails."""
    if running.process.returncode is None:
        running.process.terminate()
    try:
        return await running.ended()
    finally:
        await kill(running)


async def kill_all() -> None:
    """SIGKILL to everything that the running test started and did not end."""
    while _started:
        await kill(_started.pop())


def close_pipes(running: Running) -> None:
    """Closes the process's transport, so that no warning is left behind."""
    transport = getattr(running.process, "_transport", None)
    if transport is not None:
        transport.close()


@asynccontextmanager
async def running(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> AsyncIterator[Running]:
    """`start`, and `stop` at the end."""
    command = await start(*arguments, cwd=cwd, env=env)
    try:
        yield command
    finally:
        await stop(command)


def serve_flags(**flags: str) -> list[str]:
    """`serve` on free ports with these flags: redis_url="..." is --redis-url ...."""
    settings = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0", **flags}
    words = ["serve"]
    for name, value in settings.items():
        words += [f"--{name.replace('_', '-')}", value]
    return words


async def assert_proven(redis_url: str, *arguments: str) -> None:
    """`execution-service verify` finds nothing in this Redis."""
    command = (sys.executable, "-m", "execution", "verify", "--redis-url", redis_url, *arguments)
    verify = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(verify.communicate(), END_SECONDS)
    assert verify.returncode == 0, said.decode()
