"""The subcommands of `execution-service order`."""

import signal
import sys
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from execution.cli.order.calling import FAILED, Caller, calling
from execution.model import Direction, OrderStatus, TimeInForce, TriggerBy

if TYPE_CHECKING:
    from execution.client import ExecutionReport

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SIDE: Final = click.Choice([side.name for side in Direction], case_sensitive=False)
_TERMS: Final = (
    click.argument("direction", metavar="BUY|SELL", type=_SIDE),
    click.argument("quantity"),
    click.argument("symbol"),
    click.option("--order-id", help="Yours, to be able to repeat the command; none: a new one."),
    click.option("--limit-price", help="The worst price to accept."),
    click.option(
        "--max-slippage-bps",
        type=click.IntRange(0, 2**32 - 1),
        help="The worst distance from the best price.",
    ),
    click.option(
        "--time-in-force",
        type=click.Choice([member.name for member in TimeInForce], case_sensitive=False),
        metavar="IOC|FOK",
        default=TimeInForce.IOC.name,
        show_default=True,
        help="FOK: whole or not at all.",
    ),
    click.option("--reduce-only", is_flag=True, help="Only ever reduce the position."),
)


@click.group()
def command() -> None:
    """Send, change and watch orders.

    Exit status: 0 done, 1 rejected or failed, 2 usage.
    """


def _order_terms(order_command: _Command) -> _Command:
    decorated: Any = order_command
    for decorate in reversed(_TERMS):
        decorated = decorate(decorated)
    called: _Command = decorated
    return called


@command.command()
@_order_terms
@calling
def market(caller: Caller, user: str, **terms: Any) -> None:
    """Execute QUANTITY of SYMBOL now."""
    with caller.client() as client:
        _answer(caller, client.execute_market_order(user_id=user, **terms), executes=True)


@command.command()
@_order_terms
@click.option("--trigger-price", help="Rest until the market crosses it; none: execute now.")
@click.option(
    "--trigger-by",
    type=click.Choice([member.name for member in TriggerBy], case_sensitive=False),
    metavar="BID_ASK|LAST|MARK",
    help="The price to compare with.  [default: BID_ASK]",
)
@click.option("--reject-if-triggered", is_flag=True, help="Do not execute on arrival.")
@click.option("--expire-time", metavar="TIME", help="Such as 2030-01-31T12:00:00Z.")
@calling
def sl(caller: Caller, user: str, expire_time: str | None, **terms: Any) -> None:
    """Leave a stop-loss order over QUANTITY of SYMBOL."""
    expires = None if expire_time is None else _time(expire_time)
    with caller.client() as client:
        report = client.execute_sl_order(user_id=user, expire_time=expires, **terms)
        _answer(caller, report, executes=True)


@command.command()
@click.argument("order_id")
@calling
def cancel(caller: Caller, user: str, order_id: str) -> None:
    """Cancel an order that rests."""
    with caller.client() as client:
        _answer(caller, client.cancel_order(order_id=order_id, user_id=user))


@command.command()
@click.argument("order_id")
@click.option("--trigger-price", help="The new one.")
@click.option("--quantity", help="The new one.")
@click.option("--limit-price", help="The new one.")
@click.option(
    "--expected-version",
    type=click.IntRange(1, 2**64 - 1),
    help="Only if the order is at this version.",
)
@calling
def modify(caller: Caller, user: str, order_id: str, **terms: Any) -> None:
    """Change an order that rests."""
    with caller.client() as client:
        report = client.modify_order(order_id=order_id, user_id=user, **terms)
        _answer(caller, report, executes=True)


@command.command()
@click.argument("order_id")
@calling
def get(caller: Caller, user: str, order_id: str) -> None:
    """Show the present state of an order."""
    with caller.client() as client:
        _answer(caller, client.get_order(order_id=order_id, user_id=user))


@command.command()
@click.argument("symbol")
@calling
def position(caller: Caller, user: str, symbol: str) -> None:
    """Show the position in SYMBOL."""
    from execution.cli.order.show import position_json, show_position  # noqa: PLC0415 - for --help

    with caller.client() as client:
        held = client.get_position(user_id=user, symbol=symbol)
    if caller.as_json:
        print(position_json(held))
    else:
        show_position(held)


@command.command()
@click.argument("order_ids", metavar="[ORDER_ID]...", nargs=-1)
@click.option("--resume-token", default="", help="Go on after this one; none: from now.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many changes.")
@calling
def watch(
    caller: Caller, user: str, order_ids: tuple[str, ...], resume_token: str, count: int | None
) -> None:
    """Show every status change of the user's orders, or of those named.

    Goes on by itself after a disconnect, without gap or double. Ends at SIGINT
    or SIGTERM, and says then where another watch can go on.
    """
    from execution.cli.order.show import (  # noqa: PLC0415 - for --help
        report_json,
        show_heading,
        show_update,
    )

    signal.signal(signal.SIGTERM, _interrupt)
    with caller.client() as client:
        updates = client.watch_orders(user_id=user, order_ids=order_ids, resume_token=resume_token)
        try:
            with updates:
                print(f"watching from {updates.token}", file=sys.stderr, flush=True)
                if not caller.as_json:
                    show_heading()
                for number, report in enumerate(updates, start=1):
                    if caller.as_json:
                        print(report_json(report), flush=True)
                    else:
                        show_update(report)
                    if number == count:
                        break
        except KeyboardInterrupt:
            pass
        print(f"go on with --resume-token {updates.token}", file=sys.stderr)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _answer(caller: Caller, report: "ExecutionReport", *, executes: bool = False) -> None:
    """Shows the report; ends the process if the order it was to execute was rejected."""
    from execution.cli.order.show import report_json, show_report  # noqa: PLC0415 - for --help

    if caller.as_json:
        print(report_json(report))
    else:
        show_report(report)
    if executes and OrderStatus(report.status) is OrderStatus.REJECTED:
        sys.exit(FAILED)


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no ISO 8601 time", param_hint="--expire-time"
        ) from error
    if when.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} has no time zone; end it with Z or +02:00", param_hint="--expire-time"
        )
    return when
