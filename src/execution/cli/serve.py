"""`execution-service serve`: the service, on embedded defaults unless told otherwise."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from execution.cli.options import option
from execution.cli.running import run
from execution.errors import StartupError
from execution.pricing import LiquidityMode
from execution.server.config import TRANSPORTS, ServeConfig

_FILE = click.Path(path_type=Path)


@click.command()
@option("--listen", "gRPC address; port 0 picks a free one.", default="127.0.0.1:50051")
@option("--redis-url", "Redis to use; none: an embedded one, durable under --data-dir.")
@option("--symbol-service", "HOST:PORT of symbol-service; none: simulated books.")
@option("--metrics-listen", "Prometheus address.", default="127.0.0.1:9464")
@option("--data-dir", "Home of the embedded Redis.", type=_FILE, default=Path("execution-data"))
@option("--workers", "Worker processes.", type=int, default=1)
@option("--transport", "gRPC server.", type=click.Choice(TRANSPORTS), default="auto")
@option(
    "--durability",
    "memory, fsync or replicated:N: what an answer waits for. Default: fsync for the"
    " embedded Redis, memory for another.",
)
@option("--max-snapshot-age-ms", "Oldest book an order may meet.", type=int, default=500)
@option(
    "--liquidity",
    "consume: orders share what one snapshot shows; snapshot: each sees all of it.",
    type=click.Choice([mode.value for mode in LiquidityMode]),
    default=LiquidityMode.CONSUME.value,
)
@option("--taker-fee-bps", "Fee in basis points, exact decimal.", default="0")
@option("--trigger-retry-ms", "How long a stop waits for a book.", type=int, default=5_000)
@option("--drain-seconds", "Time orders under way get at SIGTERM.", type=float, default=10.0)
@option("--max-in-flight", "Orders under way before RESOURCE_EXHAUSTED.", type=int, default=20_000)
@option(
    "--busy-poll-us",
    "Stay awake so long for an answer of Redis, or an order, that is about to come; 0: never.",
    type=int,
    default=0,
)
@option("--depth", "Levels asked of symbol-service; 0: all.", type=int, default=0)
@option("--tls-cert", "PEM certificate chain to serve with.", type=_FILE)
@option("--tls-key", "PEM key of it.", type=_FILE)
@option("--tls-client-ca", "PEM CA that clients must show a certificate of.", type=_FILE)
@option("--auth-tokens", "JSON file of bearer tokens and their users.", type=_FILE)
@option("--max-connections", "Connections before more are sent away.", type=int, default=4_096)
@option(
    "--max-connection-age-seconds",
    "Age at which a connection is asked to be opened anew; 0: never.",
    type=float,
    default=0.0,
)
@click.option("--share-port", is_flag=True, hidden=True)
@option(
    "--log-level",
    "Logs go to standard error.",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
)
def command(log_level: str, liquidity: str, **settings: Any) -> None:
    """Run the service.

    Prints one `ready` line when it can execute orders; SIGTERM drains.
    """
    from execution.server.app import serve  # noqa: PLC0415 - --help needs none of it
    from execution.server.observe import log_to_stderr  # noqa: PLC0415 - as above
    from execution.server.workers import serve_workers  # noqa: PLC0415 - as above

    log_to_stderr(log_level)
    # For the workers, who inherit it.
    os.environ["EXECUTION_LOG_LEVEL"] = log_level
    config = ServeConfig(liquidity=LiquidityMode(liquidity), **settings)
    serving = serve if config.workers == 1 else serve_workers
    try:
        status = run(serving(config, announce=lambda line: print(line, flush=True)))
    except StartupError as error:
        print(f"execution-service serve: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)
