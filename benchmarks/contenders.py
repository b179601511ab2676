"""What the kernel is measured against, and what it costs to call anything at all.

The C contenders are compiled when first asked for, with the compiler and flags of this Python.
Others (numba, nautilus_trader) are there where they are installed: the [bench] extra.
"""

import hashlib
import importlib.util
import subprocess
import sysconfig
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SOURCE = Path(__file__).with_name("contenders.c")
BUILT = Path(__file__).resolve().parents[1] / ".benchmarks"


def compiled() -> ModuleType:
    """The module of contenders.c, built if it is not yet."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    library = BUILT / f"contenders_c-{key}{suffix}"
    if not library.exists():
        BUILT.mkdir(exist_ok=True)
        compiler = (sysconfig.get_config_var("CC") or "cc").split()
        include = sysconfig.get_paths()["include"]
        command = [*compiler, "-O3", "-shared", "-fPIC", f"-I{include}", str(SOURCE)]
        subprocess.run([*command, "-o", str(library)], check=True)
    spec = importlib.util.spec_from_file_location("contenders_c", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_walk(prices: list[int], quantities: list[int], want: int, limit: int) -> Any:
    """A plain loop, as one would write it."""
    left, notional, levels = want, 0, 0
    for price, quantity in zip(prices, quantities, strict=True):
        if price > limit or not left:
            break
        taken = min(quantity, left)
        left -= taken
        notional += price * taken
        levels += 1
    return want - left, notional, levels


def numpy_walk(prices: Ints, quantities: Ints, want: int, limit: int) -> Any:
    """Cumulated sums and a search. Its int64 notional wraps at 2**63, so it sums floats."""
    depth = int(np.searchsorted(prices, limit, side="right"))
    through = np.cumsum(quantities[:depth])
    last = int(np.searchsorted(through, want))
    if last == depth:
        filled = int(through[-1]) if depth else 0
        return filled, float(prices[:depth] @ quantities[:depth].astype(np.float64)), depth
    before = int(through[last - 1]) if last else 0
    notional = float(prices[:last] @ quantities[:last].astype(np.float64))
    return want, notional + float(prices[last]) * (want - before), last + 1


def numba_walk() -> Callable[[Ints, Ints, int, int], Any] | None:
    """The loop compiled by numba; None where it is not installed. Floats: it has no 128 bits."""
    try:
        from numba import njit
    except ImportError:
        return None

    def loop(prices: Ints, quantities: Ints, want: int, limit: int) -> tuple[int, float, int]:
        left, notional, level = want, 0.0, 0
        while level < len(prices) and prices[level] <= limit and left > 0:
            taken = min(quantities[level], left)
            notional += float(prices[level]) * taken
            left -= taken
            level += 1
        return want - left, notional, level

    compiled_loop: Callable[[Ints, Ints, int, int], Any] = njit(loop)
    return compiled_loop


class Nautilus:
    """An L2 book of nautilus_trader with these asks; prices and quantities in whole units."""

    def __init__(self, prices: Ints, quantities: Ints) -> None:
        from nautilus_trader.model.book import OrderBook
        from nautilus_trader.model.data import BookOrder
        from nautilus_trader.model.enums import BookType, OrderSide
        from nautilus_trader.model.identifiers import InstrumentId
        from nautilus_trader.model.objects import Price, Quantity

        self.side = OrderSide.BUY
        self.quantity = Quantity
        self.price = Price
        self.book = OrderBook(InstrumentId.from_str("BTCUSDT.TEST"), BookType.L2_MBP)
        for number, (price, quantity) in enumerate(
            zip(prices.tolist(), quantities.tolist(), strict=True), start=1
        ):
            order = BookOrder(OrderSide.SELL, Price(price, 0), Quantity(quantity, 0), number)
            self.book.add(order, 0, 0, 0)

    def average_price(self, want: int) -> Callable[[], float]:
        """Only the average price, the quantity made beforehand."""
        book, side, quantity = self.book, self.side, self.quantity(want, 0)
        return lambda: float(book.get_avg_px_for_quantity(quantity, side))

    def simulated_fills(self, want: int, limit: int) -> Callable[[], list[Any]]:
        """The fills of a limit order, made beforehand: what is like the kernel's fill."""
        from nautilus_trader.core.uuid import UUID4
        from nautilus_trader.model.identifiers import (
            ClientOrderId,
            InstrumentId,
            StrategyId,
            TraderId,
        )
        from nautilus_trader.model.orders import LimitOrder

        order = LimitOrder(
            TraderId("T-1"),
            StrategyId("S-1"),
            InstrumentId.from_str("BTCUSDT.TEST"),
            ClientOrderId("O-1"),
            self.side,
            self.quantity(want, 0),
            self.price(limit, 0),
            UUID4(),
            0,
        )
        book = self.book
        return lambda: list(book.simulate_fills(order, 0, 0, True))


def nautilus(prices: Ints, quantities: Ints) -> Nautilus | None:
    """None where nautilus_trader is not installed."""
    if importlib.util.find_spec("nautilus_trader") is None:
        return None
    return Nautilus(prices, quantities)


def expected(prices: Ints, quantities: Ints, want: int, limit: int) -> tuple[int, int, int]:
    """(filled, notional, levels) in exact fractions, to check every contender first."""
    left, notional, levels = Fraction(want), Fraction(0), 0
    for price, quantity in zip(prices.tolist(), quantities.tolist(), strict=True):
        if price > limit or not left:
            break
        taken = min(Fraction(quantity), left)
        left -= taken
        notional += price * taken
        levels += 1
    return int(want - left), int(notional), levels
