"""What the headers of a request say; the answer where they ask for nothing we serve."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from grpc import StatusCode

from execution.http2.wire import Headers, WireError, timeout_seconds
from execution.server.transports.http2.headers import OVERHEAD_BYTES, Refusal, refusal
from execution.server.transports.http2.limits import Limits
from execution.server.transports.http2.methods import Method, Methods

_GRPC: Final = b"application/grpc"
_ENCODINGS: Final = frozenset({b"identity", b"gzip"})
_NO_POST: Final = Refusal(((b":status", b"405"), (b"allow", b"POST")))
_NO_GRPC: Final = Refusal(((b":status", b"415"), (b"accept", _GRPC)))
_SHOWN_MAX: Final = 256
"""Of what a client has made up."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call of an rpc that is served."""

    method: Method
    headers: Headers
    """As they came, but for the value of grpc-timeout: it may be that of an earlier call."""
    timeout_at: int | None
    """Where in the headers grpc-timeout stands, None if it does not."""
    gzip: bool
    """Whether the client may compress its messages."""
    accepts_gzip: bool


Read: TypeAlias = Request | Refusal


def read_request(headers: Headers, methods: Methods, limits: Limits) -> Read:
    """Source: PROTOCOL-HTTP2, Requests; the HTTP statuses are those of RFC 9110."""
    encoding = b"identity"
    path = verb = content_type = accepted = b""
    timeout: bytes | None = None
    # The headers of gRPC itself are left out of the account: time is dearer here.
    size = len(headers) * OVERHEAD_BYTES
    for name, value in headers:
        if name == b":path":
            path = value
        elif name == b":method":
            verb = value
        elif name == b"content-type":
            content_type = value
        elif name == b"grpc-timeout":
            timeout = value
        elif name == b"grpc-encoding":
            encoding = value
        elif name == b"grpc-accept-encoding":
            accepted = value
        else:
            size += len(name) + len(value)
    if verb != b"POST" or not _is_grpc(content_type):
        return _NO_POST if verb != b"POST" else _NO_GRPC
    try:
        if size > limits.header_bytes_max or len(headers) > limits.headers_max:
            raise _too_long(len(headers), size, limits)
        method = _method(path, methods)
        if encoding not in _ENCODINGS:
            raise _unknown_encoding(encoding)
        timeout_at = None if timeout is None else _timeout_at(headers, timeout)
    except WireError as error:
        return refusal(error.code, error.message)
    accepts_gzip = b"gzip" in map(bytes.strip, accepted.split(b","))
    return Request(method, headers, timeout_at, encoding == b"gzip", accepts_gzip)


def _too_long(number: int, size: int, limits: Limits) -> WireError:
    return WireError(
        StatusCode.RESOURCE_EXHAUSTED,
        f"{number} headers of {size} bytes; {limits.headers_max} of"
        f" {limits.header_bytes_max} bytes are allowed",
    )


def _method(path: bytes, methods: Methods) -> Method:
    method = methods.of(path)
    if method is None:
        shown = path[:_SHOWN_MAX].decode("utf-8", "replace")
        raise WireError(StatusCode.UNIMPLEMENTED, f"method {shown} is not served here")
    return method


def _unknown_encoding(encoding: bytes) -> WireError:
    shown = encoding[:_SHOWN_MAX].decode("utf-8", "replace")
    return WireError(
        StatusCode.UNIMPLEMENTED, f"grpc-encoding {shown} is not one of identity, gzip"
    )


def _timeout_at(headers: Headers, timeout: bytes) -> int:
    """Where it stands; of several, the last counts. Raises `WireError` for what is no timeout."""
    timeout_seconds(timeout)
    return max(at for at, (name, _) in enumerate(headers) if name == b"grpc-timeout")


def _is_grpc(content_type: bytes) -> bool:
    """application/grpc, with or without +proto or a parameter, in any case; not grpc-web."""
    kind = content_type.partition(b";")[0].rstrip(b" \t")
    return kind[:16].lower() == _GRPC and kind[16:17] in {b"", b"+"}
