"""The tests' own server does what its users take for granted."""

import os
from collections.abc import Iterator

import hiredis
import pytest
import redis
from redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("mess", ["none yet", "keys and functions", "paused", "killed"])
def test_the_shared_server_is_up_and_empty_whatever_the_test_before_did(
    redis_server: RedisServer, mess: str
) -> None:
    assert redis_server.command("DBSIZE") == 0
    assert redis_server.command("FUNCTION", "LIST") == []
    function = "redis.register_function('f', function() return 1 end)"
    redis_server.command("SET", "left behind", "for the next test")
    redis_server.command("FUNCTION", "LOAD", f"#!lua name=l\n{function}")
    if mess == "paused":
        redis_server.pause()
    elif mess == "killed":
        redis_server.kill()


def test_the_shared_server_is_back_after_a_kill(redis_server: RedisServer) -> None:
    assert redis_server.command("PING") == "PONG"


def test_kill_and_start_keep_the_address_and_lose_what_was_not_persisted(
    server: RedisServer,
) -> None:
    url, pid = server.url, server.pid
    server.command("SET", "key", "value")
    server.kill()
    assert not server.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    server.start()
    assert server.url == url
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0


def test_arguments_win_over_the_defaults_and_persisted_data_survives_a_kill() -> None:
    with RedisServer("--appendonly", "yes", "--maxmemory", "64mb") as server:
        server.command("SET", "key", "value")
        server.kill()
        server.start()
        assert server.command("GET", "key") == "value"
        assert server.command("CONFIG", "GET", "maxmemory") == ["maxmemory", str(64 << 20)]


def test_a_paused_server_keeps_connections_and_answers_after_resume(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url, socket_timeout=0.1, retry=None) as client:
        assert client.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        assert client.ping()


def test_restart_wakes_a_paused_server(server: RedisServer) -> None:
    server.pause()
    server.restart()
    assert server.command("PING") == "PONG"


def test_a_server_that_does_not_start_shows_its_log() -> None:
    server = RedisServer("--no-such-option", "1")
    try:
        with pytest.raises(RuntimeError, match="no-such-option"):
            server.start()
    finally:
        server.close()


def test_error_replies_are_raised(server: RedisServer) -> None:
    with pytest.raises(hiredis.ReplyError, match="unknown command"):
        server.command("NONSENSE")
