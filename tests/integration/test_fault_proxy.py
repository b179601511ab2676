"""The fault proxy does to connections exactly what it is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from execution.testing.fault_proxy import FaultProxy, Way


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """In front of a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1_000):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the proxy cuts connections: that is its purpose
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def echoed(self, data: bytes, count: int | None = None) -> bytes:
        """Sends and reads so many bytes back, fewer if the connection ends."""
        received = b""
        try:
            self.writer.write(data)
            while len(received) < (len(data) if count is None else count):
                piece = await asyncio.wait_for(self.reader.read(1_000), 5)
                if not piece:
                    break
                received += piece
        except ConnectionError:
            pass  # an end like any other
        return received


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield Client(reader, writer)
    writer.transport.abort()


async def test_bytes_pass(proxy: FaultProxy, client: Client) -> None:
    assert await client.echoed(b"hello") == b"hello"
    assert proxy.accepted == 1


@pytest.mark.parametrize("byte_count", [0, 1, 4])
@pytest.mark.parametrize("way", Way)
async def test_a_cut_lets_exactly_so_many_bytes_pass(
    proxy: FaultProxy, client: Client, way: Way, byte_count: int
) -> None:
    assert await client.echoed(b"before") == b"before"
    done = proxy.cut_after(way, byte_count)
    assert not done.done()
    received = await client.echoed(b"hello")
    assert done.done()
    if way is Way.TO_CLIENT:
        assert received == b"hello"[:byte_count]
    else:
        assert len(received) <= byte_count


async def test_a_cut_counts_over_pieces_and_happens_once(proxy: FaultProxy, client: Client) -> None:
    done = proxy.cut_after(Way.TO_SERVER, 10)
    assert await client.echoed(b"12345") == b"12345"
    assert await client.echoed(b"67890") == b"67890"
    assert not done.done()
    await client.echoed(b"x")
    assert done.done()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await Client(reader, writer).echoed(b"again and again") == b"again and again"
    writer.transport.abort()


async def test_swallowed_bytes_vanish_and_healing_ends_what_lost_them(
    proxy: FaultProxy, client: Client
) -> None:
    proxy.swallow(Way.TO_CLIENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.echoed(b"hello")
    await proxy.heal()
    assert await client.echoed(b"hello") == b""


async def test_a_delay_is_a_delay(proxy: FaultProxy, client: Client) -> None:
    proxy.delay(0.03)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await client.echoed(b"hello") == b"hello"
    assert loop.time() - before >= 0.06


async def test_refused_connections_are_refused_until_healed_on_the_same_port(
    proxy: FaultProxy, client: Client
) -> None:
    port = proxy.port
    await client.echoed(b"hello")
    await proxy.refuse()
    assert await client.echoed(b"hello") == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.heal()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await Client(reader, writer).echoed(b"hello") == b"hello"
    writer.transport.abort()


async def test_cut_ends_what_is_open_and_nothing_else(proxy: FaultProxy, client: Client) -> None:
    await client.echoed(b"hello")
    proxy.cut()
    assert await client.echoed(b"hello") == b""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await Client(reader, writer).echoed(b"hello") == b"hello"
    writer.transport.abort()


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    async with FaultProxy("127.0.0.1", 1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await Client(reader, writer).echoed(b"hello") == b""
        writer.transport.abort()
