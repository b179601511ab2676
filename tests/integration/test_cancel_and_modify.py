"""Cancel and modify against a market that moves: exactly one side wins, every time."""

import asyncio
import json
from collections import Counter
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from world import World, order

from execution.v1 import execution_pb2 as pb

UNTRIGGERED, CANCELED, FILLED = (
    pb.ORDER_STATUS_UNTRIGGERED,
    pb.ORDER_STATUS_CANCELED,
    pb.ORDER_STATUS_FILLED,
)
TOO_LATE = grpc.StatusCode.FAILED_PRECONDITION


async def stop(world: World, order_id: str = "o-1", **fields: Any) -> pb.ExecutionReport:
    settings = {"order_id": order_id, "trigger_price": "102"} | fields
    return await world.service.ExecuteSLOrder(order(**settings), timeout=20)


async def cancel(world: World, order_id: str = "o-1", user_id: str = "u1") -> pb.ExecutionReport:
    request = pb.CancelOrderRequest(order_id=order_id, user_id=user_id)
    return await world.service.CancelOrder(request, timeout=20)


async def modify(world: World, order_id: str = "o-1", **changes: Any) -> pb.ExecutionReport:
    settings = {"order_id": order_id, "user_id": "u1"} | changes
    return await world.service.ModifyOrder(pb.ModifyOrderRequest(**settings), timeout=20)


async def state(world: World, order_id: str = "o-1") -> pb.ExecutionReport:
    request = pb.GetOrderRequest(order_id=order_id, user_id="u1")
    return await world.service.GetOrder(request, timeout=20)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def state_in(error: grpc.aio.AioRpcError) -> pb.ExecutionReport:
    """The order's present state, out of the details of a refusal."""
    trailers: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(trailers)["grpc-status-details-bin"])
    for packed in status.details:
        report = pb.ExecutionReport()
        if packed.Unpack(report):
            return report
    raise AssertionError("the refusal carries no state")


async def test_a_cancel_is_final_and_repeating_it_is_no_error(world: World) -> None:
    await stop(world)
    canceled = await cancel(world)
    assert (canceled.status, canceled.reason) == (CANCELED, pb.REASON_USER_CANCELED)
    assert (canceled.version, canceled.filled_quantity) == (2, "0")
    assert (await cancel(world)).SerializeToString() == canceled.SerializeToString()
    assert (await stop(world)).SerializeToString() == canceled.SerializeToString()
    world.feed.set_book([("104", "9")], [("105", "9")])
    error = await refused(modify(world, trigger_price="110"))
    assert error.code() == TOO_LATE
    assert state_in(error).SerializeToString() == canceled.SerializeToString()


async def test_what_has_executed_can_be_neither_cancelled_nor_modified(world: World) -> None:
    report = await world.market_order()
    for call in (cancel(world), modify(world, quantity="2")):
        error = await refused(call)
        assert error.code() == TOO_LATE
        assert state_in(error).SerializeToString() == report.SerializeToString()


async def test_too_late_reaches_clients_with_the_usual_limits_however_many_fills(
    world: World,
) -> None:
    """8 KiB of metadata are the default of grpc's clients; a thousand fills would be 40."""
    levels = [(f"{1_000_000 + number}", "0.001") for number in range(1_000)]
    world.feed.set_book([("999", "1")], levels)
    report = await world.market_order(quantity="1")
    assert len(report.fills) == 1_000
    for call in (cancel(world), modify(world, quantity="2")):
        error = await refused(call)
        assert error.code() == TOO_LATE, error.details()
        told = state_in(error)
        assert not told.fills
        told.fills.extend(report.fills)
        assert told == report


async def test_another_users_order_and_an_unknown_one_are_not_found(world: World) -> None:
    await stop(world)
    for order_id, user_id in (("o-1", "u2"), ("o-9", "u1")):
        error = await refused(cancel(world, order_id, user_id))
        assert error.code() == grpc.StatusCode.NOT_FOUND
    assert (await state(world)).status == UNTRIGGERED


