"""What a transport needs for TLS."""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from execution.errors import StartupError


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM contents; with a client CA, clients must show a certificate of it."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None

    def context(self) -> ssl.SSLContext:
        """For HTTP/2: TLS 1.2 or newer, ALPN h2. Raises `StartupError`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # What TLS 1.2 may use with HTTP/2 (RFC 9113, 9.2.2); TLS 1.3 has its own.
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        context.set_alpn_protocols(["h2"])
        try:
            # The ssl module reads keys from files only; the directory is ours alone.
            with tempfile.TemporaryDirectory() as directory:
                chain, key = Path(directory, "chain.pem"), Path(directory, "key.pem")
                chain.write_bytes(self.certificate)
                key.touch(mode=0o600)
                key.write_bytes(self.key)
                # Without a password OpenSSL would ask the terminal for one.
                context.load_cert_chain(chain, key, password="")
            if self.client_ca is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self.client_ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise StartupError(
                f"--tls-cert, --tls-key or --tls-client-ca: no PEM that fits together ({error})"
            ) from error
        return context
