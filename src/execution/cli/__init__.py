"""The command line, one file per command; none is imported before it is used."""

import sys


def main() -> None:
    """Entry point of `execution-service`."""
    try:
        from execution.cli.main import commands  # noqa: PLC0415 - the kernel installs without it
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: the command line needs pip install 'execution-service[server]'")
    commands()
