"""The servicers over our own HTTP/2 server."""

from collections.abc import Sequence
from typing import Any, Final

import grpc

from execution.server.rpcs import PipelineRpc, PlainRpc, Rpc, UnaryRpc
from execution.server.servicer import SERVICE
from execution.server.transports.calls import Calls, serialize
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.server import Http2Server
from execution.server.transports.tls import Tls

_QUIET_SECONDS_MAX: Final = 0.5
_FLUSH_SECONDS: Final = 0.25
"""For answers that are written but not sent when the port closes."""


class Http2Transport:
    """One `Http2Server`; standard generated servicers can be added to `server`."""

    def __init__(
        self, calls: Calls, limits: Limits | None = None, *, share_port: bool = False
    ) -> None:
        self._calls = calls
        self._share_port = share_port
        self.server = Http2Server(limits)

    def serve(self, rpcs: Sequence[Rpc]) -> None:
        """Adds the rpcs of ExecutionService."""
        calls, server = self._calls, self.server
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for rpc in rpcs:
            if isinstance(rpc, PlainRpc):
                server.add_plain_handlers(SERVICE, {rpc.method: calls.plain(rpc)})
            elif isinstance(rpc, PipelineRpc):
                server.add_plain_streams(SERVICE, {rpc.method: calls.pipeline(rpc)})
            elif isinstance(rpc, UnaryRpc):
                handlers[rpc.method] = grpc.unary_unary_rpc_method_handler(calls.unary(rpc))
            else:
                handlers[rpc.method] = grpc.unary_stream_rpc_method_handler(
                    calls.stream(rpc), response_serializer=serialize
                )
        server.add_registered_method_handlers(SERVICE, handlers)

    async def start(self, listen: str, tls: Tls | None) -> str:
        """Listens on HOST:PORT (port 0: any) or unix:PATH; returns the address.

        Raises `StartupError` if the address cannot be had.
        """
        return await self.server.start(listen, tls, reuse_port=self._share_port)

    async def drain(self, seconds: float) -> None:
        """Sends every client elsewhere in two steps, and loses no call.

        First all are asked to begin no more calls here, and what crosses with
        that is executed; then each connection is told which call was its last.
        Connections that come now are answered UNAVAILABLE until the port closes.
        """
        await self.server.notify_of_shutdown()
        self.server.go_away()
        await self._calls.drain(seconds)
        await self._calls.quiet(min(seconds, _QUIET_SECONDS_MAX))

    async def stop(self) -> None:
        """Closes the port and ends what is left, watches of health included."""
        await self.server.stop(_FLUSH_SECONDS)
