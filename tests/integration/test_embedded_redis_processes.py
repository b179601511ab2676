"""The embedded Redis between processes: kills, adoption, succession, races."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from embedded_redis_owner import OwnerProcess, client_of, server_binaries, wait_until_gone

from execution.embedded.redis import EmbeddedRedis, EmbeddedRedisConfig

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="watches processes through Linux's pidfd"
)

GONE_SECONDS = 2.0
"""How long a server may outlive its owner."""
WRITES_BEFORE_THE_KILL = 300


@pytest.fixture(params=server_binaries())
def binary(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


async def settled(*owners: OwnerProcess, after: int) -> list[dict[str, Any]]:
    """What they tell once they all use one server, not that with the pid `after`."""
    async with asyncio.timeout(10):
        while True:
            answers = [await owner.ask() for owner in owners]
            assert sum(not answer["adopted"] for answer in answers) <= 1, answers
            pids = {answer["server_pid"] for answer in answers}
            if len(pids) == 1 and not pids & {None, after}:
                return answers
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "how", [(), ("--uvloop",), ("--off-main-thread",)], ids=["asyncio", "uvloop", "pipe"]
)
async def test_sigkill_of_the_owner_leaves_no_orphan_and_loses_nothing_acknowledged(
    tmp_path: Path, binary: Path, how: tuple[str, ...]
) -> None:
    async with OwnerProcess(tmp_path, "--write", "--binary", str(binary), *how) as doomed:
        server_pid = (await doomed.told())["server_pid"]
        acknowledged = [await doomed.line() for _ in range(WRITES_BEFORE_THE_KILL)]
        acknowledged += await doomed.kill()
        await wait_until_gone(server_pid, GONE_SECONDS)

    config = EmbeddedRedisConfig(tmp_path, server_binary=binary)
    async with EmbeddedRedis(config) as embedded, client_of(embedded.url) as client:
        assert not embedded.adopted
        assert len(acknowledged) >= WRITES_BEFORE_THE_KILL
        assert await client.mget(acknowledged) == acknowledged


async def test_sigkill_ends_a_server_that_is_stopped_too(tmp_path: Path, binary: Path) -> None:
    async with OwnerProcess(tmp_path, "--binary", str(binary)) as doomed:
        server_pid = (await doomed.told())["server_pid"]
        os.kill(server_pid, signal.SIGSTOP)
        await doomed.kill()
        await wait_until_gone(server_pid, GONE_SECONDS)


async def test_a_socket_outside_the_data_dir_is_used_again_after_sigkill(tmp_path: Path) -> None:
    data_dir = tmp_path / ("d" * 99)
    async with OwnerProcess(data_dir) as doomed:
        first = await doomed.told()
        await doomed.kill()
        await wait_until_gone(first["server_pid"], GONE_SECONDS)
    async with EmbeddedRedis(EmbeddedRedisConfig(data_dir)) as embedded:
        unix_socket = embedded.unix_socket
        assert str(unix_socket) == first["unix_socket"]
        assert data_dir not in unix_socket.parents
    assert not unix_socket.parent.exists()


@pytest.mark.parametrize("how", ["--uvloop", "--off-main-thread"])
async def test_a_killed_server_comes_back_in_every_loop_and_thread(
    tmp_path: Path, how: str
) -> None:
    async with OwnerProcess(tmp_path, how) as owner:
        first = await owner.told()
        os.kill(first["server_pid"], signal.SIGKILL)
        await wait_until_gone(first["server_pid"], GONE_SECONDS)
        (again,) = await settled(owner, after=first["server_pid"])
        assert again["url"] == first["url"]
        async with client_of(first["url"]) as client:
            assert await client.ping()
        assert await owner.stop() == 0
        await wait_until_gone(again["server_pid"], 0.1)


async def test_a_second_process_adopts_and_leaves_the_server_when_it_goes(
    tmp_path: Path, binary: Path
) -> None:
    async with OwnerProcess(tmp_path, "--binary", str(binary)) as owner:
        first = await owner.told()
        for end in ("stop", "kill"):
            async with OwnerProcess(tmp_path) as guest:
                assert await guest.told() == first | {"adopted": True}
                await getattr(guest, end)()
            assert await owner.ask() == first
            async with client_of(first["url"]) as client:
                assert await client.ping()


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_the_adopter_takes_over_from_a_lost_owner_at_the_same_address(
    tmp_path: Path, binary: Path, end: str
) -> None:
    async with OwnerProcess(tmp_path, "--binary", str(binary)) as owner:
        before = await owner.told()
        async with OwnerProcess(tmp_path, "--binary", str(binary)) as heir:
            assert (await heir.told())["adopted"]
            async with client_of(before["url"]) as client:
                await client.set("key", "value")
            await getattr(owner, end)()
            await wait_until_gone(before["server_pid"], GONE_SECONDS)

            (after,) = await settled(heir, after=before["server_pid"])
            assert after | {"server_pid": before["server_pid"]} == before
            async with client_of(after["url"]) as client:
                assert await client.get("key") == "value"
                await client.set("key", "changed")
            assert await heir.stop() == 0
            await wait_until_gone(after["server_pid"], 0.1)


async def test_an_adopter_stays_one_when_the_owner_brings_its_server_back(tmp_path: Path) -> None:
    async with OwnerProcess(tmp_path) as owner:
        first = await owner.told()
        async with OwnerProcess(tmp_path) as guest:
            assert (await guest.told())["adopted"]
            os.kill(first["server_pid"], signal.SIGKILL)
            await wait_until_gone(first["server_pid"], GONE_SECONDS)
            again = await settled(owner, guest, after=first["server_pid"])
            assert [answer["adopted"] for answer in again] == [False, True]
            assert [answer["url"] for answer in again] == [first["url"]] * 2


async def test_of_many_that_start_or_succeed_at_once_one_owns_the_server(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(OwnerProcess(tmp_path)) for _ in range(4)]
        answers = [await one.told() for one in crowd]
        for reign in range(1, 5):
            assert [answer["adopted"] for answer in answers].count(False) == 1
            assert len({(answer["url"], answer["server_pid"]) for answer in answers}) == 1
            async with client_of(answers[0]["url"]) as client:
                assert await client.incr("reigns") == reign
            await crowd.pop([answer["adopted"] for answer in answers].index(False)).kill()
            await wait_until_gone(answers[0]["server_pid"], GONE_SECONDS)
            answers = await settled(*crowd, after=answers[0]["server_pid"]) if crowd else []
        assert not answers


async def test_a_crash_of_the_program_around_it_takes_the_server_along(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib
from execution.embedded.redis import EmbeddedRedis, EmbeddedRedisConfig
async def main():
    embedded = EmbeddedRedis(EmbeddedRedisConfig(pathlib.Path({str(tmp_path)!r})))
    await embedded.start()
    print(embedded.pid, flush=True)
    raise SystemExit(7)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 7
    await wait_until_gone(int(out), GONE_SECONDS)
