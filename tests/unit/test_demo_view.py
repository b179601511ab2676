"""The demo's screen: exactly as large as the terminal, whatever there is to show."""

import io
import logging
from collections.abc import Sequence

import pytest
from rich.console import Console

from execution.cli.demo.flow import Kind, Wish, user_names
from execution.cli.demo.grid import Column, beside, block, row
from execution.cli.demo.plain import PlainScreen, progress_line, summary_lines
from execution.cli.demo.proof import Check
from execution.cli.demo.run import Scene
from execution.cli.demo.state import Session
from execution.cli.demo.terminal import TerminalScreen, fits
from execution.cli.demo.view import HEIGHT_MIN, WIDTH_MIN, Look, frame
from execution.embedded.market.feed import ManualFeed
from execution.embedded.market.simulate import simulated_feeds
from execution.errors import OrderIdReused
from execution.model import Direction, SymbolSpec
from execution.server.app import Ready
from execution.v1 import execution_pb2 as pb

SIZES = [(80, 24), (120, 40), (WIDTH_MIN, HEIGHT_MIN), (111, 24), (112, 25), (200, 60), (80, 60)]
READY = Ready("127.0.0.1:40001", "127.0.0.1:40002", "redis://127.0.0.1:40003/0", ("BTC-USDT",))
WISH = Wish(Kind.PLAIN, "alice", "BTC-USDT", Direction.BUY, "1")
BUSY_LEVELS = 12


def scene(*, busy: bool, seconds: float | None = 30) -> Scene:
    feeds = tuple(simulated_feeds(seed=1))
    session = Session(begun=100)
    if busy:
        for number in range(60):
            session.executed(executed(str(number), f"user{number % 9}"), number * 10**9)
            session.latencies.add(number * 1_000_000, 100 + number / 10)
        session.failed(WISH, OrderIdReused("order_id o-1 was used for another order"), 1)
        session.retried(WISH, 2, same=True)
        for user in user_names(8):
            for feed in feeds:
                session.hold(held(user, feed.spec.symbol))
    return Scene(READY, feeds, session, seconds)


def executed(order_id: str, user: str) -> pb.ExecutionReport:
    return pb.ExecutionReport(
        order_id=order_id,
        user_id=user,
        symbol="BTC-USDT",
        direction=pb.DIRECTION_SELL,
        status=pb.ORDER_STATUS_PARTIAL,
        quantity="123456789.123456789",
        filled_quantity="1.5",
        average_price="61799.123456789",
        fills=[pb.Fill(price="61799.1", quantity=str(n + 1)) for n in range(BUSY_LEVELS)],
        reason=pb.REASON_INSUFFICIENT_LIQUIDITY,
        message="the bid side ended before the order did, and this goes on and on and on",
        snapshot=pb.SnapshotRef(best_bid="61800", best_ask="61800.1"),
    )


def held(user: str, symbol: str) -> pb.Position:
    return pb.Position(
        user_id=user,
        symbol=symbol,
        quantity="-1.5",
        entry_price="61799.123456789",
        realized_pnl="-12345.678901",
        version=3,
    )


def drawn(shown: Scene, look: Look, now: float = 107.0) -> list[str]:
    look.remember(shown.feeds)
    return frame(shown, look, now).text().split("\n")


