"""What an execution does to a position: average cost, realised PnL, fee.

Pure integer arithmetic, compiled in `_order`. Quantities are at `decimals.QUANTITY_DECIMALS`, money
at `decimals.MONEY_DECIMALS`; whatever is rounded is rounded once, half-even, to
the digits SEMANTICS names, and the same number is used on both sides of the
books, so that sums conserve exactly. Source: SEMANTICS, Position and realised
PnL.
"""

from dataclasses import dataclass
from typing import Final

from execution import _order
from execution.decimals import MONEY_DECIMALS, QUANTITY_DECIMALS, from_text, to_text
from execution.model import Direction, Position, SymbolSpec

_BPS_DECIMALS: Final = 18

# Python 3.11 looks a member of an enum up by way of a property.
_BUY: Final = Direction.BUY
_SELL: Final = Direction.SELL


@dataclass(frozen=True, slots=True)
class FeeRate:
    """A taker fee in basis points, exact."""

    scaled_bps: int = 0

    @classmethod
    def from_bps(cls, text: str) -> "FeeRate":
        """The rate of decimal text such as "2.5". Raises `ValueError`."""
        return cls(from_text(text, _BPS_DECIMALS))


def fee_text(notional: int, rate: FeeRate, spec: SymbolSpec) -> str:
    """The fee on `notional` (at price + quantity decimals), as decimal text.

    notional x bps / 10,000, half-even at the price scale + 8 digits.
    """
    if not rate.scaled_bps:
        return "0"
    return _order.fee_text(notional, rate.scaled_bps, spec.price_decimals, spec.quantity_decimals)


def reducible(position: Position, direction: Direction, spec: SymbolSpec) -> int:
    """How much of the position an order of this direction can close.

    At the symbol's quantity scale, rounded down; 0 if flat or on the same side.
    """
    closes_long = direction is _SELL and position.quantity > 0
    closes_short = direction is _BUY and position.quantity < 0
    if not (closes_long or closes_short):
        return 0
    return abs(position.quantity) // _quantity_unit(spec)


def settle(
    position: Position, direction: Direction, filled: int, notional: int, spec: SymbolSpec
) -> tuple[Position, int]:
    """The position after a fill, and the PnL the fill realised.

    `filled` is at the symbol's quantity scale, `notional` at price + quantity
    decimals; the PnL is at `MONEY_DECIMALS` (0 when opening). Average cost: what
    leaves with a partial close is cost x closed / held, half-even at price +
    quantity decimals, never more than there is (a cost from before the source
    coarsened its scale may be finer than the unit it is rounded to); so is the
    money it was closed for. Their difference is the PnL.
    """
    return _order.settle(
        position,
        direction,
        filled,
        notional,
        spec.price_decimals,
        spec.quantity_decimals,
    )


def pnl_text(pnl: int) -> str:
    """Decimal text of money at `MONEY_DECIMALS`."""
    return to_text(pnl, MONEY_DECIMALS)


def _quantity_unit(spec: SymbolSpec) -> int:
    return int(10 ** (QUANTITY_DECIMALS - spec.quantity_decimals))
