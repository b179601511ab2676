"""The demo's stops: what is kept of them, what the screen and the lines say of them."""

from decimal import Decimal
from typing import Any

import pytest

from execution.cli.demo.flow import Kind, OrderFlow
from execution.cli.demo.plain import progress_line, stop_words, summary_lines
from execution.cli.demo.run import Scene
from execution.cli.demo.state import Session
from execution.cli.demo.stop_table import stops as table
from execution.cli.demo.stops import (
    ENDED_MAX,
    Stop,
    Stops,
    distance_bps,
    nearest,
    trigger_slippage_bps,
)
from execution.cli.demo.view import Look, frame
from execution.embedded.market.feed import ManualFeed
from execution.model import Direction, SymbolSpec
from execution.server.app import Ready
from execution.v1 import execution_pb2 as pb

FEED = ManualFeed(SymbolSpec("BTC-USDT", price_decimals=1, quantity_decimals=3))
FEED.set_book([("100000", "1"), ("99999.5", "2")], [("100001", "1"), ("100002", "4")])
READY = Ready("127.0.0.1:1", "127.0.0.1:2", "redis://127.0.0.1:3/0", ("BTC-USDT",))
HELD = {("alice", "BTC-USDT"): Decimal(2)}


def stop(order_id: str = "s-1", **fields: Any) -> pb.ExecutionReport:
    """SELL 1 at 99990, resting."""
    settings: dict[str, Any] = {
        "order_id": order_id,
        "user_id": "alice",
        "symbol": "BTC-USDT",
        "direction": pb.DIRECTION_SELL,
        "order_type": pb.ORDER_TYPE_SL,
        "status": pb.ORDER_STATUS_UNTRIGGERED,
        "quantity": "1",
        "trigger_price": "99990",
        "version": 1,
    }
    return pb.ExecutionReport(**(settings | fields))


def filled(order_id: str = "s-1", **fields: Any) -> pb.ExecutionReport:
    """The same, triggered at 99989 and filled at 99980."""
    settings: dict[str, Any] = {
        "status": pb.ORDER_STATUS_FILLED,
        "filled_quantity": "1",
        "average_price": "99980",
        "fills": [pb.Fill(price="99980", quantity="1")],
        "trade_id": f"t-{order_id}",
        "triggered_by_price": "99989",
        "version": 2,
    }
    return stop(order_id, **(settings | fields))


def heard(*reports: pb.ExecutionReport) -> Stops:
    found = Stops()
    for number, report in enumerate(reports):
        found.heard(report, number)
    return found


def scene(*reports: pb.ExecutionReport) -> Scene:
    session = Session(begun=100)
    for number, report in enumerate(reports):
        session.stop_told(report, number)
    return Scene(READY, (FEED,), session, None)


def shown(told: Scene, width: int = 120, height: int = 7) -> list[str]:
    return ["".join(text for text, _ in line) for line in table(told, width, height)]


CANCELED = stop("s-2", status=pb.ORDER_STATUS_CANCELED, version=2)
EXPIRED = stop("s-3", status=pb.ORDER_STATUS_EXPIRED, version=2)


def test_a_stop_rests_until_it_ends() -> None:
    found = heard(stop())
    assert list(found.resting) == ["s-1"]
    assert found.counted()[0] == "1 rest"
    found.heard(filled(), 5)
    assert not found.resting
    assert [ended.time_ns for ended in found.ended] == [5]
    assert found.counted() == ["0 rest", "1 triggered", "0 canceled", "0 expired"]


def test_what_waits_for_liquidity_rests_still() -> None:
    found = heard(stop(), stop(status=pb.ORDER_STATUS_TRIGGERED, version=2))
    assert list(found.resting) == ["s-1"]
    assert found.triggered == 0


def test_an_end_that_was_heard_is_not_undone_by_the_late_answer_to_the_order() -> None:
    found = heard(filled(), stop())
    assert not found.resting
    assert found.told["s-1"].version == 2


def test_what_is_told_twice_counts_once() -> None:
    session = Session(begun=0)
    assert session.stop_told(filled(), 1)
    assert not session.stop_told(filled(), 2)
    assert session.stops.triggered == 1
    assert session.traded == {"BTC-USDT": 1}


def test_only_what_triggered_is_counted_as_triggered() -> None:
    found = heard(stop("s-2"), CANCELED, EXPIRED, filled())
    assert found.counted() == ["0 rest", "1 triggered", "1 canceled", "1 expired"]


def test_the_screen_keeps_a_limited_number_of_ends_and_the_proof_all() -> None:
    found = heard(*(filled(f"s-{number}") for number in range(ENDED_MAX + 5)))
    assert len(found.ended) == ENDED_MAX
    assert len(found.told) == ENDED_MAX + 5


@pytest.mark.parametrize(
    ("direction", "average", "bps"),
    [
        (pb.DIRECTION_SELL, "99890.01", Decimal(10)),
        (pb.DIRECTION_SELL, "100089.99", Decimal(-10)),
        (pb.DIRECTION_BUY, "100089.99", Decimal(10)),
    ],
)
def test_slippage_counts_from_the_trigger_and_worse_is_above_zero(
    direction: pb.Direction.ValueType, average: str, bps: Decimal
) -> None:
    assert trigger_slippage_bps(filled(direction=direction, average_price=average)) == bps


def test_what_did_not_fill_has_no_slippage() -> None:
    assert trigger_slippage_bps(CANCELED) is None


