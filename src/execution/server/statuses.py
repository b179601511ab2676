"""Typed errors to gRPC statuses, with the details a program can act on.

The code and the reason live in `execution.errors`; here is only their form:
google.rpc.BadRequest for bad fields, ErrorInfo for everything else, RetryInfo
where a retry can help, and the order's present state where that is the reason.
"""

import logging
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from execution.errors import (
    DOMAIN,
    ExecutionError,
    FieldViolation,
    InvalidArgument,
    StatusCode,
    TooLate,
)
from execution.server.messages import report_message

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata key of the serialised google.rpc.Status."""

MESSAGE_LENGTH_MAX: Final = 1_000
"""A status message travels in a header, and headers are limited."""
_REPORT_BYTES_MAX: Final = 2_500
"""Many clients take 8 KiB of trailers in all, where this is in base64."""


_log = logging.getLogger(__name__)


def status_of(error: ExecutionError) -> Status:
    """The google.rpc.Status of a foreseen failure."""
    details = [_packed(detail) for detail in _details(error)]
    return Status(
        code=error.code.value, message=error.message[:MESSAGE_LENGTH_MAX], details=details
    )


def internal_status(error: Exception, where: str) -> Status:
    """The status of a bug; what it was is for our log, not for the caller."""
    _log.error("unforeseen failure in %s", where, exc_info=error)
    return Status(code=StatusCode.INTERNAL.value, message="a bug in execution-service; see its log")


def not_protobuf(kind: str) -> InvalidArgument:
    """The error for bytes that are not a message of the expected kind."""
    return InvalidArgument([FieldViolation("request", f"is not a serialised {kind}")])


def _details(error: ExecutionError) -> list[Message]:
    if isinstance(error, InvalidArgument):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in error.violations
        ]
        return [error_details_pb2.BadRequest(field_violations=violations)]
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.retry_after_ms is not None:
        delay = Duration()
        delay.FromMilliseconds(error.retry_after_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(error, TooLate):
        report = report_message(error.report)
        if report.ByteSize() > _REPORT_BYTES_MAX:
            # GetOrder has them; without them the caller still learns what became of the order.
            report.ClearField("fills")
        details.append(report)
    return details


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
