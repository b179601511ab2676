"""`execution-service symbol-service`: simulated or recorded books for others to read."""

import asyncio
import math
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from execution.cli.running import run
from execution.errors import StartupError

if TYPE_CHECKING:
    from execution.embedded.market.feed import BookFeed

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SYMBOL: Final = re.compile(r"[A-Za-z0-9._/-]{1,32}", re.ASCII)
_ALL_SIMULATED: Final = ""
ORDER: Final = "execution.symbol_service.order"


@dataclass(frozen=True, slots=True)
class Replay:
    """One --replay with the options that go with it."""

    file: Path
    symbol: str
    trades: Path | None
    speed: float
    loop: bool


class _OrderedCommand(click.Command):
    """Remembers in which order the options came: they belong to the --replay before them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses twice: for the order, then for the values."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def _option(flag: str, help_text: str, **settings: Any) -> Callable[[_Command], _Command]:
    # EXECUTION_LISTEN is what `serve` listens on: this command has names of its own.
    variable = f"EXECUTION_SYMBOL_SERVICE_{flag.removeprefix('--').upper()}"
    decorate: Callable[[_Command], _Command] = click.option(
        flag, envvar=variable, show_envvar=True, show_default=True, help=help_text, **settings
    )
    return decorate


_FILE: Final = click.Path(path_type=Path)


@click.command(cls=_OrderedCommand)
@click.option(
    "--replay", multiple=True, type=_FILE, help="A *.book.csv.gz file to play; repeatable."
)
@click.option("--symbol", multiple=True, metavar="NAME", help="What to serve the replay as.")
@click.option("--trades", multiple=True, type=_FILE, help="Its trades: they are the last price.")
@click.option(
    "--speed",
    multiple=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Times as fast as recorded; inf: as fast as the machine can.  [default: 1]",
)
@click.option("--loop", is_flag=True, help="Play it again from the start, for ever.")
@click.option(
    "--simulate",
    multiple=True,
    is_flag=False,
    flag_value=_ALL_SIMULATED,
    metavar="[SYMBOL]...",
    help="Simulate these symbols; without names, or without --replay, the usual five.",
)
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@_option("--listen", "gRPC address; port 0 picks a free one.", default="127.0.0.1:50061")
@_option("--seed", "Of the simulation: same seed, same books.", type=int, default=1)
@_option(
    "--depth",
    "Levels a side that are simulated.",
    type=click.IntRange(1, 1000),
    default=25,
)
@click.pass_context
def command(ctx: click.Context, /, listen: str, **settings: Any) -> None:
    """Serve order books over both protos of symbol-service.

    --symbol, --trades, --speed and --loop belong to the --replay before them;
    --speed and --loop before the first --replay hold for every one.

    Prints one line, `ready grpc=HOST:PORT symbols=A,B`, when it serves.
    """
    from execution.server.config import host_port  # noqa: PLC0415 - --help needs none of it

    try:
        host_port(listen, "--listen")
        feeds = _feeds(ctx.meta[ORDER], settings)
        run(_serve(feeds, listen))
    except StartupError as error:
        print(f"execution-service symbol-service: {error}", file=sys.stderr)
        sys.exit(2)


def _feeds(order: Sequence[str], settings: dict[str, Any]) -> "list[BookFeed]":
    from execution.embedded.market.recording import open_recording  # noqa: PLC0415 - --help needs none of it
    from execution.embedded.market.replay import ReplayFeed  # noqa: PLC0415 - as above
    from execution.embedded.market.simulate import INSTRUMENTS, simulated_feeds  # noqa: PLC0415 - as above

    replays = replays_of(order, settings)
    simulated = simulated_of(settings["simulate"], settings["symbols"], tuple(INSTRUMENTS))
    if not replays and not simulated:
        simulated = list(INSTRUMENTS)
    names = [*(replay.symbol for replay in replays), *simulated]
    for name in names:
        if not _SYMBOL.fullmatch(name):
            raise click.UsageError(f"symbol {name!r} is not 1 to 32 of A-Z a-z 0-9 . _ / -")
        if names.count(name) > 1:
            raise click.UsageError(f"symbol {name!r} is named more than once")
    feeds: list[BookFeed] = [
        ReplayFeed(
            open_recording(replay.file, replay.symbol, replay.trades), replay.speed, replay.loop
        )
        for replay in replays
    ]
    return [*feeds, *simulated_feeds(simulated, settings["seed"], settings["depth"])]


def simulated_of(
    values: Sequence[str], more: Sequence[str], everything: Sequence[str]
) -> list[str]:
    """The names after --simulate; `more` are those beyond the first of each."""
    if more and not values:
        raise click.UsageError(f"unexpected {more[0]!r}; symbols to simulate come after --simulate")
    named = [name for value in (*values, *more) for name in value.split(",") if name]
    return named or (list(everything) if values else [])


def replays_of(order: Sequence[str], settings: dict[str, Any]) -> list[Replay]:
    """Groups the options by the --replay they belong to."""
    values = {name: iter(settings[name]) for name in ("replay", "symbol", "trades", "speed")}
    shared: dict[str, Any] = {"trades": None, "speed": 1.0, "loop": False}
    groups: list[dict[str, Any]] = []
    symbols: list[str] = []
    for name in order:
        if name == "replay":
            groups.append(shared | {"file": next(values["replay"])})
        elif name == "symbol":
            symbols.append(next(values["symbol"]))
        elif name == "trades":
            if not groups:
                raise click.UsageError("--trades comes after its --replay")
            groups[-1]["trades"] = next(values["trades"])
        elif name in ("speed", "loop"):
            (groups[-1] if groups else shared)[name] = (
                True if name == "loop" else next(values["speed"])
            )
    if any(math.isnan(group["speed"]) for group in groups):
        raise click.UsageError("--speed nan is no speed")
    if len(symbols) != len(groups):
        raise click.UsageError(
            f"{len(groups)} --replay and {len(symbols)} --symbol; every --replay needs one --symbol"
        )
    return [Replay(symbol=symbol, **group) for symbol, group in zip(symbols, groups, strict=True)]


async def _serve(feeds: "Sequence[BookFeed]", listen: str) -> None:
    from execution.embedded.market.symbol_service import SymbolService  # noqa: PLC0415 - as above

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    service = SymbolService(feeds)
    address = await service.start(listen)
    try:
        print(f"ready grpc={address} symbols={','.join(service.symbols)}", flush=True)
        ended = asyncio.create_task(service.wait())
        ended.add_done_callback(lambda _: stopping.set())
        await stopping.wait()
    finally:
        await service.stop()
    await ended
