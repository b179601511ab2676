"""How the options of `symbol-service` go together."""

from pathlib import Path

import click
import pytest

from execution.cli.symbol_service import ORDER, Replay, command, replays_of, simulated_of

A, B = Path("a.book.csv.gz"), Path("b.book.csv.gz")


def replays(*arguments: str) -> list[Replay]:
    with command.make_context("symbol-service", list(arguments)) as context:
        return replays_of(context.meta[ORDER], context.params)


def simulated(*arguments: str) -> list[str]:
    with command.make_context("symbol-service", list(arguments)) as context:
        return simulated_of(context.params["simulate"], context.params["symbols"], ["ALL", "OF"])


def test_a_replay_plays_once_at_its_own_pace_unless_told_otherwise() -> None:
    assert replays("--replay", str(A), "--symbol", "X") == [Replay(A, "X", None, 1.0, False)]


def test_options_belong_to_the_replay_before_them() -> None:
    first = ["--replay", str(A), "--symbol", "X", "--speed", "2"]
    second = [f"--replay={B}", "--symbol=Y", "--trades=t.csv.gz", "--loop", "--speed=inf"]
    assert replays(*first, *second) == [
        Replay(A, "X", None, 2.0, loop=False),
        Replay(B, "Y", Path("t.csv.gz"), float("inf"), loop=True),
    ]


def test_speed_and_loop_before_the_first_replay_hold_for_every_one() -> None:
    shared = ["--speed", "5", "--loop"]
    first = ["--replay", str(A), "--symbol", "X"]
    second = ["--replay", str(B), "--symbol", "Y", "--speed", "7"]
    assert replays(*shared, *first, *second) == [
        Replay(A, "X", None, 5.0, loop=True),
        Replay(B, "Y", None, 7.0, loop=True),
    ]


def test_the_nth_symbol_is_the_nth_replays_wherever_it_stands() -> None:
    found = replays("--symbol", "X", "--symbol", "Y", "--replay", str(A), "--replay", str(B))
    assert [(replay.symbol, replay.file) for replay in found] == [("X", A), ("Y", B)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--replay", "a"], "every --replay needs one --symbol"),
        (["--replay", "a", "--symbol", "X", "--symbol", "Y"], "1 --replay and 2 --symbol"),
        (["--symbol", "X"], "0 --replay and 1 --symbol"),
        (["--trades", "t", "--replay", "a", "--symbol", "X"], "--trades comes after"),
        (["--replay", "a", "--symbol", "X", "--speed", "nan"], "nan"),
        (["--replay", "a", "--symbol", "X", "--speed", "0"], "0.0 is not in the range"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(arguments: list[str], says: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        replays(*arguments)
    assert says in refused.value.format_message()


@pytest.mark.parametrize(
    ("arguments", "symbols"),
    [
        ([], []),
        (["--simulate"], ["ALL", "OF"]),
        (["--simulate", "A"], ["A"]),
        (["--simulate", "A", "B", "C"], ["A", "B", "C"]),
        (["--simulate", "A", "--simulate", "B"], ["A", "B"]),
        (["--simulate", "A,B", "--listen", "127.0.0.1:0"], ["A", "B"]),
    ],
)
def test_symbols_to_simulate_can_be_listed_in_every_usual_way(
    arguments: list[str], symbols: list[str]
) -> None:
    assert simulated(*arguments) == symbols


def test_a_name_that_belongs_to_no_option_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="come after --simulate"):
        simulated("A", "B")
