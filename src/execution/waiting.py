"""Outcomes that callbacks tell, for those who wait in a coroutine."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio

_Result = TypeVar("_Result")


def resolve(waiting: "asyncio.Future[_Result]", outcome: _Result | Exception) -> None:
    """Tells whoever waits, if anybody still does."""
    if waiting.done():
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)
