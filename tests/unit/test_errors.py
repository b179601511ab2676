"""The tree of foreseen failures: one place, one gRPC status each, nothing said twice."""

import re
from collections.abc import Iterator

import pytest

from execution import errors
from execution.errors import (
    ExecutionError,
    FieldViolation,
    InvalidArgument,
    LedgerUnavailable,
    ReplyTooLarge,
    StatusCode,
    TooLate,
    Unavailable,
)
from execution.model import Direction, ExecutionReport, OrderStatus, OrderType


def descendants(root: type[ExecutionError]) -> Iterator[type[ExecutionError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from descendants(child)


LEAVES_AND_BRANCHES = list(descendants(ExecutionError))
DRAWN = re.compile(
    r"^    (?P<indent>[│ ]*)[├└]── (?P<name>\w+)(?: +(?P<code>[A-Z_]+))?", re.MULTILINE
)


def drawn() -> dict[str, tuple[str, str]]:
    """Name -> (parent, code as drawn) of every class in the docstring's picture."""
    parents = ["ExecutionError"]
    found: dict[str, tuple[str, str]] = {}
    for line in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["indent"]) // 4
        parents[depth + 1 :] = [line["name"]]
        found[line["name"]] = (parents[depth], line["code"] or "")
    return found


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in LEAVES_AND_BRANCHES}
    assert {name: parent for name, (parent, _) in drawn().items()} == real


def test_the_codes_in_the_docstring_are_the_codes_in_the_code() -> None:
    for name, (parent, code) in drawn().items():
        kind = getattr(errors, name)
        # A leaf that draws no code has its parent's.
        assert kind.code.name == (code or getattr(errors, parent).code.name), name


def test_every_reason_means_one_error() -> None:
    reasons = [kind.reason for kind in LEAVES_AND_BRANCHES]
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("kind", LEAVES_AND_BRANCHES)
def test_a_reason_is_an_upper_case_word_for_programs(kind: type[ExecutionError]) -> None:
    # google.rpc.ErrorInfo.reason: at most 63 characters of this alphabet.
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]", kind.reason)


def test_errors_that_share_a_code_are_one_family() -> None:
    roots = [kind for kind in LEAVES_AND_BRANCHES if ExecutionError in kind.__bases__]
    codes = [kind.code for kind in roots]
    assert len(set(codes)) == len(codes)
    for kind in LEAVES_AND_BRANCHES:
        assert [kind.code] == [root.code for root in roots if issubclass(kind, root)]


def test_nothing_foreseen_is_unknown_internal_or_ok() -> None:
    never = {StatusCode.OK, StatusCode.INTERNAL, StatusCode.CANCELLED}
    assert not never & {kind.code for kind in LEAVES_AND_BRANCHES}
    assert 2 not in set(StatusCode)  # UNKNOWN


def test_the_codes_have_the_numbers_of_grpc() -> None:
    # https://grpc.io/docs/guides/status-codes, the numbers on the wire.
    numbers = {
        "OK": 0,
        "CANCELLED": 1,
        "INVALID_ARGUMENT": 3,
        "DEADLINE_EXCEEDED": 4,
        "NOT_FOUND": 5,
        "ALREADY_EXISTS": 6,
        "PERMISSION_DENIED": 7,
        "RESOURCE_EXHAUSTED": 8,
        "FAILED_PRECONDITION": 9,
        "UNIMPLEMENTED": 12,
        "INTERNAL": 13,
        "UNAVAILABLE": 14,
        "UNAUTHENTICATED": 16,
    }
    assert {code.name: code.value for code in StatusCode} == numbers


@pytest.mark.parametrize("kind", LEAVES_AND_BRANCHES)
def test_a_retry_is_suggested_exactly_where_it_can_help(kind: type[ExecutionError]) -> None:
    helps = kind.code in {StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED}
    assert (kind.retry_after_ms is not None) is (helps and kind is not ReplyTooLarge)
    assert kind.retry_after_ms is None or kind.retry_after_ms > 0


def test_an_error_carries_its_message_and_metadata() -> None:
    error = LedgerUnavailable("no answer", {"order_id": "o-1"})
    assert isinstance(error, Unavailable)
    assert (str(error), error.message) == ("no answer", "no answer")
    assert error.metadata == {"order_id": "o-1"}
    assert LedgerUnavailable("no answer").metadata == {}


def test_an_invalid_argument_names_every_bad_field() -> None:
    violations = [FieldViolation("quantity", "is zero"), FieldViolation("symbol", "is empty")]
    error = InvalidArgument(violations)
    assert error.violations == tuple(violations)
    assert error.message == "quantity is zero; symbol is empty"


def test_a_failed_precondition_carries_the_present_state() -> None:
    report = ExecutionReport(
        order_id="o-1",
        user_id="ann",
        symbol="BTC-USDT",
        direction=Direction.BUY,
        order_type=OrderType.SL,
        status=OrderStatus.FILLED,
        quantity="1",
        effective_quantity="1",
        filled_quantity="1",
        remaining_quantity="0",
        version=3,
    )
    error = TooLate("too late", report)
    assert error.report is report
    assert error.metadata == {"status": "FILLED", "version": "3"}
