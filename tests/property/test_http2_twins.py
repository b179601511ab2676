"""Our connection over libnghttp2 does what ngh2's does: the same bytes, events, errors, sizes.

But for one thing, which has a test of its own. It needs a server that acts in the middle of a
frame, as no `Twins` does.
"""

import contextlib
import gc
import itertools
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import ngh2
import psutil
import pytest
from http2 import raw_client as raw
from http2.raw_client import PREFACE, frame, literal, request_headers
from hypothesis import given, settings
from hypothesis import strategies as st

from execution._call import BEGIN, OK_TRAILERS, ServerConnection
from execution.server.transports.http2 import library
from execution.server.transports.http2.library import Http2

pytestmark = pytest.mark.skipif(not library._DIRECT, reason="libnghttp2 is not to be had")

Acts: TypeAlias = st.SearchStrategy[tuple[str, tuple[Any, ...]]]
"""Methods of `Twins` and their arguments."""

HEADERS_MAX: Final = 100
PLAIN: Final = ngh2.Configuration(auto_window_update=False, max_inbound_header_count=HEADERS_MAX)
HELLO: Final = PREFACE + frame(raw.SETTINGS, 0, 0)
ASKED: Final = b"".join(itertools.starmap(literal, request_headers("/x")))
"""The headers of a request, on the wire."""
REQUEST: Final = frame(raw.HEADERS, raw.END_HEADERS, 1, ASKED)
FATAL: Final = frame(raw.HEADERS, raw.END_HEADERS, 5, ASKED + literal(b"x", b"") * HEADERS_MAX)
REFUSED = (ngh2.NGH2Error, ValueError)
"""What the client raises of what it should not send, or does not want to hear."""
ANYTHING: Final[tuple[tuple[Any, ...], ...]] = (
    ("receive_data", b"x"), ("send_response", 1, BEGIN), ("send_data", 1, b"x"),
    ("send_trailers", 1, OK_TRAILERS), ("reset_stream", 1, 0), ("ping",), ("send_goaway",),
    ("send_shutdown_notice",), ("acknowledge_received_data", 1, 1), ("set_local_window_size", 1),
    ("remote_window_size",), ("stream_remote_window_size", 1),
)  # fmt: skip
SLOW_MACHINES = settings(deadline=None)


