"""`execution-service verify`: proves that what is in a Redis is what happened, each once."""

import json
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import click

from execution.cli.options import option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from execution.verify.proof import Proof

QUIET_SECONDS: Final = 2.0
"""A proof that is done sooner shows no progress."""

LINE_SECONDS: Final = 5.0
"""Between two lines of progress where no terminal is."""

_TIMEOUT_SECONDS: Final = 30
_FEE_BPS_MAX: Final = 10_000


class Watch:
    """Shows on standard error how far the proof is, once it takes its time."""

    def __init__(self, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._began = time.monotonic()
        self._next = self._began + quiet_seconds
        self._console: Console | None = None
        self._status: Status | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Progress, as `execution.verify.state.Progress`."""
        now = time.monotonic()
        if now < self._next:
            return
        line = f"{what}: {done:,} of {max(done, total):,} after {now - self._began:.0f} s"
        if not sys.stderr.isatty():
            self._next = now + LINE_SECONDS
            print(line, file=sys.stderr, flush=True)
            return
        if self._status is None:
            from rich.console import Console  # noqa: PLC0415 - a short proof needs none of it

            self._console = Console(stderr=True)
            self._status = self._console.status(line)
            self._status.start()
        self._status.update(line)

    def end(self) -> None:
        """Leaves the terminal as it was."""
        if self._status is not None:
            self._status.stop()


def fee_bps(_: click.Context, __: click.Parameter, text: str | None) -> Fraction | None:
    """Exact basis points of decimal text, as a click callback."""
    from execution.verify.exact import number  # noqa: PLC0415 - --help needs none of it

    if text is None:
        return None
    rate = number(text.rstrip("0").rstrip(".") if "." in text else text)
    if rate is None or not 0 <= rate <= _FEE_BPS_MAX:
        raise click.BadParameter(f"{text!r} is no decimal from 0 to {_FEE_BPS_MAX} such as 2.5")
    return rate


@click.command()
@option("--redis-url", "Redis to prove: redis://…, rediss://… or unix://….", required=True)
@click.option(
    "--taker-fee-bps",
    "rate",
    callback=fee_bps,
    metavar="BPS",
    help="The one fee rate of all trades; without it fees are only compared with each other.",
)
@click.option("--trimmed", is_flag=True, help="The streams are limited on purpose.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(redis_url: str, rate: Fraction | None, *, trimmed: bool, as_json: bool) -> None:
    """Prove what the service left in a Redis; exit 1 if anything contradicts it.

    By code that shares nothing with the engine: every trade's fills are walked
    again to its price, quantity, notional and fee; every position and PnL is
    replayed from the trades; every order's updates are followed from version 1
    and compared with its hash. Each finding has a stable name; the first 50 are
    shown in full, all are counted.

    Only reads, page by page. A service may run meanwhile: what it writes after
    the proof began is proven as far as it was read. Do not trim the streams
    meanwhile. In a Redis Cluster, prove each master by its own URL.

    Exit status: 0 proven, 1 findings, 2 Redis cannot be read or usage.
    """
    from execution.adapters.redis_url import (  # noqa: PLC0415 - --help needs none of it
        parse_redis_url,
        redacted_url,
    )
    from execution.verify import report  # noqa: PLC0415 - as above

    where = redacted_url(redis_url)
    try:
        parse_redis_url(redis_url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--redis-url") from None
    proof = _prove(redis_url, where, rate, trimmed=trimmed)
    if as_json:
        print(json.dumps(report.as_json(proof, where), indent=2))
    else:
        for line in report.lines(proof, where):
            color = _color(line)
            print(click.style(line, fg=color) if color and sys.stdout.isatty() else line)
    sys.exit(0 if proof.ok else 1)


def _prove(redis_url: str, where: str, rate: Fraction | None, *, trimmed: bool) -> "Proof":
    from redis import Redis  # noqa: PLC0415 - as above
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    from execution.verify.proof import prove  # noqa: PLC0415 - as above
    from execution.verify.state import Options  # noqa: PLC0415 - as above

    watch = Watch()
    try:
        with Redis.from_url(
            redis_url,
            decode_responses=True,
            # What is no text is found, not stumbled over.
            encoding_errors="surrogateescape",
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
        ) as redis:
            return prove(redis, Options(rate, trimmed), watch)
    except (RedisError, OSError) as error:
        watch.end()
        print(f"execution-service verify: {where} cannot be read: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        watch.end()


def _color(line: str) -> str | None:
    if line.startswith("proved"):
        return "green"
    return "red" if line.startswith("FAILED") else None
