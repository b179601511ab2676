"""How gRPC writes things into HTTP/2, by examples of its specification."""

import re

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from execution.http2.wire import (
    Deframer,
    WireError,
    framed,
    inflated,
    metadata_headers,
    metadata_of,
    percent_decoded,
    percent_encoded,
    prefix,
    timeout_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1H", 3_600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9)],
)
def test_timeouts(text: bytes, seconds: float) -> None:
    assert timeout_seconds(text) == pytest.approx(seconds)


UNITS = {"H": 3_600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@given(
    st.from_regex(rb"\A[0-9]{0,9}[HMSmun]?\Z")
    | st.from_regex(rb"\A[0-9 +-]{1,3}[A-Za-z]\Z")
    | st.binary(max_size=10)
)
def test_what_is_no_timeout_is_said_to_be_none(text: bytes) -> None:
    """Against the grammar: 1 to 8 digits and a unit."""
    found = re.fullmatch(r"([0-9]{1,8})([HMSmun])", text.decode("latin-1"))
    if found is None:
        with pytest.raises(WireError, match="grpc-timeout"):
            timeout_seconds(text)
    else:
        assert timeout_seconds(text) == int(found[1]) * UNITS[found[2]]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 4_096, 4_097, 1 << 24])
def test_a_prefix_is_a_flag_and_four_bytes_of_length(size: int) -> None:
    assert prefix(size) == b"\0" + size.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        ("plain", b"plain"),
        ("100 %", b"100 %25"),
        ("a\nb", b"a%0Ab"),
        ("ü", b"%C3%BC"),
        (" spaces at the ends ", b"%20spaces at the ends%20"),
        ("  ", b"%20%20"),
        ("", b""),
    ],
)
def test_messages_are_percent_encoded(message: str, encoded: bytes) -> None:
    assert percent_encoded(message) == encoded
    assert percent_decoded(encoded) == message


def test_what_is_no_percent_encoding_stays() -> None:
    assert percent_decoded(b"100% %zz %4") == "100% %zz %4"


@pytest.mark.parametrize(
    "metadata",
    [
        ("Upper", "x"),
        ("", "x"),
        (":path", "x"),
        ("grpc-status", "0"),
        ("content-type", "x"),
        ("connection", "close"),
        ("text", "ü"),
        ("text", "a\nb"),
        ("text", b"\0"),
    ],
)
def test_what_no_header_can_hold_is_refused(metadata: tuple[str, str | bytes]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        metadata_headers([metadata])


def test_what_is_not_of_the_caller_is_no_metadata() -> None:
    headers = [(b":path", b"/"), (b"te", b"trailers"), (b"grpc-timeout", b"1S"), (b"x", b"1")]
    assert metadata_of(headers) == [("x", "1")]


@pytest.mark.parametrize("value", [b"!", b"A", b"AA=A", b"\xff"])
def test_what_is_no_base64_is_the_callers_fault(value: bytes) -> None:
    with pytest.raises(WireError) as caught:
        metadata_of([(b"x-bin", value)])
    assert caught.value.code is StatusCode.INVALID_ARGUMENT


def test_a_message_is_inflated_to_its_limit_and_no_further() -> None:
    packed = framed(bytes(1_000_000), compress=True)[5:]
    assert inflated(packed, 1_000_000) == bytes(1_000_000)
    with pytest.raises(WireError) as caught:
        inflated(packed, 999_999)
    assert caught.value.code is StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(WireError):
        inflated(packed + b"more", 1_000_000)


def test_a_length_beyond_the_limit_is_refused_before_the_message_comes() -> None:
    deframer = Deframer(10, b"identity")
    assert deframer.feed(b"\0\0\0\0") == []
    with pytest.raises(WireError) as caught:
        deframer.feed(b"\x0b")
    assert caught.value.code is StatusCode.RESOURCE_EXHAUSTED
