"""gRPC statuses back to the errors they were: code, ErrorInfo, BadRequest, RetryInfo.

The opposite of `execution.server.statuses`.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from execution import errors, model
from execution.client.reports import report_of
from execution.errors import (
    DOMAIN,
    ExecutionError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    StatusCode,
    TooLate,
)
from execution.v1 import execution_pb2 as pb

DETAILS_KEY: Final = "grpc-status-details-bin"


def typed_error(failure: grpc.RpcError) -> ExecutionError | None:
    """The error of the service's tree that a failed call means.

    What is only known by its code (a proxy's answer, a server that cannot be
    reached) is the base class of that code. None for a status that the service
    never gives: it is nothing foreseen.
    """
    number = failure.code().value[0]
    if number not in _BY_CODE:
        return None
    text = failure.details() or ""
    details = _details(failure)
    error = _error(StatusCode(number), text, details)
    error.retry_after_ms = details.retry_after_ms
    return error


def _error(code: StatusCode, text: str, details: "_Details") -> ExecutionError:
    if code is StatusCode.INVALID_ARGUMENT:
        return InvalidArgument(details.violations or (FieldViolation("request", text),))
    kind = _BY_REASON.get((code, details.reason), _BY_CODE[code])
    if not issubclass(kind, TooLate):
        return kind(text, details.metadata)
    if details.report is None:
        return FailedPrecondition(text, details.metadata)
    return kind(text, details.report)


@dataclass(slots=True)
class _Details:
    """What the status of a call carried besides code and text."""

    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after_ms: int | None = None
    violations: tuple[FieldViolation, ...] = ()
    report: model.ExecutionReport | None = None


def _details(failure: grpc.RpcError) -> _Details:
    found = _Details()
    try:
        for packed in _status(failure).details:
            info, retry, bad, report = ErrorInfo(), RetryInfo(), BadRequest(), pb.ExecutionReport()
            if packed.Unpack(info) and info.domain == DOMAIN:
                found.reason, found.metadata = info.reason, dict(info.metadata)
            elif packed.Unpack(retry):
                found.retry_after_ms = retry.retry_delay.ToMilliseconds()
            elif packed.Unpack(bad):
                found.violations = tuple(
                    FieldViolation(violation.field, violation.description)
                    for violation in bad.field_violations
                )
            elif packed.Unpack(report):
                found.report = report_of(report)
    except (DecodeError, ValueError):
        # Mangled on the way, or newer than we are: the code still says enough.
        return found
    return found


def _status(failure: grpc.RpcError) -> Status:
    trailers: Any = failure.trailing_metadata() or ()  # pairs, whatever either stub calls them
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            return Status.FromString(value)
    return Status()


_TREE: Final = tuple(
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ExecutionError) and kind is not ExecutionError
)
# Read from the tree, so that a new error needs no entry here.
_BY_REASON: Final = {(kind.code, kind.reason): kind for kind in _TREE}
_BY_CODE: Final = {kind.code: kind for kind in _TREE if kind.__base__ is ExecutionError}