@pytest.fixture(scope="module", autouse=True)
def _same_chance() -> Iterator[None]:
    """One seed for all. It decides in which order the library walks its streams: where SETTINGS
    open the windows of several, even two connections of ngh2 differ in whom they serve first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ngh2._core.urandom", bytes)
        patch.setattr("execution._call._urandom", bytes)
        yield


def told(event: ngh2.Event) -> tuple[Any, ...]:
    """What an event says. With ours, a header that is never to be indexed is a pair like others,
    and nobody tells which error of our own has ended a stream."""
    names: tuple[str, ...] = event.__match_args__
    fields = {name: getattr(event, name) for name in names if name != "local_error"}
    if "headers" in fields:
        fields["headers"] = tuple(map(tuple, fields["headers"]))
    return type(event), fields


LOST: Final = (ngh2.ConnectionStateError, "Connection is no longer usable")
NOTHING: Final = (b"", LOST)
"""What there is to send once all is sent."""


def outcome(h2: Http2, name: str, *arguments: Any, **named: Any) -> Any:
    """What a method returns or raises, or what a property is."""
    try:
        found = getattr(h2, name)
        return found(*arguments, **named) if callable(found) else found
    except (ngh2.NGH2Error, TypeError, ValueError) as error:
        return type(error), str(error)


class Twins:
    """Both connections, which are told the same, and a client that speaks to them."""

    def __init__(self, config: ngh2.Configuration = PLAIN, *said: dict[int, int]) -> None:
        """`said`: the settings, of the server and of the client."""
        ours, clients = said or ({}, {})
        self.ours = ServerConnection(config)
        self.theirs = ngh2.Connection(ngh2.Role.SERVER, config)
        self.client = ngh2.Connection(ngh2.Role.CLIENT)
        self.client.initiate_connection(clients)
        self.open: list[int] = []
        self.closed = [99]
        self.unacknowledged: dict[int, int] = {}
        self.unheard = b""
        self.both("initiate_connection", ours)

    def both(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What comes of it, with both."""
        mine = outcome(self.ours, name, *arguments, **named)
        others = outcome(self.theirs, name, *arguments, **named)
        assert mine == others
        events = self.theirs.events()
        assert list(map(told, self.ours.events())) == list(map(told, events))
        for event in events:
            if isinstance(event, ngh2.RequestReceived):
                self.open.append(event.stream_id)
            elif isinstance(event, ngh2.DataReceived):
                before = self.unacknowledged.get(event.stream_id, 0)
                self.unacknowledged[event.stream_id] = before + len(event.data)
            elif isinstance(event, ngh2.StreamClosed) and event.stream_id in self.open:
                self.open.remove(event.stream_id)
                self.closed.append(event.stream_id)
        for size in ("queued_body_size", "remote_window_size"):
            assert outcome(self.ours, size) == outcome(self.theirs, size)
        for size in ("queued_body_size", "stream_remote_window_size"):
            for stream in {*self.open[-6:], self.closed[-1], 2}:
                assert outcome(self.ours, size, stream) == outcome(self.theirs, size, stream)
        return others

    def stream(self, number: int) -> int:
        """The latest that is open, or one before; below 0, one that is closed or never was."""
        if number >= 0 and self.open:
            return self.open[-1 - min(number, len(self.open) - 1)]
        return self.closed[max(min(number, -1), -len(self.closed))]

    # What the client says, once it is delivered.

    def request(self, headers: Any, parts: list[bytes], trailers: Any) -> None:
        """Open if there are no `trailers`, not even empty ones."""
        ends = trailers is not None and not trailers
        with contextlib.suppress(*REFUSED):
            stream = self.client.send_request(headers, end_stream=ends and not parts)
            for part in parts:
                self.client.send_data(stream, part)
            if trailers:
                self.client.send_trailers(stream, trailers)
            elif ends and parts:
                self.client.end_stream(stream)

    def client_says(self, name: str, *arguments: Any) -> None:
        with contextlib.suppress(*REFUSED):
            getattr(self.client, name)(*arguments)

    def client_says_of(self, name: str, number: int, *arguments: Any) -> None:
        self.client_says(name, self.stream(number), *arguments)

    def deliver(self, cuts: Sequence[float] = ()) -> None:
        with contextlib.suppress(*REFUSED):
            self.receive(self.client.data_to_send(), cuts)

    def receive(self, data: bytes, cuts: Sequence[float] = ()) -> None:
        places = sorted(int(cut * len(data)) for cut in cuts)
        for begin, end in itertools.pairwise([0, *places, len(data)]):
            self.both("receive_data", data[begin:end])

    # What the server says.

    def respond(self, number: int, headers: Any, end_stream: bool) -> None:
        self.both("send_response", self.stream(number), headers, end_stream=end_stream)

    def send_data(self, number: int, data: bytes, end_stream: bool) -> None:
        self.both("send_data", self.stream(number), data, end_stream=end_stream)

    def both_of(self, name: str, number: int, *arguments: Any) -> None:
        self.both(name, self.stream(number), *arguments)

    def answer(self, number: int, data: bytes, trailers: Any) -> None:
        self.respond(number, BEGIN, False)
        self.send_data(number, data, False)
        self.both_of("send_trailers", number, trailers)

    def acknowledge(self, number: int, part: float) -> None:
        stream = self.stream(number)
        amount = int(part * self.unacknowledged.get(stream, 0))
        if self.both("acknowledge_received_data", amount, stream) is None and amount:
            self.unacknowledged[stream] -= amount

    def send(self, most: int | None = None) -> None:
        """Where a frame is cut, too: what has happened by then, and what may overtake the rest."""
        sent = self.both("data_to_send", most)
        self.unheard += sent if isinstance(sent, bytes) else b""

    def hear(self) -> None:
        heard, self.unheard = self.unheard, b""
        with contextlib.suppress(*REFUSED):
            self.client.receive_data(heard)


def any_of(*rows: tuple[Any, ...]) -> Acts:
    """Names of methods, each with its arguments or what they are drawn from."""

    def drawn(some: Any) -> st.SearchStrategy[Any]:
        return some if isinstance(some, st.SearchStrategy) else st.just(some)

    return st.one_of([st.tuples(st.just(row[0]), st.tuples(*map(drawn, row[1:]))) for row in rows])


