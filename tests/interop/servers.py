"""Servers of the test service, each a process that is started when first asked for."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from interop.programs import ENVIRONMENT, Served, checked, need

TRANSPORTS: Final = ("grpcio", "http2", "http2_tls", "http2_unix")
STOP_SECONDS_MAX: Final = 20


class Servers:
    """The servers of one pytest process; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Served] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def of(self, transport: str) -> Served:
        """The server of one of TRANSPORTS."""
        if transport not in self._running:
            library, _, way = transport.partition("_")
            listen = f"unix:{self._folder}/socket" if way == "unix" else "127.0.0.1:0"
            pair = certified(self._folder) if way == "tls" else ()
            log = self._folder / f"{transport}.log"
            address = self._stack.enter_context(serving(log, library, listen, *pair))
            self._running[transport] = Served(address, pair[0] if pair else None)
        return self._running[transport]


@contextmanager
def serving(log: Path, *arguments: str | Path) -> Iterator[str]:
    """The address of a server; it has to end well, and to have nothing to complain about."""
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "interop.server", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=ENVIRONMENT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        ready, _, address = process.stdout.readline().strip().partition(" ")
        assert ready == "ready", f"it did not start:\n{log.read_text()}"
        try:
            yield address
            process.send_signal(signal.SIGTERM)
            status = process.wait(STOP_SECONDS_MAX)
        finally:
            process.kill()
    said = log.read_text()
    assert status == 0, said
    if "http2" in arguments:  # grpcio logs what clients do wrong
        assert not said, said


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    need("openssl", "openssl")
    chain, key = folder / "chain.pem", folder / "key.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=interop"
    names = "-addext subjectAltName=IP:127.0.0.1"
    checked([*words.split(), *names.split(), "-keyout", str(key), "-out", str(chain)], folder)
    return chain, key
