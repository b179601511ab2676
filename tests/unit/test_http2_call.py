"""The compiled parts of a call: what counts as the same headers, and as one whole message."""

import asyncio
from typing import Any, Final

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution._call import Counted, Door, Entrance, Exchange, on_clock, same_headers
from execution.http2.wire import framed
from execution.server.observe import Metrics

NOW_NS: Final = 7 * 10**18

names = st.sampled_from([b":path", b"te", b"grpc-timeout"])
values = st.sampled_from([b"", b"a", b"b", b"1S"])
pairs = st.tuples(names, values)
headers = st.lists(pairs, max_size=4).map(tuple)


@given(headers, headers, st.integers(-1, 4))
def test_headers_are_the_same_where_tuples_are(one: Any, other: Any, but: int) -> None:
    def seen(some: Any) -> list[Any]:
        return [pair if at != but else pair[0] for at, pair in enumerate(some)]

    assert same_headers(one, other, but) == (seen(one) == seen(other))
    assert same_headers(one, tuple(one), but)


def test_a_pair_may_say_more_and_a_sequence_be_another() -> None:
    plain = ((b"grpc-timeout", b"1S"),)
    marked = (ngh2.NeverIndexedHeader(b"grpc-timeout", b"1S"),)
    assert same_headers(plain, marked)
    assert same_headers(marked, plain)
    assert not same_headers(marked, ((b"grpc-timeout", b"2S"),))
    assert same_headers(marked, ((b"grpc-timeout", b"2S"),), 0)
    assert not same_headers(plain, list(plain)), "read anew; never wrong"
    text: Any = (("te", "x"),)
    assert not same_headers(text, ((b"te", b"x"),))


class Link:
    """A connection that keeps what it is told to send."""

    def __init__(self, bytes_max: int = 100) -> None:
        self.h2 = self.limits = self
        self.message_bytes_max = bytes_max
        self.touched = False
        self.sent: list[Any] = []
        self.early: list[int] = []
        self.acknowledged = 0

    def acknowledge_received_data(self, size: int, _stream_id: int) -> None:
        self.acknowledged += size

    def send_response(self, _stream_id: int, headers: Any) -> None:
        self.sent.append(headers)

    def send_data(self, _stream_id: int, data: bytes) -> None:
        self.sent.append(data)

    send_trailers = send_response

    def touch(self) -> None:
        self.touched = True

    def answered_early(self, stream_id: int) -> None:
        self.early.append(stream_id)


class Asked(Exchange):
    """A call whose handler keeps what it gets; it is its own request and method."""

    gzip = False

    def __init__(self, link: Any) -> None:
        self.open(link, 1, self, None)  # type: ignore[arg-type]  # all that is asked of a request
        self.method = self
        self.whole: list[bytes] = []
        self.otherwise: list[Any] = []
        self._received_otherwise = lambda data, end: self.otherwise.append((data, end))
        self._reply_otherwise = self.otherwise.append

    def plain(self, message: bytes, _call: Any) -> None:
        self.whole.append(message)


@given(st.binary(max_size=120), st.integers(0, 3), st.integers(-2, 2), st.booleans())
def test_one_whole_message_as_it_is_goes_to_the_handler_and_all_else_does_not(
    message: bytes, flags: int, wrong_by: int, end: bool
) -> None:
    link = Link()
    call = Asked(link)
    said = max(len(message) + wrong_by, 0)
    data = bytes([flags]) + said.to_bytes(4, "big") + message
    call.received(data, end)
    usual = end and not flags and said == len(message) <= link.message_bytes_max
    assert (call.whole, call.otherwise) == (([message], []) if usual else ([], [(data, end)]))
    assert (link.acknowledged, call.half_closed) == (len(data), end)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0", b"\0\xff\xff\xff\xff"])
def test_what_is_too_short_to_be_a_message_is_none(data: bytes) -> None:
    call = Asked(Link())
    call.received(data, True)
    assert (call.whole, call.otherwise) == ([], [(data, True)])