numbers = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, -1, -9])
cuts = st.lists(st.floats(0, 1), max_size=6)
codes = st.sampled_from([0, 1, 8, 11, 2**32 - 1])
names = st.sampled_from([b"x-a", b"x-b", b"grpc-timeout", b"cookie"])
odd_names = st.sampled_from([b"X-A", b"", b":status", b"te", b"content-length", b"x\0"])
values = st.sampled_from([b"", b"a", b"b", b"1S", b"3", b"x" * 100])
odd_values = st.sampled_from([b"\0", b" a", b"a\n", b"x" * 5_000, b"x" * 70_000])
pairs = st.tuples(names, values) | st.builds(ngh2.NeverIndexedHeader, names, values)
many = st.integers(17, 90).map(lambda count: [(b"x-%d" % at, b"%d" % at) for at in range(count)])
usual = st.sampled_from([[], [(b"x-a", b"a")], [(b"x-a", b"b")]])
odds = st.lists(st.tuples(odd_names, values) | st.tuples(names, odd_values) | pairs, max_size=3)
more_headers = st.one_of(usual, usual, st.lists(pairs, max_size=4), many, odds)
asked = more_headers.map(lambda more: request_headers("/x", *more))
begun = st.just(BEGIN) | more_headers.map(lambda more: (*BEGIN, *more)) | more_headers.map(list)
trailers = st.just(OK_TRAILERS) | more_headers.map(tuple)
sizes = st.sampled_from([0, 1, 10, 16_385, 65_535, 150_000])
bodies = st.binary(max_size=20) | sizes.map(bytes)
parts = st.lists(bodies, max_size=3)
windows = sizes | st.sampled_from([0, 1 << 20, 2**31 - 1])
opaque = st.binary(min_size=8, max_size=8)
some_settings = st.sampled_from([(1, 0), (1, 64), (2, 0), (3, 1), (3, 100), (5, 20_000), (9, 1)])
said_settings = st.lists(some_settings | st.tuples(st.just(4), windows), max_size=4).map(dict)
peaceful = any_of(
    ("request", asked, parts, ()),
    ("request", asked, parts, None),
    ("request", asked | odds, parts, st.none() | trailers),
    ("client_says_of", "send_data", numbers, bodies),
    ("client_says_of", "end_stream", numbers),
    ("client_says_of", "send_trailers", numbers, trailers),
    ("client_says_of", "reset_stream", numbers, codes),
    ("client_says_of", "send_priority_update", numbers, st.sampled_from([b"u=0", b"i", b"?"])),
    ("client_says", "ping", opaque),
    ("client_says", "update_settings", said_settings),
    ("client_says", "set_local_window_size", windows),
    ("deliver", cuts),
    ("answer", numbers, bodies, trailers),
    ("answer", numbers, bodies, trailers),
    ("respond", numbers, begun, st.booleans()),
    ("send_data", numbers, bodies, False),
    ("send_data", numbers, bodies, st.booleans()),
    ("both_of", "send_trailers", numbers, trailers),
    ("both_of", "reset_stream", numbers, codes),
    ("both", "ping", opaque),
    ("both", "set_local_window_size", windows),
    ("acknowledge", numbers, st.just(1) | st.floats(0, 1)),
    ("send", st.integers(0, 30)),
    ("send", st.integers(0, 20_000)),
)
ends = any_of(
    ("client_says", "send_goaway", codes),
    ("both", "send_goaway", codes),
    ("both", "send_shutdown_notice"),
)
blocks = st.lists(st.tuples(names | odd_names, values), max_size=4).map(
    lambda some: b"".join(itertools.starmap(literal, some))
)
words = st.sampled_from([bytes(4), b"\0\0\0\1", b"\0\0\0d", b"\x7f" + b"\xff" * 3, b"\xff" * 4])
several = st.lists(words, max_size=4).map(b"\0".join)
frames = st.builds(
    frame,
    st.integers(0, 17),
    st.sampled_from([0, 1, 4, 5, 8, 12, 13, 32, 37, 255]),
    st.sampled_from([0, 1, 1, 3, 3, 5, 2, 99, 2**31 + 1]),
    st.one_of(blocks.map(ASKED.__add__), blocks, words, several, opaque, st.binary(max_size=40)),
)
received = any_of(("receive", st.lists(frames, min_size=1, max_size=3).map(b"".join), cuts))
few = st.integers(0, 5)
rates = st.tuples(few, st.just(0))  # no more as time goes by: between the two, a second may begin
small = st.builds(
    ngh2.Configuration,
    auto_window_update=st.just(False),
    peer_max_concurrent_streams=few,
    max_send_header_block_length=st.sampled_from([0, 200, 65_536]),
    max_deflate_dynamic_table_size=st.sampled_from([0, 64, 4_096]),
    max_outbound_ack=few,
    max_settings=st.integers(4, 6),
    stream_reset_rate_limit=rates,
    max_continuations=few,
    glitch_rate_limit=rates,
    max_inbound_header_list_size=st.sampled_from([0, 272, 273, 320, 65_536]),
    max_inbound_header_count=st.sampled_from([0, 5, 6, 8, 1_024]),
)
carried = st.sampled_from([(), ("deliver",), ("send",), ("deliver", "send", "hear")])
disturbed = st.one_of(peaceful, ends, *[received] * 8)
said = [st.lists(st.tuples(some, carried), min_size=10) for some in (peaceful, disturbed)]


