"""What workers are told, and that they are kept running whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from execution.adapters.book_messages import LISTED_MAX
from execution.cli.serve import command
from execution.errors import StartupError
from execution.pricing import LiquidityMode
from execution.server import workers as module
from execution.server.config import ServeConfig
from execution.server.workers import Workers, environment, serve_workers

EVERY_SETTING = ServeConfig(
    listen="127.0.0.1:1",
    redis_url="redis://:hunter2@h:1/0",
    symbol_service="127.0.0.1:2",
    metrics_listen="127.0.0.1:3",
    data_dir=Path("a b"),
    workers=1,
    transport="grpcio",
    durability="replicated:2",
    max_snapshot_age_ms=4,
    liquidity=LiquidityMode.SNAPSHOT,
    taker_fee_bps="2.5",
    trigger_retry_ms=5,
    drain_seconds=0.1,
    max_in_flight=6,
    depth=7,
    tls_cert=Path("c"),
    tls_key=Path("k"),
    tls_client_ca=Path("a"),
    auth_tokens=Path("t"),
    max_connections=8,
    max_connection_age_seconds=1e-05,
    share_port=True,
)

Script = str | Exception
"""What a worker does instead, in sh; or why there is none."""


def stays(says: str) -> Script:
    """Says that and runs until its input ends."""
    return f"printf '{says}\\n'; exec cat"


@pytest.fixture(name="instead")
async def fixture_instead(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., None]]:
    """Lets these take the places of the workers that are started, in that order."""
    start: Callable[..., Awaitable[Any]] = asyncio.create_subprocess_exec
    left: list[Script] = []
    processes: list[Any] = []

    async def started(*_: str, **settings: Any) -> Any:
        script = left.pop(0)
        if isinstance(script, Exception):
            raise script
        processes.append(await start("sh", "-c", script, **settings))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    monkeypatch.setattr(module, "_RESTART_SECONDS", 0.01)
    yield lambda *scripts: left.extend(scripts)
    for process in processes:
        process._transport.close()  # so that no warning is left behind


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Workers, dict[str, str]]]:
    """One worker, and what it said when it was ready."""
    workers = Workers(ServeConfig(drain_seconds=0), 1)
    try:
        ready = await workers.start(asyncio.Event())
        assert ready is not None
        yield workers, ready
    finally:
        await workers.stop(asyncio.Event())


@pytest.mark.parametrize("config", [EVERY_SETTING, ServeConfig(share_port=True)])
def test_a_worker_reads_its_settings_from_the_environment(
    config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a parent was told that way is not what its workers are told.
    monkeypatch.setenv("EXECUTION_REDIS_URL", "redis://other")
    monkeypatch.setenv("EXECUTION_TLS_CERT", "other")
    monkeypatch.setenv("UNRELATED", "stays")
    told = environment(config)
    for name in ("EXECUTION_REDIS_URL", "EXECUTION_TLS_CERT"):
        monkeypatch.delenv(name)
    for name, text in told.items():
        monkeypatch.setenv(name, text)
    read = command.make_context("serve", ["--share-port"]).params
    del read["log_level"]
    assert ServeConfig(**read | {"liquidity": LiquidityMode(read["liquidity"])}) == config
    assert told["UNRELATED"] == "stays"


@pytest.mark.parametrize("url", ["", "http://h", "redis://h/x?password=hunter2"])
def test_a_redis_url_that_cannot_be_read_is_refused_before_any_worker_starts(url: str) -> None:
    with pytest.raises(StartupError, match=r"^--redis-url: ") as refused:
        ServeConfig(redis_url=url).check()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "failure",
    [
        BlockingIOError(11, "Resource temporarily unavailable"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("not foreseen"),
        "exit 1",
        stays("ready metrics"),
        stays("what else"),
        stays(r"ready \377=x"),
        "head -c 5000000 /dev/zero; exec cat",
    ],
)
async def test_a_worker_is_replaced_however_often_that_fails(
    failure: Script, instead: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    instead("echo ready metrics=first", failure, failure, stays("ready metrics=last"))
    async with running() as (workers, ready), asyncio.timeout(3):
        assert ready == {"metrics": "first"}
        while workers.metrics_addresses() != ["last"]:
            await asyncio.sleep(0.01)
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 3
    assert all("worker 0" in record.message for record in told)


@pytest.mark.parametrize(
    "failure",
    [BlockingIOError(11, "Resource temporarily unavailable"), "exit 1", stays("ready metrics")],
)
async def test_a_first_worker_that_cannot_start_is_an_error_of_the_start(
    failure: Script, instead: Callable[..., None]
) -> None:
    instead(failure)
    with pytest.raises(StartupError, match="worker 0"):
        async with running():
            pass


async def test_a_worker_may_be_ready_for_as_many_symbols_as_there_can_be(
    tmp_path: Path, instead: Callable[..., None]
) -> None:
    symbols = ",".join(f"{number:032}" for number in range(LISTED_MAX))
    line = tmp_path / "line"
    line.write_text(f"ready metrics=x symbols={symbols}\n")
    instead(f"exec cat '{line}' -")
    async with running() as (_, ready):
        assert ready == {"metrics": "x", "symbols": symbols}


async def test_workers_that_do_not_heed_a_second_signal_are_ended(
    instead: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_INSIST_SECONDS", 0.1)
    instead(*["trap '' TERM INT; echo ready metrics=x; while read -r _; do :; done"] * 2)
    workers = Workers(ServeConfig(drain_seconds=3_600), 2)
    assert await workers.start(asyncio.Event()) is not None
    insisted = asyncio.Event()
    insisted.set()
    async with asyncio.timeout(10):
        assert await workers.stop(insisted) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "no..name", "\u00fc" * 64])
async def test_an_address_that_workers_cannot_share_is_named_with_what_to_do(host: str) -> None:
    config = ServeConfig(f"{host}:0", redis_url="redis://h", symbol_service="h:1", workers=2)
    with pytest.raises(StartupError, match=r"^--listen .*:0: .*this machine") as refused:
        await serve_workers(config, print)
    assert f"{host}:0" in str(refused.value)
