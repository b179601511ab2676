"""Flags that can also be given in the environment."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def option(flag: str, help_text: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A flag with its environment variable: --redis-url is EXECUTION_REDIS_URL."""
    variable = "EXECUTION_" + flag.removeprefix("--").replace("-", "_").upper()
    decorate: Callable[[_Command], _Command] = click.option(
        flag, envvar=variable, show_envvar=True, show_default=True, help=help_text, **settings
    )
    return decorate