@settings(deadline=None, max_examples=400)
@given(
    st.tuples(st.just(PLAIN) | st.just(PLAIN) | small, said_settings, said_settings),
    st.integers(0, 4),
    st.one_of(said),
)
def test_conversations(setup: tuple[Any, ...], requests_before: int, said: list[Any]) -> None:
    """Those of a real client, and such with frames in between that nobody would send."""
    twins = Twins(*setup)
    for _ in range(requests_before):
        twins.request(request_headers("/x"), [b"x"], ())
    twins.deliver()
    for (name, arguments), then in said:
        getattr(twins, name)(*arguments)
        for carry in then:
            getattr(twins, carry)()
    twins.deliver()
    twins.send()
    assert twins.both("data_to_send") in NOTHING


@SLOW_MACHINES
@given(st.sampled_from([b"", PREFACE, HELLO]), st.binary(), cuts)
def test_any_bytes(before: bytes, data: bytes, cuts: list[float]) -> None:
    twins = Twins()
    twins.receive(before + data, cuts)
    twins.send()
    assert twins.both("data_to_send") in NOTHING


@pytest.mark.parametrize("next_size", [0, 10, None])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_frame_whose_stream_ends_within_it_gives_its_window_back(
    at_once: bool, next_size: int | None
) -> None:
    """Whether RST_STREAM leaves before the rest of the frame comes or after, and whatever comes on
    another stream meanwhile. ngh2 forgets the part that had come."""
    server = ServerConnection(PLAIN)
    server.initiate_connection({})
    server.receive_data(HELLO)
    sent = b""
    for stream in range(1, 400, 4):
        for number in (stream, stream + 2):
            server.receive_data(frame(raw.HEADERS, raw.END_HEADERS, number, ASKED))
        whole = frame(raw.DATA, 0, stream, bytes(10_000))
        server.receive_data(whole[:4_000])
        server.reset_stream(stream, 0)
        sent += server.data_to_send() if at_once else b""
        server.receive_data(whole[4_000:])
        if next_size is not None:
            server.receive_data(frame(raw.DATA, 1, stream + 2, bytes(next_size)))
        for event in server.events():
            if isinstance(event, ngh2.DataReceived) and event.data:
                server.acknowledge_received_data(len(event.data), event.stream_id)
        sent += server.data_to_send()
    came = 100 * (10_000 + (next_size or 0))
    assert came - 65_535 < given_back(sent) <= came


def given_back(sent: bytes) -> int:
    """What the WINDOW_UPDATE frames of the connection add up to."""
    given = 0
    while sent:
        end = 9 + int.from_bytes(sent[:3])
        if sent[3] == raw.WINDOW_UPDATE and not any(sent[5:9]):
            given += int.from_bytes(sent[9:end])
        sent = sent[end:]
    return given


