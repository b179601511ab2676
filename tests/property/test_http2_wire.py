"""What gRPC writes into HTTP/2 comes back the same, however it is cut."""

import contextlib
import string

from hypothesis import given
from hypothesis import strategies as st

from execution.http2.wire import (
    Deframer,
    WireError,
    framed,
    metadata_headers,
    metadata_of,
    percent_decoded,
    percent_encoded,
    timeout_seconds,
)

KEYS = st.text(string.ascii_lowercase + string.digits + "_.-", min_size=1).map("x".__add__)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.strip)
METADATA = st.lists(
    st.one_of(
        st.tuples(KEYS.filter(lambda key: not key.endswith("-bin")), VALUES),
        st.tuples(KEYS.map(lambda key: key + "-bin"), st.binary()),
    )
)


@given(METADATA)
def test_metadata_comes_back(metadata: list[tuple[str, str | bytes]]) -> None:
    assert metadata_of(metadata_headers(metadata)) == metadata


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_any_headers_are_metadata_or_the_callers_fault(headers: list[tuple[bytes, bytes]]) -> None:
    with contextlib.suppress(WireError):
        for key, value in metadata_of(headers):
            assert isinstance(value, bytes) is key.endswith("-bin")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_messages_come_back_as_header_values(message: str) -> None:
    encoded = percent_encoded(message)
    assert encoded == encoded.strip()
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert percent_decoded(encoded) == message


@given(st.binary())
def test_any_value_is_decoded(value: bytes) -> None:
    assert isinstance(percent_decoded(value), str)


@given(st.integers(0, 99_999_999), st.sampled_from("HMSmun"))
def test_timeouts_come_back(number: int, unit: str) -> None:
    assert timeout_seconds(f"{number}{unit}".encode()) >= 0


@given(st.binary())
def test_any_timeout_is_one_or_the_callers_fault(value: bytes) -> None:
    with contextlib.suppress(WireError):
        assert timeout_seconds(value) >= 0


@given(st.data(), st.lists(st.tuples(st.binary(max_size=300), st.booleans())))
def test_messages_come_back_however_they_are_cut(
    data: st.DataObject, messages: list[tuple[bytes, bool]]
) -> None:
    wire = b"".join(framed(message, compress=compress) for message, compress in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)))))
    deframer = Deframer(300, b"gzip")
    found: list[bytes] = []
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += deframer.feed(wire[begin:end])
    assert found == [message for message, _ in messages]
    assert deframer.held == 0


@given(st.binary(), st.integers(0, 50))
def test_any_bytes_are_messages_or_the_callers_fault(data: bytes, cut: int) -> None:
    deframer = Deframer(100, b"gzip")
    with contextlib.suppress(WireError):
        for message in [*deframer.feed(data[:cut]), *deframer.feed(data[cut:])]:
            assert len(message) <= 100
        assert deframer.held <= 105
