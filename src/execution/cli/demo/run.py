"""The demo itself: a market, the service and a few traders, in one process.

Nothing is faked: the traders are `execution.client` over gRPC, the orders meet
the books of a real symbol-service, the trades are in a real Redis.
"""

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from execution.cli.demo.flow import OrderFlow, user_names
from execution.cli.demo.proof import Before, Check, look, prove
from execution.cli.demo.state import Session
from execution.cli.demo.stop_proof import prove_stops, read_stops
from execution.cli.demo.traders import MUST_FAIL, Traders
from execution.client import AsyncClient
from execution.embedded.market.feed import BookFeed
from execution.embedded.market.simulate import simulated_feeds
from execution.embedded.market.symbol_service import SymbolService
from execution.server.app import App, Ready
from execution.server.config import ServeConfig

FRAME_SECONDS: Final = 0.25
END_SECONDS: Final = 10.0
"""What the orders under way get at the end."""


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The flags of `demo`."""

    seconds: float | None = None
    rate: float = 25.0
    users: int = 4
    seed: int = 1
    data_dir: Path | None = None
    listen: str = "127.0.0.1:0"
    metrics_listen: str = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a screen shows."""

    ready: Ready
    feeds: tuple[BookFeed, ...]
    session: Session
    seconds: float | None


class Screen(Protocol):
    """Where the demo is watched."""

    def starting(self, seconds: float) -> None:
        """The service has been starting for so long."""

    def started(self, scene: Scene) -> None:
        """The service is ready."""

    def frame(self, scene: Scene, now: float) -> None:
        """A moment of the demo; `now` is in monotonic seconds."""

    def summary(self, scene: Scene, now: float, checks: list[Check]) -> None:
        """The end, with the proof; nothing is shown after it."""

    def close(self) -> None:
        """Leaves the screen as it was; also without a summary, also twice."""


async def demo(config: DemoConfig, screen: Screen) -> int:
    """Runs until the time is up or a signal comes; 0 if the proof holds, else 1.

    A second signal ends it without the proof. Raises `StartupError`.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    feeds = tuple(simulated_feeds(seed=config.seed))
    async with AsyncExitStack() as closing:
        closing.callback(screen.close)
        app = await closing.enter_async_context(_service(config, feeds))
        ready = await _started(app, stop, screen)
        if ready is None:
            return 0
        client = await closing.enter_async_context(AsyncClient(ready.grpc))
        users = user_names(config.users)
        async with _redis(ready) as redis:
            before = await look(redis, users, [feed.spec.symbol for feed in feeds])

        session = Session(begun=time.monotonic())
        scene = Scene(ready, feeds, session, config.seconds)
        traders = Traders(client, OrderFlow(users, feeds, config.seed), session)
        screen.started(scene)
        async with traders.watching(users):
            await _play(traders, scene, config, stop, screen)
            ended = time.monotonic()
            await traders.settle()
            await app.drain(END_SECONDS)
        checks = [*await _proof(ready, before, session), *_own_checks(session)]
        screen.summary(scene, ended, checks)
    return 0 if all(check.ok for check in checks) else 1


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal asks for the summary, the second does not wait for it."""
    loop = asyncio.get_running_loop()
    whole = asyncio.current_task()

    def arrived() -> None:
        if stop.is_set() and whole is not None:
            whole.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, arrived)


@asynccontextmanager
async def _service(config: DemoConfig, feeds: Sequence[BookFeed]) -> AsyncIterator[App]:
    """The service, not started yet, and the market it will ask."""
    async with AsyncExitStack() as closing:
        data_dir = config.data_dir
        if data_dir is None:
            folder = tempfile.TemporaryDirectory(prefix="execution-demo-")
            data_dir = Path(closing.enter_context(folder))
        market = SymbolService(feeds)
        await market.start("127.0.0.1:0")
        closing.push_async_callback(market.stop)
        app = App(
            ServeConfig(
                listen=config.listen,
                metrics_listen=config.metrics_listen,
                symbol_service=market.address,
                data_dir=data_dir,
            )
        )
        closing.push_async_callback(app.close)
        yield app


async def _started(app: App, stop: asyncio.Event, screen: Screen) -> Ready | None:
    """Starts the service; None if it was told to stop before it was ready."""

    async def start() -> Ready:
        await app.start()
        return await app.ready()

    begun = time.monotonic()
    starting = asyncio.create_task(start())
    stopped = asyncio.create_task(stop.wait())
    try:
        while not (starting.done() or stopped.done()):
            screen.starting(time.monotonic() - begun)
            await asyncio.wait(
                (starting, stopped), timeout=FRAME_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        if starting.done():
            return starting.result()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return None
    finally:
        stopped.cancel()


async def _play(
    traders: Traders, scene: Scene, config: DemoConfig, stop: asyncio.Event, screen: Screen
) -> None:
    """Trades until the end, frame by frame."""
    if config.seconds is not None:
        asyncio.get_running_loop().call_later(config.seconds, stop.set)
    trading = asyncio.create_task(traders.trade(config.rate, stop))
    try:
        while not trading.done():
            screen.frame(scene, time.monotonic())
            await asyncio.wait((trading,), timeout=FRAME_SECONDS)
        trading.result()
    finally:
        trading.cancel()


def _redis(ready: Ready) -> Redis:
    """The service's Redis, read as any consumer would read it."""
    return Redis.from_url(ready.redis, decode_responses=True)


async def _proof(ready: Ready, before: Before, session: Session) -> list[Check]:
    """What Redis says of the orders."""
    # A connection of its own: an older one may not have outlived what happened meanwhile.
    try:
        async with _redis(ready) as redis:
            stops = await read_stops(redis, before, session.stops.told)
            return [
                *await prove(redis, before, session.outcomes | stops.outcomes),
                *await prove_stops(redis, before, session.stops.told, stops),
            ]
    except RedisError as error:
        return [Check("Redis could be read", [str(error)])]


def _own_checks(session: Session) -> list[Check]:
    """What the clients alone can tell."""
    refused = sum(session.errors[error.__name__] for error in MUST_FAIL.values())
    checks = [
        Check(
            f"{session.retries} retries answered as the first time, to the byte", session.different
        ),
        Check(f"{refused} wrong orders ended in the right error", session.unexpected),
    ]
    if session.in_doubt:
        checks.append(Check("every order was answered", list(session.in_doubt)))
    return checks
