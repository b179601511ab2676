"""A TCP proxy whose faults are switched on and off while connections run.

Stands between a client and a real server and does to their bytes what networks
do: delays them, swallows them, or ends the connection after exactly so many.
The idea is asyncpg's. It knows no protocol, so it serves Redis, gRPC or any
other.

::

    async with FaultProxy("127.0.0.1", redis_port) as proxy:
        ledger = RedisLedger(LedgerConfig(f"redis://127.0.0.1:{proxy.port}"))
        await ledger.start()
        cut = proxy.cut_after(Way.TO_CLIENT, 0)  # the next reply is lost
        await ledger.commit(entry)  # ... and the order is committed once all the same
        assert cut.done()
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

_CHUNK: Final = 65_536


class Way(Enum):
    """Which way bytes travel."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


@dataclass(slots=True, eq=False)
class _Pair:
    """One client's connection and the one made for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    lossy: bool = False
    """Bytes were swallowed: what comes after them makes no sense any more."""

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(slots=True)
class _Cut:
    """Bytes that may still pass, and who waits for the moment after them."""

    bytes_left: int
    done: asyncio.Future[None]


class FaultProxy:
    """A listening proxy in front of `host:port`; use within one event loop."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._delay_seconds = 0.0
        self._swallowed: frozenset[Way] = frozenset()
        self._cuts: dict[Way, _Cut] = {}
        self.port = 0
        """The port it listens on, on 127.0.0.1; kept for good once started."""
        self.accepted = 0
        """Connections accepted so far."""

    async def start(self) -> None:
        """Listens; on the same port again after `refuse`."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends every connection and stops listening."""
        await self.refuse()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def delay(self, seconds: float) -> None:
        """Holds every piece of data for so long, in both directions."""
        self._delay_seconds = seconds

    def swallow(self, *ways: Way) -> None:
        """Black hole: connections stay, bytes vanish; both ways if none is named."""
        self._swallowed = frozenset(ways or Way)

    def cut(self) -> None:
        """Ends all connections at once; new ones are accepted."""
        for pair in list(self._pairs):
            pair.abort()

    def cut_after(self, way: Way, byte_count: int) -> asyncio.Future[None]:
        """Lets so many more bytes pass, and ends the connection that brings another.

        Counted over all connections from now on; happens once. The future is
        done when it has happened. With `byte_count` 0 and `TO_CLIENT`, the server
        has got and answered a request, and the client never hears of it.
        """
        cut = _Cut(byte_count, asyncio.get_running_loop().create_future())
        self._cuts[way] = cut
        return cut.done

    async def refuse(self) -> None:
        """Ends all connections and refuses new ones, as a server that is down."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for handler in self._handlers:
            handler.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)
        if server is not None:
            await server.wait_closed()

    async def heal(self) -> None:
        """All faults end. A connection that lost bytes is ended: it is beyond repair."""
        self._delay_seconds = 0.0
        self._swallowed = frozenset()
        self._cuts.clear()
        for pair in list(self._pairs):
            if pair.lossy:
                pair.abort()
        await self.start()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        handler = asyncio.current_task()
        if handler is not None:
            self._handlers.add(handler)
            handler.add_done_callback(self._handlers.discard)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            await _close(writer)
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, Way.TO_SERVER, reader, server_writer),
                self._pump(pair, Way.TO_CLIENT, server_reader, writer),
            )
        finally:
            self._pairs.discard(pair)
            pair.abort()
            await _close(writer)
            await _close(server_writer)

    async def _pump(
        self, pair: _Pair, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carries bytes one way until either end is gone; then ends both."""
        try:
            while data := await reader.read(_CHUNK):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                if way in self._swallowed:
                    pair.lossy = True
                    continue
                passed = self._pass(way, len(data))
                writer.write(data[:passed])
                await writer.drain()
                if passed < len(data):
                    break
        except ConnectionError:
            # An end that is gone is what a proxy is for.
            pass
        # What was let through must arrive, so this side is closed, not aborted.
        writer.close()
        other = pair.client if way is Way.TO_SERVER else pair.server
        other.transport.abort()

    def _pass(self, way: Way, count: int) -> int:
        """How many of `count` bytes may pass; fewer means the end."""
        cut = self._cuts.get(way)
        if cut is None:
            return count
        if count <= cut.bytes_left:
            cut.bytes_left -= count
            return count
        del self._cuts[way]
        if not cut.done.done():
            cut.done.set_result(None)
        return cut.bytes_left


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    # The other side may have been first, or an abort of ours.
    with suppress(ConnectionError):
        await writer.wait_closed()
