"""What a client makes of the frames of one answer, in whatever pieces they come."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.http2.answers import CallError, timeout_header
from execution.http2.client_call import Call
from execution.http2.wire import Headers, framed, timeout_seconds

Code = grpc.StatusCode
BEGIN = ((b":status", b"200"), (b"content-type", b"application/grpc+proto"))
OK = ((b"grpc-status", b"0"),)


def new_call(bytes_max: int = 1_000, deadline: float | None = None) -> Call:
    loop = asyncio.get_running_loop()
    return Call(loop.create_future(), b"/a/b", b"", deadline, bytes_max, None)


async def answered(
    *parts: bytes, headers: Headers = BEGIN, trailers: Headers = OK, bytes_max: int = 1_000
) -> bytes:
    """The message of an answer, or the `CallError` it amounts to."""
    call = new_call(bytes_max)
    call.begun(headers, False)
    for part in parts:
        call.received(part, False)
    call.ended(trailers)
    return await call.done


async def failed(*parts: bytes, headers: Headers = BEGIN, trailers: Headers = OK) -> CallError:
    with pytest.raises(CallError) as caught:
        await answered(*parts, headers=headers, trailers=trailers)
    return caught.value


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


@given(st.binary(max_size=100), st.lists(st.integers(0, 200), max_size=5), st.booleans())
def test_an_answer_is_the_same_however_it_is_cut(
    message: bytes, places: list[int], packed: bool
) -> None:
    headers = (*BEGIN, (b"grpc-encoding", b"gzip")) if packed else BEGIN
    parts = cut(framed(message, compress=packed), places)
    assert asyncio.run(answered(*parts, headers=headers)) == message


async def test_an_answer_is_one_whole_message() -> None:
    assert "OK without a message" in (await failed()).details
    assert "more than one message" in (await failed(framed(b"a") + framed(b"b"))).details
    assert "within a message" in (await failed(framed(b"abc")[:-1])).details


async def test_a_message_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(await answered(framed(b"x" * 9), bytes_max=9)) == 9
    for parts in ([framed(b"x" * 10)], [framed(b"x" * 10)[:6]]):
        with pytest.raises(CallError) as caught:
            await answered(*parts, bytes_max=9)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("value", "code"),
    [(b"5", Code.NOT_FOUND), (b"99", Code.UNKNOWN), (b"five", Code.UNKNOWN), (b"", Code.UNKNOWN)],
)
async def test_a_status_that_is_none_is_unknown(value: bytes, code: grpc.StatusCode) -> None:
    assert (await failed(trailers=((b"grpc-status", value),))).code is code


async def test_a_status_has_the_last_word_over_a_message() -> None:
    trailers = ((b"grpc-status", b"8"), (b"grpc-message", b"%e2%82%ac 5"))
    error = await failed(framed(b"x"), trailers=trailers)
    assert (error.code, error.details) == (Code.RESOURCE_EXHAUSTED, "\u20ac 5")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"400", Code.INTERNAL),
        (b"401", Code.UNAUTHENTICATED),
        (b"403", Code.PERMISSION_DENIED),
        (b"404", Code.UNIMPLEMENTED),
        (b"429", Code.UNAVAILABLE),
        (b"502", Code.UNAVAILABLE),
        (b"504", Code.UNAVAILABLE),
        (b"500", Code.UNKNOWN),
    ],
)
async def test_what_answers_without_grpc_is_judged_by_its_http_status(
    status: bytes, code: grpc.StatusCode
) -> None:
    page = ((b":status", status), (b"content-type", b"text/html"))
    assert (await failed(b"<html>", headers=page, trailers=())).code is code


async def test_a_page_is_no_answer_though_http_is_content() -> None:
    page = ((b":status", b"200"), (b"content-type", b"text/html"))
    assert "text/html" in (await failed(b"<html>", headers=page, trailers=())).details


@pytest.mark.parametrize(
    ("error_code", "code"),
    [
        (0, Code.INTERNAL),
        (1, Code.INTERNAL),
        (7, Code.UNAVAILABLE),
        (8, Code.CANCELLED),
        (11, Code.RESOURCE_EXHAUSTED),
        (12, Code.PERMISSION_DENIED),
    ],
)
async def test_a_reset_has_the_status_that_grpc_gives_it(
    error_code: int, code: grpc.StatusCode
) -> None:
    call = new_call()
    call.reset(error_code, 0.0)
    with pytest.raises(CallError) as caught:
        await call.done
    assert caught.value.code is code


async def test_what_comes_after_the_end_changes_nothing() -> None:
    call = new_call()
    call.begun(BEGIN, False)
    call.received(framed(b"x"), False)
    call.ended(OK)
    call.received(framed(b"y"), True)
    call.reset(8, 0.0)
    call.expire()
    assert await call.done == b"x"


@given(st.floats(1e-6, 1e8))
def test_a_timeout_is_written_in_at_most_eight_digits_and_never_longer(seconds: float) -> None:
    written = timeout_seconds(timeout_header(seconds))
    assert written <= seconds
    assert written >= seconds * 0.999 - 1e-6 or seconds > 99_999_999
