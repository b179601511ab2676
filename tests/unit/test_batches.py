"""Batches by turns, and what an item says of an order that nobody waits for."""

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from execution.errors import GivenUp, InvalidArgument, Overloaded, ReplyTooLarge, StatusCode
from execution.server.admission import Call, InFlight
from execution.server.batches import ORDERS_A_TURN, BatchOrders, OrderPipeline, _error_item
from execution.server.observe import Metrics
from execution.server.transports.answers import PipelineCall
from execution.v1 import execution_pb2 as pb

ANYBODY = Call()


class Orders:
    """Takes whatever comes; answers at once, or never."""

    def __init__(self, *, answers: bool = True, limit: int = 20_000) -> None:
        self.in_flight = InFlight(limit)
        self.answers = answers
        self.taken: list[bytes] = []
        self.given_up = 0
        self.fails = "none"

    def take(self, data: bytes, _type: Any, _call: Any, answer: Any) -> Callable[[], object] | None:
        if self.fails.encode() in data:
            raise ValueError("no order")
        self.taken.append(data)
        if self.answers:
            answer.reply(data)
            return None
        return self._give_up

    def _give_up(self) -> None:
        self.given_up += 1


class Asker:
    """Who sent a batch."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.gone: Callable[[], object] = lambda: None

    def reply(self, message: bytes) -> None:
        self.replies.append(message)

    def on_gone(self, callback: Callable[[], object]) -> None:
        self.gone = callback


def over(orders: Orders) -> Any:
    """Typed as anything: orders and askers are as much of such as it needs."""
    untyped: Any = orders
    return BatchOrders(untyped)


def batch(name: str, count: int) -> bytes:
    orders = [pb.OrderRequest(order_id=f"{name}-{number}") for number in range(count)]
    return pb.OrderBatch(orders=orders).SerializeToString()


def reports(asker: Asker) -> list[str]:
    (reply,) = asker.replies
    return [report.order_id for report in pb.ExecutionReportBatch.FromString(reply).reports]


async def test_a_turn_begins_only_so_many_and_all_have_their_turn() -> None:
    orders = Orders()
    batches = over(orders)
    askers = [Asker() for _ in range(3)]
    for name, asker in zip("abc", askers, strict=True):
        batches.handle(batch(name, 1_000), ANYBODY, asker)
    assert len(orders.taken) == ORDERS_A_TURN
    small = Asker()
    batches.handle(batch("small", 1), ANYBODY, small)
    before = len(orders.taken)
    while not small.replies:
        await asyncio.sleep(0)
        assert len(orders.taken) - before <= ORDERS_A_TURN
        before = len(orders.taken)
    assert not any(asker.replies for asker in askers), "it has not waited for the large ones"
    while len(orders.taken) < 3_001:
        await asyncio.sleep(0)
    for name, asker in zip("abc", askers, strict=True):
        assert reports(asker) == [f"{name}-{number}" for number in range(1_000)]
    again = Asker()
    batches.handle(batch("again", 3), ANYBODY, again)
    assert reports(again) == ["again-0", "again-1", "again-2"], "at once, with nobody in line"


async def test_who_goes_away_gives_up_what_is_begun_and_begins_no_more() -> None:
    orders, asker = Orders(answers=False), Asker()
    batches = over(orders)
    batches.handle(batch("a", 1_000), ANYBODY, asker)
    asker.gone()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(orders.taken) == orders.given_up == ORDERS_A_TURN
    assert asker.replies == []


async def test_only_so_many_orders_wait_for_their_turn() -> None:
    """Nothing of them is begun, so the bound on orders under way does not see them."""
    orders = Orders(answers=False, limit=2_000)
    batches = over(orders)
    askers = [Asker() for _ in range(2)]
    for asker in askers:
        batches.handle(batch("a", 1_000), ANYBODY, asker)
    late = Asker()
    with pytest.raises(Overloaded, match="2000"):
        batches.handle(batch("late", 2_000 - 2 * 1_000 + ORDERS_A_TURN + 1), ANYBODY, late)
    batches.handle(batch("b", ORDERS_A_TURN), ANYBODY, late)
    askers[0].gone()
    while len(orders.taken) < 2 * ORDERS_A_TURN:
        await asyncio.sleep(0)
    batches.handle(batch("c", 800), ANYBODY, Asker())
    for _ in range(30):
        await asyncio.sleep(0)
    assert len(orders.taken) == ORDERS_A_TURN + 1_000 + ORDERS_A_TURN + 800
    batches.handle(batch("d", 1_000), ANYBODY, Asker())
    assert len(orders.taken) == 2 * ORDERS_A_TURN + 1_800 + ORDERS_A_TURN, "and none waits for ever"


async def test_a_bug_in_one_batch_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr("execution.server.batches._error_item", broken)
    orders = Orders()
    batches = over(orders)
    batches.handle(batch("first", 1_000), ANYBODY, Asker())
    orders.fails = "broken-7"
    batches.handle(batch("broken", 10), ANYBODY, Asker())
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: said.append(str(context["exception"]))
    )
    last = Asker()
    batches.handle(batch("last", 1_000), ANYBODY, last)
    for _ in range(30):
        await asyncio.sleep(0)
    assert said == ["a bug"]
    assert len(reports(last)) == 1_000


@pytest.mark.parametrize("unknown", [b"", b"\x18\x01"])
def test_half_a_million_orders_are_refused_before_they_are_looked_at(unknown: bytes) -> None:
    data = unknown + b"\x0a\x00" * 500_000
    begun = time.process_time()
    with pytest.raises(InvalidArgument, match="at most 1000"):
        over(Orders()).handle(data, ANYBODY, Asker())
    few = time.process_time()
    with pytest.raises(InvalidArgument, match="at most 1000"):
        over(Orders()).handle(unknown + b"\x0a\x00" * 1_001, ANYBODY, Asker())
    assert few - begun < 250 * (time.process_time() - few)


async def test_no_megabyte_is_kept_of_an_order_under_way() -> None:
    """Fields that we do not know make one large; what failed must still say which it was."""

    class Slow(Orders):
        def take(self, data: bytes, _type: Any, _call: Any, answer: Any) -> None:
            self.taken.append(data)
            self.answer = answer

    unknown = b"\x9a\x06\x80\x89\x7a" + bytes(2_000_000)  # field 99, of that size
    order = pb.OrderRequest(order_id="o-1", user_id="u", symbol="S")
    order.MergeFromString(unknown)
    slow, asker = Slow(), Asker()
    over(slow).handle(pb.OrderBatch(orders=[order]).SerializeToString(), ANYBODY, asker)
    assert len(slow.taken[0]) > 2_000_000
    assert len(slow.answer.data) < 1_000
    slow.answer.fail(Overloaded("later"))
    (report,) = pb.ExecutionReportBatch.FromString(asker.replies[0]).reports
    assert (report.order_id, report.user_id, report.symbol) == ("o-1", "u", "S")
    assert report.error.code == StatusCode.RESOURCE_EXHAUSTED.value


async def test_reports_that_do_not_fit_into_a_reply_are_still_accounted_for() -> None:
    """Every order is executed by then: who asked must not take it for undone."""
    failed: list[Exception] = []

    class Deep(Orders):
        def take(self, _data: bytes, _type: Any, _call: Any, answer: Any) -> None:
            answer.reply(bytes(1_700_000))

    asker: Any = Asker()
    asker.fail = failed.append
    over(Deep()).handle(batch("a", 10), ANYBODY, asker)
    (error,) = failed
    assert isinstance(error, ReplyTooLarge)
    assert "is executed" in error.message
    assert "GetOrder" in error.message
    over(Deep()).handle(batch("b", 9), ANYBODY, asker)
    assert len(asker.replies[0]) > 9 * 1_700_000


async def test_an_empty_batch_is_answered_at_once() -> None:
    asker = Asker()
    over(Orders()).handle(b"", ANYBODY, asker)
    assert asker.replies == [b""]


def test_an_order_given_up_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    data = pb.OrderRequest(order_id="o-1").SerializeToString()
    with caplog.at_level(logging.INFO):
        report = pb.ExecutionReport.FromString(_error_item(data, GivenUp("the caller went away")))
    assert (report.order_id, report.error.code) == ("o-1", StatusCode.CANCELLED.value)
    assert caplog.records == []


@pytest.mark.parametrize("end", ["finish", "fail", "gone"])
def test_a_stream_that_has_ended_is_gone_without_a_search_for_cycles(end: str) -> None:
    class Stream:
        """The transport's side."""

        def finish(self) -> None: ...

        def fail(self, *_: object) -> None: ...

    pipelines: set[Any] = set()
    untyped: Any = Stream()
    replies = PipelineCall(pipelines, Metrics().rpc("Service", "ExecuteStream"), untyped)
    orders: Any = Orders()
    replies.pipeline = OrderPipeline(orders, ANYBODY, replies)
    pipelines.add(replies.pipeline)
    told = weakref.ref(replies.pipeline)
    gc.disable()
    try:
        if end == "fail":
            replies.fail(Overloaded("later"))
        else:
            getattr(replies, end)()
        assert pipelines == set()
        del replies
        assert told() is None
    finally:
        gc.enable()
