"""The leash by itself, with a sleeper in the server's place."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from execution.embedded.redis import leash
from execution.embedded.redis.process import LeashedProcess

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="watches processes through Linux's pidfd"
)

SLEEPER = """
import os, signal, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(1000)
"""
Start = Callable[..., LeashedProcess]


class Output:
    """The file that a process under test prints to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "out"
        self.fd = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def pidfd(self) -> int:
        """Of the process that has printed its pid."""
        deadline = time.monotonic() + 10
        while not (text := self._path.read_text()).endswith("\n"):
            assert time.monotonic() < deadline, "it does not run"
            time.sleep(0.005)
        return os.pidfd_open(int(text))


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    output = Output(tmp_path)
    yield output
    os.close(output.fd)


def start_here(output: Output, *command: str) -> LeashedProcess:
    """On the main thread: by parent death signal."""
    return LeashedProcess(
        command or [sys.executable, "-c", SLEEPER], directory=Path("/"), log=output.fd
    )


def start_in_a_thread(output: Output, *command: str) -> LeashedProcess:
    """On a thread that ends at once, which the death signal would take for a death: by pipe."""
    started: list[LeashedProcess] = []
    thread = threading.Thread(target=lambda: started.append(start_here(output, *command)))
    thread.start()
    thread.join()
    return started[0]


def has_ended(pidfd: int, within_seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], within_seconds)[0])


both = pytest.mark.parametrize("start", [start_here, start_in_a_thread], ids=["signal", "pipe"])


@both
def test_terminate_reaches_the_server(output: Output, start: Start) -> None:
    process = start(output)
    pidfd = output.pidfd()
    assert process.poll() is None
    process.terminate()
    assert process.wait() in {-signal.SIGTERM, 128 + signal.SIGTERM}
    assert has_ended(pidfd, 0)
    process.kill()
    os.close(pidfd)


@both
def test_kill_ends_a_server_that_does_not_listen(output: Output, start: Start) -> None:
    process = start(output, sys.executable, "-c", SLEEPER, "stubborn")
    pidfd = output.pidfd()
    process.terminate()
    assert not has_ended(pidfd, 0.1)
    process.kill()
    process.wait()
    assert has_ended(pidfd, 0)
    os.close(pidfd)


@both
def test_the_exit_status_comes_through(output: Output, start: Start) -> None:
    process = start(output, "/bin/sh", "-c", "exit 5")
    assert process.wait() == 5
    process.kill()


@both
def test_a_deaf_owner_does_not_make_the_server_deaf(output: Output, start: Start) -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ignored = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        process = start(output)
    finally:
        signal.signal(signal.SIGTERM, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    pidfd = output.pidfd()
    process.terminate()
    assert has_ended(pidfd, 5)
    process.wait()
    process.kill()
    os.close(pidfd)


def test_the_pipe_outlives_the_thread_that_started_the_server(output: Output) -> None:
    process = start_in_a_thread(output)
    pidfd = output.pidfd()
    assert not has_ended(pidfd, 0.1)
    process.kill()
    process.wait()
    os.close(pidfd)


def test_an_owner_that_died_before_the_kernel_knew_is_noticed() -> None:
    not_our_parent = 1 if os.getpid() != 1 else 2
    ended = subprocess.run(
        [sys.executable, leash.__file__, "signal", str(not_our_parent), "/bin/echo", "it ran"],
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (leash.OWNER_GONE, b"")


def test_a_program_that_is_not_there_is_no_zombie(output: Output) -> None:
    process = start_here(output, "/nothing/here")
    assert process.wait() != 0
    process.kill()


def test_a_server_under_way_on_a_pipe_ends_with_sigterm_that_came_early(output: Output) -> None:
    process = start_in_a_thread(output)
    process.terminate()  # it may hit the leash before the server exists, or even its handler
    assert process.wait() in {-signal.SIGTERM, 128 + signal.SIGTERM}
    process.kill()
