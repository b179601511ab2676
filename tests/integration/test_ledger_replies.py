"""Whatever a server says to a commit becomes an answer or a foreseen error, in time."""

import asyncio
import logging

import pytest
from ledger_orders import entry_for, open_ledger
from scripted_redis import ScriptedRedis, commits_answered, scripted_redis

from execution.adapters.commit_limits import CommitLimits
from execution.errors import LedgerRefused, LedgerUnavailable
from execution.ports import CommitResult, Committed

COMMITTED = b"*1\r\n:1\r\n"
LIMITS = CommitLimits(commit_timeout_ms=200, retry_pause_ms=5)


async def commit(server: ScriptedRedis) -> CommitResult:
    async with open_ledger(f"redis://127.0.0.1:{server.port}", commit=LIMITS) as ledger:
        return await asyncio.wait_for(ledger.commit(entry_for(ledger)), 5)


@pytest.mark.parametrize(
    "code",
    [
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "NOREPLICAS",
        "NOSCRIPT",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ],
)
async def test_what_passes_is_waited_out(code: str) -> None:
    error = f"-{code} for a moment\r\n".encode()
    for_one = b"*1\r\n*2\r\n:4\r\n$%d\r\n%b\r\n" % (len(error) - 3, error[1:-2])
    async with scripted_redis(commits_answered(error, for_one, error, COMMITTED)) as server:
        assert await commit(server) == Committed()
        assert server.count(b"EVALSHA") == 4


@pytest.mark.parametrize(
    "code", ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN", "UNBLOCKED"]
)
async def test_what_should_pass_and_does_not_is_unavailable(code: str) -> None:
    async with scripted_redis(commits_answered(f"-{code} for ever\r\n".encode())) as server:
        with pytest.raises(LedgerUnavailable, match=f"{code} for ever.*no commit within 200 ms"):
            await commit(server)
        assert server.count(b"EVALSHA") > 2


@pytest.mark.parametrize("code", ["READONLY", "NOSCRIPT"])
async def test_what_lasts_and_needs_an_operator_is_refused_in_the_end(code: str) -> None:
    async with scripted_redis(commits_answered(f"-{code} for ever\r\n".encode())) as server:
        with pytest.raises(LedgerRefused, match=f"{code} for ever") as refused:
            await commit(server)
        assert refused.value.metadata == {"redis_error": code}
        assert server.connections > 2


@pytest.mark.parametrize(
    "code", ["OOM", "MISCONF", "WRONGTYPE", "NOPERM", "MOVED", "CROSSSLOT", "ERR", "WHATEVER"]
)
async def test_what_needs_an_operator_is_refused_at_once_and_an_alarm(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted_redis(commits_answered(f"-{code} it is\r\n".encode())) as server:
        with pytest.raises(LedgerRefused, match=f"{code} it is"):
            await commit(server)
        assert server.count(b"EVALSHA") == 1
    assert [r for r in caplog.records if r.levelno == logging.ERROR and code in r.message]


async def test_an_alarm_is_told_once_a_second_and_not_for_each_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        scripted_redis(commits_answered(b"-OOM it is\r\n")) as server,
        open_ledger(f"redis://127.0.0.1:{server.port}", commit=LIMITS) as ledger,
    ):
        for number in range(20):
            with pytest.raises(LedgerRefused):
                await ledger.commit(entry_for(ledger, order_id=f"o-{number}"))
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) <= 2


@pytest.mark.parametrize(
    "nonsense",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n:1\r\n:1\r\n",
        b"*1\r\n:0\r\n",
        b"*1\r\n$1\r\n1\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n*0\r\n",
        b"*1\r\n*1\r\n:2\r\n",
        b"*1\r\n*3\r\n:2\r\n$1\r\nx\r\n$-1\r\n",
        b"*1\r\n*3\r\n:2\r\n$1\r\nx\r\n$1\r\nx\r\n",
        b"*1\r\n*3\r\n:3\r\n$1\r\nx\r\n$1\r\nx\r\n",
        b"*1\r\n*6\r\n:3\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n",
        b"*1\r\n*6\r\n:3\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
        b"*1\r\n*2\r\n:4\r\n:4\r\n",
        b"*1\r\n-ERR inside\r\n",
    ],
)
async def test_an_answer_that_is_not_understood_is_refused_and_the_next_order_goes_on(
    nonsense: bytes,
) -> None:
    async with (
        scripted_redis(commits_answered(nonsense, COMMITTED)) as server,
        open_ledger(f"redis://127.0.0.1:{server.port}", commit=LIMITS) as ledger,
    ):
        with pytest.raises(LedgerRefused):
            await asyncio.wait_for(ledger.commit(entry_for(ledger)), 5)
        assert await ledger.commit(entry_for(ledger)) == Committed()
        assert server.connections == 1


@pytest.mark.parametrize(
    "reply", [b":1\r\n", b"*1\r\n:1\r\n", b"$1\r\nx\r\n", b"*2\r\n$1\r\nx\r\n:1\r\n"]
)
async def test_reads_that_are_not_understood_are_refused(reply: bytes) -> None:
    def speak(command: list[bytes]) -> bytes:
        return reply if command[0] == b"HMGET" else b"+OK\r\n"

    async with (
        scripted_redis(speak) as server,
        open_ledger(f"redis://127.0.0.1:{server.port}", commit=LIMITS) as ledger,
    ):
        for read in (ledger.order("o-1"), ledger.position("ann", "BTC-USDT")):
            with pytest.raises(LedgerRefused, match="CORRUPT"):
                await read


async def test_a_probe_that_is_not_understood_is_refused() -> None:
    async with (
        scripted_redis(commits_answered(b"+PONG\r\n")) as server,
        open_ledger(f"redis://127.0.0.1:{server.port}") as ledger,
    ):
        with pytest.raises(LedgerRefused, match=r"commit\.lua answered"):
            await ledger.probe()


async def test_what_was_refused_at_login_is_told_to_who_waits_and_tried_again() -> None:
    refusals = [b"-WRONGPASS no\r\n"] * 3

    def speak(command: list[bytes]) -> bytes:
        if command[0] == b"AUTH" and refusals:
            return refusals.pop()
        return COMMITTED if command[0] == b"EVALSHA" else b"+OK\r\n"

    async with scripted_redis(speak) as server:
        async with open_ledger(f"redis://:pw@127.0.0.1:{server.port}", commit=LIMITS) as ledger:
            with pytest.raises(LedgerRefused, match="WRONGPASS"):
                await ledger.commit(entry_for(ledger))
            async with asyncio.timeout(5):
                while refusals:
                    await asyncio.sleep(0.01)
            assert await ledger.commit(entry_for(ledger)) == Committed()
        assert server.commands[-1][0] == b"EVALSHA"
