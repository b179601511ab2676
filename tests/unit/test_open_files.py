"""How many connections the limit of open files has room for."""

import subprocess
import sys

import pytest

from execution.server.open_files import RESERVED

_SCRIPT = """
import logging, resource, sys
from execution.server.open_files import room_for_connections
logging.basicConfig(format="%(message)s")
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(room_for_connections(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def tried(soft: int, hard: int, wanted: int) -> tuple[list[int], str]:
    """Room, and the limits after it, of a process of its own: a hard limit is for ever."""
    words = [sys.executable, "-c", _SCRIPT, *map(str, (soft, hard, wanted))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()], done.stderr


def test_a_limit_that_may_be_raised_is_raised_as_far_as_needed() -> None:
    assert tried(200, 1_000, 500) == ([500, 500 + RESERVED, 1_000], "")


def test_a_limit_with_room_stays() -> None:
    assert tried(700, 1_000, 500) == ([500, 700, 1_000], "")


@pytest.mark.parametrize("soft", [200, 400])
def test_what_has_no_room_is_said(soft: int) -> None:
    numbers, said = tried(soft, 400, 500)
    assert numbers == [400 - RESERVED, 400, 400]
    assert "--max-connections 500" in said
    assert "ulimit -n" in said


def test_there_is_room_for_one_at_least() -> None:
    assert tried(100, 100, 500)[0] == [1, 100, 100]
