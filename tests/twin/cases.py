"""Whatever the compiled orders are compared on, as hypothesis strategies."""

from hypothesis import strategies as st
from twin.decimals import to_text

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
    TriggerBy,
)

INT64_MAX = 2**63 - 1
NS_MIN = -62_135_596_800 * 10**9
NS_MAX = 253_402_300_799 * 10**9 + 999_999_999

WORD = "abcxyzABCXYZ0189._-"
any_text = st.text(max_size=20)
"""Control characters, NUL and other planes included; surrogates have no UTF-8."""
odd_text = st.text(st.characters(), max_size=20)
"""As above, with lone surrogates."""
ids = st.text(WORD, min_size=1, max_size=64)
symbols = st.text(WORD + "/", min_size=1, max_size=32)
times = st.one_of(
    st.integers(NS_MIN, NS_MAX),
    st.integers(1_600_000_000 * 10**9, 1_900_000_000 * 10**9),
    st.integers(-(10**10), 10**10).map(lambda seconds: seconds * 10**9),
)
uint64 = st.integers(0, 2**64 - 1)
scales = st.integers(0, 18)
quantities = st.one_of(
    st.integers(1, INT64_MAX),
    st.integers(1, 10**6),
    st.integers(0, 62).map(lambda bits: 1 << bits),
    st.integers(0, 18).map(lambda places: 10**places),
    st.just(INT64_MAX),
)
wide = st.one_of(
    st.integers(-(2**200), 2**200),
    st.integers(0, 200).flatmap(
        lambda bits: st.integers(-2, 2).map(lambda beside: (1 << bits) + beside)
    ),
    st.integers(0, 60).map(lambda places: 10**places),
    st.integers(-(10**6), 10**6),
)
decimal_texts = st.builds(to_text, st.integers(-(2**127), 2**127), st.integers(0, 36))
texts_or_none = st.one_of(st.just(""), decimal_texts)
directions = st.sampled_from(Direction)

refs = st.builds(
    SnapshotRef,
    source=any_text,
    sequence=uint64,
    source_time_ns=st.none() | times,
    best_bid=texts_or_none,
    best_ask=texts_or_none,
)

orders = st.builds(
    Order,
    order_id=ids,
    user_id=ids,
    symbol=symbols,
    direction=directions,
    quantity=quantities.map(str),
    order_type=st.sampled_from(OrderType),
    reduce_only=st.booleans(),
    time_in_force=st.sampled_from(TimeInForce),
    limit_price=st.none() | quantities.map(str),
    max_slippage_bps=st.none() | st.integers(0, 2**32 - 1),
    trigger_price=st.none() | quantities.map(str),
    trigger_by=st.sampled_from(TriggerBy),
    reject_if_triggered=st.booleans(),
    expire_time_ns=st.none() | st.integers(0, NS_MAX),
    received_time_ns=st.integers(0, NS_MAX),
)


def reports(text: st.SearchStrategy[str] = any_text) -> st.SearchStrategy[ExecutionReport]:
    """Reports whose free text is of `text`."""
    return st.builds(
        ExecutionReport,
        order_id=text,
        user_id=text,
        symbol=text,
        direction=directions,
        order_type=st.sampled_from(OrderType),
        status=st.sampled_from(OrderStatus),
        quantity=texts_or_none,
        effective_quantity=texts_or_none,
        filled_quantity=texts_or_none,
        remaining_quantity=texts_or_none,
        average_price=texts_or_none,
        notional=texts_or_none,
        fills=st.lists(st.builds(Fill, decimal_texts, decimal_texts), max_size=4).map(tuple),
        trade_id=text,
        reason=st.sampled_from(Reason),
        message=text,
        realized_pnl=texts_or_none,
        fee=texts_or_none,
        trigger_price=texts_or_none,
        triggered_by_price=texts_or_none,
        reduce_only=st.booleans(),
        snapshot=st.none() | refs,
        received_time_ns=times,
        transact_time_ns=times,
        version=uint64,
    )


def positions(user_id: str = "ann", symbol: str = "X") -> st.SearchStrategy[Position]:
    """Positions of any size, most of which no scale of an int64 holds."""
    return st.builds(
        Position,
        user_id=st.just(user_id),
        symbol=st.just(symbol),
        quantity=wide,
        entry_cost=wide.map(abs),
        realized_pnl=wide,
        entry_price=texts_or_none,
        version=st.integers(0, 2**64 - 2),
    )


specs = st.builds(SymbolSpec, st.just("X"), price_decimals=scales, quantity_decimals=scales)
