"""What the documents tell a reader to type does what they say."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from market import Market
from processes import Running, running, serve_flags, start, stop
from recorded import data_directory
from redis_server import RedisServer

from execution.client import AsyncClient

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GRPC, MARKET = "127.0.0.1:50051", "127.0.0.1:50061"


def block(name: str) -> str:
    """The fenced block after the comment `run: NAME`."""
    found = re.search(rf"<!-- run: {name} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {name}"
    return found[1]


def commands(text: str) -> list[list[str]]:
    """The shell commands of a block, words apart, without the program's name."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if line]
    assert all(line[0] == "execution-service" for line in words)
    return [line[1:] for line in words]


def run_python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_kernel_example_runs(tmp_path: Path) -> None:
    assert "1007" in run_python(block("kernel"), tmp_path)


async def test_the_python_and_the_grpcurl_example_run_against_serve(tmp_path: Path) -> None:
    async with running(*serve_flags(), cwd=tmp_path) as service:
        code = block("client").replace(GRPC, service.grpc)
        printed = await asyncio.to_thread(run_python, code, tmp_path)
        assert printed.startswith("FILLED 0.125 at ")
        first = await asyncio.to_thread(like_grpcurl, service.grpc)
        assert first == await asyncio.to_thread(like_grpcurl, service.grpc)
        assert first["status"] == "ORDER_STATUS_FILLED"


def like_grpcurl(target: str) -> dict[str, Any]:
    """Sends the request of the README's grpcurl command, knowing nothing but reflection."""
    found = re.search(
        r"grpcurl -plaintext -d '(.*?)' \\\n\s+(\S+) (\S+)/(\S+)\n", README, re.DOTALL
    )
    assert found
    body, address, service, method = found.groups()
    assert address == GRPC
    with grpc.insecure_channel(target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        described = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(described.input_type)()
        json_format.ParseDict(json.loads(body), request)
        call: Any = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
        )
        answer: dict[str, Any] = json_format.MessageToDict(
            call(request, timeout=10), preserving_proto_field_name=True
        )
        return answer


async def test_the_replay_example_serves_a_recorded_market(tmp_path: Path) -> None:
    if not data_directory().exists():
        pytest.skip(f"the recorded books are not here: {data_directory()}")
    market, serve = commands(block("replay"))
    market = [word.replace("../shared/data", str(data_directory())) for word in market]
    source = await start(*(word.replace(MARKET, "127.0.0.1:0") for word in market), cwd=tmp_path)
    try:
        flags = [word.replace(MARKET, source.grpc) for word in serve[1:]]
        async with running(*serve_flags(), *flags, cwd=tmp_path) as service:
            assert service.ready["symbols"] == "BTC-USDT"
    finally:
        await stop(source)


async def test_the_rights_that_the_documents_name_are_enough(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    found = re.search(r"ACL SETUSER.*?```\n(.*?)```", text, re.DOTALL)
    assert found
    market = Market()
    market.set_book([("100", "9")], [("100.5", "9")])
    with RedisServer() as server:
        server.command("ACL", "SETUSER", "trader", "on", ">pw", *found[1].split())
        url = server.url.replace("redis://", "redis://trader:pw@")
        async with (
            market,
            running_service(tmp_path, redis_url=url, symbol_service=market.address) as service,
            AsyncClient(service.grpc) as client,
        ):
            order: dict[str, Any] = {"user_id": "u", "symbol": "BTC-USDT", "direction": "BUY"}
            report = await client.execute_market_order(**order, quantity=1)
            async with client.watch_orders(user_id="u", resume_token="0-0") as watch:
                assert (await anext(aiter(watch))).order_id == report.order_id
            stop = await client.execute_sl_order(**order, quantity=1, trigger_price=200)
            await client.modify_order(order_id=stop.order_id, user_id="u", trigger_price=300)
            await client.cancel_order(order_id=stop.order_id, user_id="u")
            assert not re.search("NOPERM", service.log.read_text())


def running_service(cwd: Path, **flags: str) -> AbstractAsyncContextManager[Running]:
    return running(*serve_flags(**flags), cwd=cwd)


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
