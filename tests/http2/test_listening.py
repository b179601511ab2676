"""Where a server can be reached: TCP, TLS, unix sockets, shared ports."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from http2.certificates import Authority, Pair, openssl
from http2.conftest import Serve, Served
from http2.raw_client import RawClient
from http2.service import path

from execution.errors import StartupError
from execution.server.transports.http2.limits import Limits
from execution.server.transports.tls import Tls

OK = 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


@pytest.fixture
def tls(pair: Pair) -> Tls:
    return Tls(*pair.read())


def trusting(authority: Authority, *protocols: str, shows: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if shows is not None:
        context.load_cert_chain(shows.certificate, shows.key)
    return context


async def test_tls_with_alpn_h2_is_served(serve: Serve, authority: Authority, tls: Tls) -> None:
    served = await serve(tls=tls)
    client = await served.connect(tls=trusting(authority, "http/1.1", "h2"))
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    assert (await client.call(path("Unary"), bytes(300_000))).messages == [bytes(300_000)]


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
async def test_tls_without_alpn_h2_is_not_served(
    serve: Serve, authority: Authority, tls: Tls, protocols: tuple[str, ...]
) -> None:
    served = await serve(tls=tls)
    client = await served.connect(tls=trusting(authority, *protocols), speaks=False)
    await client.until_closed()
    assert client.frames == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_served(
    serve: Serve, authority: Authority, tls: Tls, version: ssl.TLSVersion
) -> None:
    served = await serve(tls=tls)
    context = trusting(authority, "h2")
    context.minimum_version = context.maximum_version = version
    client = await served.connect(tls=context)
    assert (await client.call(path("Plain"), b"x")).status == OK


async def test_old_ciphers_are_refused(serve: Serve, authority: Authority, tls: Tls) -> None:
    """RFC 9113, appendix A."""
    served = await serve(tls=tls)
    context = trusting(authority, "h2")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await served.connect(tls=context)


async def test_a_client_shows_a_certificate_of_the_right_authority(
    serve: Serve, authority: Authority, tls: Tls, tmp_path: Path
) -> None:
    served = await serve(tls=replace(tls, client_ca=authority.certificate.read_bytes()))
    shown = await served.connect(tls=trusting(authority, "h2", shows=authority.issue("client")))
    assert (await shown.call(path("Plain"), b"x")).status == OK
    stranger = Authority(tmp_path, "stranger").issue("client")
    for wrong in (None, stranger):
        # By TLS 1.3 the client learns of it when it reads.
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            await _call(served, trusting(authority, "h2", shows=wrong))
    assert served.server.connections == 1


async def _call(served: Served, context: ssl.SSLContext) -> None:
    client = await served.connect(tls=context)
    await client.call(path("Plain"), b"x")


@pytest.mark.asyncio(loop_factories=["asyncio"])  # the one that grpc.aio knows best
async def test_grpcio_speaks_tls_with_it(
    serve: Serve, authority: Authority, tls: Tls, pair: Pair
) -> None:
    ca = authority.certificate.read_bytes()
    served = await serve(tls=replace(tls, client_ca=ca))
    certificate, key = pair.read()
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    address = served.address.replace("127.0.0.1", "localhost")
    async with grpc.aio.secure_channel(address, credentials) as channel:
        method: Any = channel.unary_unary(path("Unary"))
        assert await method(b"x") == b"x"


async def test_plain_text_to_a_tls_port_is_sent_away(serve: Serve, tls: Tls) -> None:
    served = await serve(tls=tls)
    client = await served.connect()
    await client.until_closed()
    assert client.frames == []


async def test_a_tls_handshake_is_not_waited_for(serve: Serve, tls: Tls) -> None:
    served = await serve(Limits(handshake_seconds=0.1), tls=tls)
    client = await served.connect(speaks=False)
    await client.until_closed()


async def test_a_handshake_under_way_does_not_keep_a_server_from_stopping(
    serve: Serve, tls: Tls
) -> None:
    served = await serve(tls=tls)
    await served.connect(speaks=False)
    async with asyncio.timeout(3):
        await served.server.stop()
    assert served.server.connections == 0


async def test_a_handshake_under_way_is_a_connection(
    serve: Serve, authority: Authority, tls: Tls
) -> None:
    """A thousand that never say a word must not take a thousand files."""
    served = await serve(Limits(connections_max=2), tls=tls)
    silent = [await served.connect(speaks=False) for _ in range(2)]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await served.connect(tls=trusting(authority, "h2"))
    for client in silent:
        assert not client.reader.at_eof()
        client.writer.close()
    async with asyncio.timeout(3):
        while served.server.shaking:
            await asyncio.sleep(0.005)
    known = [await served.connect(tls=trusting(authority, "h2")) for _ in range(2)]
    for client in known:
        assert (await client.call(path("Plain"), b"x")).status == OK
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await served.connect(tls=trusting(authority, "h2"))
    assert served.server.connections == 2


async def test_the_port_of_a_server_that_stops_takes_no_handshake(
    serve: Serve, authority: Authority, tls: Tls
) -> None:
    """One that has come, but not begun, is closed as well: nothing else would."""
    served = await serve(tls=tls)
    host, port = served.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as client:
        while not served.server.shaking:
            await asyncio.sleep(0)
        await served.server.stop()
        client.settimeout(3)
        assert await asyncio.to_thread(client.recv, 1) == b""


def test_certificates_that_do_not_fit_are_told_at_the_start(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    other = authority.issue("other")
    certificate, key = pair.read()
    sealed = tmp_path / "sealed.key"
    wrong = [
        Tls(certificate, other.key.read_bytes()),
        Tls(b"", key),
        Tls(certificate, b"no key"),
        Tls(certificate, key, client_ca=b"no certificate"),
        Tls(certificate, key, client_ca=b"\xff"),
        Tls(certificate, _with_password(pair, sealed)),
    ]
    for tls in wrong:
        with pytest.raises(StartupError, match="--tls-cert"):
            tls.context()


def _with_password(pair: Pair, sealed: Path) -> bytes:
    openssl("pkey", "-in", str(pair.key), "-aes128", "-passout", "pass:secret", "-out", str(sealed))
    return sealed.read_bytes()


# Unix sockets.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "grpc.sock"


@pytest.fixture
def unix(file: Path) -> str:
    return f"unix:{file}"


@pytest.mark.asyncio(loop_factories=["asyncio"])  # the one that grpc.aio knows best
async def test_a_unix_socket(serve: Serve, unix: str, file: Path) -> None:
    served = await serve(listen=unix)
    assert served.address == unix
    client = await served.connect()
    assert (await client.call(path("Plain"), b"x")).status == OK
    async with grpc.aio.insecure_channel(unix) as channel:
        method: Any = channel.unary_unary(path("Unary"))
        assert await method(b"x") == b"x"
    await served.server.stop()
    assert not [*_files_beside(file)]


async def test_a_socket_that_nobody_serves_any_more_is_taken_over(serve: Serve, unix: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(unix.removeprefix("unix:"))
    served = await serve(listen=unix)
    client = await served.connect()
    assert (await client.call(path("Plain"), b"x")).status == OK


async def test_a_socket_that_is_served_is_left_alone(serve: Serve, unix: str) -> None:
    served = await serve(listen=unix)
    with pytest.raises(StartupError, match="is it taken"):
        await serve(listen=unix)
    client = await served.connect()
    assert (await client.call(path("Plain"), b"x")).status == OK


async def test_a_successor_keeps_its_socket_when_the_one_before_has_stopped(
    serve: Serve, unix: str
) -> None:
    old = await serve(listen=unix)
    held = await old.connect()
    held.request(path("Hold"), b"x")
    await old.service.until(lambda: old.service.entered)
    stopping = asyncio.create_task(old.server.stop(5))
    await asyncio.sleep(0)
    assert not stopping.done(), "it waits for the call"
    new = await serve(listen=unix)
    await held.close()
    await stopping
    client = await new.connect()
    assert (await client.call(path("Plain"), b"x")).status == OK


@pytest.mark.parametrize("left", ["file", "socket"])
async def test_what_has_taken_the_place_of_its_socket_is_left_alone(
    serve: Serve, unix: str, file: Path, left: str
) -> None:
    served = await serve(listen=unix)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        _replace(file, other if left == "socket" else None)
        await served.server.stop()
        assert [one.name for one in _files_beside(file)] == [file.name]


def _replace(file: Path, other: socket.socket | None) -> None:
    file.unlink()
    if other is None:
        file.write_text("precious")
    else:
        other.bind(str(file))


async def test_a_socket_that_somebody_has_removed_is_no_matter(
    serve: Serve, unix: str, file: Path
) -> None:
    served = await serve(listen=unix)
    Path.unlink(file)
    await served.server.stop()
    assert not [*_files_beside(file)]


def _files_beside(file: Path) -> list[Path]:
    return list(file.parent.iterdir())


@pytest.fixture
def precious(file: Path) -> Path:
    file.write_text("precious")
    return file


async def test_a_file_that_is_no_socket_is_left_alone(serve: Serve, precious: Path) -> None:
    with pytest.raises(StartupError, match="is it taken"):
        await serve(listen=f"unix:{precious}")
    assert [one.name for one in _files_beside(precious)] == [precious.name]


@pytest.mark.parametrize("listen", ["unix:/no/such/folder/x", "127.0.0.1:x", "127.0.0.1:99999"])
async def test_an_address_that_cannot_be_is_told(serve: Serve, listen: str) -> None:
    with pytest.raises(StartupError, match="--listen"):
        await serve(listen=listen)


# TCP ports.


async def test_a_port_that_is_taken_is_told(serve: Serve) -> None:
    served = await serve()
    with pytest.raises(StartupError, match="is it taken"):
        await serve(listen=served.address)


async def test_two_servers_share_a_port_if_both_are_told_to(serve: Serve) -> None:
    first = await serve(reuse_port=True)
    second = await serve(listen=first.address, reuse_port=True)
    clients: list[RawClient] = []
    while not (first.server.connections and second.server.connections):
        assert len(clients) < 100, "the kernel deals connections out"
        clients.append(await first.connect())
        assert (await clients[-1].call(path("Plain"), b"x")).status == OK
    assert first.server.connections + second.server.connections == len(clients)


async def test_localhost_is_one_port_on_all_its_addresses(serve: Serve) -> None:
    served = await serve(listen="localhost:0")
    port = served.address.rpartition(":")[2]
    found = await asyncio.get_running_loop().getaddrinfo("localhost", port, type=1)
    for address in {info[4][0] for info in found}:
        client = await RawClient.connect(f"[{address}]:{port}")
        served.clients.append(client)
        assert (await client.call(path("Plain"), b"x")).status == OK
