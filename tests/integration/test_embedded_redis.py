"""The embedded Redis in one process: its life, its files, and how it fails."""

import logging
import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from embedded_redis_owner import client_of, eventually, server_binaries, wait_until_gone

from execution.embedded.redis import (
    DataDirInUseError,
    EmbeddedRedis,
    EmbeddedRedisConfig,
)
from execution.embedded.redis.files import SOCKET_PATH_BYTES_MAX


@pytest.fixture(params=server_binaries())
def binary(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """As `tmp_path`, but sure to leave room for the path of a unix socket."""
    with tempfile.TemporaryDirectory(prefix="er-", dir="/tmp") as folder:
        yield Path(folder).resolve()


async def restarted(embedded: EmbeddedRedis, old_pid: int | None) -> None:
    """Until the keeper has brought a new server up."""
    await eventually(lambda: embedded.pid not in {old_pid, None})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_it_takes_commands_by_tcp_and_by_unix_socket(tmp_path: Path, binary: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary)) as embedded:
        assert not embedded.adopted
        assert embedded.url.startswith("redis://127.0.0.1:")
        async with client_of(embedded.url) as tcp:
            await tcp.set("key", "value")
        async with client_of(embedded.unix_url) as unix:
            assert await unix.get("key") == "value"


async def test_it_is_durable_and_listens_to_this_machine_alone(
    tmp_path: Path, binary: Path
) -> None:
    async with (
        EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary)) as embedded,
        client_of(embedded.url) as client,
    ):
        settings = await client.config_get("*")
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "maxmemory-policy": "noeviction",
    }
    assert {name: settings[name] for name in expected} == expected


@pytest.mark.parametrize("policy", ["everysec", "no"])
async def test_durability_is_a_setting(tmp_path: Path, policy: str) -> None:
    config = EmbeddedRedisConfig(tmp_path, appendfsync=policy)  # type: ignore[arg-type]  # pytest's parameters are plain str
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        assert await client.config_get("appendfsync") == {"appendfsync": policy}


def test_an_unknown_durability_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        EmbeddedRedisConfig(Path("x"), appendfsync="sometimes")  # type: ignore[arg-type]  # refused


async def test_a_data_dir_of_any_name_will_do(short_path: Path, binary: Path) -> None:
    data_dir = short_path / 'o\'dd "%41" #?{x} \N{SNOWMAN}'
    async with EmbeddedRedis(EmbeddedRedisConfig(data_dir, server_binary=binary)) as embedded:
        assert embedded.unix_socket.parent == data_dir
        async with client_of(embedded.unix_url) as client:
            assert await client.ping()
        async with EmbeddedRedis(EmbeddedRedisConfig(data_dir)) as second:
            assert second.adopted


async def test_its_files_are_for_this_user_alone(short_path: Path, binary: Path) -> None:
    data_dir = short_path / "made" / "by us"
    async with EmbeddedRedis(EmbeddedRedisConfig(data_dir, server_binary=binary)) as embedded:
        assert mode(data_dir) == 0o700
        assert embedded.unix_socket.parent == data_dir
        files = [path for path in data_dir.rglob("*") if not path.is_dir()]
        assert {path.name for path in files} > {"redis.json", "redis.lock", "redis.log"}
        assert {path.name: mode(path) & 0o077 for path in files} == {path.name: 0 for path in files}


async def test_data_and_address_survive_a_stop(tmp_path: Path, binary: Path) -> None:
    embedded = EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary))
    await embedded.start()
    url, pid = embedded.url, embedded.pid
    async with client_of(url) as client:
        await client.set("key", "value")
    await embedded.stop()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not embedded.unix_socket.exists()

    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary)) as again:
        assert again.url == url
        async with client_of(again.url) as client:
            assert await client.get("key") == "value"


async def test_the_same_object_starts_again_after_a_stop(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(EmbeddedRedisConfig(tmp_path))
    for _ in range(2):
        async with embedded:
            with pytest.raises(RuntimeError, match="already started"):
                await embedded.start()
        await embedded.stop()  # twice is not an error


async def test_an_address_is_asked_for_too_early(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(EmbeddedRedisConfig(tmp_path))
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = embedded.url
    assert embedded.pid is None
    assert not embedded.adopted


async def test_a_killed_server_is_back_at_the_same_address_with_its_data(
    tmp_path: Path, binary: Path
) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary)) as embedded:
        url, unix_socket = embedded.url, embedded.unix_socket
        for number in range(3):  # more than once in a row
            pid = embedded.pid
            assert pid is not None
            async with client_of(url) as client:
                await client.set(f"key{number}", number)
            os.kill(pid, signal.SIGKILL)
            await restarted(embedded, pid)
            async with client_of(url) as client:
                assert await client.dbsize() == number + 1
        assert (embedded.url, embedded.unix_socket) == (url, unix_socket)


