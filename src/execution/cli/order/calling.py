"""How the subcommands of `order` reach the service, and what becomes of a failure."""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import click

from execution.cli.options import option
from execution.errors import ExecutionError, TooLate

if TYPE_CHECKING:
    from execution.client import Client

_Command = TypeVar("_Command", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_SETTINGS: Final = (
    "server", "timeout_seconds", "token", "tls", "tls_ca", "tls_client_cert", "tls_client_key",
    "tls_server_name", "as_json",
)  # fmt: skip

FAILED: Final = 1
"""Exit status of a command whose call failed or whose order was rejected."""
ATTEMPT_SECONDS_MAX: Final = 3.0


@dataclass(frozen=True, slots=True)
class Caller:
    """The options that every subcommand has, but for the user."""

    server: str
    timeout_seconds: float
    token: str | None
    tls: bool
    tls_ca: Path | None
    tls_client_cert: Path | None
    tls_client_key: Path | None
    tls_server_name: str | None
    as_json: bool

    @classmethod
    def taken_from(cls, settings: dict[str, Any]) -> Self:
        """Takes its own out of all settings of a subcommand."""
        return cls(**{name: settings.pop(name) for name in _SETTINGS})

    @contextmanager
    def client(self) -> "Iterator[Client]":
        """A client; ends the process with a message where a call in the block fails."""
        from grpc import RpcError  # noqa: PLC0415 - --help needs none of it

        try:
            with self._connected() as client:
                yield client
        except ExecutionError as error:
            self._explain(error)
            sys.exit(FAILED)
        except RpcError as failure:
            print(f"execution-service order: {self.server}: {failure}", file=sys.stderr)
            sys.exit(FAILED)

    def _connected(self) -> "Client":
        from execution.client import Client, RetryPolicy, Tls  # noqa: PLC0415 - as above

        tls = None
        try:
            if self.tls or self.tls_ca or self.tls_client_cert or self.tls_server_name:
                tls = Tls.from_files(
                    self.tls_ca, self.tls_client_cert, self.tls_client_key, self.tls_server_name
                )
            retry = RetryPolicy(
                timeout_seconds=self.timeout_seconds,
                attempt_timeout_seconds=min(self.timeout_seconds, ATTEMPT_SECONDS_MAX),
            )
            return Client(self.server, tls=tls, token=self.token, retry=retry)
        except (ValueError, OSError) as error:
            raise click.UsageError(str(error)) from error

    def _explain(self, error: ExecutionError) -> None:
        kind = type(error).__name__
        if self.as_json:
            told = {
                "error": kind,
                "reason": error.reason,
                "message": error.message,
                "metadata": dict(error.metadata),
            }
            print(json.dumps(told), file=sys.stderr)
            return
        print(f"execution-service order: {kind}: {error.message}", file=sys.stderr)
        if isinstance(error, TooLate):
            print(
                f"the order is {error.report.status.name} at version {error.report.version}",
                file=sys.stderr,
            )


def calling(command: _Command) -> _Command:
    """The options of every subcommand; it gets them as `caller` and `user`."""

    @functools.wraps(command)
    def with_caller(**settings: Any) -> None:
        command(caller=Caller.taken_from(settings), **settings)

    decorated: Any = with_caller
    for decorate in reversed(_OPTIONS):
        decorated = decorate(decorated)
    called: _Command = decorated
    return called


_OPTIONS: Final = (
    option("--server", "HOST:PORT of the service.", default="127.0.0.1:50051"),
    option("--user", "Whose orders.", required=True),
    option("--token", "Bearer token; use TLS with it."),
    option("--tls", "Speak TLS; implied by the next four.", is_flag=True),
    option("--tls-ca", "PEM authorities to trust; none: the system's.", type=_FILE),
    option("--tls-client-cert", "PEM certificate to show.", type=_FILE),
    option("--tls-client-key", "PEM key of it.", type=_FILE),
    option("--tls-server-name", "The name in the service's certificate."),
    click.option(
        "--timeout-seconds",
        help="How long to try.",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object per line."),
)
