"""Every resting stop of the deployment, over Redis: `execution.ports.StopStream`.

A connection of its own, made again whenever it is lost. What is read, and how
no change is missed, is in `stop_reader`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from execution.adapters.login import log_in
from execution.adapters.redis_url import parse_redis_url
from execution.adapters.stop_reader import ReadLimits, StopReader
from execution.adapters.wire import Connection, ConnectionLost, WireLimits, connect
from execution.errors import LedgerUnavailable, Unavailable
from execution.ports import StopEvent

_BACKOFF_MIN_SECONDS: Final = 0.01
_BACKOFF_MAX_SECONDS: Final = 0.25
_CLIENT_NAME: Final = "execution-service-stops"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StopStreamConfig:
    """Where the stops are kept, and how to read them."""

    url: str = field(repr=False)
    read: ReadLimits = field(default_factory=ReadLimits)
    wire: WireLimits = field(default_factory=lambda: WireLimits(request_timeout_ms=2_000))
    """`request_timeout_ms` is more than `read.block_ms`: Redis waits that long by order."""


class RedisStopStream:
    """Tells of every stop that rests, whichever replica armed it.

    Raises `ValueError` for a URL that is none, or a read that would outlast its
    own timeout.
    """

    def __init__(self, config: StopStreamConfig) -> None:
        if config.wire.request_timeout_ms <= config.read.block_ms:
            raise ValueError(
                f"a read waits {config.read.block_ms} ms, but is given up after"
                f" {config.wire.request_timeout_ms} ms"
            )
        self._config = config
        self._address = parse_redis_url(config.url)
        self._where = f"Redis at {self._address}"
        self.failure: Unavailable | None = LedgerUnavailable(f"{self._where} is not read yet")
        """Why no change can be heard at the moment; None while all is well."""

    async def follow(self) -> AsyncIterator[Sequence[StopEvent]]:
        """All resting stops, then every change, for good; begins anew after a gap.

        Never ends and never raises: what befalls Redis or the way there is
        waited out, see `failure`. Close the iterator (`contextlib.aclosing`), or
        cancel the task that waits for it, to end its connection.
        """
        reader = StopReader(self._config.read, self._where)
        backoff = _BACKOFF_MIN_SECONDS
        while True:
            connection: Connection | None = None
            try:
                connection = await connect(self._address, self._config.wire)
                await log_in(connection, self._address, _CLIENT_NAME)
                async with aclosing(reader.batches(connection)) as batches:
                    async for batch in batches:
                        self._heard()
                        backoff = _BACKOFF_MIN_SECONDS
                        if batch:
                            yield batch
            except ConnectionLost as error:
                where = "" if connection is None else f"{self._where}: "
                self._failed(LedgerUnavailable(f"{where}{error}"))
            except Unavailable as error:
                self._failed(error)
            finally:
                if connection is not None:
                    connection.abort("no longer read")
                    await connection.lost
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _BACKOFF_MAX_SECONDS)

    def _heard(self) -> None:
        if self.failure is not None:
            self.failure = None
            _log.info("stops are read from %s", self._where)

    def _failed(self, error: Unavailable) -> None:
        if self.failure is None or self.failure.message != error.message:
            _log.warning("stops cannot be read: %s", error.message)
        self.failure = error
