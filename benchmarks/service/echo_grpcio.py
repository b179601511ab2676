"""A grpc.aio server on uvloop that does nothing: the measure of what a transport costs.

    python -m service.echo_grpcio

Answers every unary call with the same 200 bytes. Prints a `ready` line; ends with SIGTERM.
"""

import asyncio
import signal
from typing import Any

import grpc
import uvloop

REPLY = b"x" * 200
"""About what an ExecutionReport takes."""


async def _echo(request: bytes, context: Any) -> bytes:
    del request, context
    return REPLY


class AnyMethod(grpc.GenericRpcHandler):
    """Every method is the echo."""

    def __init__(self) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(_echo)

    def service(self, call_details: grpc.HandlerCallDetails) -> Any:
        del call_details
        return self._handler


async def _serve() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((AnyMethod(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready grpc=127.0.0.1:{port}", flush=True)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