FLOODS: Final[tuple[Callable[[int], bytes], ...]] = (
    lambda count: b"".join(
        frame(raw.HEADERS, raw.END_HEADERS, at, ASKED) + frame(raw.RST_STREAM, 0, at, b"code")
        for at in range(1, 2 * count, 2)
    ),
    lambda count: frame(0xFF, 0, 0, b"unknown") * count,
    lambda count: REQUEST + frame(raw.DATA, 0, 1) * count,
    lambda count: frame(raw.HEADERS, 0, 1, ASKED) + frame(raw.CONTINUATION, 0, 1) * count,
    lambda count: frame(raw.HEADERS, raw.END_HEADERS, 1, ASKED + literal(b"x", b"y") * count),
    lambda count: frame(raw.SETTINGS, 0, 0, bytes((0, 1, 0, 0, 0, 9)) * count),
    lambda count: frame(raw.PING, 0, 0, bytes(8)) * count,
    lambda count: frame(raw.SETTINGS, 0, 0) * count,
    lambda count: frame(0x10, 0, 0, b"\0\0\0\1u=1") * count,
)
"""Much of what costs us and brings nothing."""
floods = st.tuples(st.sampled_from(range(len(FLOODS))), st.integers(0, 12))


@SLOW_MACHINES
@given(small, st.lists(floods, min_size=1, max_size=3), cuts)
def test_floods(config: ngh2.Configuration, some: list[tuple[int, int]], cuts: list[float]) -> None:
    twins = Twins(config)
    twins.receive(HELLO)
    for kind, count in some:
        twins.receive(FLOODS[kind](count), cuts)
        twins.answer(0, b"x", OK_TRAILERS)
        twins.send()
    assert twins.both("data_to_send") in NOTHING


def test_only_what_has_begun_and_is_not_lost_is_used() -> None:
    new: tuple[Http2, ...] = (ServerConnection(PLAIN), ngh2.Connection(ngh2.Role.SERVER, PLAIN))
    lost = Twins()
    lost.receive(HELLO + REQUEST)
    lost.answer(0, b"x", OK_TRAILERS)
    lost.receive(FATAL)
    state = ngh2.ConnectionStateError
    for name, *arguments in ANYTHING:
        for h2 in new:
            assert outcome(h2, name, *arguments) == (state, "Connection is not initiated")
            assert (h2.data_to_send(), h2.events(), h2.queued_body_size(1)) == (b"", [], 0)
        assert lost.both(name, *arguments) == (state, "Connection is no longer usable")
    assert lost.both("data_to_send") == (state, "Connection is no longer usable")
    assert Twins().both("initiate_connection", {}) == (state, "Connection is already initiated")


def test_windows_are_opened_by_hand() -> None:
    with pytest.raises(ValueError, match="auto_window_update"):
        ServerConnection(ngh2.Configuration())


def leave_behind(number: int, body: bytes) -> None:
    """A connection with much under way, that ends another way each time."""
    h2 = ServerConnection(PLAIN)
    h2.initiate_connection({})
    h2.receive_data(HELLO + REQUEST)
    h2.receive_data(frame(raw.HEADERS, 5, 3, ASKED + literal(b"a", b"b")))
    data, cut = frame(raw.DATA, 0, 1, bytes(100)), 40 + number % 40
    h2.receive_data(data[:cut])
    for stream in (1, 3):
        h2.send_response(stream, BEGIN)
        h2.send_data(stream, body)
        h2.send_trailers(stream, (*OK_TRAILERS, (b"x", body[:9])))
    if number % 4 == 0:
        h2.data_to_send(number)
    elif number % 4 == 1:
        with pytest.raises(ngh2.DenialOfServiceError):
            h2.receive_data(data[cut:] + FATAL)
    elif number % 4 == 2:
        h2.receive_data(data[cut:] + frame(raw.GOAWAY, 0, 0, bytes(8) + b"why"))
        h2.reset_stream(1, 0)
        h2.reset_stream(3, 0)
        h2.data_to_send()


def test_a_connection_leaves_nothing() -> None:
    body = bytes(100_000)
    held = sys.getrefcount(body)
    memory: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        for connections in (500, 2_000):
            for number in range(connections):
                leave_behind(number, body)
            gc.collect()
            whole = psutil.Process().memory_info().rss
            memory.append((tracemalloc.get_traced_memory()[0], whole))
    finally:
        tracemalloc.stop()
    python_grown, whole_grown = (after - before for before, after in zip(*memory, strict=True))
    assert sys.getrefcount(body) == held
    assert python_grown < 10_000
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # a sanitizer keeps what is freed
        assert whole_grown < 4 << 20, "libnghttp2 has memory of its own"
