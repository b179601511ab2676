"""The test service as a process: `python -m interop.server grpcio|http2 LISTEN [CHAIN KEY]`.

Prints `ready ADDRESS`; SIGTERM ends it.
"""

import asyncio
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
import uvloop
from interop.servicer import Servicer
from interop.v1.testing_pb2_grpc import add_TestServiceServicer_to_server

from execution.server.transports.http2.server import Http2Server
from execution.server.transports.tls import Tls

GRACE_SECONDS: Final = 1.0
FILES_MIN: Final = 4_096
"""A thousand connections, and what a process has open besides."""

GRPCIO_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    # It refuses some of a burst of more than a thousand calls.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
)


async def main(transport: str, listen: str, *pair: str) -> None:
    """Serves until it is told to end."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with TRANSPORTS[transport](listen, *map(read, pair)) as address:
        print(f"ready {address}", flush=True)
        await told.wait()


@asynccontextmanager
async def by_grpcio(listen: str) -> AsyncIterator[str]:
    server = grpc.aio.server(options=GRPCIO_OPTIONS)
    add_TestServiceServicer_to_server(servicer(), server)
    port = server.add_insecure_port(listen)
    await server.start()
    yield f"{listen.rpartition(':')[0]}:{port}"
    await server.stop(GRACE_SECONDS)


@asynccontextmanager
async def by_http2(
    listen: str, chain: bytes | None = None, key: bytes | None = None
) -> AsyncIterator[str]:
    server = Http2Server()
    add_TestServiceServicer_to_server(servicer(), server)  # type: ignore[arg-type]  # looks like one
    tls = None if chain is None or key is None else Tls(chain, key)
    yield await server.start(listen, tls)
    await server.stop(GRACE_SECONDS)


TRANSPORTS: Final[dict[str, Callable[..., AbstractAsyncContextManager[str]]]] = {
    "grpcio": by_grpcio,
    "http2": by_http2,
}


def read(path: str) -> bytes:
    return Path(path).read_bytes()


def servicer() -> Servicer:
    return Servicer()  # type: ignore[abstract]  # what it does not implement is part of the test


def allow_files(number: int) -> None:
    """Lets this process and its children have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


if __name__ == "__main__":
    allow_files(FILES_MIN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
