"""What workers are told, and that they are kept running whatever happens."""

from pathlib import Path

import pytest

from execution.cli.serve import command
from execution.errors import StartupError
from execution.pricing import LiquidityMode
from execution.server.config import ServeConfig
from execution.server.workers import environment

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
