"""Orders, books and quotes in the few words a test wants to say about them."""

from collections.abc import Iterable

import numpy as np

from execution.model import (
    Direction,
    Order,
    OrderType,
    Position,
    Quote,
    Snapshot,
    SymbolSpec,
    TimeInForce,
)
from execution.pricing import Liquidity
from execution.testing import book_snapshot

BUY, SELL = Direction.BUY, Direction.SELL
SPEC = SymbolSpec("BTC-USDT", price_decimals=2, quantity_decimals=3)

Levels = Iterable[tuple[str, str]]


def order(
    direction: Direction = BUY,
    quantity: str = "1",
    *,
    order_id: str = "o-1",
    user_id: str = "ann",
    symbol: str = "BTC-USDT",
    order_type: OrderType = OrderType.MARKET,
    reduce_only: bool = False,
    time_in_force: TimeInForce = TimeInForce.IOC,
    limit_price: str | None = None,
    max_slippage_bps: int | None = None,
    trigger_price: str | None = None,
    received_time_ns: int = 7,
) -> Order:
    return Order(
        order_id=order_id,
        user_id=user_id,
        symbol=symbol,
        direction=direction,
        quantity=quantity,
        order_type=order_type,
        reduce_only=reduce_only,
        time_in_force=time_in_force,
        limit_price=limit_price,
        max_slippage_bps=max_slippage_bps,
        trigger_price=trigger_price,
        received_time_ns=received_time_ns,
    )


def quote(
    direction: Direction = BUY,
    levels: Levels | None = None,
    spec: SymbolSpec = SPEC,
) -> Quote:
    """The side an order of `direction` takes, nothing taken yet: 1 at 100, 2 at the next price."""
    if levels is None:
        levels = (("100", "1"), ("101" if direction is BUY else "99", "2"))
    bids, asks = ((), levels) if direction is BUY else (levels, ())
    quoted = Liquidity().quote(book_snapshot(spec, bids, asks, sequence=1), direction)
    assert isinstance(quoted, Quote)
    return quoted


def scaled_snapshot(
    bids: Iterable[tuple[int, int]] = (),
    asks: Iterable[tuple[int, int]] = (),
    *,
    sequence: int = 1,
    spec: SymbolSpec = SPEC,
    source: str = "test",
) -> Snapshot:
    """A snapshot of levels that are scaled integers already."""
    bids, asks = list(bids), list(asks)
    return Snapshot(
        spec=spec,
        source=source,
        sequence=sequence,
        source_time_ns=None,
        bid_prices=np.array([price for price, _ in bids], np.int64),
        bid_quantities=np.array([quantity for _, quantity in bids], np.int64),
        ask_prices=np.array([price for price, _ in asks], np.int64),
        ask_quantities=np.array([quantity for _, quantity in asks], np.int64),
    )


def position(quantity: int = 0, entry_cost: int = 0, version: int = 0) -> Position:
    """A position of ann in BTC-USDT; see `model.Position` for the scales."""
    return Position("ann", "BTC-USDT", quantity, entry_cost, version=version)
