"""Where the service is and how it is reached; the same for both clients."""

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import grpc

from execution.ids import RANDOM_BITS, uuid7

CHANNEL_OPTIONS: Final = (
    # gRPC would wait up to two minutes between attempts to connect; our own
    # retries are what keeps a service that comes back from being overrun.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A peer that is gone without a word is noticed while a call waits for it.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS; all contents PEM.

    >>> Tls()  # the service's certificate is of a public authority
    Tls(root_certificates=None, certificate_chain=None, server_name=None)
    """

    root_certificates: bytes | None = None
    """Authorities to trust; None: the system's."""
    certificate_chain: bytes | None = None
    """Our own certificate, where the service wants one."""
    private_key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None
    """The name in the service's certificate, where it is not the one we call."""

    def __post_init__(self) -> None:
        if (self.certificate_chain is None) != (self.private_key is None):
            raise ValueError("certificate_chain and private_key: give both or none")

    @classmethod
    def from_files(
        cls,
        root_certificates: str | Path | None = None,
        certificate_chain: str | Path | None = None,
        private_key: str | Path | None = None,
        server_name: str | None = None,
    ) -> Self:
        """The same from PEM files. Raises `OSError` for one that cannot be read."""
        return cls(
            _read(root_certificates), _read(certificate_chain), _read(private_key), server_name
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """What gRPC calls it."""
        return grpc.ssl_channel_credentials(
            self.root_certificates, self.private_key, self.certificate_chain
        )

    def channel_options(self) -> tuple[tuple[str, str | int], ...]:
        """The options of a channel with these credentials."""
        if self.server_name is None:
            return CHANNEL_OPTIONS
        return (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", self.server_name))


@dataclass(frozen=True, slots=True)
class Chance:
    """What a client draws; tests replace it."""

    new_order_id: Callable[[], str] = lambda: str(
        uuid7(time.time_ns(), secrets.randbits(RANDOM_BITS))
    )
    fraction: Callable[[], float] = random.random
    """From 0 up to 1: how much of a backoff is waited."""


SYSTEM_CHANCE: Final = Chance()


def call_metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    """What every call carries. Raises `ValueError` for a token that is no header's."""
    if token is None:
        return ()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token: must be printable ASCII without blanks")
    return (("authorization", f"Bearer {token}"),)


def described(client: object, target: str, tls: Tls | None, metadata: object) -> str:
    """The `repr` of a client; says that there is a token, never which."""
    parts = [repr(target), "plain text" if tls is None else "TLS"]
    if metadata:
        parts.append("with token")
    return f"<{type(client).__name__} {', '.join(parts)}>"


def _read(file: str | Path | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
