"""What one server takes from its clients; nothing is read or kept without a bound."""

from dataclasses import dataclass
from typing import Final

from execution.server.transports.call import (
    AGE_GRACE_SECONDS,
    MESSAGE_BYTES_MAX,
    REPLY_BYTES_MAX,
)

HARD: Final = 4
"""Headers beyond so many times what is allowed end the connection, not only the call."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; the defaults suit a service behind a load balancer."""

    message_bytes_max: int = MESSAGE_BYTES_MAX
    """Of a request, after decompression."""
    reply_bytes_max: int = REPLY_BYTES_MAX
    """Of a reply, before compression."""
    connections_max: int = 4_096
    calls_max: int = 16_384
    """At once on one connection; announced as MAX_CONCURRENT_STREAMS."""
    header_bytes_max: int = 16_384
    """Of one request's headers, names and values with 32 bytes each; announced."""
    headers_max: int = 128
    continuations_max: int = 8
    """CONTINUATION frames after one HEADERS frame."""
    reply_header_bytes_max: int = 65_536
    """Of metadata that is sent at once, and of the status with what goes along."""
    held_bytes_max: int = 16_777_216
    """Of request messages on one connection that no handler has taken yet."""
    unsent_bytes_max: int = 65_536
    """Of one call; a handler that writes more waits until the client reads."""
    connection_unsent_bytes_max: int = 33_554_432
    """Of one connection; beyond it a new call is refused before any work."""
    stream_window_bytes: int = 65_535
    connection_window_bytes: int = 4_194_304
    unanswered_max: int = 256
    """Requests of one stream under way; more wait until some are answered, and read."""
    messages_a_turn: int = 128
    """Of all streams of one connection, begun in one turn of the loop: others wait as well."""
    threads_max: int = 64
    """Calls at once of handlers that are no coroutines; more are RESOURCE_EXHAUSTED."""
    handshake_seconds: float = 10.0
    """Until a new connection must have said that it is HTTP/2."""
    keepalive_seconds: float = 60.0
    """Of silence, after which a client is asked whether it is still there."""
    keepalive_timeout_seconds: float = 20.0
    """It has to answer, and to read what it was sent."""
    age_seconds_max: float | None = None
    """After which a connection is asked to be opened anew; None: never."""
    age_grace_seconds: float = AGE_GRACE_SECONDS
    """What calls under way get then."""
    check_seconds: float = 1.0
    """How often all of these are looked at."""
    resets: tuple[int, int] = (20_000, 1_000)
    """RST_STREAM frames of a client: at once, and each second after that."""
    glitches: tuple[int, int] = (10_000, 330)
    """Frames that are errors of one stream, so that we have to reset it: as above."""
    controls: tuple[int, int] = (1_000, 100)
    """Frames that carry nothing, PING, SETTINGS and empty DATA among them: as above."""
    updates: tuple[int, int] = (20_000, 10_000)
    """WINDOW_UPDATE frames: as above."""
