"""Many orders on one position, from several replicas: all get through, sums exact."""

import asyncio
from dataclasses import replace

import pytest
from ledger_orders import (
    ATTEMPTS_MAX,
    BUY,
    SELL,
    assert_consistent,
    entry_for,
    open_ledger,
    place,
    place_many,
)
from redis_server import RedisServer

from execution.adapters.commit_limits import CommitLimits
from execution.errors import LedgerUnavailable
from execution.ports import Committed, Conflict, Stored


async def test_sixty_four_orders_on_a_wrong_belief_recover_in_one_round(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        await place(one, BUY, "2", order_id="unseen by the other")
        results = await place_many(other, [f"o-{number}" for number in range(64)])
    assert results == [(Committed(), 2)] * 64
    assert_consistent(redis_server, 65)


async def test_a_wrong_belief_found_out_by_several_calls_in_flight_recovers_in_one_round(
    redis_server: RedisServer,
) -> None:
    limits = CommitLimits(orders_per_call_max=8)
    async with (
        open_ledger(redis_server.url) as one,
        open_ledger(redis_server.url, commit=limits) as other,
    ):
        await place(one, BUY, "2", order_id="unseen by the other")
        results = await place_many(other, [f"o-{number}" for number in range(64)])
    assert results == [(Committed(), 2)] * 64
    assert_consistent(redis_server, 65)


@pytest.mark.parametrize("orders_per_call_max", [128, 8])
async def test_two_replicas_on_one_position_both_get_through(
    redis_server: RedisServer, orders_per_call_max: int
) -> None:
    limits = CommitLimits(orders_per_call_max=orders_per_call_max)
    async with (
        open_ledger(redis_server.url, commit=limits) as one,
        open_ledger(redis_server.url, commit=limits) as other,
    ):
        results = await asyncio.gather(
            place_many(one, [f"one-{number}" for number in range(64)]),
            place_many(other, [f"other-{number}" for number in range(64)]),
        )
    attempts = [tries for part in results for _, tries in part]
    assert max(attempts) <= ATTEMPTS_MAX
    assert_consistent(redis_server, 128)


async def test_two_replicas_with_a_steady_flow_lose_no_order_and_rarely_give_up(
    redis_server: RedisServer,
) -> None:
    """In one event loop the same replica comes first every time: the unfairest case."""

    async def client(ledger_number: int, number: int) -> list[int]:
        ledger = ledgers[ledger_number]
        attempts = []
        for turn in range(10):
            direction = SELL if (turn + number) % 2 else BUY
            order_id = f"o-{ledger_number}-{number}-{turn}"
            attempts.append((await place(ledger, direction, "0.25", order_id=order_id))[1])
        return attempts

    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        ledgers = (one, other)
        found = await asyncio.gather(*(client(n % 2, n) for n in range(64)))
    attempts = [tries for part in found for tries in part]
    assert len(attempts) == 640
    assert sum(tries > ATTEMPTS_MAX for tries in attempts) <= len(attempts) // 10
    assert_consistent(redis_server, 640)


async def test_retries_of_old_orders_do_not_lead_the_belief_astray(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        await place_many(ledger, [f"old-{number}" for number in range(10)])
        mixed = [f"{'old' if n % 2 else 'new'}-{n // 2}" for n in range(20)]
        results = await place_many(ledger, mixed)
        kinds = [type(result) for result, _ in results]
        assert kinds == [Committed, Stored] * 10
        assert max(tries for _, tries in results) <= ATTEMPTS_MAX
        assert (await place(ledger, order_id="last")) == (Committed(), 1)
    assert_consistent(redis_server, 21)


async def test_a_retry_alone_leaves_the_belief_as_it_was(redis_server: RedisServer) -> None:
    async with open_ledger(redis_server.url) as ledger:
        await place(ledger, BUY, "2", order_id="o-1")
        known = ledger.recall("ann", "BTC-USDT")
        assert isinstance((await place(ledger, BUY, "2", order_id="o-1"))[0], Stored)
        assert ledger.recall("ann", "BTC-USDT") == known
        assert (await place(ledger, order_id="o-2")) == (Committed(), 1)


async def test_what_never_came_true_is_no_longer_believed(redis_server: RedisServer) -> None:
    limits = CommitLimits(queue_max=1_000, commit_timeout_ms=200)
    async with open_ledger(redis_server.url, commit=limits) as ledger:
        await place(ledger, order_id="o-1")
        known = ledger.recall("ann", "BTC-USDT")
        redis_server.pause()
        commits = []
        for number in range(3):
            commits.append(asyncio.create_task(place(ledger, order_id=f"lost-{number}")))
            await asyncio.sleep(0)
        assert ledger.recall("ann", "BTC-USDT").version == known.version + 3
        results = await asyncio.gather(*commits, return_exceptions=True)
        assert {type(result) for result in results} == {LedgerUnavailable}
        assert ledger.recall("ann", "BTC-USDT") == known
        redis_server.resume()
        result, attempts = await place(ledger, order_id="o-2")
        assert (result, attempts <= 2) == (Committed(), True)


async def test_reduce_only_orders_together_never_cross_through_flat(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as one, open_ledger(redis_server.url) as other:
        await place(one, BUY, "2.5", order_id="opens")
        closes = [
            place(ledger, SELL, "1", order_id=f"{name}-{n}", reduce_only=True)
            for n in range(5)
            for name, ledger in (("one", one), ("other", other))
        ]
        await asyncio.gather(*closes)
        position = await one.position("ann", "BTC-USDT")
    assert position.quantity == 0
    assert redis_server.command("XLEN", "STREAM:TRADE") == 4
    assert redis_server.command("XLEN", "STREAM:REJECT") == 7


async def test_an_order_computed_from_an_outdated_belief_does_not_disturb_the_chain(
    redis_server: RedisServer,
) -> None:
    async with open_ledger(redis_server.url) as ledger:
        outdated = entry_for(ledger, order_id="late")
        await place(ledger, order_id="o-1")
        chain = [asyncio.create_task(place(ledger, order_id=f"o-{n}")) for n in range(2, 5)]
        assert await ledger.commit(outdated) == Conflict()
        assert [await task for task in chain] == [(Committed(), 1)] * 3
    assert_consistent(redis_server, 4)


async def test_within_one_call_a_second_order_sees_the_position_after_the_first(
    redis_server: RedisServer,
) -> None:
    """And one that rests on a prediction which fails conflicts, though the version fits."""
    async with open_ledger(redis_server.url) as ledger:
        first = entry_for(ledger, BUY, "1", order_id="o-1")
        assert first.position is not None
        wrong = replace(first.position, quantity=first.position.quantity + 1)
        second = replace(
            entry_for(ledger, BUY, "1", order_id="o-2"),
            basis=wrong,
            position=replace(wrong, version=2),
        )
        one, other = await asyncio.gather(ledger.commit(first), ledger.commit(second))
    assert isinstance(one, Committed)
    assert isinstance(other, Conflict)
    assert_consistent(redis_server, 1)
