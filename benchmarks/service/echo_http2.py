"""The same as echo_grpcio.py on our own transport.

python -m service.echo_http2
"""

import asyncio
import signal

import uvloop

from execution.server.transports.http2.server import Http2Server
from service.echo_grpcio import AnyMethod


async def _serve() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = Http2Server()
    server.add_generic_rpc_handlers((AnyMethod(),))
    print(f"ready grpc={await server.start('127.0.0.1:0', None)}", flush=True)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
