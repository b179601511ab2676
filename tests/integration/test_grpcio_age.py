"""How old a connection over grpcio may grow, and what its calls get then."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from execution.server.clock import SystemClock
from execution.server.observe import Metrics
from execution.server.transports import grpc_aio
from execution.server.transports.calls import Calls


async def test_a_call_on_an_old_connection_ends_after_its_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grpc_aio, "AGE_GRACE_SECONDS", 0.2)
    calls = Calls(SystemClock(), Metrics(), None)
    transport = grpc_aio.GrpcAioTransport(calls, age_seconds_max=0.2)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), transport.server)
    address = await transport.start("127.0.0.1:0", None)
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        await watch.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    await transport.stop()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
