"""What the client programs in Python share: `python -m interop.clients.NAME TARGET [CASE ...]`.

A program runs all its cases, or those it is told, and prints a line of JSON for
each: {"case": NAME, "error": null or what went wrong}. With a certificate named by
INTEROP_CA it speaks TLS.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

_Case = TypeVar("_Case", bound=Callable[..., Any])


def target() -> str:
    """The address of the server."""
    return sys.argv[1]


def certificate() -> bytes | None:
    """Of the server, in PEM, where it speaks TLS."""
    path = os.environ.get("INTEROP_CA")
    return None if path is None else Path(path).read_bytes()


def chosen(cases: Sequence[_Case]) -> list[_Case]:
    """The cases to run."""
    names = sys.argv[2:]
    return [case for case in cases if not names or case.__name__ in names]


@contextmanager
def reported(case: Callable[..., Any]) -> Iterator[None]:
    """Prints how the case went."""
    error = None
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is, it is the result
        error = traceback.format_exc()
    print(json.dumps({"case": case.__name__, "error": error}), flush=True)


def expect(found: object, wanted: object) -> None:
    """Fails the case unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{found!r:.200} instead of {wanted!r:.200}")
