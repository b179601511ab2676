"""How gRPC statuses follow from what HTTP/2 says, for a client; pure.

Sources: "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and "HTTP to gRPC Status Code
Mapping" (http-grpc-status-mapping.md) of the gRPC project.
"""

from typing import Final

from grpc import StatusCode

from execution.http2.wire import STATUS_OF_NUMBER

_TIMEOUT_DIGITS_MAX: Final = 8
_UNITS: Final = ((b"u", 1e6), (b"m", 1e3), (b"S", 1.0))
_OF_HTTP: Final = {
    b"400": StatusCode.INTERNAL,
    b"401": StatusCode.UNAUTHENTICATED,
    b"403": StatusCode.PERMISSION_DENIED,
    b"404": StatusCode.UNIMPLEMENTED,
    b"429": StatusCode.UNAVAILABLE,
    b"502": StatusCode.UNAVAILABLE,
    b"503": StatusCode.UNAVAILABLE,
    b"504": StatusCode.UNAVAILABLE,
}
_OF_RESET: Final = {
    7: StatusCode.UNAVAILABLE,  # REFUSED_STREAM: nothing was done
    8: StatusCode.CANCELLED,
    11: StatusCode.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    12: StatusCode.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}


class CallError(Exception):
    """A call that did not end with OK. `details` are the peer's own words or ours."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


def timeout_header(seconds: float) -> bytes:
    """The value of grpc-timeout in the finest unit that its eight digits allow.

    >>> timeout_header(0.5), timeout_header(86_400), timeout_header(-1)
    (b'500000u', b'86400000m', b'1u')
    """
    for unit, per_second in _UNITS:
        value = max(int(seconds * per_second), 1)
        if value < 10**_TIMEOUT_DIGITS_MAX:
            return b"%d%b" % (value, unit)
    return b"99999999S"


def status_of_number(value: bytes) -> StatusCode:
    """What a grpc-status header says; UNKNOWN for what is no status."""
    try:
        return STATUS_OF_NUMBER.get(int(value), StatusCode.UNKNOWN)
    except ValueError:
        return StatusCode.UNKNOWN


def failure_of_http(status: bytes, content_type: bytes) -> CallError:
    """Of an answer without grpc-status: what answered may not speak gRPC at all."""
    if status != b"200":
        code = _OF_HTTP.get(status, StatusCode.UNKNOWN)
        return CallError(code, f"HTTP status {status.decode('ascii', 'replace')}")
    if not content_type.startswith(b"application/grpc"):
        kind = content_type.decode("ascii", "replace")
        return CallError(StatusCode.UNKNOWN, f"an answer of content-type {kind or 'none'}")
    return CallError(StatusCode.UNKNOWN, "the answer ended without grpc-status")


def failure_of_reset(error_code: int) -> CallError:
    """Of a stream that the peer, or HTTP/2 itself, cut off."""
    code = _OF_RESET.get(error_code, StatusCode.INTERNAL)
    return CallError(code, f"the stream was reset with HTTP/2 error {error_code}")