async def test_a_modify_changes_what_rests_and_keeps_the_rest(world: World) -> None:
    await stop(world, limit_price="120")
    first = await modify(world, trigger_price="103.0", expected_version=1)
    assert (first.status, first.version, first.trigger_price) == (UNTRIGGERED, 2, "103")
    second = await modify(world, quantity="2.5", limit_price="130")
    assert (second.version, second.quantity, second.trigger_price) == (3, "2.5", "103")
    error = await refused(modify(world, quantity="9", expected_version=2))
    assert error.code() == TOO_LATE
    assert state_in(error).version == 3
    # The original request is still the same request, and answers the present state.
    again = await stop(world, limit_price="120")
    assert again.SerializeToString() == second.SerializeToString()
    world.feed.set_book([("102.5", "9")], [("102.9", "9")])
    world.feed.set_book([("103", "9")], [("125", "9")])
    async with asyncio.timeout(10):
        while (done := await state(world)).status == UNTRIGGERED:
            await asyncio.sleep(0.01)
    assert (done.status, done.filled_quantity, done.average_price) == (FILLED, "2.5", "125")
    assert done.version == 4


async def test_a_modify_onto_a_crossed_trigger_executes(world: World) -> None:
    await stop(world)
    report = await modify(world, trigger_price="100")
    assert (report.status, report.version, report.triggered_by_price) == (FILLED, 2, "100.5")
    await stop(world, "o-2", reject_if_triggered=True)
    report = await modify(world, "o-2", trigger_price="100")
    assert report.reason == pb.REASON_WOULD_IMMEDIATELY_TRIGGER


async def test_terms_that_could_not_rest_leave_the_order_as_it_is(world: World) -> None:
    before = await stop(world, symbol="ETH-USDT", quantity="1")
    error = await refused(modify(world, quantity="101"))
    assert error.code() == TOO_LATE
    assert "max_quantity" in (error.details() or "")
    assert state_in(error).SerializeToString() == before.SerializeToString()
    assert (await state(world)).SerializeToString() == before.SerializeToString()


async def test_a_cancel_and_a_trigger_never_both_win(world: World) -> None:
    """A thousand races, a hundred at a time; the market crosses while the cancels fly."""
    outcomes: Counter[str] = Counter()
    for turn in range(10):
        world.feed.set_book([("100", "100000")], [("100.5", "100000")])
        await world.book_arrived()
        ids = [f"r{turn}-{n}" for n in range(100)]
        await asyncio.gather(*(stop(world, order_id, quantity="0.1") for order_id in ids))
        cancels = [asyncio.ensure_future(cancel(world, order_id)) for order_id in ids[:50]]
        if turn % 2:
            await asyncio.wait(cancels, return_when=asyncio.FIRST_COMPLETED)
        world.feed.set_book([("104", "100000")], [("105", "100000")])
        # The rest one by one, while the book and what it triggers are on their way.
        for order_id in ids[50:]:
            cancels.append(asyncio.ensure_future(cancel(world, order_id)))
            await asyncio.wait(cancels[-1:])
        answers = await asyncio.gather(*cancels, return_exceptions=True)
        for order_id, answer in zip(ids, answers, strict=True):
            final = await state(world, order_id)
            if isinstance(answer, grpc.aio.AioRpcError):
                assert answer.code() == TOO_LATE
                won = state_in(answer)
            else:
                assert isinstance(answer, pb.ExecutionReport)
                won = answer
            assert won.SerializeToString() == final.SerializeToString()
            assert final.version == 2
            outcomes[pb.OrderStatus.Name(final.status)] += 1
    assert set(outcomes) == {"ORDER_STATUS_FILLED", "ORDER_STATUS_CANCELED"}, outcomes
    stored = await world.stored()
    assert len(stored["STREAM:TRADE"]) == outcomes["ORDER_STATUS_FILLED"]
    updates = [json.loads(entry["order"])["order_id"] for entry in stored["STREAM:ORDER"]]
    assert sum(order_id.startswith("r") for order_id in updates) == 2000
