"""The main job on real input: orders against a recorded market, refereed by exact fractions."""

import asyncio
import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import grpc
import oracle
import pytest
import redis
from processes import Running, assert_proven, running, serve_flags
from recorded import data_directory

from execution.v1 import execution_pb2 as pb
from execution.v1 import execution_pb2_grpc

RECORDING = "binance_usdm_BTCUSDT_20240808"
SYMBOL = "BTC-USDT"
USERS = 8
ORDERS_PER_USER = 60
SEED = 20240808
FEE_BPS = Fraction("2.5")

Levels = list[tuple[Fraction, Fraction]]


@pytest.fixture(scope="module")
def recording() -> Path:
    file = data_directory() / f"{RECORDING}.book.csv.gz"
    if not file.exists():
        pytest.skip(f"the recorded books are not here: {file}")
    return file


def books_by_sequence(file: Path) -> dict[int, tuple[Levels, Levels]]:
    """(bids, asks) of every recorded snapshot, by the venue's sequence."""
    with gzip.open(file, "rt", newline="") as text:
        rows = csv.reader(text)
        depth = (len(next(rows)) - 3) // 4
        return {int(row[2]): sides(row[3:], depth) for row in rows}


def sides(cells: list[str], depth: int) -> tuple[Levels, Levels]:
    prices_and_quantities = [cells[part * depth : (part + 1) * depth] for part in range(4)]

    def levels(prices: list[str], quantities: list[str]) -> Levels:
        pairs = zip(prices, quantities, strict=True)
        return [(Fraction(price), Fraction(quantity)) for price, quantity in pairs if price]

    return levels(*prices_and_quantities[:2]), levels(*prices_and_quantities[2:])


def random_order(rng: random.Random, user: int, number: int) -> pb.OrderRequest:
    request = pb.OrderRequest(
        order_id=f"o-{user}-{number}",
        user_id=f"u{user}",
        symbol=SYMBOL,
        direction=rng.choice([pb.DIRECTION_BUY, pb.DIRECTION_SELL]),
        quantity=f"{rng.choice([0.001, 0.01, 0.1, 0.1, 0.5, 5]) * rng.randint(1, 9):.3f}",
        reduce_only=rng.random() < 0.1,
    )
    kind = rng.random()
    if kind < 0.2:
        request.max_slippage_bps = rng.randint(0, 3)
    elif kind < 0.3:
        request.time_in_force = pb.TIME_IN_FORCE_FOK
    return request


async def trade(user: int, target: str) -> list[pb.ExecutionReport]:
    """One user's orders, one after another; every tenth is sent twice."""
    rng = random.Random(SEED + user)
    reports = []
    async with grpc.aio.insecure_channel(target) as channel:
        service = execution_pb2_grpc.ExecutionServiceStub(channel)
        for number in range(ORDERS_PER_USER):
            request = random_order(rng, user, number)
            report = await service.ExecuteMarketOrder(request, timeout=10)
            if number % 10 == 0:
                again = await service.ExecuteMarketOrder(request, timeout=10)
                assert again.SerializeToString() == report.SerializeToString()
            reports.append(report)
    return reports


async def test_every_order_of_a_recorded_market_is_what_the_oracle_says(
    recording: Path, tmp_path: Path
) -> None:
    market = ("symbol-service", "--listen", "127.0.0.1:0", "--symbol", SYMBOL)
    replay = ("--replay", str(recording), "--speed", "20")
    async with running(*market, *replay, cwd=tmp_path) as source:
        flags = serve_flags(symbol_service=source.grpc, taker_fee_bps=str(Decimal("2.5")))
        async with running(*flags, cwd=tmp_path) as service:
            answers = await asyncio.gather(*(trade(user, service.grpc) for user in range(USERS)))
            reports = {report.order_id: report for of_user in answers for report in of_user}
            check(service, reports, books_by_sequence(recording))
            await assert_proven(service.redis, "--taker-fee-bps", "2.5")


