"""`execution-service demo`: the whole service with a market and traders, to watch."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from execution.cli.options import option
from execution.cli.running import run
from execution.errors import StartupError

if TYPE_CHECKING:
    from execution.cli.demo.run import Screen


@click.command()
@option("--seconds", "End by itself after so long.", type=click.FloatRange(0, min_open=True))
@option("--rate", "Orders a second.", type=click.FloatRange(0.1, 2_000), default=25.0)
@option("--users", "How many trade.", type=click.IntRange(1, 100), default=4)
@option("--seed", "Another seed, another story.", type=int, default=1)
@option(
    "--data-dir",
    "Home of the embedded Redis, kept. Default: a temporary one, removed at the end.",
    type=click.Path(path_type=Path),
)
@option("--listen", "gRPC address; port 0 picks a free one.", default="127.0.0.1:0")
@option("--metrics-listen", "Prometheus address.", default="127.0.0.1:0")
def command(**settings: Any) -> None:
    """Watch orders execute against moving books.

    Starts a Redis, a symbol-service with simulated books, the service and a few
    clients that trade and keep stops; ends with a summary, after --seconds or at
    Ctrl-C, that proves from Redis that every order happened once. Without a
    terminal it prints a line a second.
    """
    from execution.cli.demo.run import DemoConfig, demo  # noqa: PLC0415 - --help needs none of it

    screen = _screen()
    try:
        status = run(demo(DemoConfig(**settings), screen))
    except StartupError as error:
        sys.exit(f"execution-service demo: {error}")
    except asyncio.CancelledError:
        sys.exit("execution-service demo: interrupted before the summary")
    sys.exit(status)


def _screen() -> "Screen":
    """A live screen where there is a terminal for it, lines elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - as above

    from execution.cli.demo.plain import PlainScreen  # noqa: PLC0415 - as above
    from execution.cli.demo.terminal import TerminalScreen, fits  # noqa: PLC0415 - as above
    from execution.server.observe import log_to_stderr  # noqa: PLC0415 - as above

    console = Console()
    if not fits(console):
        log_to_stderr("warning")
        return PlainScreen(lambda line: print(line, flush=True))
    screen = TerminalScreen(console)
    logging.basicConfig(level=logging.WARNING, handlers=[screen])
    return screen
