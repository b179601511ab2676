"""The three consumers that exist read what the ledger publishes, and would notice if not."""

import json
from decimal import Decimal
from typing import Any

import pytest
from consumers import Aborted, KlineService, PnlService, RawEntry, WalletSyncService
from ledger_orders import BUY, SELL, hash_of, open_ledger, place, place_many
from redis_server import RedisServer


def raw_entries(server: RedisServer) -> list[RawEntry]:
    found: Any = server.command("XRANGE", "STREAM:TRADE", "-", "+")
    return [(entry_id, fields) for entry_id, fields in found]


async def published(server: RedisServer) -> list[RawEntry]:
    """Trades that open, add, close in part, cross through flat, and fill in part."""
    async with open_ledger(server.url) as ledger:
        await place(ledger, BUY, "1.5", order_id="opens")
        await place(ledger, BUY, "0.001", order_id="adds")
        await place(ledger, SELL, "0.7", order_id="closes")
        await place(ledger, SELL, "2.5", order_id="crosses")
        await place(ledger, BUY, "100", order_id="partial")
        await place(ledger, BUY, "1", order_id="rejected", levels=())
        await place(ledger, BUY, "1", order_id="opens")
        tiny = (("0.01", "0.001"),)
        await place(ledger, BUY, "0.001", order_id="tiny", symbol="A/B", user_id="bob", levels=tiny)
        await place_many(ledger, [f"o-{number}" for number in range(50)], user_id="carol")
    return raw_entries(server)


async def test_pnl_service_rebuilds_every_position_and_pnl_from_id_0(
    redis_server: RedisServer,
) -> None:
    consumer = PnlService()
    entries = await published(redis_server)
    for entry in entries:
        consumer.read(entry)
    assert consumer.trades == len(entries) == 56
    for (user, symbol), quantity in consumer.quantity.items():
        position = hash_of(redis_server, f"POSITION:{user}:{symbol}")
        assert Decimal(position["qty"]) == quantity
        assert Decimal(position["realized_pnl"]) == consumer.realized[user]
    assert consumer.realized["ann"] != 0


async def test_wallet_sync_service_books_the_realised_pnl(redis_server: RedisServer) -> None:
    consumer = WalletSyncService()
    for entry in await published(redis_server):
        consumer.read(entry)
    for user, symbol in (("ann", "BTC-USDT"), ("bob", "A/B"), ("carol", "BTC-USDT")):
        position = hash_of(redis_server, f"POSITION:{user}:{symbol}")
        assert consumer.wallets[user] == Decimal(position["realized_pnl"])


async def test_kline_service_builds_its_candles(redis_server: RedisServer) -> None:
    consumer = KlineService()
    entries = await published(redis_server)
    for entry in entries:
        consumer.read(entry)
    volumes = {symbol: candle.volume for (symbol, _), candle in consumer.candles.items()}
    total = sum(
        Decimal(json.loads(fields[1], parse_float=str, parse_int=str)["qty"])
        for _, fields in entries
    )
    assert sum(volumes.values()) == total
    assert volumes["A/B"] == Decimal("0.001")
    assert {minute.isoformat() for _, minute in consumer.candles} == {"2023-11-14T22:13:00+00:00"}


GOOD = {
    "user": "u",
    "symbol": "S",
    "price": 1.5,
    "qty": 1,
    "side": "BUY",
    "pnl": 0,
    "order_id": "o",
    "trade_id": "t",
}


def entry(trade: object, first: str = "trade") -> RawEntry:
    return "1-0", [first, trade if isinstance(trade, str) else json.dumps(trade)]


def test_the_double_of_pnl_service_takes_any_name_of_the_first_field() -> None:
    consumer = PnlService()
    consumer.read(entry(GOOD, first="anything"))
    assert consumer.trades == 1


@pytest.mark.parametrize(
    "bad",
    [
        *({name: value for name, value in GOOD.items() if name != left_out} for left_out in GOOD),
        GOOD | {"price": "1.5"},
        GOOD | {"qty": "1"},
        GOOD | {"pnl": "0"},
        GOOD | {"pnl": None},
        GOOD | {"pnl": True},
        GOOD | {"side": "buy"},
        GOOD | {"user": 7},
        json.dumps(GOOD | {"price": float("nan")}),
        "not json",
        "[]",
        "",
    ],
)
def test_the_double_of_pnl_service_ends_for_good_on_what_the_real_one_ends_on(bad: object) -> None:
    consumer = PnlService()
    with pytest.raises(Aborted):
        consumer.read(entry(bad))
    with pytest.raises(Aborted):
        consumer.read(entry(GOOD))


@pytest.mark.parametrize("bad", [GOOD | {"pnl": "0"}, GOOD | {"user": 7}, {"user": "u"}, "x"])
def test_the_double_of_wallet_sync_service_is_as_strict(bad: object) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        WalletSyncService().read(entry(bad))


FLAT = {"symbol": "S", "price": "1.5", "quantity": "1", "timestamp": "2023-11-14 22:13:20"}


@pytest.mark.parametrize(
    "bad",
    [
        *({name: value for name, value in FLAT.items() if name != left_out} for left_out in FLAT),
        FLAT | {"timestamp": "2023-11-14T22:13:20"},
        FLAT | {"timestamp": "2023-11-14 22:13:20.5"},
        FLAT | {"timestamp": "1700000000"},
        FLAT | {"price": "1e5"},
        FLAT | {"quantity": ""},
    ],
)
def test_the_double_of_kline_service_is_as_strict(bad: dict[str, str]) -> None:
    good, broken = (
        ("1-0", [part for item in fields.items() for part in item]) for fields in (FLAT, bad)
    )
    KlineService().read(good)
    with pytest.raises((KeyError, ValueError)):
        KlineService().read(broken)
