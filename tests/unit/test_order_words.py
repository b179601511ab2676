"""The compiled module writes the names of the enums as the enums have them."""

from dataclasses import replace

import pytest

from execution import _order
from execution.model import (
    Direction,
    ExecutionReport,
    Order,
    OrderStatus,
    OrderType,
    Reason,
    TimeInForce,
    TriggerBy,
)

ORDER = Order("o-1", "ann", "X", Direction.BUY, "1")
REPORT = ExecutionReport(
    "o-1", "ann", "X", Direction.BUY, OrderType.MARKET, OrderStatus.FILLED, "1", "1", "1", "0"
)


@pytest.mark.parametrize("status", OrderStatus)
def test_a_status_is_written_by_its_name(status: OrderStatus) -> None:
    assert (
        f'"status":"{status.name}"' in _order.report_json(replace(REPORT, status=status)).decode()
    )


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_a_reason_is_written_by_its_name(reason: Reason) -> None:
    assert (
        f'"reason":"{reason.name}"' in _order.report_json(replace(REPORT, reason=reason)).decode()
    )


def test_no_reason_is_not_written() -> None:
    assert b"reason" not in _order.report_json(REPORT)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("order_type", OrderType)
def test_the_side_and_the_type_are_written_by_name(
    direction: Direction, order_type: OrderType
) -> None:
    written = _order.report_json(replace(REPORT, direction=direction, order_type=order_type))
    assert f'"direction":"{direction.name}","order_type":"{order_type.name}"' in written.decode()


@pytest.mark.parametrize("time_in_force", TimeInForce)
@pytest.mark.parametrize("trigger_by", TriggerBy)
def test_a_payload_has_the_names_of_its_terms(
    time_in_force: TimeInForce, trigger_by: TriggerBy
) -> None:
    payload = replace(ORDER, time_in_force=time_in_force, trigger_by=trigger_by).payload()
    assert payload == f"MARKET|ann|X|BUY|1|0|{time_in_force.name}||||{trigger_by.name}|0|"


@pytest.mark.parametrize("number", [0, 9, -1, 2**31])
def test_a_number_without_a_name_is_refused(number: int) -> None:
    report = replace(REPORT, status=number)  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="no name"):
        _order.report_json(report)
