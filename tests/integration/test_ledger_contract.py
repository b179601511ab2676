"""One contract, two ledgers: what holds for the simulated one holds over a real Redis.

Simulations prove the executor over the simulated ledger; this file is why they
count for the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeAlias

import pytest
from ledger_orders import BUY, SELL, entry_for, open_ledger, place
from ledger_stops import after, armed, canceled, expired, filled, modified, record_of, triggered

from execution.errors import LedgerRefused
from execution.model import OrderStatus, Position
from execution.ports import Committed, Conflict, Entry, Ledger, Record, Stored
from execution.testing import SimulatedLedger, SimulatedStore

Replicas: TypeAlias = Callable[[], Awaitable[Ledger]]
"""Opens one more ledger on the same store."""

FLAT = Position("ann", "BTC-USDT")


@pytest.fixture(params=["simulated", "redis"])
async def replica(request: pytest.FixtureRequest) -> AsyncIterator[Replicas]:
    if request.param == "simulated":
        store = SimulatedStore()

        async def simulated() -> Ledger:
            return SimulatedLedger(store)

        yield simulated
        return
    url = request.getfixturevalue("redis_server").url
    async with AsyncExitStack() as opened:

        async def real() -> Ledger:
            return await opened.enter_async_context(open_ledger(url))

        yield real


def predicted(entry: Entry) -> Position:
    assert entry.position is not None
    return entry.position


async def test_what_is_committed_is_there_for_everyone(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    entry = entry_for(one, BUY, "1.5")
    assert await one.commit(entry) == Committed()
    for ledger in (one, other):
        assert await ledger.order("o-1") == Record(entry.payload, entry.report)
        assert await ledger.position("ann", "BTC-USDT") == entry.position


async def test_what_was_never_committed_is_none_and_flat(replica: Replicas) -> None:
    ledger = await replica()
    assert await ledger.order("o-1") is None
    assert await ledger.position("ann", "BTC-USDT") == FLAT
    assert ledger.recall("ann", "BTC-USDT") == FLAT


async def test_an_id_is_committed_once_and_its_first_record_stands(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    first = entry_for(one, BUY, "1")
    await one.commit(first)
    stored = Stored(Record(first.payload, first.report))
    assert await one.commit(entry_for(one, BUY, "1")) == stored
    assert await other.commit(entry_for(other, SELL, "2", user_id="bob")) == stored
    assert await one.position("ann", "BTC-USDT") == first.position
    assert (await one.position("bob", "BTC-USDT")).version == 0


async def test_a_used_id_is_told_before_an_outdated_position(replica: Replicas) -> None:
    ledger = await replica()
    first = entry_for(ledger)
    await ledger.commit(first)
    assert isinstance(await ledger.commit(first), Stored), "its basis is outdated, too"


async def test_one_id_committed_many_times_at_once_is_committed_once(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    results = await asyncio.gather(
        *(ledger.commit(entry_for(ledger)) for _ in range(10) for ledger in (one, other))
    )
    assert results.count(Committed()) == 1
    assert (await one.position("ann", "BTC-USDT")).version == 1


async def test_an_outdated_basis_conflicts_and_nothing_is_written(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    first = entry_for(one, order_id="o-1")
    await one.commit(first)
    assert await other.commit(entry_for(other, order_id="o-2")) == Conflict()
    assert await other.order("o-2") is None
    assert await other.position("ann", "BTC-USDT") == first.position


async def test_after_a_conflict_the_next_attempt_rests_on_the_truth(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    await one.commit(entry_for(one, order_id="o-1"))
    await other.commit(entry_for(other, order_id="o-2"))
    assert other.recall("ann", "BTC-USDT") == await one.position("ann", "BTC-USDT")
    assert await other.commit(entry_for(other, order_id="o-2")) == Committed()


async def test_a_basis_of_the_right_version_and_another_content_conflicts(
    replica: Replicas,
) -> None:
    one, other = await replica(), await replica()
    real = entry_for(one, BUY, "2", order_id="o-1")
    await one.commit(real)
    dreamt = entry_for(other, BUY, "1", order_id="never-sent")
    basis = predicted(dreamt)
    assert basis.version == predicted(real).version
    entry = entry_for(other, order_id="o-2")
    after = replace(basis, version=basis.version + 1)
    assert await other.commit(replace(entry, basis=basis, position=after)) == Conflict()
    assert await one.position("ann", "BTC-USDT") == real.position


async def test_commits_of_one_turn_build_on_each_other(replica: Replicas) -> None:
    ledger = await replica()
    commits = []
    for number in range(5):
        entry = entry_for(ledger, order_id=f"o-{number}")
        assert predicted(entry).version == number + 1
        commits.append(ledger.commit(entry))
    assert await asyncio.gather(*commits) == [Committed()] * 5
    assert (await ledger.position("ann", "BTC-USDT")).version == 5


async def test_what_builds_on_a_commit_that_was_not_kept_conflicts(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    await one.commit(entry_for(one, SELL, "2", order_id="o-1"))
    first = other.commit(entry_for(other, order_id="o-2"))
    second = other.commit(entry_for(other, order_id="o-3"))
    assert (await first, await second) == (Conflict(), Conflict())
    _, attempts = await place(other, order_id="o-3")
    assert attempts <= 2
    assert (await one.position("ann", "BTC-USDT")).version == 2


async def test_a_rejection_is_recorded_and_moves_nothing(replica: Replicas) -> None:
    ledger = await replica()
    entry = entry_for(ledger, levels=())
    assert entry.report.status is OrderStatus.REJECTED
    assert (entry.basis, entry.position) == (None, None)
    assert await ledger.commit(entry) == Committed()
    assert await ledger.order("o-1") == Record(entry.payload, entry.report)
    assert await ledger.position("ann", "BTC-USDT") == FLAT


async def test_a_rejection_that_rests_on_a_position_conflicts_when_it_moved(
    replica: Replicas,
) -> None:
    one, other = await replica(), await replica()
    rejected = entry_for(one, SELL, order_id="o-1", reduce_only=True)
    assert (rejected.basis, rejected.position) == (FLAT, None)
    await other.commit(entry_for(other, BUY, order_id="o-2"))
    assert await one.commit(rejected) == Conflict()
    reduced = entry_for(one, SELL, order_id="o-1", reduce_only=True)
    assert await one.commit(reduced) == Committed()
    assert (await one.position("ann", "BTC-USDT")).quantity == 0


async def test_positions_are_apart_by_user_and_by_symbol(replica: Replicas) -> None:
    ledger = await replica()
    for user, symbol in (("ann", "BTC-USDT"), ("bob", "BTC-USDT"), ("ann", "ETH-USDT")):
        entry = entry_for(ledger, order_id=f"{user}-{symbol}", user_id=user, symbol=symbol)
        moved = replace(predicted(entry), user_id=user, symbol=symbol)
        assert await ledger.commit(replace(entry, position=moved)) == Committed()
        assert await ledger.position(user, symbol) == moved


async def test_a_cancelled_commit_is_kept_whole_or_not_at_all(replica: Replicas) -> None:
    ledger = await replica()
    entry = entry_for(ledger, order_id="o-1")
    commit = ledger.commit(entry)
    await asyncio.sleep(0)
    commit.cancel()
    await asyncio.wait([commit])
    # What comes after it has to cope with either.
    await place(ledger, order_id="o-2")
    record, position = await ledger.order("o-1"), await ledger.position("ann", "BTC-USDT")
    assert position.version == (2 if record else 1)
    assert record in {None, Record(entry.payload, entry.report)}


async def test_an_order_that_rests_is_told_with_what_to_watch_for(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    entry = armed()
    assert await one.commit(entry) == Committed()
    assert await other.order("s-1") == record_of(entry)
    assert await other.commit(armed(now_ns=1)) == Stored(record_of(entry))
    assert record_of(entry).resting == entry.resting is not None


async def test_a_write_follows_the_present_version_and_the_first_request_stands(
    replica: Replicas,
) -> None:
    one, other = await replica(), await replica()
    await one.commit(armed())
    for step in (modified, triggered):
        record = await other.order("s-1")
        assert record is not None
        entry = replace(step(record), payload="what the caller thinks it was")
        assert await other.commit(entry) == Committed()
        assert await one.order("s-1") == after(record, entry)
    record = await one.order("s-1")
    assert record is not None
    entry = filled(one, record)
    assert await one.commit(entry) == Committed()
    assert await other.order("s-1") == Record(armed().payload, entry.report)
    assert await other.position("ann", "BTC-USDT") == entry.position


async def test_a_write_that_follows_another_version_is_told_what_is_there(
    replica: Replicas,
) -> None:
    one, other = await replica(), await replica()
    first = record_of(armed())
    await one.commit(armed())
    second = modified(first)
    await other.commit(second)
    present = Stored(after(first, second))
    assert await one.commit(canceled(first)) == present
    assert await one.commit(filled(one, first)) == present
    assert await one.commit(canceled(replace(first, report=second.report))) == Committed()
    assert (await other.position("ann", "BTC-USDT")).version == 0


async def test_of_two_that_follow_the_same_version_the_first_wins(replica: Replicas) -> None:
    one, other = await replica(), await replica()
    first = record_of(armed())
    await one.commit(armed())
    cancel, trigger = canceled(first), filled(one, first)
    results = await asyncio.gather(
        one.commit(cancel), one.commit(trigger), other.commit(expired(first))
    )
    record = await one.order("s-1")
    assert record is not None
    assert sorted(result == Committed() for result in results) == [False, False, True]
    assert [result for result in results if result != Committed()] == [Stored(record)] * 2
    assert record.resting is None


async def test_within_one_turn_each_write_sees_the_one_before(replica: Replicas) -> None:
    ledger = await replica()
    began = record_of(armed())
    changed = modified(began)
    ended = canceled(after(began, changed))
    results = await asyncio.gather(
        *map(ledger.commit, (armed(), changed, triggered(began), ended, expired(began)))
    )
    assert results == [
        Committed(),
        Committed(),
        Stored(after(began, changed)),
        Committed(),
        Stored(after(began, ended)),
    ]
    assert await ledger.order("s-1") == after(began, ended)


async def test_a_trigger_on_an_outdated_position_conflicts_and_the_stop_still_rests(
    replica: Replicas,
) -> None:
    one, other = await replica(), await replica()
    first = record_of(armed())
    await one.commit(armed())
    await one.commit(entry_for(one, order_id="o-1"))
    assert await other.commit(filled(other, first)) == Conflict()
    assert await one.order("s-1") == first
    assert await other.commit(filled(other, first)) == Committed()
    assert (await one.position("ann", "BTC-USDT")).version == 2


async def test_what_built_on_a_trigger_that_lost_conflicts(replica: Replicas) -> None:
    ledger = await replica()
    first = record_of(armed())
    await ledger.commit(armed())
    writes = [ledger.commit(canceled(first)), ledger.commit(filled(ledger, first))]
    writes.append(ledger.commit(entry_for(ledger, order_id="o-1")))
    cancel, trigger, order = await asyncio.gather(*writes)
    assert (cancel, order) == (Committed(), Conflict())
    assert isinstance(trigger, Stored)
    assert await place(ledger, order_id="o-1") == (Committed(), 1)


async def test_a_write_that_follows_an_order_that_is_not_there_is_refused(
    replica: Replicas,
) -> None:
    ledger = await replica()
    with pytest.raises(LedgerRefused):
        await ledger.commit(canceled(record_of(armed())))
    assert await ledger.order("s-1") is None
    assert await ledger.commit(armed()) == Committed()


@pytest.mark.parametrize(
    "twist",
    [
        lambda entry: replace(entry, follows=1),
        lambda entry: replace(entry, report=replace(entry.report, version=2)),
        lambda entry: replace(entry, report=replace(entry.report, filled_quantity="1")),
        lambda entry: replace(entry, report=replace(entry.report, status=OrderStatus.CANCELED)),
        lambda entry: replace(entry, resting=None),
        lambda entry: replace(entry, resting=replace(entry.resting, version=2)),
        lambda entry: replace(entry, resting=replace(entry.resting, order_id="s-2")),
        lambda entry: replace(entry, position=FLAT),
        lambda entry: replace(entry, basis=replace(FLAT, user_id="bob")),
    ],
)
async def test_an_entry_that_contradicts_itself_is_a_mistake_and_never_kept(
    replica: Replicas, twist: Callable[[Entry], Entry]
) -> None:
    ledger = await replica()
    with pytest.raises(ValueError, match=r"\w"):
        await ledger.commit(twist(armed()))
    assert await ledger.order("s-1") is None
