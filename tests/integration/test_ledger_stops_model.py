"""Whatever is done to orders, in whatever order: Redis ends as the plain model does."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from random import Random

import pytest
from ledger_orders import NOW_NS, entry_for, open_ledger
from ledger_stops import (
    BUY,
    SELL,
    armed,
    assert_stops_agree,
    canceled,
    expired,
    filled,
    modified,
    rejected,
    resting_of,
    triggered,
)
from redis_server import RedisServer

from execution.errors import LedgerUnavailable
from execution.ports import CommitResult, Committed, Conflict, Entry, Ledger, Record, Stored
from execution.testing import SimulatedLedger
from execution.testing.fault_proxy import FaultProxy, Way


@pytest.mark.parametrize("seed", range(6))
async def test_random_operations_end_as_the_plain_model_does(
    redis_server: RedisServer, seed: int
) -> None:
    """Every answer, record, position and update, one operation after the other."""
    random = Random(seed)
    model = SimulatedLedger()
    known: dict[str, list[Record]] = {}
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        for number in range(400):
            make = _draw(random, known, number)
            real: Ledger = random.choice((one, other))
            expected, got = await _both(model, real, make)
            assert got == expected, (seed, number)
            order_id = make(model).report.order_id
            record = await model.order(order_id)
            assert record == await real.order(order_id)
            if record is not None and record not in known.setdefault(order_id, []):
                known[order_id].append(record)
        for user_id in ("ann", "bob"):
            assert await one.position(user_id, "BTC-USDT") == await model.position(
                user_id, "BTC-USDT"
            )
    updates = assert_stops_agree(redis_server)
    assert resting_of(redis_server) == model.store.resting
    history: dict[str, list[object]] = defaultdict(list)
    for written in model.store.history:
        history[written.report.order_id].append(written.report)
    assert updates == history
    ends = {reports[-1].status for reports in updates.values()}
    assert len(ends) > 5, (seed, ends)


@pytest.mark.parametrize("seed", range(3))
async def test_random_operations_at_once_through_two_replicas_tell_one_story(
    redis_server: RedisServer, seed: int
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        results = await _at_once(Random(seed), one, other, lambda: None)
    updates = assert_stops_agree(redis_server)
    assert sum(map(len, updates.values())) == results.count(Committed()), seed


@pytest.mark.parametrize("seed", range(3))
async def test_random_operations_at_once_over_replies_that_get_lost_tell_one_story(
    redis_server: RedisServer, seed: int
) -> None:
    random = Random(seed)
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:

        def cut() -> None:
            proxy.cut_after(Way.TO_CLIENT, random.randrange(400))

        url = f"redis://127.0.0.1:{proxy.port}"
        async with open_ledger(redis_server.url) as one, open_ledger(url) as other:
            results = await _at_once(random, one, other, cut)
        assert proxy.accepted > 10
    updates = assert_stops_agree(redis_server)
    committed = results.count(Committed())
    unknown = sum(isinstance(result, LedgerUnavailable) for result in results)
    assert committed <= sum(map(len, updates.values())) <= committed + unknown, seed


async def _at_once(
    random: Random, one: Ledger, other: Ledger, before_each_turn: Callable[[], None]
) -> list[CommitResult | BaseException]:
    """Turns of fifty operations each, through either replica, on what the turns before left."""
    known: dict[str, list[Record]] = {}
    results: list[CommitResult | BaseException] = []
    for turn in range(40):
        before_each_turn()
        makes = [_draw(random, known, turn * 50 + number) for number in range(50)]
        entries = [make(random.choice((one, other))) for make in makes]
        commits = (random.choice((one, other)).commit(entry) for entry in entries)
        results += await asyncio.gather(*commits, return_exceptions=True)
        for order_id in sorted({entry.report.order_id for entry in entries}):
            record = await one.order(order_id)
            if record is not None and record not in known.setdefault(order_id, []):
                known[order_id].append(record)
    for result in results:
        assert isinstance(result, Committed | Stored | Conflict | LedgerUnavailable), result
    return results


def _draw(random: Random, known: dict[str, list[Record]], number: int) -> Callable[[Ledger], Entry]:
    """Some write: of a new order, of one there is, or of one as it was long ago."""
    now_ns = NOW_NS + number
    user_id, direction = random.choice(("ann", "bob")), random.choice((BUY, SELL))
    ever_rested = [r for records in known.values() for r in records if r.resting is not None]
    if not ever_rested or random.random() < 0.35:
        order_id = f"o-{random.randrange(number + 1)}"
        if random.random() < 0.3:
            return lambda ledger: entry_for(
                ledger, direction, order_id=order_id, user_id=user_id, now_ns=now_ns
            )
        return lambda _: armed(order_id, direction, user_id=user_id, now_ns=now_ns)
    recent = random.random() < 0.8
    record = random.choice(ever_rested[-20:] if recent else ever_rested)
    assert record.resting is not None
    follows: list[Callable[..., Entry]] = [canceled, rejected]
    if record.resting.triggered_time_ns is None:
        follows += [modified, triggered, expired]
    if random.random() < 0.4:
        return lambda ledger: filled(ledger, record, now_ns)
    step = random.choice(follows)
    return lambda _: step(record, now_ns=now_ns)


async def _both(
    model: Ledger, real: Ledger, make: Callable[[Ledger], Entry]
) -> tuple[CommitResult, CommitResult]:
    """The operation on either; conflicts are what the two may differ in."""
    results = []
    for ledger in (model, real):
        while (result := await ledger.commit(make(ledger))) == Conflict():
            pass
        results.append(result)
    return results[0], results[1]
