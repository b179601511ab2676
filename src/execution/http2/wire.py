"""How gRPC writes things into HTTP/2; pure.

Source: "gRPC over HTTP2" of the gRPC project (PROTOCOL-HTTP2.md) and its
"Compression" page.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from grpc import StatusCode

from execution._call import timeout_of

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
MetadataItem: TypeAlias = tuple[str, str | bytes]

PREFIX_BYTES: Final = 5
"""One byte of flags and four of length before each message."""
SMALL_BYTES: Final = 4_096
"""Most messages are no larger."""
ACCEPTED: Final[bytes] = b"identity,gzip"
"""The value of grpc-accept-encoding."""
STATUS_OF_NUMBER: Final = {code.value[0]: code for code in StatusCode}

_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_PLAIN: Final = re.compile(rb"[ -$&-~]*")
_PRINTABLE: Final = re.compile(rb"[ -~]*")
_SPACE: Final = 0x20
_NOT_METADATA: Final = frozenset(
    {
        b"te", b"content-type", b"content-length", b"grpc-timeout", b"grpc-encoding",
        b"grpc-accept-encoding", b"grpc-message-type", b"grpc-status", b"grpc-message",
    }
)  # fmt: skip
_NEVER_SENT: Final = _NOT_METADATA | {
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host",
}  # fmt: skip
"""By a handler: they are ours to send, or make the answer no HTTP/2."""


class WireError(Exception):
    """What a client sent breaks the rules; `code` is the status to answer."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def timeout_seconds(value: bytes) -> float:
    """Seconds of a grpc-timeout header. Raises `WireError`."""
    seconds = timeout_of(value)
    if seconds is None:
        message = "grpc-timeout is no number of up to 8 digits and unit"
        raise WireError(StatusCode.INVALID_ARGUMENT, message)
    return seconds


def percent_encoded(message: str) -> bytes:
    """A grpc-message: UTF-8, all but printable ASCII and the percent sign itself as %XX."""
    raw = message.encode("utf-8", "replace")
    if _PLAIN.fullmatch(raw) and raw == raw.strip():
        return raw
    bare = b"".join(
        bytes((byte,)) if _SPACE <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in raw
    )
    # A value that begins or ends with a space is no header (RFC 9113, 8.2.1).
    before = len(bare) - len(bare.lstrip())
    after = len(bare) - len(bare.rstrip()) if before < len(bare) else 0
    return b"%20" * before + bare.strip() + b"%20" * after


def percent_decoded(value: bytes) -> str:
    """The message of a grpc-message header; what is no encoding stays as it is."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def metadata_of(headers: Headers) -> list[MetadataItem]:
    """What the caller's program sent along. Raises `WireError`.

    A key that ends in -bin holds bytes, base64 with or without padding; several
    values may share one header, comma between them.
    """
    found: list[MetadataItem] = []
    for name, value in headers:
        if name[:1] == b":" or name in _NOT_METADATA:
            continue
        key = name.decode("ascii", "replace")
        if not key.endswith("-bin"):
            found.append((key, value.decode("ascii", "replace")))
            continue
        found += [(key, _from_base64(key, part)) for part in value.split(b",")]
    return found


def _from_base64(key: str, text: bytes) -> bytes:
    bare = text.strip().rstrip(b"=")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        message = f"metadata {key} is not base64"
        raise WireError(StatusCode.INVALID_ARGUMENT, message) from error


def metadata_headers(metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """Metadata as headers. Raises `ValueError` for what no header can hold."""
    headers = []
    for key, value in metadata:
        name = key.encode()
        if not _KEY.fullmatch(key) or name in _NEVER_SENT:
            raise ValueError(f"metadata key {key!r} is not lower case, or not for handlers to send")
        raw = value if isinstance(value, bytes) else value.encode()
        if key.endswith("-bin"):
            raw = base64.b64encode(raw).rstrip(b"=")
        elif not _PRINTABLE.fullmatch(raw):
            raise ValueError(f"metadata {key} holds what is not printable; name it {key}-bin")
        headers.append((name, raw.strip()))
    return headers


def framed(message: bytes, *, compress: bool = False) -> bytes:
    """One message with its prefix."""
    if compress:
        packer = zlib.compressobj(wbits=31)
        packed = packer.compress(message) + packer.flush()
        if len(packed) < len(message):
            return b"\1" + len(packed).to_bytes(4, "big") + packed
    return prefix(len(message)) + message


def prefix(size: int) -> bytes:
    """Of a message that is not compressed: flags of zero, then the length."""
    return size.to_bytes(PREFIX_BYTES, "big")


def inflated(packed: bytes, bytes_max: int) -> bytes:
    """A gzipped message, never more than `bytes_max` of it. Raises `WireError`."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        message = unpacker.decompress(packed, bytes_max + 1)
    except zlib.error as error:
        raise WireError(StatusCode.INTERNAL, "a message is not the gzip it says") from error
    if len(message) > bytes_max:
        raise too_large(len(message), bytes_max)
    if not unpacker.eof or unpacker.unused_data:
        raise WireError(StatusCode.INTERNAL, "a message is not one whole gzip stream")
    return message


def too_large(size: int, bytes_max: int) -> WireError:
    """A message beyond the limit."""
    return WireError(
        StatusCode.RESOURCE_EXHAUSTED,
        f"a message of {size} bytes or more is larger than the {bytes_max} bytes allowed",
    )


class Deframer:
    """Bytes in, whole messages out; holds at most one message that is not whole."""

    __slots__ = ("_buffer", "_bytes_max", "encoding")

    def __init__(self, bytes_max: int, encoding: bytes) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max
        self.encoding = encoding

    @property
    def held(self) -> int:
        """Bytes of the message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises `WireError`."""
        if not self._buffer and len(data) >= PREFIX_BYTES:
            # The usual case, one whole message in one frame, is not copied twice.
            size = int.from_bytes(data[1:PREFIX_BYTES], "big")
            if len(data) == PREFIX_BYTES + size:
                return [self._message(data[0], data[PREFIX_BYTES:])]
        buffer = self._buffer
        buffer += data
        messages = []
        while len(buffer) >= PREFIX_BYTES:
            size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
            if size > self._bytes_max:
                raise too_large(size, self._bytes_max)
            end = PREFIX_BYTES + size
            if len(buffer) < end:
                break
            messages.append(self._message(buffer[0], bytes(buffer[PREFIX_BYTES:end])))
            del buffer[:end]
        return messages

    def _message(self, flags: int, payload: bytes) -> bytes:
        if len(payload) > self._bytes_max:
            raise too_large(len(payload), self._bytes_max)
        if flags == 0:
            return payload
        if flags != 1:
            raise WireError(StatusCode.INTERNAL, f"a message has unknown flags {flags}")
        if self.encoding != b"gzip":
            raise WireError(
                StatusCode.INTERNAL, "a message is compressed, but grpc-encoding does not say how"
            )
        return inflated(payload, self._bytes_max)
