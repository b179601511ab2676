"""Where Redis is: every form of URL, and no password in any text."""

import ssl

import pytest

from execution.adapters.redis_url import RedisAddress, parse_redis_url, redacted_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress("localhost")),
        ("redis://", RedisAddress("127.0.0.1")),
        ("redis://10.0.0.1:7000/2", RedisAddress("10.0.0.1", 7000, database=2)),
        ("redis://h?db=3", RedisAddress("h", database=3)),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("redis://:pw@h", RedisAddress("h", password="pw")),
        ("redis://me:p%40w%3A%2F@h", RedisAddress("h", username="me", password="p@w:/")),
        ("redis://h?username=me&password=pw", RedisAddress("h", username="me", password="pw")),
        ("rediss://h", RedisAddress("h", tls=True)),
        (
            "rediss://h?ssl_cert_reqs=none",
            RedisAddress("h", tls=True, tls_options=(("ssl_cert_reqs", "none"),)),
        ),
        ("unix:///tmp/r.sock", RedisAddress(path="/tmp/r.sock")),
        (
            "unix://me:pw@/tmp/a%20b.sock?db=4",
            RedisAddress(path="/tmp/a b.sock", username="me", password="pw", database=4),
        ),
    ],
)
def test_urls_are_read_as_redis_py_reads_them(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://me:hunter2@h",
        "redis://me:hunter2@h:port",
        "redis://me:hunter2@h:99999",
        "redis://me:hunter2@[::1",
        "redis://me:hunter2@h/zero",
        "redis://me:hunter2@h/-1",
        "redis://me:hunter2@h?speed=fast",
        "redis://me:hunter2@h?ssl_ca_certs=x",
        "redis://h?password=hunter2&db=x",
        "unix://",
        "unix://me:hunter2@",
    ],
)
def test_what_is_no_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis|options|database|socket") as refused:
        parse_redis_url(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://me:hunter2@h:1/0", "redis://me:***@h:1/0"),
        ("redis://:hunter2@h", "redis://:***@h"),
        ("redis://me:hunt@er2@h", "redis://me:***@h"),
        ("redis://h?db=1&password=hunter2", "redis://h?db=1&password=***"),
        ("unix://me:hunter2@/tmp/s?db=1", "unix://me:***@/tmp/s?db=1"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


def test_an_address_shows_no_password() -> None:
    address = parse_redis_url("redis://me:hunter2@h")
    assert "hunter2" not in f"{address} {address!r}"
    assert str(parse_redis_url("redis://[::1]:7000/2")) == "redis://[::1]:7000/2"
    assert str(parse_redis_url("unix:///tmp/s")) == "unix:///tmp/s?db=0"


def test_tls_verifies_unless_told_otherwise() -> None:
    assert parse_redis_url("redis://h").tls_context() is None
    verified = parse_redis_url("rediss://h").tls_context()
    assert verified is not None
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = parse_redis_url("rediss://h?ssl_check_hostname=false").tls_context()
    assert lax is not None
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)
    blind = parse_redis_url("rediss://h?ssl_cert_reqs=none").tls_context()
    assert blind is not None
    assert blind.verify_mode == ssl.CERT_NONE