async def test_a_server_that_cannot_come_back_is_tried_again_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as embedded:
        port = int(embedded.url.rsplit(":", 1)[1].removesuffix("/0"))
        pid = embedded.pid
        assert pid is not None
        with (
            caplog.at_level(logging.ERROR),
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as thief,
        ):
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            os.kill(pid, signal.SIGKILL)
            await wait_until_gone(pid, 2)
            thief.bind(("127.0.0.1", port))
            thief.listen()
            await eventually(lambda: "not back" in caplog.text)
        await restarted(embedded, pid)
        async with client_of(embedded.url) as client:
            assert await client.ping()


async def test_a_hung_server_is_killed_at_the_end_of_its_time_to_stop(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(EmbeddedRedisConfig(tmp_path, stop_timeout_seconds=0.1))
    await embedded.start()
    pid = embedded.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await embedded.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_ctrl_c_in_our_terminal_is_not_for_the_server(tmp_path: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as embedded:
        assert embedded.pid is not None
        assert os.getsid(embedded.pid) != os.getsid(0)


async def test_a_data_dir_too_deep_for_a_socket_has_it_elsewhere_in_private(
    tmp_path: Path, binary: Path
) -> None:
    data_dir = tmp_path / ("d" * 90) / ("e" * 90)
    config = EmbeddedRedisConfig(data_dir, server_binary=binary)
    async with EmbeddedRedis(config) as embedded:
        assert len(os.fsencode(embedded.unix_socket)) <= SOCKET_PATH_BYTES_MAX
        assert mode(embedded.unix_socket.parent) == 0o700
        unix_socket, pid = embedded.unix_socket, embedded.pid
        async with client_of(f"unix://{unix_socket}") as client:
            assert await client.ping()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await restarted(embedded, pid)
        assert embedded.unix_socket == unix_socket
        async with EmbeddedRedis(config) as second:
            assert second.adopted
            assert second.unix_socket == unix_socket
    assert not unix_socket.parent.exists()


async def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as embedded:
        url = embedded.url
    port = int(url.rsplit(":", 1)[1].removesuffix("/0"))
    with socket.create_server(("127.0.0.1", port)):
        async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as embedded:
            assert embedded.url != url
            async with client_of(embedded.url) as client:
                assert await client.ping()


async def test_a_copy_of_a_live_data_dir_has_a_server_of_its_own(tmp_path: Path) -> None:
    original = tmp_path / "original"
    async with EmbeddedRedis(EmbeddedRedisConfig(original)) as embedded:
        async with client_of(embedded.url) as client:
            await client.set("key", "value")
        copy = tmp_path / "copy"
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns("*.sock"))
        async with EmbeddedRedis(EmbeddedRedisConfig(copy)) as second:
            assert not second.adopted
            assert second.url != embedded.url
            async with client_of(second.url) as client:
                assert await client.getdel("key") == "value"
        async with client_of(embedded.url) as client:
            assert await client.get("key") == "value"


async def test_a_second_user_in_the_same_process_adopts(tmp_path: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as first:
        async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as second:
            assert (first.adopted, second.adopted) == (False, True)
            assert (second.url, second.pid) == (first.url, first.pid)
        async with client_of(first.url) as client:
            assert await client.ping(), "the adopter took the server with it"


async def test_a_weaker_server_than_asked_for_is_not_adopted(tmp_path: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, appendfsync="everysec")):
        with pytest.raises(DataDirInUseError, match="weaker than always"):
            await EmbeddedRedis(EmbeddedRedisConfig(tmp_path)).start()
        async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, appendfsync="no")) as third:
            assert third.adopted


async def test_a_data_dir_whose_server_hangs_is_refused(tmp_path: Path, binary: Path) -> None:
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=binary)) as embedded:
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGSTOP)
        try:
            config = EmbeddedRedisConfig(tmp_path, start_timeout_seconds=0.2)
            with pytest.raises(DataDirInUseError, match="does not answer PING"):
                await EmbeddedRedis(config).start()
        finally:
            os.kill(embedded.pid, signal.SIGCONT)
        async with EmbeddedRedis(config) as second:
            assert second.adopted
