"""Where a server is reached: a TCP port or a unix socket."""

import asyncio
import contextlib
import errno
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from execution.errors import StartupError

_BACKLOG: Final = 4_096
_PROBE_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 0.1
_PORT_MAX: Final = 65_535
"""Some event loops take a larger one for another."""
_PORT_TRIES: Final = 8
_UNIX_OPTIONS: Final[dict[str, Any]] = (
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)
"""The event loop would remove the file only after it has closed the socket."""


@dataclass(frozen=True, slots=True)
class Port:
    """What is listened on."""

    address: str
    """As it was asked for, with the port that was found."""
    server: asyncio.Server
    file: "_SocketFile | None" = None

    def close(self) -> None:
        """Accepts nothing more.

        The file of a socket goes first: once nobody listens on it a successor may take its place.
        """
        if self.file is not None:
            self.file.remove()
        self.server.close()

    async def closed(self) -> None:
        """Returns once it is closed, or soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.server.wait_closed()


class _SocketFile:
    """Where a unix socket is found, as long as it is the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was = self._is()

    def remove(self) -> None:
        """Unless something else has its place. Nobody else has its number while we listen."""
        if self._was is not None and self._is() == self._was:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _is(self) -> tuple[int, int] | None:
        try:
            status = self._path.lstat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


async def listen_on(
    listen: str, accept: Callable[[], asyncio.Protocol], *, reuse_port: bool
) -> Port:
    """Listens on HOST:PORT (port 0: any) or unix:PATH. Raises `StartupError`."""
    try:
        if listen.startswith("unix:"):
            path = _free_path(listen.removeprefix("unix:"))
            server = await asyncio.get_running_loop().create_unix_server(
                accept, str(path), backlog=_BACKLOG, **_UNIX_OPTIONS
            )
            return Port(listen, server, _SocketFile(path))
        host, _, port = listen.rpartition(":")
        server = await _serve(accept, host.strip("[]"), _port_number(port), reuse_port)
        return Port(f"{host}:{_port(server)}", server)
    except (OSError, ValueError, OverflowError) as error:
        raise StartupError(
            f"--listen {listen}: cannot be used; is it taken? Port 0 picks a free one"
        ) from error


async def _serve(
    accept: Callable[[], asyncio.Protocol], host: str, port: int, reuse_port: bool
) -> asyncio.Server:
    """A name with several addresses, as localhost, gets one port on all of them."""
    loop = asyncio.get_running_loop()
    for _ in range(_PORT_TRIES):
        server = await loop.create_server(
            accept, host, port, backlog=_BACKLOG, reuse_port=reuse_port or None
        )
        found = _port(server)
        if port or len({one.getsockname()[1] for one in server.sockets}) == 1:
            return server
        server.close()
        await server.wait_closed()
        with contextlib.suppress(OSError):
            return await _serve(accept, host, found, reuse_port)
    raise OSError(errno.EADDRINUSE, "no port is free on all addresses")


def _port_number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _PORT_MAX:
        raise ValueError(f"there is no port {number}")
    return number


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def _free_path(text: str) -> Path:
    """The path of a socket; one that nobody listens on any more is removed."""
    path = Path(text)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EADDRINUSE, "is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            # Where nobody accepts any more, the queue may be full.
            probe.settimeout(_PROBE_SECONDS)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, "is in use")
    return path