@pytest.mark.parametrize("busy", [False, True], ids=["at the start", "busy"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_frame_is_exactly_as_large_as_the_screen(width: int, height: int, busy: bool) -> None:
    lines = drawn(scene(busy=busy), Look(width, height))
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


def test_a_frame_without_any_book_is_drawn_all_the_same() -> None:
    feed = ManualFeed(SymbolSpec("BTC-USDT"))
    shown = Scene(READY, (feed,), Session(begun=100), None)
    lines = drawn(shown, Look(80, 24))
    assert {len(line) for line in lines} == {80}
    assert any(line.startswith("BTC-USDT ") for line in lines)


def test_80x24_shows_books_orders_positions_results_and_latencies() -> None:
    text = "\n".join(drawn(scene(busy=True), Look(80, 24)))
    for shown in ("BOOKS", "ORDERS", "POS 2/8", "RESULTS", "p50", "p99", "00:07/00:30"):
        assert shown in text
    for address in ("127.0.0.1:40001", "127.0.0.1:40002", "127.0.0.1:40003"):
        assert address in text
    for symbol in ("BTC-USDT", "ETH-USDT", "XRP-USDT", "DOGE-USDT", "DASH-BTC"):
        assert symbol in text


def test_a_wide_screen_shows_more() -> None:
    lines = drawn(scene(busy=True), Look(120, 40))
    text = "\n".join(lines)
    for shown in ("LATENCY", "FILLS", "SELL BTC-USDT", "open PnL", "<2 ms"):
        assert shown in text
    orders = [line for line in lines if "PARTIAL" in line]
    assert len(orders) > 10


def test_a_number_that_does_not_fit_says_so_and_never_looks_like_another() -> None:
    assert row([Column("", 5, right=True)], ["123456"]) == [("1234…", "")]
    assert any("123456789…" in line for line in drawn(scene(busy=True), Look(80, 24)))


def test_the_newest_order_is_on_top() -> None:
    lines = drawn(scene(busy=True), Look(80, 24))
    below = lines[next(i for i, line in enumerate(lines) if line.startswith("ORDERS")) + 1 :]
    assert "SAME" in below[0]
    assert "ERROR" in below[1]
    assert "PARTIAL" in below[2]


def test_positions_take_turns_where_there_are_too_many() -> None:
    shown = scene(busy=True)
    pages = {
        line[:8]
        for now in range(100, 140, 4)
        for line in drawn(shown, Look(80, 24), now)
        if line.startswith("POS ")
    }
    assert pages == {f"POS {page}/8" + " " for page in range(1, 9)}


def test_a_warning_takes_the_place_of_the_addresses() -> None:
    look = Look(80, 24, warning="warning: the embedded Redis is gone; bringing it back " * 3)
    second = drawn(scene(busy=True), look)[1]
    assert second.startswith(" warning: the embedded Redis is gone")
    assert len(second) == 80


def test_a_terminal_without_block_characters_gets_others() -> None:
    look = Look(120, 40, ascii_only=True)
    shown = scene(busy=True)
    look.remember(shown.feeds)
    console = Console(file=io.StringIO(), width=120, height=40, color_system=None)
    with console.capture() as capture:
        console.print(frame(shown, look, 107.0), end="")
    assert capture.get().isascii()


def test_blocks_are_cut_and_filled_to_size() -> None:
    line = [("ab", "")]
    assert block([line] * 3, 2, 2) == [line, line]
    assert block([line], 2, 2) == [line, [("  ", "")]]
    assert beside([line], [line], gap=1) == [[("ab", ""), (" ", ""), ("ab", "")]]


# Lines


def collected(*, busy: bool = True) -> tuple[PlainScreen, list[str], Scene]:
    lines: list[str] = []
    return PlainScreen(lines.append), lines, scene(busy=busy)


def test_starting_is_told_at_once_and_then_with_patience() -> None:
    screen, lines, _ = collected()
    for tenth in range(50):
        screen.starting(tenth / 10)
    assert len(lines) == 3
    assert "so far" not in lines[0]
    assert "(4 s so far)" in lines[2]


def test_there_is_a_line_a_second() -> None:
    screen, lines, shown = collected()
    screen.started(shown)
    assert lines == [READY.line()]
    for quarter in range(1, 13):
        screen.frame(shown, 100 + quarter / 4)
    assert len(lines) == 4
    assert lines[1].startswith("00:01 | 60 orders")


def test_a_line_is_printable_before_and_after_the_first_order() -> None:
    for busy in (False, True):
        line = progress_line(scene(busy=busy), 107.0)
        assert line.isprintable()
        assert line.startswith("00:07 | ")


def checks(ok: Sequence[bool]) -> list[Check]:
    return [Check("a rule", [] if good else ["o-1", "o-2", "o-3", "o-4"]) for good in ok]


def test_the_summary_says_what_happened_and_whether_it_is_proven() -> None:
    text = "\n".join(summary_lines(scene(busy=True), 130.0, checks([True, False])))
    assert "60 orders in 00:30, 2.0 a second: 0 filled, 60 partial, 0 rejected" in text
    assert "1 typed errors (1 OrderIdReused), 1 retries" in text
    assert "PnL of all users: -395061.72 USDT, -98765.431208 BTC" in text
    assert "  ok      a rule\n" in text
    assert "  FAILED  a rule: o-1, o-2, o-3 and 1 more" in text


def test_a_summary_of_nothing_is_a_summary() -> None:
    lines = list(summary_lines(scene(busy=False), 100.0, checks([True])))
    assert any(line.startswith("0 orders") for line in lines)
    assert not any("latency" in line for line in lines)


# The terminal


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True)


def test_the_live_screen_needs_a_terminal_of_some_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert fits(terminal())
    assert not fits(terminal(width=WIDTH_MIN - 1))
    assert not fits(terminal(height=HEIGHT_MIN - 1))
    assert not fits(Console(file=io.StringIO()))
    monkeypatch.setenv("TERM", "dumb")
    assert not fits(terminal())


def test_the_live_screen_gives_the_terminal_back_with_the_summary_on_it() -> None:
    console = terminal()
    file = console.file
    assert isinstance(file, io.StringIO)
    screen = TerminalScreen(console)
    shown = scene(busy=True)
    screen.starting(0)
    screen.started(shown)
    screen.frame(shown, 107.0)
    screen.summary(shown, 130.0, checks([True]))
    screen.close()
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    output = file.getvalue()
    assert output.count(enter) == output.count(leave) == 1
    assert output.index(enter) < output.index("BOOKS") < output.index(leave)
    assert output.index(leave) < output.index("a rule")
    assert output.rindex("\x1b[?25h") > output.index("BOOKS")  # the cursor is back


def test_what_is_logged_during_the_show_is_told_after_it() -> None:
    console = terminal()
    file = console.file
    assert isinstance(file, io.StringIO)
    screen = TerminalScreen(console)
    shown = scene(busy=False)
    screen.handle(logging.LogRecord("x", logging.WARNING, "", 0, "early %s", ("news",), None))
    screen.started(shown)
    screen.handle(logging.LogRecord("x", logging.WARNING, "", 0, "later %s", ("news",), None))
    screen.frame(shown, 101.0)
    screen.close()
    after = file.getvalue().split("\x1b[?1049l")[1]
    assert "warning: later news" in after
    assert "early news" not in after


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = terminal()
    look = Look(80, 24)
    shown = scene(busy=True)
    look.remember(shown.feeds)
    with console.capture() as capture:
        console.print(frame(shown, look, 107.0), end="")
    colors = {"\x1b[3", "\x1b[9", "\x1b[4", "\x1b[10"}
    assert not any(f"{start}{digit}m" in capture.get() for start in colors for digit in range(8))
    assert "\x1b[1;7m" in capture.get()
