"""Many calls and many connections at once, each of them answered with its message."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Final

import grpc
import pytest
from interop.cases import HOLD_KEY, zeros
from interop.nghttp import GRPC, SERVICE, framed
from interop.programs import need
from interop.server import FILES_MIN, allow_files
from interop.v1 import testing_pb2_grpc
from interop.v1.testing_pb2 import SimpleRequest, SimpleResponse

BOTH: Final = pytest.mark.parametrize("transport", ["grpcio", "http2"])
SECONDS_MAX: Final = 60
REQUEST: Final = SimpleRequest(response_size=100, payload=zeros(100))
RESPONSE: Final = SimpleResponse(payload=zeros(100))


@BOTH
def test_every_call_of_a_burst_is_answered(
    address: str,
    tmp_path: Path,
) -> None:
    assert_all_answered(address, tmp_path, calls=5_000, connections=10)


@BOTH
def test_ten_thousand_calls_are_under_way_on_one_connection(
    address: str,
    tmp_path: Path,
) -> None:
    """None is answered before all have arrived."""
    assert_all_answered(address, tmp_path, calls=10_000, connections=1, hold=True)


@BOTH
def test_a_thousand_connections_are_served_at_once(
    address: str,
    tmp_path: Path,
) -> None:
    """None is answered before each of them has its call under way."""
    allow_files(FILES_MIN)
    assert_all_answered(address, tmp_path, calls=1_000, connections=1_000, hold=True)


@BOTH
async def test_ten_thousand_calls_of_grpcio_are_under_way_on_one_channel(
    address: str,
) -> None:
    number = 10_000
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        service = testing_pb2_grpc.TestServiceStub(channel)
        metadata = ((HOLD_KEY, str(number)),)
        replies = await asyncio.gather(
            *(
                service.UnaryCall(REQUEST, metadata=metadata, timeout=SECONDS_MAX)
                for _ in range(number)
            )
        )
    assert len(replies) == number
    assert all(reply == RESPONSE for reply in replies)


def assert_all_answered(
    address: str, folder: Path, *, calls: int, connections: int, hold: bool = False
) -> None:
    """Runs h2load, for which any HTTP 200 is a success and which looks at no trailer.

    A call that fails is answered by trailers only, so that its message is missing in the sum.
    """
    need("h2load", "nghttp2-client")
    body = folder / "body"
    body.write_bytes(framed(REQUEST))
    headers = [item for item in GRPC.items() if item[0] != ":method"]
    if hold:
        headers.append((HOLD_KEY, str(calls)))
    streams = calls // connections
    command = ["h2load", "--data", str(body), "--requests", str(calls)]
    command += ["--clients", str(connections), "--max-concurrent-streams", str(streams)]
    for name, value in headers:
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(
        [*command, f"http://{address}/{SERVICE}/UnaryCall"],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    succeeded = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
    assert succeeded is not None, done.stdout[-1_000:]
    assert int(succeeded[1]) == calls
    data = re.search(r"traffic: .* \((\d+)\) data", done.stdout)
    assert data is not None
    assert int(data[1]) == calls * len(framed(RESPONSE))
