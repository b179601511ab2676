"""Where a Redis is and who we are there, from one URL as redis-py writes it.

`redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS,
`unix://[user:password@]/path[?db=N]`. Query options: `db`, `username`,
`password`, and with TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`,
`ssl_check_hostname`, `ssl_cert_reqs` (required | none).
"""

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

_PORT: Final = 6379
_TLS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}
)
_OPTIONS: Final = frozenset({"db", "username", "password"})
_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
_DATABASE_DIGITS_MAX: Final = 9
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
            # Quoted, so that it is a URL again, and one word.
            return f"unix://{quote(self.path)}?db={self.database}"
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

    Raises `ValueError` that says what is wrong, without any part of the login.
    """
    parts = _split(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{_scheme_only(url)!r} is not a Redis URL; write {_EXAMPLE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = _OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS
    for number, option in enumerate(options, start=1):
        if option not in known:
            # Not by its name: after a password that is not quoted, that is a part of it.
            raise ValueError(
                f"{_scheme_only(url)!r} has an unknown option, number {number} after the ?;"
                f" known options: {sorted(known)}"
            )
    if parts.scheme == "unix" and not parts.path:
        raise ValueError(f"{_scheme_only(url)!r} names no socket; write unix:///path")
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
    """Where the URL leads, for logs and messages: no user, no password; never raises.

    >>> redacted_url("redis://me:secret@localhost:6379/0?password=secret")
    'redis://***@localhost:6379/0'
    >>> redacted_url("redis://me:s/cret@localhost")
    'redis://***'
    """
    try:
        parts, address = urlsplit(url), parse_redis_url(url)
    except ValueError:
        return _scheme_only(url)
    # Maybe a login that is not quoted, cut off by its own / ? or #: then what was taken
    # for the host, the port or the database is a piece of it.
    if "@" in parts.path + parts.query or "#" in url:
        return _scheme_only(url)
    shown = str(address)
    if address.username or address.password:
        shown = shown.replace("://", "://***@", 1)
    return shown


def _scheme_only(url: str) -> str:
    """What can be shown of a URL that cannot be read."""
    scheme = url.partition("://")[0]
    return f"{scheme}://***" if scheme in _SCHEMES else "***"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        # The cause would print the URL as it is.
        problem = "port" if "ort" in str(error) else "form"
        raise ValueError(
            f"{_scheme_only(url)!r} is not a Redis URL (its {problem}); write {_EXAMPLE};"
            " characters such as @ : / ? # in a password are written %40 %3A %2F %3F %23"
        ) from None
    return parts


def _database(text: str, url: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DATABASE_DIGITS_MAX):
        raise ValueError(f"{_scheme_only(url)!r}: the database must be a number")
    return int(text)
