"""Servers as processes of their own, each on the core it is told."""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from peers import build

from execution.embedded.redis import leash

BENCHMARKS = Path(__file__).resolve().parents[1]
STOP_SECONDS = 15.0
START_SECONDS = 30.0


class NotServedError(Exception):
    """A server does not start, or does not have what is measured; says why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run: the server alone, everything around it together."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Self:
        """The last core that we may use for the server, the first for the rest."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[-1], load=usable[0])


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in here runs there, with every thread it will ever have."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A started process that has said that it is ready."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self.name = name
        self.ready: dict[str, str] = {}
        self.start_seconds = 0.0
        self._process = process
        self._log = log

    @property
    def address(self) -> str:
        """HOST:PORT of its gRPC."""
        return self.ready["grpc"]

    @property
    def pids(self) -> tuple[int, ...]:
        """The process and all that it has started: a service may have workers."""
        return tuple(_family(self._process.pid))

    @property
    def resident_bytes(self) -> int:
        """Memory they hold now."""
        texts = (Path(f"/proc/{pid}/statm").read_text() for pid in self.pids)
        return sum(int(text.split()[1]) for text in texts) * os.sysconf("SC_PAGE_SIZE")

    def await_ready(self) -> None:
        """Reads its `ready` line. Raises `NotServedError` with the end of its log."""
        output = self._process.stdout
        assert output is not None
        came = select.select([output], [], [], START_SECONDS)[0]
        word, *pairs = (output.readline() if came else "").split() or [""]
        if word != "ready":
            self.stop()
            self._log.seek(0)
            said = self._log.read().strip().splitlines() or ["it never said that it is ready"]
            self._log.close()
            raise NotServedError(f"{self.name}: {said[-1]}")
        self.ready = dict(pair.split("=", 1) for pair in pairs)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def _leash() -> list[str]:
    """Words before a command that make the kernel end it with us, however we end."""
    if threading.current_thread() is not threading.main_thread():
        return []  # it is the thread's end that would end it
    return [sys.executable, "-I", "-S", leash.__file__, "signal", str(os.getpid())]


def start(name: str, command: list[str], core: int) -> Server:
    """Runs a command that prints `ready grpc=HOST:PORT ...`. Raises `NotServedError`."""
    log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the server
    paths = [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    begun = time.monotonic()
    with on_core(core):
        process = subprocess.Popen(
            [*_leash(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    server = Server(name, process, log)
    server.await_ready()
    server.start_seconds = time.monotonic() - begun
    return server


def start_module(name: str, core: int) -> Server:
    """Runs `python -m service.NAME`."""
    return start(name, [sys.executable, "-m", f"service.{name}"], core)


def start_service(redis_socket: Path, market: str, core: int, *flags: str) -> Server:
    """`execution-service serve` as a user starts it, on this Redis and this market."""
    command = Path(sys.executable).with_name("execution-service")
    words = [str(command), "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    words += ["--redis-url", f"unix://{redis_socket}", "--symbol-service", market]
    words += ["--log-level", "warning", *flags]
    return start(f"serve {' '.join(flags)}".strip(), words, core)


def start_embedded(data_dir: Path, core: int) -> Server:
    """`execution-service serve` with no more than a folder and free ports."""
    command = Path(sys.executable).with_name("execution-service")
    words = [str(command), "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    words += ["--log-level", "warning", "--data-dir", str(data_dir)]
    return start("serve, embedded", words, core)


def start_peer(redis_socket: Path, symbols: Sequence[str], core: int, form: str) -> Server:
    """The C++ contender, built first where that is possible. Raises `NotServedError`."""
    try:
        program = build.build()
    except build.MissingError as error:
        raise NotServedError(f"the C++ contender: {error}") from error
    words = [str(program), "--redis-socket", str(redis_socket), "--listen", "127.0.0.1:0"]
    words += ["--form", form, "--symbols", ",".join(symbols)]
    return start(f"C++ {form}", words, core)
