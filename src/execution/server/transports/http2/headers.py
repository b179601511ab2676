"""The headers of an answer."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from grpc import StatusCode

from execution._call import BEGIN
from execution.http2.wire import (
    ACCEPTED,
    Headers,
    MetadataItem,
    WireError,
    metadata_headers,
    percent_encoded,
)

CONTENT_TYPE: Final = BEGIN[1]
ACCEPTS: Final = (b"grpc-accept-encoding", ACCEPTED)
BEGIN_GZIP: Final = (*BEGIN, (b"grpc-encoding", b"gzip"), ACCEPTS)

OVERHEAD_BYTES: Final = 32
"""Of each header, as RFC 9113 counts them."""

_MESSAGE_CHARACTERS_MAX: Final = 4_096
"""Of a status; the rest of a longer one is cut off."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Headers that answer at once, and end the stream."""

    headers: Headers


def refusal(code: StatusCode, message: str) -> Refusal:
    """A whole answer in one block of headers (Trailers-Only)."""
    return Refusal((*BEGIN, ACCEPTS, *status_trailers(code, message)))


def status_trailers(code: StatusCode, message: str) -> Headers:
    """How a call ends."""
    number = (b"grpc-status", b"%d" % code.value[0])
    if not message:
        return (number,)
    return (number, (b"grpc-message", percent_encoded(message[:_MESSAGE_CHARACTERS_MAX])))


def trailers_of(
    code: StatusCode, message: str, metadata: Iterable[MetadataItem], bytes_max: int
) -> Headers:
    """How a call ends, with what its handler sends along; never fails.

    What no header can hold is left out: the status of a call is worth more.
    """
    try:
        extra = metadata_headers(metadata)
    except (ValueError, TypeError, AttributeError):
        _log.exception("trailing metadata that cannot be sent is left out")
        extra = []
    size = size_of(extra)
    if size <= bytes_max:
        return (*status_trailers(code, message), *extra)
    _log.error("trailing metadata of %s bytes is left out; %s are allowed", size, bytes_max)
    if code is StatusCode.OK:
        code = StatusCode.RESOURCE_EXHAUSTED
        message = f"the answer came with {size} bytes of metadata; {bytes_max} are allowed"
    return status_trailers(code, message)


def initial_headers(metadata: Iterable[MetadataItem], bytes_max: int) -> Headers:
    """Metadata to send before any message. Raises `ValueError` and `WireError`."""
    headers = metadata_headers(metadata)
    size = size_of(headers)
    if size > bytes_max:
        raise WireError(
            StatusCode.RESOURCE_EXHAUSTED,
            f"the answer begins with {size} bytes of metadata; {bytes_max} are allowed",
        )
    return headers


def size_of(headers: Headers) -> int:
    """Bytes, as MAX_HEADER_LIST_SIZE counts them."""
    return sum(len(name) + len(value) + OVERHEAD_BYTES for name, value in headers)