def test_the_distance_is_what_the_market_has_yet_to_go() -> None:
    assert distance_bps(stop(trigger_price="100000"), Decimal(100010)) == 1
    buys = stop(direction=pb.DIRECTION_BUY, trigger_price="100000")
    assert distance_bps(buys, Decimal(99990)) == 1


def test_the_next_to_trigger_comes_first_whichever_its_side() -> None:
    found = heard(
        stop("far", trigger_price="99900"),
        stop("near", trigger_price="99998"),
        stop("buys", direction=pb.DIRECTION_BUY, trigger_price="100011"),
    )
    assert [near.report.order_id for _, near in nearest(found, (FEED,))] == ["near", "buys", "far"]


def test_the_table_has_what_rests_and_what_became_of_the_others() -> None:
    lines = shown(scene(stop("s-4", reduce_only=True), CANCELED, EXPIRED, filled()))
    assert lines[0].startswith("STOPS 1 rest 1 triggered 1 canceled 1 expired ")
    rests, ended = (" ".join(line.split()[1:]) for line in lines[1:3])
    assert rests == "alice SELL 1 BTC-USDT rests 99990 100000.0 1.0 reduce only"
    assert ended == "alice SELL 1 BTC-USDT FILLED 99990 99980.00 +1.0 triggered 99989"
    assert "EXPIRED" in lines[3]
    assert "CANCELED" in lines[4]


def test_rest_and_ends_share_the_lines_and_neither_leaves_any_unused() -> None:
    resting = [stop(f"r-{number}") for number in range(9)]
    ended = [filled(f"e-{number}") for number in range(9)]

    def count(told: Scene) -> tuple[int, int]:
        text = "\n".join(shown(told))
        return text.count(" rests "), text.count(" FILLED ")

    assert count(scene(*resting, *ended)) == (3, 3)
    assert count(scene(*resting, *ended[:1])) == (5, 1)
    assert count(scene(*resting[:1], *ended)) == (1, 5)


@pytest.mark.parametrize("width", [72, 79, 80, 120, 200])
@pytest.mark.parametrize("height", [1, 2, 5, 9])
def test_every_line_of_the_table_is_as_wide_as_asked_for(width: int, height: int) -> None:
    many = [stop(f"r-{number}", quantity="123456789.123") for number in range(12)]
    lines = shown(scene(*many, CANCELED, EXPIRED, filled()), width, height)
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


def test_80x24_shows_stops_and_a_very_low_screen_leaves_them_out() -> None:
    told = scene(stop("s-4"), CANCELED, filled())
    text = frame(told, Look(80, 24), 107.0).text()
    for word in ("STOPS 1 rest 1 triggered 1 canceled", " rests ", " FILLED ", " CANCELED "):
        assert word in text
    assert "STOPS" not in frame(told, Look(80, 16), 107.0).text()


def test_a_stop_that_ended_is_a_sentence() -> None:
    assert stop_words(Stop(filled(), 1), (FEED,)) == (
        "alice SELL stop 1 BTC-USDT TRIGGERED at 99989 FILLED at 99980.00 +1.0 bps past its trigger"
    )
    assert stop_words(Stop(CANCELED, 1), (FEED,)) == "alice SELL stop 1 BTC-USDT CANCELED"
    refused = stop(status=pb.ORDER_STATUS_REJECTED, reason=pb.REASON_REDUCE_ONLY, version=2)
    assert stop_words(Stop(refused, 1), (FEED,)).endswith("REJECTED REDUCE_ONLY")


def test_lines_and_the_summary_count_the_stops() -> None:
    told = scene(stop("s-4"), CANCELED, filled())
    line = progress_line(told, 107.0)
    assert "| stops 1 rest, 1 triggered, 1 canceled, 0 expired |" in line
    assert line.endswith("bps past its trigger")
    told.session.stops.modified = 2
    counted = "3 stops: 1 rest, 1 triggered, 1 canceled, 0 expired; 2 modified, 0 too late"
    assert counted in list(summary_lines(told, 107.0, []))


# What traders want


def wishes(held: dict[tuple[str, str], Decimal]) -> list[Any]:
    flow = OrderFlow(("alice",), [FEED], seed=1)
    return [flow.wish(Kind.STOP, held) for _ in range(200)]


def test_a_trigger_lies_a_little_beyond_the_market() -> None:
    for wish in wishes({}):
        trigger = Decimal(wish.trigger_price)
        if wish.direction is Direction.BUY:
            assert Decimal(100001) < trigger <= Decimal(100001) * Decimal("1.00025")
        else:
            assert Decimal(100000) > trigger >= Decimal(100000) * Decimal("0.99975")


def test_some_stops_protect_a_position_and_none_without_one() -> None:
    protecting = [wish for wish in wishes(HELD) if wish.reduce_only]
    assert len(protecting) > 20
    assert {wish.direction for wish in protecting} == {Direction.SELL}
    assert not any(wish.reduce_only for wish in wishes({}))


def test_some_stops_expire_and_some_do_not() -> None:
    assert {wish.expire_seconds for wish in wishes({})} == {None, 3.0, 6.0}


def test_a_cheap_symbol_has_triggers_a_tick_away_and_an_empty_one_none() -> None:
    cheap = ManualFeed(SymbolSpec("X-Y", price_decimals=0, quantity_decimals=0))
    flow = OrderFlow(("alice",), [cheap], seed=1)
    assert flow.wish(Kind.STOP, {}).trigger_price is None
    cheap.set_book([("1", "1")], [("3", "1")])
    assert flow.trigger_price("X-Y", Direction.BUY) == "4"
    assert flow.trigger_price("X-Y", Direction.SELL) == "1"
