"""Settlement, in Python's integers."""

from dataclasses import replace

from twin.decimals import (
    AVERAGE_PRICE_EXTRA_DECIMALS,
    MONEY_DECIMALS,
    QUANTITY_DECIMALS,
    divide_half_even,
    ratio_text,
    to_text,
)

from execution.model import Direction, Position, SymbolSpec
from execution.settlement import FeeRate

_BPS_DENOMINATOR = 10_000 * 10**18


def fee_text(notional: int, rate: FeeRate, spec: SymbolSpec) -> str:
    """The fee on `notional` (at price + quantity decimals), as decimal text.

    notional x bps / 10,000, half-even at the price scale + 8 digits.
    """
    if not rate.scaled_bps:
        return "0"
    scale = spec.price_decimals + spec.quantity_decimals
    return ratio_text(
        notional * rate.scaled_bps,
        _BPS_DENOMINATOR * 10**scale,
        spec.price_decimals + AVERAGE_PRICE_EXTRA_DECIMALS,
    )


def reducible(position: Position, direction: Direction, spec: SymbolSpec) -> int:
    """How much of the position an order of this direction can close.

    At the symbol's quantity scale, rounded down; 0 if flat or on the same side.
    """
    closes_long = direction is Direction.SELL and position.quantity > 0
    closes_short = direction is Direction.BUY and position.quantity < 0
    if not (closes_long or closes_short):
        return 0
    return abs(position.quantity) // _quantity_unit(spec)


def settle(
    position: Position, direction: Direction, filled: int, notional: int, spec: SymbolSpec
) -> tuple[Position, int]:
    """The position after a fill, and the PnL the fill realised.

    `filled` is at the symbol's quantity scale, `notional` at price + quantity
    decimals; the PnL is at `MONEY_DECIMALS` (0 when opening).
    """
    bought = direction is Direction.BUY
    quantity = filled * _quantity_unit(spec)
    money = notional * _money_unit(spec)
    held = abs(position.quantity)
    opposite = position.quantity < 0 if bought else position.quantity > 0
    closed = min(held, quantity) if opposite else 0

    cost_out = _share(position.entry_cost, closed, held, spec)
    closed_money = _share(money, closed, quantity, spec)
    pnl = cost_out - closed_money if bought else closed_money - cost_out
    entry_cost = position.entry_cost - cost_out + money - closed_money
    signed = position.quantity + (quantity if bought else -quantity)
    after = replace(
        position,
        quantity=signed,
        entry_cost=entry_cost,
        realized_pnl=position.realized_pnl + pnl,
        entry_price=_entry_price(entry_cost, abs(signed), spec),
        version=position.version + 1,
    )
    return after, pnl


def pnl_text(pnl: int) -> str:
    """Decimal text of money at `MONEY_DECIMALS`."""
    return to_text(pnl, MONEY_DECIMALS)


def _share(money: int, part: int, whole: int, spec: SymbolSpec) -> int:
    """money x part / whole, half-even at price + quantity decimals; all of it exact.

    Never more than there is: a cost from before the source coarsened its scale
    may be finer than the unit it is rounded to.
    """
    if not part:
        return 0
    if part == whole:
        return money
    unit = _money_unit(spec)
    return min(divide_half_even(money * part, whole * unit) * unit, money)


def _entry_price(entry_cost: int, held: int, spec: SymbolSpec) -> str:
    if not held:
        return ""
    numerator = entry_cost * 10**QUANTITY_DECIMALS
    denominator = held * 10**MONEY_DECIMALS
    digits = spec.price_decimals + AVERAGE_PRICE_EXTRA_DECIMALS
    return ratio_text(numerator, denominator, digits)


def _quantity_unit(spec: SymbolSpec) -> int:
    return int(10 ** (QUANTITY_DECIMALS - spec.quantity_decimals))


def _money_unit(spec: SymbolSpec) -> int:
    return int(10 ** (MONEY_DECIMALS - spec.price_decimals - spec.quantity_decimals))
