"""What `serve` can be told; checked whole before anything starts."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from execution.adapters.durability import Durability, DurabilityMode, parse_durability
from execution.adapters.redis_url import parse_redis_url
from execution.decimals import canonical
from execution.errors import StartupError
from execution.pricing import LiquidityMode
from execution.server.transports.tls import Tls
from execution.settlement import FeeRate

WORKERS_MAX: Final = 256
TRANSPORTS: Final = ("auto", "http2", "grpcio")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """The flags of `serve`, by their names; CONTRACT.md section 4."""

    listen: str = "127.0.0.1:50051"
    redis_url: str | None = None
    symbol_service: str | None = None
    metrics_listen: str = "127.0.0.1:9464"
    data_dir: Path = Path("execution-data")
    workers: int = 1
    transport: str = "auto"
    durability: str | None = None
    max_snapshot_age_ms: int = 500
    liquidity: LiquidityMode = LiquidityMode.CONSUME
    taker_fee_bps: str = "0"
    trigger_retry_ms: int = 5_000
    drain_seconds: float = 10.0
    max_in_flight: int = 20_000
    busy_poll_us: int = 0
    depth: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    auth_tokens: Path | None = None
    max_connections: int = 4_096
    max_connection_age_seconds: float = 0.0
    share_port: bool = False
    """Whether other workers listen there, too; set by the process that starts them."""

    def check(self) -> None:
        """Raises `StartupError` for a setting that cannot work, by its flag."""
        for flag, value, least, most in (
            ("--workers", self.workers, 1, WORKERS_MAX),
            ("--max-snapshot-age-ms", self.max_snapshot_age_ms, 1, 60_000),
            ("--drain-seconds", self.drain_seconds, 0, 3_600),
            ("--trigger-retry-ms", self.trigger_retry_ms, 0, 86_400_000),
            ("--busy-poll-us", self.busy_poll_us, 0, 10_000),
        ):
            if not least <= value <= most:
                raise StartupError(f"{flag}: must be from {least} to {most}")
        self.transport_in_use()
        if self.max_in_flight < 0 or self.depth < 0:
            raise StartupError("--max-in-flight and --depth: must not be negative")
        if self.max_connections < 1:
            raise StartupError("--max-connections: must be above zero")
        if not 0 <= self.max_connection_age_seconds <= 31_536_000:
            raise StartupError("--max-connection-age-seconds: must be from 0 (never) to a year")
        if self.redis_url is not None:
            try:
                parse_redis_url(self.redis_url)
            except ValueError as error:
                raise StartupError(f"--redis-url: {error}") from None
        if self.symbol_service is not None:
            host_port(self.symbol_service, "--symbol-service")
        host_port(self.listen, "--listen")
        if host_port(self.metrics_listen, "--metrics-listen")[0] == "unix":
            raise StartupError(
                f"--metrics-listen {self.metrics_listen!r}: metrics are served over TCP; must be"
                " HOST:PORT, such as 127.0.0.1:9464"
            )
        self.fee_rate()
        if self.redis_url is None and self.durability_of_commits().replicas:
            raise StartupError("--durability replicated:N: the embedded Redis has no replicas")

    def transport_in_use(self) -> Literal["http2", "grpcio"]:
        """`--transport`, auto resolved: http2 where ngh2 is installed."""
        installed = find_spec("ngh2") is not None
        if self.transport == "http2" and not installed:
            raise StartupError(
                "--transport http2: ngh2 is not installed; it comes with execution-service[server]"
                " where it has wheels, or choose grpcio"
            )
        return "grpcio" if self.transport == "grpcio" or not installed else "http2"

    def fee_rate(self) -> FeeRate:
        """`--taker-fee-bps` as an exact rate."""
        try:
            return FeeRate.from_bps(canonical(self.taker_fee_bps))
        except ValueError as error:
            raise StartupError(f"--taker-fee-bps: {self.taker_fee_bps!r} {error}") from error

    def durability_of_commits(self) -> Durability:
        """`--durability`; fsync for the embedded Redis, memory for another, unless given."""
        default = "fsync" if self.redis_url is None else "memory"
        try:
            return parse_durability(self.durability or default)
        except ValueError as error:
            raise StartupError(f"--durability: {error}") from error

    def appendfsync(self) -> Literal["always", "everysec"]:
        """When the embedded Redis forces its log to the disk."""
        mode = self.durability_of_commits().mode
        return "always" if mode is DurabilityMode.FSYNC else "everysec"

    def tls(self) -> Tls | None:
        """The certificates to serve with, None for plain text."""
        if self.tls_cert is None and self.tls_key is None:
            if self.tls_client_ca is not None:
                raise StartupError("--tls-client-ca: needs --tls-cert and --tls-key")
            return None
        if self.tls_cert is None or self.tls_key is None:
            raise StartupError("--tls-cert and --tls-key: give both or none")
        client_ca = None
        if self.tls_client_ca is not None:
            client_ca = _read(self.tls_client_ca, "--tls-client-ca")
        return Tls(_read(self.tls_cert, "--tls-cert"), _read(self.tls_key, "--tls-key"), client_ca)

    def exposed(self) -> bool:
        """Whether other machines reach the service without TLS."""
        host, _ = host_port(self.listen, "--listen")
        return self.tls_cert is None and host not in _LOOPBACK and host != "unix"


def host_port(address: str, flag: str) -> tuple[str, int]:
    """HOST:PORT apart; ("unix", 0) for unix:PATH. Raises `StartupError`."""
    if address.startswith("unix:"):
        return "unix", 0
    host, _, port = address.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or int(port) > 65_535:
        raise StartupError(f"{flag} {address!r}: must be HOST:PORT, such as 127.0.0.1:50051")
    return host, int(port)


def _read(file: Path, flag: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartupError(f"{flag} {file}: {error.strerror}") from error
