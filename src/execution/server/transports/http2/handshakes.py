"""Connections that have not shown yet that they speak TLS."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, cast

_FAILED: Final = "no TLS handshake: %s"

_log = logging.getLogger(__name__)


class Handshakes:
    """Takes the connections of a TLS port; each that agrees becomes one of `connect`'s protocols.

    One that says nothing costs a file and an SSL object as well: it is counted
    from the moment it comes, and sent away where `has_room` says no.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        seconds: float,
        connect: Callable[[], asyncio.Protocol],
        has_room: Callable[[], bool],
    ) -> None:
        self._context = context
        self._seconds = seconds
        self._connect = connect
        self._has_room = has_room
        self._under_way: dict[asyncio.Protocol, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def accept(self) -> asyncio.Protocol:
        """A protocol for a connection that was just accepted, without TLS so far."""
        return _Accepted(self._take)

    def agreed(self, protocol: asyncio.Protocol) -> None:
        """It is a connection now. Its task ends a little later, and would count it twice."""
        self._under_way.pop(protocol, None)

    def stop(self) -> None:
        """Ends those under way."""
        for task in self._under_way.values():
            task.cancel()

    def _take(self, transport: asyncio.Transport) -> None:
        """Goes on with a socket of our own: event loops tell nobody of a handshake that begins."""
        if self._has_room():
            try:
                connected: socket.socket = transport.get_extra_info("socket").dup()
            except OSError as error:
                _log.warning(_FAILED, error)
            else:
                connected.setblocking(False)
                protocol = self._connect()
                task = asyncio.get_running_loop().create_task(self._shake(connected, protocol))
                self._under_way[protocol] = task
                task.add_done_callback(partial(self._ended, connected, protocol))
        transport.abort()

    async def _shake(self, connected: socket.socket, protocol: asyncio.Protocol) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connected,
                ssl=self._context,
                ssl_handshake_timeout=self._seconds,
            )
        except OSError as error:  # also what `ssl` raises, and a client that takes too long
            _log.info(_FAILED, error)

    def _ended(
        self, connected: socket.socket, protocol: asyncio.Protocol, task: "asyncio.Task[None]"
    ) -> None:
        self._under_way.pop(protocol, None)
        if task.cancelled():
            # Perhaps before its first step: then nobody else closes it.
            connected.close()


class _Accepted(asyncio.Protocol):
    """Says that it is there, and reads nothing."""

    def __init__(self, take: Callable[[asyncio.Transport], None]) -> None:
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._take(cast("asyncio.Transport", transport))
