"""`execution-service order`: what it prints, for people and for programs, and how it exits."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis_server import RedisServer
from rich.console import Console
from world import SYMBOL, World, running_world

from execution.cli.main import commands
from execution.cli.order import show

BUY = ("BUY", "1", SYMBOL)


async def run(world: World, *words: str, user: str = "u1") -> Result:
    """The command in a thread of its own; the service it calls has this one."""
    arguments = ["order", *words, "--server", world.ready.grpc, "--user", user]
    return await asyncio.to_thread(CliRunner().invoke, commands, arguments)


def told(result: Result) -> dict[str, str]:
    """Name and value of every line."""
    return {line[:14].strip(): line[15:] for line in result.stdout.splitlines()}


async def test_a_market_order_is_shown_and_shown_again(world: World) -> None:
    done = await run(world, "market", *BUY, "--order-id", "o-1")
    assert done.exit_code == 0
    shown = told(done)
    assert (shown["status"], shown["order"], shown["side"]) == ("FILLED", "o-1", "BUY")
    assert (shown["filled"], shown["average price"]) == ("1", "100.5")
    assert (shown["fill"], shown["book"]) == ("1 at 100.5", "100 / 100.5")
    again = await run(world, "get", "o-1")
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    held = await run(world, "position", SYMBOL)
    assert (told(held)["quantity"], told(held)["entry price"]) == ("1", "100.5")


async def test_json_is_what_the_stream_has(world: World) -> None:
    done = await run(world, "market", *BUY, "--json")
    entries: Any = await world.store.xrange("STREAM:ORDER")
    ((_, fields),) = entries
    assert json.loads(done.stdout) == json.loads(fields["order"])
    held = await run(world, "position", SYMBOL, "--json")
    assert json.loads(held.stdout) == {
        "user_id": "u1",
        "symbol": SYMBOL,
        "quantity": "1",
        "entry_price": "100.5",
        "realized_pnl": "0",
        "version": 1,
    }


@pytest.mark.parametrize(
    ("words", "status", "filled"),
    [
        (("--limit-price", "100.5"), "PARTIAL", "1"),
        (("--max-slippage-bps", "0"), "PARTIAL", "1"),
        (("--time-in-force", "fok"), "FILLED", "2"),
    ],
)
async def test_the_terms_of_an_order_arrive(
    world: World, words: Sequence[str], status: str, filled: str
) -> None:
    done = await run(world, "market", "buy", "2", SYMBOL, *words)
    assert (told(done)["status"], told(done)["filled"]) == (status, filled)
    assert done.exit_code == 0


async def test_a_rejection_is_shown_and_is_exit_status_1(world: World) -> None:
    done = await run(world, "market", *BUY, "--reduce-only")
    assert done.exit_code == 1
    assert (told(done)["status"], told(done)["reason"]) == ("REJECTED", "REDUCE_ONLY")


async def test_a_stop_from_its_arrival_to_its_end(world: World) -> None:
    armed = await run(
        world, "sl", *BUY, "--order-id", "s-1", "--trigger-price", "200",
        "--trigger-by", "bid_ask", "--expire-time", "2999-01-01T00:00:00Z",
    )  # fmt: skip
    assert (armed.exit_code, told(armed)["status"]) == (0, "UNTRIGGERED")
    moved = await run(
        world, "modify", "s-1", "--trigger-price", "300", "--quantity", "2", "--limit-price", "400",
        "--expected-version", "1",
    )  # fmt: skip
    assert (told(moved)["trigger price"], told(moved)["quantity"]) == ("300", "2")
    assert told(moved)["version"] == "2"
    for _ in range(2):
        ended = await run(world, "cancel", "s-1")
        assert (ended.exit_code, told(ended)["status"]) == (0, "CANCELED")
    late = await run(world, "modify", "s-1", "--quantity", "3")
    assert late.exit_code == 1
    assert "TooLate" in late.stderr
    assert "the order is CANCELED at version 3" in late.stderr


async def test_a_stop_without_a_trigger_executes_now_and_a_crossed_one_may_be_refused(
    world: World,
) -> None:
    now = await run(world, "sl", *BUY)
    assert (told(now)["status"], told(now)["order type"]) == ("FILLED", "SL")
    refused = await run(world, "sl", *BUY, "--trigger-price", "100", "--reject-if-triggered")
    assert refused.exit_code == 1
    assert told(refused)["reason"] == "WOULD_IMMEDIATELY_TRIGGER"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("get", "nothing"), "OrderNotFound", "has no order nothing"),
        (("cancel", "nothing"), "OrderNotFound", "has no order nothing"),
        (("market", "BUY", "1e3", SYMBOL), "InvalidArgument", "quantity"),
        (("modify", "o-1"), "InvalidArgument", "trigger_price"),
        (("watch", "--resume-token", "x"), "InvalidArgument", "resume_token"),
        (("watch", "--resume-token", "1-1"), "ResumeTokenGone", "watch from now"),
    ],
)
async def test_what_fails_names_its_error_and_is_exit_status_1(
    world: World, words: Sequence[str], error: str, says: str, tmp_path: Path
) -> None:
    if words[0] == "watch":  # which handles signals, and so needs a process
        async with order_process(world, tmp_path, *words) as process:
            _, stderr = await process.communicate()
        status, text = process.returncode, stderr.decode()
    else:
        failed = await run(world, *words)
        status, text = failed.exit_code, failed.stderr
    assert status == 1
    assert f"order: {error}: " in text
    assert says in text


async def test_a_failure_as_json(world: World) -> None:
    failed = await run(world, "get", "nothing", "--json")
    assert failed.stdout == ""
    error = json.loads(failed.stderr)
    assert (error["error"], error["reason"]) == ("OrderNotFound", "ORDER_NOT_FOUND")
    assert error["metadata"] == {"order_id": "nothing"}


@pytest.mark.parametrize(
    "words",
    [
        ("market", "HOLD", "1", SYMBOL, "--user", "u1"),
        ("market", *BUY),
        ("market", *BUY, "--user", "u1", "--token", "two words"),
        ("market", *BUY, "--user", "u1", "--timeout-seconds", "0"),
        ("sl", *BUY, "--user", "u1", "--expire-time", "tomorrow"),
        ("sl", *BUY, "--user", "u1", "--expire-time", "2030-01-01"),
        ("modify", "o-1", "--user", "u1", "--expected-version", "0"),
        ("get", "o-1", "--user", "u1", "--tls-ca", "/no/such/file"),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_exit_status_2(words: Sequence[str]) -> None:
    result = CliRunner().invoke(commands, ["order", *words])
    assert result.exit_code == 2
    assert result.stderr


def test_nobody_there_is_exit_status_1_in_time() -> None:
    words = ["order", "get", "o-1", "--user", "u1", "--timeout-seconds", "0.5"]
    result = CliRunner().invoke(commands, [*words, "--server", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert re.search(r"order: (Unavailable|DeadlineExceeded): ", result.stderr)


async def test_a_token_goes_along(redis_server: RedisServer, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tok-1": ["u1"]}')
    async with running_world(redis_server, auth_tokens=tokens) as world:
        assert (await run(world, "market", *BUY, "--token", "tok-1")).exit_code == 0
        other = await run(world, "position", SYMBOL, "--token", "tok-1", user="u2")
        assert (other.exit_code, "PermissionDenied" in other.stderr) == (1, True)


@asynccontextmanager
async def order_process(
    world: World, folder: Path, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "execution", "order", *words),
        cwd=folder,
        env={"EXECUTION_SERVER": world.ready.grpc, "EXECUTION_USER": "u1", "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await asyncio.wait_for(stream.readline(), 30)).decode().rstrip()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_watch_shows_changes_until_a_signal_and_says_where_to_go_on(
    world: World, tmp_path: Path, ending: signal.Signals
) -> None:
    async with order_process(world, tmp_path, "watch") as process:
        assert (await line(process.stderr)).startswith("watching from ")
        await world.market_order(order_id="o-1")
        assert (await line(process.stdout)).split()[:4] == ["time", "order", "version", "status"]
        shown = (await line(process.stdout)).split()
        assert shown[2:9] == ["o-1", "1", "FILLED", SYMBOL, "BUY", "1", "1"]
        process.send_signal(ending)
        said = await line(process.stderr)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    token = said.removeprefix("go on with --resume-token ")
    entries: Any = await world.store.xrange("STREAM:ORDER")
    assert token == entries[-1][0]
    await world.market_order(order_id="o-2")
    words = ("watch", "--resume-token", token, "--count", "1", "--json", "o-2")
    async with order_process(world, tmp_path, *words) as process:
        stdout, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
    report = json.loads(stdout)
    assert (report["order_id"], report["status"]) == ("o-2", "FILLED")
    assert report["resume_token"] > token


async def test_on_a_terminal_there_is_colour(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await world.market_order()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(
        show, "Console", lambda: Console(force_terminal=True, width=80, color_system="standard")
    )
    show.show_report(report)
    show.show_heading()
    show.show_update(report)
    said = capsys.readouterr().out
    assert said.count("\x1b[32mFILLED") == 2
