"""A drain that meets a stream at any moment ends it with the reason, in full."""

import asyncio
from typing import Any, Literal

import grpc
import pytest
from refusals import reason

from execution.server.admission import Call
from execution.server.clock import SystemClock
from execution.server.observe import Metrics
from execution.server.rpcs import Replies, StreamRpc
from execution.server.transports import transport_of
from execution.server.transports.calls import Calls
from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc


@pytest.mark.parametrize("name", ["http2", "grpcio"])
async def test_a_drain_while_a_stream_begins_still_tells_why(
    name: Literal["http2", "grpcio"],
) -> None:
    transport = transport_of(name, Calls(SystemClock(), Metrics(), None))
    drains: list[asyncio.Task[None]] = []

    async def watch(_: Any, __: Call, replies: Replies) -> None:
        # Begun, so that the drain comes while the metadata is on its way.
        drains.append(asyncio.create_task(transport.drain(5)))
        await replies.begin("0-0")
        await asyncio.Event().wait()

    transport.serve((StreamRpc("WatchOrders", pb.WatchOrdersRequest, watch),))
    address = await transport.start("127.0.0.1:0", None)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = execution_pb2_grpc.ExecutionServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in stub.WatchOrders(pb.WatchOrdersRequest(user_id="u1")):
                    pass
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert reason(caught.value) == "DRAINING"
        await asyncio.gather(*drains)
    finally:
        await transport.stop()
