"""Which library keeps the HTTP/2 of a connection, and what happens where it cannot be called."""

import os
import subprocess
import sys

import ngh2
import pytest

from execution._call import ServerConnection
from execution.server.transports.http2.library import CHOICE, server_connection

CONFIG = ngh2.Configuration(auto_window_update=False)
SHOWN = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
import _ctypes, ngh2
from ngh2 import _core
{before}
from execution._call import ServerConnection
from execution.server.transports.http2.library import server_connection
config = ngh2.Configuration(auto_window_update=False)
print(type(server_connection(config)).__module__)
try:
    ServerConnection(config)
except RuntimeError as error:
    print(error)
"""


def shown(before: str = "", **environment: str) -> str:
    """What a fresh interpreter chooses, and why."""
    asked = subprocess.run(
        [sys.executable, "-c", SHOWN.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return asked.stderr + asked.stdout


@pytest.mark.skipif(os.environ.get(CHOICE) == "ngh2", reason=f"{CHOICE} asks for ngh2 itself")
def test_the_library_within_ngh2_is_called_as_it_is() -> None:
    assert type(server_connection(CONFIG)) is ServerConnection


def test_ngh2_itself_may_be_asked_for() -> None:
    assert shown(**{CHOICE: "ngh2"}).startswith("ngh2._core\n")


@pytest.mark.parametrize(
    ("file", "why"),
    [
        # A module that is not linked with the library, as an ngh2 that hides it.
        ("_ctypes.__file__", "which hides nghttp2_is_fatal"),
        ("'/nowhere/ngh2.so'", "cannot open shared object file"),
    ],
)
def test_where_the_library_cannot_be_called_ngh2_stands_between(file: str, why: str) -> None:
    said = shown(f"_core.__file__ = {file}", **{CHOICE: ""})
    assert why in said
    assert said.endswith("ngh2._core\nlibnghttp2 is not to be had\n")
