"""The group of commands; each lives in a module of its own name."""

import importlib
from typing import Final

import click

COMMANDS: Final = {
    "serve": "execution.cli.serve",
    "symbol-service": "execution.cli.symbol_service",
    "demo": "execution.cli.demo.command",
    "order": "execution.cli.order.command",
    "verify": "execution.cli.verify",
}
"""Each module exports its `click.Command` as `command`."""


class LazyGroup(click.Group):
    """Imports a command when it is named, so that none pays for another."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of that name, None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]}.command is not a click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="execution-service")
def commands() -> None:
    """Executes market and stop-loss orders against the latest order book, exactly once."""
