"""Asks a server over its unix socket who it is, and notices when it is gone."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

import hiredis

_ANSWER_TIMEOUT_SECONDS = 1.0


class NotUsableError(Exception):
    """No usable server at that socket, for now; the message says what is there."""

    def __init__(self, message: str, *, loading: bool = False) -> None:
        super().__init__(message)
        self.loading = loading
        """It is alive and reads its data: worth waiting for."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says about itself."""

    pid: int
    port: int
    data_dir: str
    appendfsync: str


class Probe:
    """One plain connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = hiredis.Reader(encoding="utf-8", errors="surrogateescape")

    @classmethod
    async def connect(cls, unix_socket: Path) -> "Probe":
        """Raises `NotUsableError` if nobody listens there."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_SECONDS):
                return cls(*await asyncio.open_unix_connection(str(unix_socket)))
        except TimeoutError:
            raise NotUsableError(f"the server at {unix_socket} takes no connections") from None
        except OSError as error:
            raise NotUsableError(f"nothing listens at {unix_socket} ({error})") from error

    async def identify(self) -> Identity:
        """Raises `NotUsableError` unless the server answers and has its data loaded."""
        await self._call("PING")
        info = dict(
            line.split(":", 1)
            for line in str(await self._call("INFO", "server")).splitlines()
            if ":" in line
        )
        return Identity(
            pid=int(info["process_id"]),
            port=int(info["tcp_port"]),
            data_dir=await self._setting("dir"),
            appendfsync=await self._setting("appendfsync"),
        )

    async def gone(self) -> None:
        """Returns when the server has closed the connection, as it does when it dies."""
        with contextlib.suppress(OSError):
            while await self._reader.read(4096):
                pass

    async def close(self) -> None:
        """Ends the connection, broken or not."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _setting(self, name: str) -> str:
        reply = await self._call("CONFIG", "GET", name)
        if not isinstance(reply, list) or len(reply) != 2:
            raise NotUsableError(f"the server does not tell its setting {name}: {reply!r}")
        return str(reply[1])

    async def _call(self, *command: str) -> object:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_SECONDS):
                self._writer.write(f"{' '.join(command)}\r\n".encode())
                reply = await self._reply()
        except TimeoutError:
            raise NotUsableError(f"the server does not answer {command[0]}") from None
        except (OSError, hiredis.ProtocolError) as error:
            raise NotUsableError(f"the connection broke at {command[0]}: {error}") from error
        if isinstance(reply, hiredis.ReplyError):
            raise NotUsableError(
                f"the server answers {command[0]} with: {reply}",
                loading=str(reply).startswith("LOADING"),
            )
        return reply

    async def _reply(self) -> object:
        while (reply := self._replies.gets()) is False:
            received = await self._reader.read(65536)
            if not received:
                raise ConnectionResetError("closed by the server")
            self._replies.feed(received)
        return reply


async def identify(unix_socket: Path) -> Identity:
    """One question on a connection of its own; raises `NotUsableError`."""
    probe = await Probe.connect(unix_socket)
    try:
        return await probe.identify()
    finally:
        await probe.close()
