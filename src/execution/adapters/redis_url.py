"""Where a Redis is and who we are there, from one URL as redis-py writes it.

`redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS,
`unix://[user:password@]/path[?db=N]`. Query options: `db`, `username`,
`password`, and with TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`,
`ssl_check_hostname`, `ssl_cert_reqs` (required | none).
"""

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PORT: Final = 6379
_TLS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}
)
_OPTIONS: Final = frozenset({"db", "username", "password"})
_EXAMPLE: Final = "redis://[user:password@]host[:port][/db], rediss://… or unix:///path"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis server and a login; `path` is set for a unix socket only."""

    host: str = "127.0.0.1"
    port: int = _PORT
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: bool = False
    tls_options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The address without any secret, for messages."""
        if self.path:
            return f"unix://{self.path}?db={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS settings, None for a plain connection.

        Raises `OSError` or `ssl.SSLError` for files that cannot be read.
        """
        if not self.tls:
            return None
        options = dict(self.tls_options)
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
        if options.get("ssl_cert_reqs", "required") == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif options.get("ssl_check_hostname", "true").lower() in {"false", "0", "no"}:
            context.check_hostname = False
        return context


def parse_redis_url(url: str) -> RedisAddress:
    """The address of a URL.

    Raises `ValueError` that says what is wrong, without the password.
    """
    parts = _split(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"{redacted_url(url)!r} is not a Redis URL; write {_EXAMPLE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = _OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS
    if unknown := sorted(options.keys() - known):
        raise ValueError(
            f"{redacted_url(url)!r} has unknown options {unknown}; known: {sorted(known)}"
        )
    if parts.scheme == "unix" and not parts.path:
        raise ValueError(f"{redacted_url(url)!r} names no socket; write unix:///path")
    is_unix = parts.scheme == "unix"
    return RedisAddress(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _PORT,
        path=unquote(parts.path) if is_unix else "",
        username=unquote(parts.username or "") or options.get("username", ""),
        password=unquote(parts.password or "") or options.get("password", ""),
        database=_database(options.get("db") or ("" if is_unix else parts.path.strip("/")), url),
        tls=parts.scheme == "rediss",
        tls_options=tuple(sorted((k, v) for k, v in options.items() if k in _TLS_OPTIONS)),
    )


def redacted_url(url: str) -> str:
    """The URL with its password hidden, for logs and messages; never raises.

    >>> redacted_url("redis://me:secret@localhost:6379/0?password=secret")
    'redis://me:***@localhost:6379/0?password=***'
    """
    head, separator, tail = url.partition("://")
    # The last @ ends the login, whatever the password holds.
    login, at, place = tail.rpartition("@")
    if at:
        user, colon, _ = login.partition(":")
        login = f"{user}:***" if colon else user
    place, question, query = place.partition("?")
    options = [
        "password=***" if option.startswith("password=") else option for option in query.split("&")
    ]
    return head + separator + login + at + place + question + "&".join(options)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        # The cause would print the URL as it is.
        problem = "port" if "ort" in str(error) else "form"
        raise ValueError(
            f"{redacted_url(url)!r} is not a Redis URL (its {problem}); write {_EXAMPLE}"
        ) from None
    return parts


def _database(text: str, url: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{redacted_url(url)!r}: the database must be a number")
    return int(text)
