"""Orders with what they meet and what they rest on, as hypothesis strategies."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from twin import cases

from execution import _order
from execution.model import (
    Direction,
    Order,
    OrderType,
    Position,
    Quote,
    Reason,
    SymbolSpec,
    TimeInForce,
    Unusable,
)
from execution.settlement import FeeRate


@dataclass(frozen=True)
class Case:
    """An order, what it meets and what it rests on."""

    order: Order
    market: Quote | Unusable
    position: Position
    fees: FeeRate


def plain(amount: int, decimals: int) -> str:
    return _order.to_text(amount, decimals)


@st.composite
def cases_of_orders(draw: st.DrawFn) -> Case:
    spec = SymbolSpec(
        "X",
        draw(cases.scales),
        draw(cases.scales),
        min_quantity=draw(st.none() | st.integers(1, 10**18)),
        max_quantity=draw(st.none() | st.integers(10**18, 10**36)),
        quantity_step=draw(st.none() | st.sampled_from([1, 10, 10**15, 10**18])),
        min_notional=draw(st.none() | st.integers(1, 10**37)),
    )
    size = draw(st.sampled_from([10, 1_000, 10**6, 10**12, cases.INT64_MAX]))
    direction = draw(cases.directions)
    prices = draw(st.lists(st.integers(1, size), max_size=6, unique=True))
    prices.sort(reverse=direction is Direction.SELL)
    left = draw(st.lists(st.integers(0, size), min_size=len(prices), max_size=len(prices)))
    market: Quote | Unusable = Quote(
        spec,
        draw(cases.refs),
        np.array(prices, np.int64),
        np.array(left, np.int64),
        prices[0] if prices else None,
    )
    if draw(st.integers(0, 9)) == 0:
        market = Unusable(spec, Reason.BAD_BOOK, "crossed", draw(st.none() | cases.refs))
    order = Order(
        "o-1",
        draw(cases.ids),
        "X",
        direction,
        plain(draw(st.integers(1, size)), spec.quantity_decimals),
        draw(st.sampled_from(OrderType)),
        reduce_only=draw(st.booleans()),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        limit_price=draw(
            st.none() | st.integers(1, size).map(lambda p: plain(p, spec.price_decimals))
        ),
        max_slippage_bps=draw(st.none() | st.integers(0, 2_000)),
        trigger_price=draw(st.none() | st.sampled_from(["1", "0.5", "0.0000000000000000001"])),
        received_time_ns=draw(cases.times),
    )
    unit = 10 ** (18 - spec.quantity_decimals)
    held = st.integers(-size, size).map(lambda quantity: quantity * unit)
    money = 10 ** (36 - spec.price_decimals - spec.quantity_decimals)
    position = draw(
        st.one_of(
            cases.positions(order.user_id),
            st.builds(
                Position,
                st.just(order.user_id),
                st.just("X"),
                held,
                st.integers(0, size * size).map(lambda cost: cost * money),
                st.integers(-size, size).map(lambda pnl: pnl * money),
                version=st.integers(0, 10),
            ),
        )
    )
    fees = FeeRate(draw(st.sampled_from([0, 25 * 10**17, 1, 10**22, 3 * 10**18 + 7])))
    return Case(order, market, position, fees)
