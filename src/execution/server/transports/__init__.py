"""What carries gRPC; the servicers run on either. `--transport` chooses."""

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from execution.server.rpcs import Rpc
    from execution.server.transports.calls import Calls
    from execution.server.transports.tls import Tls

GATHER_MS: Final = {"http2": 0.0, "grpcio": 12.0}
"""How long orders may wait for company under full load: grpc.aio takes up one call a turn of
the loop, http2 whatever has come.
"""


class Transport(Protocol):
    """A gRPC server, as the service needs it."""

    server: Any
    """Standard generated servicers can be added to it."""

    def serve(self, rpcs: "Sequence[Rpc]") -> None:
        """Adds the rpcs of ExecutionService."""

    async def start(self, listen: str, tls: "Tls | None") -> str:
        """Listens on HOST:PORT (port 0: any) or unix:PATH; returns the address.

        Raises `StartupError` if the address cannot be had.
        """

    async def drain(self, seconds: float) -> None:
        """Sends new calls elsewhere and waits for those under way, for so long at most."""

    async def stop(self) -> None:
        """Closes the port and ends what is left."""


def transport_of(
    name: Literal["http2", "grpcio"],
    calls: "Calls",
    *,
    connections_max: int = 4_096,
    age_seconds_max: float | None = None,
    share_port: bool = False,
) -> Transport:
    """The transport of that name; neither is imported for the other.

    `share_port`: other processes listen on the same port, and the kernel deals
    connections out among them.
    """
    if name == "http2":
        from execution.server.transports.http2.limits import Limits  # noqa: PLC0415 - neither for the other
        from execution.server.transports.http2.transport import (  # noqa: PLC0415 - neither for the other
            Http2Transport,
        )

        limits = Limits(connections_max=connections_max, age_seconds_max=age_seconds_max)
        return Http2Transport(calls, limits, share_port=share_port)
    from execution.server.transports.grpc_aio import GrpcAioTransport  # noqa: PLC0415 - neither for the other

    return GrpcAioTransport(calls, age_seconds_max=age_seconds_max, share_port=share_port)
