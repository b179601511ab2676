"""The compiled data behaves as the plain data classes of the twin do."""

import copy
import dataclasses
import gc
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import twin.model

from execution import _order
from execution.model import (
    Direction,
    ExecutionReport,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Reason,
    SnapshotRef,
    SymbolSpec,
    TimeInForce,
)
from execution.ports import Entry
from execution.settlement import settle

REPORT: dict[str, Any] = {
    "order_id": "o",
    "user_id": "u",
    "symbol": "X",
    "direction": Direction.BUY,
    "order_type": OrderType.MARKET,
    "status": OrderStatus.FILLED,
    "quantity": "1",
    "effective_quantity": "1",
    "filled_quantity": "1",
    "remaining_quantity": "0",
}
KINDS: list[tuple[type[Any], type[Any], dict[str, Any]]] = [
    (Fill, twin.model.Fill, {"price": "1", "quantity": "2"}),
    (SnapshotRef, twin.model.SnapshotRef, {"source": "s"}),
    (Position, twin.model.Position, {"user_id": "u", "symbol": "X"}),
    (
        Order,
        twin.model.Order,
        {
            "order_id": "o",
            "user_id": "u",
            "symbol": "X",
            "direction": Direction.SELL,
            "quantity": "1",
        },
    ),
    (ExecutionReport, twin.model.ExecutionReport, REPORT),
]
SPEC = SymbolSpec("X", 2, 3)
kinds = pytest.mark.parametrize(("compiled", "plain", "given"), KINDS)


@kinds
def test_fields_and_defaults_are_those_of_the_twin(
    compiled: type[Any], plain: type[Any], given: dict[str, Any]
) -> None:
    def shown(kind: type[Any]) -> list[tuple[str, object]]:
        return [(field.name, field.default) for field in dataclasses.fields(kind)]

    assert [name for name, _ in shown(compiled)] == [name for name, _ in shown(plain)]
    assert dict(shown(compiled)) | {"fills": ()} == dict(shown(plain)) | {"fills": ()}
    assert compiled.__match_args__ == plain.__match_args__
    for name in plain.__match_args__:
        assert getattr(compiled(**given), name) == getattr(plain(**given), name)


@kinds
def test_text_hash_and_copies_are_those_of_the_twin(
    compiled: type[Any], plain: type[Any], given: dict[str, Any]
) -> None:
    made, twin_made = compiled(**given), plain(**given)
    assert repr(made) == repr(twin_made)
    assert hash(made) == hash(twin_made)
    assert dataclasses.asdict(made) == dataclasses.asdict(twin_made)
    assert made != twin_made
    for other in (
        copy.copy(made),
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
        dataclasses.replace(made),
        compiled(*dataclasses.astuple(made)),
    ):
        assert other == made
        assert hash(other) == hash(made)


@kinds
def test_every_field_counts_and_none_can_be_set(
    compiled: type[Any], plain: type[Any], given: dict[str, Any]
) -> None:
    made = compiled(**given)
    for name in plain.__match_args__:
        other = dataclasses.replace(made, **{name: "another"})
        assert other != made
        assert getattr(other, name) == "another"
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(made, name, "another")
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            delattr(made, name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.of_tomorrow = 1
    with pytest.raises(TypeError):
        compiled(**given, of_tomorrow=1)
    with pytest.raises(TypeError):
        compiled()


def test_what_is_kept_on_an_object_is_not_copied_to_a_changed_one() -> None:
    order = Order("o", "u", "X", Direction.BUY, "1")
    assert dataclasses.replace(order, quantity="2").payload() != order.payload()
    ref = SnapshotRef("s", 1)
    report = ExecutionReport(**REPORT, snapshot=ref)
    other = dataclasses.replace(report, snapshot=dataclasses.replace(ref, sequence=2))
    for written in (_order.report_json, _order.report_bytes):
        assert written(report) != written(other)


def executed(levels: int, prices: object, filled: int = 1) -> object:
    order = Order("o", "u", "X", Direction.BUY, "1")
    one = np.array([1], np.int64)
    return _order.executed(
        order,
        OrderStatus.FILLED,
        Reason.NONE,
        "",
        SnapshotRef("s"),
        1,
        0,
        0,
        1,
        filled,
        1,
        prices,  # type: ignore[arg-type]  # others are the point
        one,
        levels,
        "t",
        "0",
        "0",
    )


def test_no_level_is_read_that_is_not_there() -> None:
    one = np.array([1], np.int64)
    assert executed(1, one)
    for levels in (-1, 2, 2**40):
        with pytest.raises(ValueError, match="levels"):
            executed(levels, one)
    for wrong in (
        np.array([1.0]),
        np.array([1], np.int32),
        np.array([1], np.uint64),
        np.array([[1]], np.int64),
        np.array([1, 2], np.int64)[::2].astype(">i8"),
    ):
        with pytest.raises(TypeError, match="int64"):
            executed(1, wrong)
    with pytest.raises((BufferError, ValueError)):
        executed(1, np.arange(6, dtype=np.int64)[::3])
    with pytest.raises(OverflowError):
        executed(1, one, 2**64)


@pytest.mark.parametrize(("price_decimals", "quantity_decimals"), [(40, 0), (0, 19)])
def test_no_scale_beyond_an_int64(price_decimals: int, quantity_decimals: int) -> None:
    spec = SymbolSpec("X", price_decimals, quantity_decimals)
    with pytest.raises(ValueError, match="0 to 18 decimals"):
        settle(Position("u", "X"), Direction.BUY, 1, 1, spec)


def test_memory_is_flat() -> None:
    """A hundred thousand orders later nothing is left of them."""

    def one(number: int) -> None:
        order = Order(f"o-{number}", "u", "X", Direction.BUY, "1", time_in_force=TimeInForce.FOK)
        order.payload()
        after, _ = settle(Position("u", "X"), Direction.BUY, 5, 5 * number, SPEC)
        report = ExecutionReport(**REPORT, snapshot=SnapshotRef("s", number), average_price="1")
        _order.pack(Entry("p", report, Position("u", "X"), after), "", "k:", "k:")
        _order.report_bytes(report)
        hash(after)

    for number in range(1_000):
        one(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(1_000, 11_000):
        one(number)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


def test_an_entry_is_what_it_was() -> None:
    report = ExecutionReport(**REPORT)
    entry = Entry("p", report)
    assert entry == Entry("p", report, None, None, None, None)
    assert dataclasses.replace(entry, follows=1).follows == 1