def check(
    service: Running,
    reports: dict[str, pb.ExecutionReport],
    books: dict[int, tuple[Levels, Levels]],
) -> None:
    with redis.Redis.from_url(service.redis, decode_responses=True) as store:
        trades = [
            json.loads(fields["trade"], parse_float=Fraction, parse_int=Fraction)
            for _, fields in store.xrange("STREAM:TRADE")
        ]
        hashes = {order_id: store.hgetall(f"ORDER:{order_id}") for order_id in reports}
        positions = {user: store.hgetall(f"POSITION:u{user}:{SYMBOL}") for user in range(USERS)}
        updates = [json.loads(fields["order"]) for _, fields in store.xrange("STREAM:ORDER")]
    executed = {key for key, report in reports.items() if report.fills}
    assert len(executed) > USERS * ORDERS_PER_USER / 2, "the test would prove little"
    assert [trade["order_id"] for trade in trades] == list(
        dict.fromkeys(t["order_id"] for t in trades)
    )
    assert {trade["order_id"] for trade in trades} == executed
    assert sorted(update["order_id"] for update in updates) == sorted(reports)
    check_walks(trades, reports, books)
    check_hashes(hashes, reports)
    check_positions(trades, positions)


def check_walks(
    trades: list[dict[str, Any]],
    reports: dict[str, pb.ExecutionReport],
    books: dict[int, tuple[Levels, Levels]],
) -> None:
    """Walks every trade again, in the order of the stream, on what earlier ones left."""
    taken: dict[tuple[int, int, Fraction], Fraction] = defaultdict(Fraction)
    for trade in trades:
        report = reports[trade["order_id"]]
        sequence, direction = report.snapshot.sequence, report.direction
        buying = direction == pb.DIRECTION_BUY
        levels = books[sequence][1 if buying else 0]
        left = [(price, shown - taken[sequence, direction, price]) for price, shown in levels]
        walked = oracle.walk(
            left, report.effective_quantity, bound(report, levels), "BUY" if buying else "SELL"
        )
        fills = tuple((Fraction(fill.price), Fraction(fill.quantity)) for fill in report.fills)
        assert fills == walked.fills, report
        assert Fraction(report.filled_quantity) == walked.filled
        assert Fraction(report.remaining_quantity) == walked.remaining
        assert Fraction(report.notional) == walked.notional
        assert walked.average is not None
        # The price scale of the recording is 1 digit; the average has 8 more.
        assert Fraction(report.average_price) == round(walked.average * 10**9) / Fraction(10**9)
        assert trade["price"] == Fraction(report.average_price)
        assert trade["qty"] == walked.filled
        assert trade["fee"] == round(walked.notional * FEE_BPS / 10_000 * 10**9) / Fraction(10**9)
        for price, quantity in fills:
            taken[sequence, direction, price] += quantity


def bound(report: pb.ExecutionReport, levels: Levels) -> Fraction | None:
    """The slippage bound of the order that the report answers."""
    _, user, number = report.order_id.split("-")
    rng = random.Random(SEED + int(user))
    request = next(
        request
        for request in (random_order(rng, int(user), count) for count in range(ORDERS_PER_USER))
        if request.order_id == f"o-{user}-{number}"
    )
    if not request.HasField("max_slippage_bps"):
        return None
    sign = 1 if report.direction == pb.DIRECTION_BUY else -1
    return levels[0][0] * (10_000 + sign * request.max_slippage_bps) / 10_000


def check_hashes(hashes: dict[str, dict[str, str]], reports: dict[str, pb.ExecutionReport]) -> None:
    for order_id, report in reports.items():
        stored = hashes[order_id]
        assert stored["status"] == pb.OrderStatus.Name(report.status).removeprefix("ORDER_STATUS_")
        assert stored["executed_qty"] == report.filled_quantity
        assert stored["remaining_qty"] == report.remaining_quantity
        assert stored["avg_price"] == report.average_price
        assert stored["trade_id"] == report.trade_id


def check_positions(trades: list[dict[str, Any]], positions: dict[int, dict[str, str]]) -> None:
    """Quantities, and what came in and went out, add up exactly."""
    for user, position in positions.items():
        own = [trade for trade in trades if trade["user"] == f"u{user}"]
        signed = list(signed_quantities(own))
        assert Fraction(position["qty"]) == sum(signed)
        assert Fraction(position["realized_pnl"]) == sum(trade["pnl"] for trade in own)
        cash = sum(
            price * quantity * (1 if trade["side"] == "BUY" else -1)
            for trade in own
            for price, quantity in trade["fills"]
        )
        # Money paid = cost of what is held + what was lost; a short's cost was received.
        sign = 1 if Fraction(position["qty"]) >= 0 else -1
        held = sign * Fraction(position["entry_cost"])
        assert cash == held - Fraction(position["realized_pnl"])


def signed_quantities(trades: list[dict[str, Any]]) -> Iterator[Fraction]:
    for trade in trades:
        yield trade["qty"] if trade["side"] == "BUY" else -trade["qty"]
