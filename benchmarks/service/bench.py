"""A machine set up for measuring: a Redis, a market, and contenders that take turns."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

from redis_server import RedisServer

from service import books
from service.figures import Report
from service.load import Measured, load
from service.processes import (
    Cores,
    NotServedError,
    Server,
    on_core,
    start_module,
    start_peer,
    start_service,
)

_Sample = TypeVar("_Sample")

TRANSPORTS = ("http2", "grpcio")
REWRITE_SECONDS_MAX = 60.0
BUSY_SHARE = 0.4
"""Of the cores, waited for by others before we begin, from which on it is said."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long it may take."""

    rounds: int
    seconds: float
    """Of one measured window."""
    warm_up_seconds: float
    script_orders: int
    memory_orders: int
    """0: memory is not measured."""


QUICK = Effort(3, 0.8, 0.4, 6_000, 0)
FULL = Effort(5, 2.0, 1.0, 24_000, 100_000)


@dataclass(slots=True)
class Bench:
    """Use as a context manager; ends all that it has started."""

    effort: Effort
    report: Report = field(default_factory=Report)
    cores: Cores = field(default_factory=Cores.of_this_machine)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _begun: float = field(default_factory=time.monotonic)
    redis: RedisServer = field(init=False)
    market: Server = field(init=False)

    def __enter__(self) -> Self:
        self._look_around()
        try:
            self.redis = self.start_redis("everysec")
            self.market = self._stack.enter_context(start_module("books", self.cores.load))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _look_around(self) -> None:
        """Notes what else runs here: ratios of a busy machine say little."""
        waiting, usable = os.getloadavg()[0], len(os.sched_getaffinity(0))
        if usable < 2:
            self.report.notes.append("one core for everything: load and server took turns")
        if waiting > BUSY_SHARE * usable:
            self.report.notes.append(
                f"others were at work (load average {waiting:.1f} on {usable} cores before the"
                " start): measure again on a quiet machine"
            )
        for note in self.report.notes:
            self.say(note)

    # What is started.

    def start_redis(self, appendfsync: str) -> RedisServer:
        """The binary that `serve` embeds, with its settings; it does not rewrite its log by itself.

        A rewrite that falls into one window and not into the next would be all that is seen.
        """
        with on_core(self.cores.load):
            settings = ("--appendonly", "yes", "--appendfsync", appendfsync)
            server = RedisServer(*settings, "--auto-aof-rewrite-percentage", "0")
            return self._stack.enter_context(server)

    @contextlib.contextmanager
    def service(
        self, transport: str, *flags: str, redis: RedisServer | None = None
    ) -> Iterator[Server]:
        """The service on this machine's Redis or that one. Raises `NotServedError`."""
        socket = (redis or self.redis).unix_socket
        words = ("--transport", transport, *flags)
        with start_service(socket, self.market.address, self.cores.server, *words) as server:
            yield server

    def started(self, start: Callable[[], Server]) -> Server | None:
        """What `start` starts, ended with the bench; None and a note where it is not served."""
        try:
            return self._stack.enter_context(start())
        except NotServedError as problem:
            self.say(str(problem))
            return None

    def echo(self, transport: str) -> Server | None:
        """A server on this transport that does nothing."""
        return self.started(lambda: start_module(f"echo_{transport}", self.cores.server))

    def peer(self, form: str) -> Server | None:
        """The contender in C++, with the market's symbols."""
        symbols = [books.symbol(number) for number in range(books.SYMBOLS)]
        return self.started(
            lambda: start_peer(self.redis.unix_socket, symbols, self.cores.server, form)
        )

    # What is measured.

    def load(
        self,
        server: Server,
        mode: str,
        *,
        redis: RedisServer | None = None,
        is_empty: bool = False,
        **flags: float,
    ) -> Measured:
        """One run on an empty Redis. Raises `NotServedError` for a method that is none."""
        redis = redis or self.redis
        if mode != "echo" and not is_empty:
            empty(redis)
        settings = {"seconds": self.effort.seconds, "warm_up": self.effort.warm_up_seconds, **flags}
        watched = (server.pids, (redis.pid,))
        measured = load(server.address, mode, self.cores.load, settings, cpu_of=watched)
        if measured.unimplemented:
            raise NotServedError(f"{server.name}: {mode}: {measured.first_error}")
        if measured.complaint:
            self.report.complaints.append(f"{server.name}, {mode} {flags}: {measured.complaint}")
        return measured

    def rounds(
        self, what: str, contenders: Mapping[str, Callable[[], _Sample]]
    ) -> dict[str, list[_Sample]]:
        """Every contender once a round, forth and back by turns; what each returned."""
        taken: dict[str, list[_Sample]] = {name: [] for name in contenders}
        for number in range(self.effort.rounds):
            turn = list(contenders.items())
            for name, measure in reversed(turn) if number % 2 else turn:
                self.say(f"{what}, round {number + 1} of {self.effort.rounds}: {name}")
                taken[name].append(measure())
        return taken

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"{time.monotonic() - self._begun:5.0f} s  {text}", file=sys.stderr, flush=True)


def empty(redis: RedisServer) -> None:
    """No keys, and a log that says nothing: no run pays for what the one before has written."""
    redis.command("FLUSHALL", "SYNC")
    redis.command("BGREWRITEAOF")
    deadline = time.monotonic() + REWRITE_SECONDS_MAX
    while "aof_rewrite_in_progress:0" not in (found := str(redis.command("INFO", "persistence"))):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the log is not rewritten:\n{found}")
        time.sleep(0.01)
