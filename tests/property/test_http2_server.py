"""Whatever bytes a client sends: no exception, no task left, bounded memory, every call ended."""

import asyncio
from collections.abc import Iterator

import ngh2
from http2.harness import Harness, nothing_unforeseen, spoken
from http2.raw_client import PREFACE, SETTINGS, Answer, RawClient, frame, request_headers
from http2.service import path
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.http2.wire import framed

HELLO = PREFACE + frame(SETTINGS, 0, 0)
METHODS = ("Plain", "Unary", "PlainStream", "Chat", "Collect", "Replies", "Abort", "None")
SLOW_MACHINES = settings(deadline=None)


def check(*chunks: bytes | bool) -> bytes:
    return check_each(iter(chunks))


def check_each(chunks: Iterator[bytes | bool]) -> bytes:
    async def feed() -> bytes:
        written = await Harness().feed(chunks)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        return written

    with nothing_unforeseen():
        return asyncio.run(feed())


@SLOW_MACHINES
@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    check(data)


@SLOW_MACHINES
@given(st.binary())
def test_any_bytes_after_the_preface(data: bytes) -> None:
    check(HELLO + data)


@SLOW_MACHINES
@given(st.binary(max_size=600))
def test_any_frames(data: bytes) -> None:
    check_each(spoken(data))


@SLOW_MACHINES
@given(st.data())
def test_mutations_of_an_exchange(data: st.DataObject) -> None:
    wire = bytearray(exchange(METHODS))
    for _ in range(data.draw(st.integers(1, 8))):
        wire[data.draw(st.integers(len(PREFACE), len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wire)))
    check(bytes(wire[:cut]), bytes(wire[cut:]))


@SLOW_MACHINES
@given(st.data(), st.sampled_from([one for one in METHODS if one != "Replies"]))
def test_an_exchange_has_the_same_answer_however_it_is_cut(
    data: st.DataObject, method: str
) -> None:
    wire = exchange([method])
    whole = answers(check(wire, b"", b""))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    parts = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert answers(check(*parts, b"", b"")) == whole
    assert whole[1].ended


def exchange(methods: tuple[str, ...] | list[str]) -> bytes:
    """A client's whole side of these calls."""
    client = ngh2.Connection(ngh2.Role.CLIENT)
    client.initiate_connection()
    for method in methods:
        stream = client.send_request(request_headers(path(method)))
        client.send_data(stream, framed(b"hello"), end_stream=True)
    return client.data_to_send()


def answers(written: bytes) -> dict[int, Answer]:
    """What a client reads in what the server wrote."""
    client = RawClient.__new__(RawClient)
    client.answers = {}
    client.opens_windows = False
    client.h2 = ngh2.Connection(ngh2.Role.CLIENT)
    client.h2.initiate_connection()
    for _ in METHODS:
        client.h2.send_request(request_headers("/"))
    client.h2.data_to_send()
    client.h2.receive_data(written)
    for event in client.h2.events():
        client._heard(event)
    for answer in client.answers.values():
        # Who is answered while it still sends is told to stop, as a cut may have it.
        answer.reset = answer.reset or None
        answer.frames = 0
        answer.closed = False
    return client.answers
