"""Where Redis is: every form of URL, and no password in any text."""

import ssl
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.adapters.redis_url import RedisAddress, parse_redis_url, redacted_url

FORMS = (
    "redis://{}:{}@h",
    "redis://{}:{}@h:1234/2?db=3",
    "rediss://{}:{}@[::1]/2",
    "redis://:{1}@h/2",
    "redis://{1}@h/2",
    "unix://{}:{}@/tmp/s?db=3",
    "redis://h/2?username={}&password={}",
    "rediss://h/2?passw%6Frd={1}&ssl_cert_reqs=none",
    "unix:///tmp/s?db=3&password={1}",
    "redis://me:{0}@h?pass{1}word=x",
    "{0}://me:{1}@h",
    "{0}:{1}@h",
)
"""Ways to write a user and a password into a URL, and into what should have been one."""


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
        "redis://h?password=12&hunter2",
        "redis://h/0?password=x&db=hunter2",
        "redis://:12/hunter2@h",
        "redis://:hunter2/5@h",
        "hunter2://h",
        f"redis://h/{'8' * 5000}",
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
        ("rediss://[::1]", "rediss://[::1]:6379/0"),
        ("redis://me:hunter2@h:1/0", "redis://***@h:1/0"),
        ("redis://hunter2@h:1/0", "redis://***@h:1/0"),
        ("redis://:hunter2@h", "redis://***@h:6379/0"),
        ("redis://me:hunt@er2@h", "redis://***@h:6379/0"),
        ("redis://h?db=1&password=hunter2", "redis://***@h:6379/1"),
        ("redis://h?passw%6frd=hunter2", "redis://***@h:6379/0"),
        ("redis://h?username=hunter2", "redis://***@h:6379/0"),
        ("unix://me:hunter2@/tmp/s?db=1", "unix://***@/tmp/s?db=1"),
        ("unix:///tmp/a%20b", "unix:///tmp/a%20b?db=0"),
        # Where the login ends cannot be told: a reader of URLs takes the first / or ?.
        ("redis://h/0?password=hunt@er2", "redis://***"),
        ("unix:///tmp/s?password=hunt@er2", "unix://***"),
        ("redis://:12/3#hunter2@h", "redis://***"),
        ("unix://:12/hunter2@/tmp/s", "unix://***"),
        ("redis://:hunt/er2@h", "redis://***"),
        ("hunter2://h", "***"),
        ("me:hunter2@h", "***"),
        ("", "***"),
    ],
)
def test_logins_are_hidden(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


# Its letters are found in nothing that is not secret.
secrets = st.text("QX8@/?#:&=%[]\\\n\u2603\uff0f", min_size=1)


@given(user=secrets, password=secrets, form=st.sampled_from(FORMS), quoted=st.booleans())
@settings(max_examples=500)
def test_no_part_of_a_login_is_shown_however_it_is_written(
    user: str, password: str, form: str, *, quoted: bool
) -> None:
    written = [quote(text, safe="") if quoted else text for text in (user, password)]
    url = form.format(*written)
    texts = [redacted_url(url)]
    try:
        parse_redis_url(url)
    except ValueError as refused:
        texts += [str(refused), repr(refused.__cause__)]
    assert not set("QX8\u2603\uff0f") & set("".join(texts)), texts
    assert texts[0].split() == [texts[0]], "it is one word of the `ready` line"


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    for url in (text, f"redis://{text}", f"rediss://h/0?{text}", f"unix:///{text}"):
        assert redacted_url(url)


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
