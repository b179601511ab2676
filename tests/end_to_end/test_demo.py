"""The demo as a newcomer starts it: in a pipe, on a terminal, ended by time or by signal."""

import asyncio
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import redis.asyncio
from processes import parse_ready

COMMAND = (sys.executable, "-X", "faulthandler", "-m", "execution", "demo")
END_SECONDS = 60.0
ENTER_LIVE, LEAVE_LIVE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"
PROOFS = (
    "STREAM:TRADE",
    "STREAM:REJECT",
    "ORDER hashes",
    "POSITION hashes",
    "retries",
    "wrong orders",
    "stops were told as they are in STREAM:ORDER",
    "STOPS:RESTING",
    "stops traded, each once",
)


def environment(home: Path, **extra: str) -> dict[str, str]:
    """Temporary folders in `home`, where a test can see what is left of them."""
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return {**kept, "TMPDIR": str(home), "TERM": "xterm-256color", **extra}


@asynccontextmanager
async def piped(home: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo with its standard output in a pipe."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        cwd=home,
        env=environment(home),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Exit status, what is left of the output, and the log."""
    output, log = await asyncio.wait_for(process.communicate(), END_SECONDS)
    assert process.returncode is not None
    return process.returncode, output.decode(), log.decode()


async def line_with(process: asyncio.subprocess.Process, word: str) -> str:
    """Reads lines until one has the word."""
    assert process.stdout is not None
    async with asyncio.timeout(END_SECONDS):
        async for line in process.stdout:
            if word in line.decode():
                return line.decode()
    raise AssertionError(f"the demo ended before it said {word!r}")


def assert_proven(output: str) -> None:
    assert "FAILED" not in output
    for proof in PROOFS:
        assert any(line.startswith("  ok ") and proof in line for line in output.splitlines())


def left_behind(home: Path) -> list[Path]:
    return [path for path in home.iterdir() if path.name.startswith("execution-demo-")]


async def test_in_a_pipe_it_prints_lines_and_ends_by_itself_with_the_proof(tmp_path: Path) -> None:
    async with piped(tmp_path, "--seconds", "3", "--rate", "60") as demo:
        status, output, log = await ended(demo)
    assert status == 0, log
    assert log == ""
    lines = output.splitlines()
    assert all(line.isprintable() for line in lines)
    assert any(" | stops " in line for line in lines)
    assert lines[0].startswith("starting ")
    assert lines[1].startswith("ready grpc=127.0.0.1:")
    assert [line[:5] for line in lines[2:4]] == ["00:01", "00:02"]
    assert_proven(output)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_the_proof(tmp_path: Path, number: signal.Signals) -> None:
    async with piped(tmp_path, "--rate", "60") as demo:
        await line_with(demo, "00:02 | ")
        demo.send_signal(number)
        status, output, log = await ended(demo)
    assert status == 0, log
    assert_proven(output)
    assert left_behind(tmp_path) == []


async def test_a_redis_that_is_killed_costs_time_and_no_order(tmp_path: Path) -> None:
    async with piped(tmp_path, "--rate", "100", "--data-dir", "kept") as demo:
        ready = parse_ready(await line_with(demo, "ready "))
        async with redis.asyncio.Redis.from_url(ready["redis"]) as store:
            server = (await store.info("server"))["process_id"]
        await line_with(demo, "00:01 | ")
        os.kill(server, signal.SIGKILL)
        await line_with(demo, "00:04 | ")
        demo.terminate()
        status, output, log = await ended(demo)
    assert status == 0, log
    assert "the embedded Redis was ended by signal 9" in log
    assert_proven(output)


async def test_a_data_dir_is_kept_and_a_second_demo_proves_only_what_it_did(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        async with piped(
            tmp_path, "--seconds", "1.5", "--data-dir", "kept", "--users", "2"
        ) as demo:
            status, output, log = await ended(demo)
        assert status == 0, log
        assert_proven(output)
    assert any((tmp_path / "kept").iterdir())


async def test_where_it_cannot_start_it_says_why(tmp_path: Path) -> None:
    async with piped(tmp_path, "--listen", "nowhere") as demo:
        status, _, log = await ended(demo)
    assert status != 0
    assert "--listen 'nowhere': must be HOST:PORT" in log
    assert "Traceback" not in log
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("flags", [("--rate", "0"), ("--users", "0"), ("--seconds", "-1")])
async def test_flags_that_make_no_sense_are_refused(tmp_path: Path, flags: tuple[str, str]) -> None:
    async with piped(tmp_path, *flags) as demo:
        status, _, log = await ended(demo)
    assert status == 2
    assert flags[0] in log


async def test_ten_seconds_show_stops_that_rest_trigger_and_end(tmp_path: Path) -> None:
    async with piped(tmp_path, "--seconds", "10", "--rate", "60") as demo:
        status, output, log = await ended(demo)
    assert status == 0, log
    counted = re.search(
        r"^\d+ stops: (\d+) rest, (\d+) triggered, (\d+) canceled, (\d+) expired",
        output,
        re.MULTILINE,
    )
    assert counted is not None
    assert all(int(count) > 0 for count in counted.groups())
    assert_proven(output)


# On a terminal


class Terminal:
    """A pseudo-terminal, its size and what was written to it."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.output = b""

    def read(self) -> bool:
        """Waits for more; False once the other side is closed."""
        try:
            piece = os.read(self._file, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux's way to say that it is closed
                raise
            return False
        self.output += piece
        return bool(piece)


@contextmanager
def terminal(columns: int, lines: int) -> Iterator[tuple[Terminal, int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        yield Terminal(ours), theirs
    finally:
        os.close(ours)


async def on_terminal(
    home: Path, *arguments: str, interrupt: bool = False, **extra: str
) -> tuple[int, bytes]:
    """Runs the demo on an 80x24 terminal; with Ctrl-C once it has drawn some orders."""
    with terminal(80, 24) as (screen, theirs):
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, *arguments),
            cwd=home,
            env=environment(home, **extra),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            async with asyncio.timeout(END_SECONDS):
                while await asyncio.to_thread(screen.read):
                    if interrupt and b"FILLED" in screen.output:
                        process.send_signal(signal.SIGINT)
                        interrupt = False
                return await process.wait(), screen.output
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_on_a_terminal_it_draws_and_gives_the_terminal_back(tmp_path: Path) -> None:
    status, output = await on_terminal(tmp_path, "--rate", "60", interrupt=True)
    assert status == 0, output.decode()
    live, after = output.split(ENTER_LIVE)[1].split(LEAVE_LIVE)
    for shown in (b"BOOKS", b"ORDERS", b"STOPS", b"RESULTS", b"FILLED", b"\x1b[3"):
        assert shown in live
    assert_proven(after.decode().replace("\x1b[32m", "").replace("\r", ""))
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)
    assert left_behind(tmp_path) == []


async def test_no_color_is_honoured(tmp_path: Path) -> None:
    status, output = await on_terminal(tmp_path, "--seconds", "1.5", NO_COLOR="1")
    assert status == 0
    assert ENTER_LIVE in output
    assert not any(f"\x1b[3{digit}m".encode() in output for digit in range(8))
    assert not any(f"\x1b[4{digit}m".encode() in output for digit in range(8))


async def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    status, output = await on_terminal(tmp_path, "--seconds", "1.5", TERM="dumb")
    assert status == 0
    assert b"\x1b" not in output
    assert b"00:01 | " in output