@given(st.binary(max_size=300) | st.sampled_from([bytes(4_096), bytes(4_097)]))
def test_a_small_reply_is_framed_and_a_large_one_goes_elsewhere(message: bytes) -> None:
    link = Link()
    call = Asked(link)
    call.received(framed(b"x"), True)
    call.reply(message)
    if len(message) > 4_096:
        assert (link.sent, call.otherwise) == ([], [message])
        return
    assert link.sent[1:-1] == [framed(message)]
    assert link.sent[-1] == ((b"grpc-status", b"0"),)
    assert (call.over, link.touched) == (True, True)
    call.reply(message)
    assert len(link.sent) == 3, "a second answer is none"


@pytest.mark.parametrize("whole", [False, True])
def test_only_a_client_that_sends_on_is_to_be_told_to_stop(whole: bool) -> None:
    link = Link()
    call = Asked(link)
    call.received(framed(b"x"), whole)
    call.reply(b"")
    assert link.early == ([] if whole else [call.stream_id])


def test_a_call_is_counted_once() -> None:
    metrics = Metrics().rpc("s", "m")
    call = Counted()
    call.count_in(metrics)
    assert (metrics.started, metrics.under_way) == (1, 1)
    call.count_out(0)
    call.count_out(2)
    assert metrics.under_way == 0


class Entered(Counted):
    """A call that keeps what it fails with."""

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.failed: list[Exception] = []

    def enter(self, entrance: Any, message: bytes) -> None:
        entrance(message, self)

    def fail(self, error: Exception) -> None:
        self.failed.append(error)


def entrance(
    answer: Any, *, anybody: Any = "anybody", door: Any = None, refuse: Any = None
) -> tuple[Entrance, Any]:
    def known(call: Any) -> Any:
        return ("known", call)

    def until(deadline_ns: int) -> Any:
        return ("until", deadline_ns)

    metrics = Metrics().rpc("s", "m", "unary")
    door = door or Door()
    return Entrance(metrics, answer, anybody, until, lambda: NOW_NS, known, door, refuse), metrics


async def test_a_call_is_counted_and_passed_on_with_what_is_known_of_its_caller() -> None:
    answered: list[Any] = []
    enter, metrics = entrance(lambda *what: answered.append(what))
    quick, late = Entered(), Entered(1e-9)
    quick.enter(enter, b"1")
    late.enter(enter, b"2")
    assert answered == [(b"1", "anybody", quick), (b"2", ("until", NOW_NS), late)]
    assert metrics.started == 2
    assert quick.metrics is metrics
    with_tokens, _ = entrance(lambda *what: answered.append(what), anybody=None)
    for call in (quick, late):
        call.enter(with_tokens, b"3")
    assert answered[2:] == [(b"3", ("known", call), call) for call in (quick, late)]


@pytest.mark.parametrize("seconds", [-1e9, -1e-3, 0, 1e-3, 5, 1e9, 99_999_999 * 3_600])
async def test_a_deadline_is_on_the_clock_of_who_asks(seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    wanted = NOW_NS + max(int(seconds * 1e9), 0)
    # As much as passes between the two looks at the clock, and what a double leaves out.
    early = 1e9 + abs(seconds) * 1e-3
    assert wanted - early <= on_clock(deadline, lambda: NOW_NS) <= wanted + abs(seconds) * 1e-3


def test_what_is_raised_is_what_the_call_fails_with() -> None:
    bug, closed = ValueError("a bug"), RuntimeError("closed")

    def raising(error: Exception) -> Any:
        def raise_it(*_: object) -> None:
            raise error

        return raise_it

    door = Door()
    enter, metrics = entrance(raising(bug), door=door, refuse=raising(closed))
    call = Entered()
    call.enter(enter, b"")
    door.closed = True
    call.enter(enter, b"")
    assert call.failed == [bug, closed]
    assert metrics.started == 2, "who is refused has called, too"
