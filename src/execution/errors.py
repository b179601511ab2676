"""Every failure the service foresees: one tree, one gRPC status each.

::

    ExecutionError
    ├── InvalidArgument            INVALID_ARGUMENT     names every bad field
    ├── OrderNotFound              NOT_FOUND
    ├── OrderIdReused              ALREADY_EXISTS
    ├── FailedPrecondition         FAILED_PRECONDITION
    │   ├── TooLate                carries the order's present state
    │   │   ├── ModificationRefused
    │   │   └── VersionMismatch
    │   └── ResumeTokenGone
    ├── Unauthenticated            UNAUTHENTICATED
    ├── PermissionDenied           PERMISSION_DENIED
    ├── NotImplementedYet          UNIMPLEMENTED
    ├── Overloaded                 RESOURCE_EXHAUSTED
    │   ├── SlowReader
    │   └── ReplyTooLarge          all of it is done; a retry would end the same way
    ├── DeadlineExceeded           DEADLINE_EXCEEDED    retry with the same id is safe
    │   └── DeadlineTooShort
    └── Unavailable                UNAVAILABLE          retry with the same id is safe
        ├── SymbolServiceUnavailable
        ├── StaleBook
        ├── LedgerUnavailable
        ├── LedgerRefused
        ├── PositionContended
        ├── OrderContended
        └── Draining
    GivenUp                        the caller went away before anything was done for it
    StartupError                   the process cannot start; exit status 2

A business rejection (no liquidity, a filter, ...) is not an error: it is a
report with status REJECTED.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from execution.model import ExecutionReport

DOMAIN = "execution-service"
"""`google.rpc.ErrorInfo.domain` of every error of this service."""


class StatusCode(IntEnum):
    """The gRPC status codes in use, by their number on the wire."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field of a request: its wire name and what to do about it."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field} {self.description}"


class ExecutionError(Exception):
    """A foreseen failure of one call."""

    code: ClassVar[StatusCode]
    reason: ClassVar[str]
    """`google.rpc.ErrorInfo.reason`: stable, for programs."""
    retry_after_ms: int | None = None
    """`google.rpc.RetryInfo`; None where a retry of the same call cannot help."""

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata or {}


class InvalidArgument(ExecutionError):
    """The request is malformed; nothing was recorded."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = tuple(violations)


class OrderNotFound(ExecutionError):
    """No such order, or it belongs to another user."""

    code = StatusCode.NOT_FOUND
    reason = "ORDER_NOT_FOUND"


class OrderIdReused(ExecutionError):
    """The order id is taken by another payload or another user."""

    code = StatusCode.ALREADY_EXISTS
    reason = "ORDER_ID_REUSED"


class FailedPrecondition(ExecutionError):
    """The present state of things does not allow it; the same call will fail again."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class TooLate(FailedPrecondition):
    """The order's present state does not allow it any more; `report` is that state."""

    reason = "TOO_LATE"

    def __init__(self, message: str, report: "ExecutionReport") -> None:
        super().__init__(message, {"status": report.status.name, "version": str(report.version)})
        self.report = report


class ModificationRefused(TooLate):
    """The new terms could not rest (a filter, nothing to reduce, ...); the order stays."""

    reason = "MODIFICATION_REFUSED"


class VersionMismatch(TooLate):
    """The order is not at the version the caller expects."""

    reason = "VERSION_MISMATCH"


class ResumeTokenGone(FailedPrecondition):
    """What followed the token is not in the order stream: trimmed, lost or never there.

    Read the orders anew (`GetOrder`) and watch without a token.
    """

    reason = "RESUME_TOKEN_GONE"


class Unauthenticated(ExecutionError):
    """The call carries no valid credentials."""

    code = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(ExecutionError):
    """The caller may not act for this user."""

    code = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotImplementedYet(ExecutionError):
    """The rpc, or this use of it, is not served by this version."""

    code = StatusCode.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"


class Overloaded(ExecutionError):
    """A limit on concurrent work is reached; refused before any work."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    retry_after_ms: int | None = 100


class ReplyTooLarge(Overloaded):
    """The orders of a batch are executed, but their reports together are too long for a reply."""

    reason = "REPLY_TOO_LARGE"
    retry_after_ms = None


class SlowReader(Overloaded):
    """The reader of a watch fell too far behind.

    `metadata["resume_token"]` is where to go on; a token of a report that was
    read later than that is as good.
    """

    reason = "SLOW_READER"


class DeadlineExceeded(ExecutionError):
    """The caller's time ran out before an answer came; what happened is unknown to it."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class DeadlineTooShort(DeadlineExceeded):
    """No time is left to finish the commit, so it was not sent."""

    reason = "DEADLINE_TOO_SHORT"


class Unavailable(ExecutionError):
    """A dependency is missing for the moment; retry with the same order id."""

    code = StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    retry_after_ms = 200


class SymbolServiceUnavailable(Unavailable):
    """symbol-service did not answer."""

    reason = "SYMBOL_SERVICE_UNAVAILABLE"


class StaleBook(Unavailable):
    """No book younger than max_snapshot_age_ms was to be had."""

    reason = "STALE_BOOK"


class LedgerUnavailable(Unavailable):
    """Redis did not answer, or not in time; the outcome of a commit is unknown."""

    reason = "REDIS_UNAVAILABLE"


class LedgerRefused(Unavailable):
    """Redis answered and refused to write; an operator has to act."""

    reason = "REDIS_NOT_WRITABLE"
    retry_after_ms = 1000


class PositionContended(Unavailable):
    """The position changed under every attempt to commit."""

    reason = "POSITION_CONTENDED"


class OrderContended(Unavailable):
    """The order changed under every attempt to change it."""

    reason = "ORDER_CONTENDED"


class Draining(Unavailable):
    """This replica is shutting down; another one will answer."""

    reason = "DRAINING"


class GivenUp(Exception):
    """The caller went away before anything was sent to the ledger; nobody hears this."""


class StartupError(Exception):
    """The process cannot start; the message says what to fix."""
