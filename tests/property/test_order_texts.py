"""Compiled texts are those of their plain twins, whatever the numbers."""

from collections.abc import Callable
from uuid import UUID, uuid5

import pytest
import twin.decimals
import twin.settlement
import twin.timestamps
from hypothesis import example, given
from hypothesis import strategies as st
from twin import cases

from execution import decimals
from execution.adapters.timestamps import rfc3339, utc_seconds
from execution.engine import TRADE_NAMESPACE, trade_id
from execution.model import SymbolSpec
from execution.settlement import FeeRate, fee_text


@given(cases.wide, st.integers(0, 60))
@example(0, 0)
@example(-(2**126), 36)
@example(2**126 - 1, 36)
@example(10**37, 36)
def test_an_amount_is_spelled_as_by_the_twin(value: int, places: int) -> None:
    assert decimals.to_text(value, places) == twin.decimals.to_text(value, places)


@given(cases.wide, cases.wide.filter(bool).map(abs), st.integers(0, 40))
@example(1, 2, 0)
@example(3, 2, 0)
@example(2**126 - 1, 2**126 - 1, 0)
def test_a_ratio_is_rounded_as_by_the_twin(over: int, under: int, places: int) -> None:
    assert decimals.ratio_text(over, under, places) == twin.decimals.ratio_text(over, under, places)


@given(
    cases.wide.map(abs),
    st.one_of(st.just(0), st.integers(1, 10**6).map(lambda bps: bps * 10**15), cases.quantities),
    cases.specs,
)
def test_a_fee_is_that_of_the_twin(notional: int, scaled_bps: int, spec: SymbolSpec) -> None:
    rate = FeeRate(scaled_bps)
    assert fee_text(notional, rate, spec) == twin.settlement.fee_text(notional, rate, spec)


@given(
    st.one_of(
        st.text("0123456789.", max_size=70),
        st.text(max_size=8),
        st.from_regex(r"0{0,3}[0-9]{0,20}(\.[0-9]{0,20}0{0,3})?", fullmatch=True),
    )
)
@example("0." + "0" * 62)
@example("1" * 65)
@example("1\n")
@example("\u0661")
def test_a_decimal_is_canonical_or_refused_as_by_the_twin(text: str) -> None:
    assert spelled(decimals.canonical, text) == spelled(twin.decimals.canonical, text)


def spelled(canonical: Callable[[str], str], text: str) -> str:
    """The canonical text, or the message of the refusal in brackets."""
    try:
        return canonical(text)
    except ValueError as error:
        return f"[{error}]"


@given(cases.times)
@example(cases.NS_MIN)
@example(cases.NS_MAX)
@example(-1)
@example(951_782_400 * 10**9)
def test_a_time_is_that_of_the_calendar(time_ns: int) -> None:
    assert rfc3339(time_ns) == twin.timestamps.rfc3339(time_ns)
    assert utc_seconds(time_ns) == twin.timestamps.utc_seconds(time_ns)


@pytest.mark.parametrize("time_ns", [cases.NS_MIN - 1, cases.NS_MAX + 1, 10**40, -(10**40)])
def test_no_calendar_has_every_time(time_ns: int) -> None:
    for written in (rfc3339, utc_seconds):
        with pytest.raises(OverflowError):
            written(time_ns)


@given(st.text(max_size=200), st.text(max_size=200))
@example("", "")
@example("a" * 38, "")
@example("a" * 39, "")
@example("a" * 47, "")
def test_a_trade_id_is_the_uuid_of_user_and_order(user_id: str, order_id: str) -> None:
    assert trade_id(user_id, order_id) == str(uuid5(TRADE_NAMESPACE, f"{user_id}/{order_id}"))
    assert UUID(trade_id(user_id, order_id)).version == 5


def test_a_trade_id_of_what_has_no_utf8_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        trade_id("a\ud800", "o")
