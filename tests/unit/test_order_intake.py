"""The compiled way in: what every order passes before it is executed, and which book it meets."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution._order import Finish, Intake, NewestBooks, Outcomes, Pushed
from execution.errors import InvalidArgument, Overloaded, PermissionDenied
from execution.model import Direction, ExecutionReport, Order, OrderStatus, OrderType
from execution.server.admission import Call, InFlight
from execution.v1 import execution_pb2 as pb

REQUEST = pb.OrderRequest(
    order_id="o-1", user_id="ann", symbol="BTC-USDT", direction=pb.DIRECTION_BUY, quantity="1"
).SerializeToString()
REPORT = ExecutionReport(
    order_id="o-1",
    user_id="ann",
    symbol="BTC-USDT",
    direction=Direction.BUY,
    order_type=OrderType.MARKET,
    status=OrderStatus.FILLED,
    quantity="1",
    effective_quantity="1",
    filled_quantity="1",
    remaining_quantity="0",
)
ANYBODY = Call()
ANN, BOB = frozenset({"ann"}), frozenset({"bob"})


class Way(Intake):
    """Without a lane: what would go on is kept."""

    def __init__(self, limit: int = 1) -> None:
        super().__init__(InFlight(limit), Outcomes(), None, lambda: 7)
        self.went_on: list[tuple[Order, int | None, Any]] = []
        self.cancel: Any = None

    def read_otherwise(self, *_: object) -> Order:
        raise InvalidArgument([])

    def execute_otherwise(self, order: Order, deadline_ns: int | None, finish: Any) -> Any:
        self.went_on.append((order, deadline_ns, finish))
        return self.cancel


class Asker:
    """Who asked."""

    def __init__(self) -> None:
        self.failed: list[Exception] = []
        self.gone: Any = None

    def reply(self, _message: bytes) -> None:
        raise AssertionError("nothing is executed here")

    def fail(self, error: Exception) -> None:
        self.failed.append(error)

    def on_gone(self, callback: Any) -> None:
        self.gone = callback


def test_who_waits_for_a_report_that_cannot_be_written_is_told() -> None:
    asker, under_way, outcomes = Asker(), InFlight(1), Outcomes()
    under_way.enter()
    Finish(under_way, outcomes, asker)(replace(REPORT, version=-1))
    assert [type(error) for error in asker.failed] == [OverflowError]
    assert (under_way.count, outcomes.orders) == (0, 0)


def test_an_order_goes_on_with_its_deadline_and_is_under_way_until_it_is_finished() -> None:
    way, asker = Way(), Asker()
    assert way.take(REQUEST, OrderType.MARKET, Call(99), asker) is None
    (order, deadline_ns, finish), *others = way.went_on
    assert (order.order_id, order.received_time_ns, deadline_ns, others) == ("o-1", 7, 99, [])
    assert way.in_flight.count == 1
    with pytest.raises(Overloaded, match="1 orders are under way"):
        way.take(REQUEST, OrderType.MARKET, ANYBODY, asker)
    assert way.in_flight.count == 1, "who was refused is not under way"
    error = Overloaded("enough")
    finish(error)
    assert (way.in_flight.count, asker.failed) == (0, [error])


@pytest.mark.parametrize(
    ("data", "call", "error"),
    [
        (b"\xff", ANYBODY, InvalidArgument),
        (REQUEST, Call(users=BOB), PermissionDenied),
        (REQUEST, None, AttributeError),
    ],
)
def test_what_goes_no_further_is_not_under_way(data: bytes, call: Any, error: type) -> None:
    way = Way()
    with pytest.raises(error):
        way.take(data, OrderType.MARKET, call, Asker())
    assert (way.in_flight.count, way.went_on) == (0, [])


def test_who_goes_away_gives_up_what_can_be_given_up() -> None:
    way, asker = Way(limit=3), Asker()
    way.execute(OrderType.MARKET, REQUEST, Call(users=ANN), asker)
    assert asker.gone is None
    way.cancel = lambda: True
    assert way.take(REQUEST, OrderType.MARKET, ANYBODY, asker) is way.cancel
    assert asker.gone is None, "of many orders in one call, the caller keeps the ways back"
    way.execute(OrderType.MARKET, REQUEST, ANYBODY, asker)
    assert asker.gone is way.cancel


class Books(NewestBooks):
    """Snapshots are told by the number of the opening."""

    def __init__(self, age_ns_max: int) -> None:
        super().__init__(lambda: self.now_ns, age_ns_max)
        self.now_ns = 0
        self.opened_times = 0

    def opened(self, symbol: str, pushed: Pushed) -> Any:
        self.opened_times += 1
        return (symbol, pushed, self.opened_times)


times = st.integers(0, 20)


@given(times, times, times, st.integers(0, 10))
def test_a_book_is_fresh_by_itself_or_by_a_sign_of_life(
    received_ns: int, beat_ns: int, now_ns: int, age_ns_max: int
) -> None:
    books = Books(age_ns_max)
    pushed = Pushed("stream", b"raw", None, received_ns, 3)  # type: ignore[arg-type]  # kept only
    books._pushed["X"] = pushed
    books._beat_ns = beat_ns
    books.now_ns = now_ns
    fresh = max(received_ns, beat_ns) >= now_ns - age_ns_max
    assert books.held("X") is (pushed if fresh else None)
    first: Any = books.newest("X")
    assert first == (("X", pushed, 1) if fresh else None)
    assert books.newest("X") is first
    assert books.held("Y") is None
    assert books.newest("Y") is None
    # Other filters make another snapshot of the same book.
    pushed.snapshot = None
    again: Any = books.newest("X")
    assert again == (("X", pushed, 2) if fresh else None)
