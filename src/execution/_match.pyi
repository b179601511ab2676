"""Types of the compiled kernel; `python -m mypy.stubtest execution._match` proves them."""

from collections.abc import Sequence
from types import GenericAlias
from typing import Any, Generic, Never, SupportsIndex, TypeAlias, TypeVar, final, overload

import numpy as np
import numpy.typing as npt

_Number = TypeVar("_Number", int, float)
_Ints: TypeAlias = npt.NDArray[np.int64] | Sequence[int]
__pyx_capi__: dict[str, Any]  # the exported C functions of _match.pxd

@final
class Fill(Generic[_Number]):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    @property
    def filled(self) -> _Number: ...
    @property
    def remaining(self) -> _Number: ...
    @property
    def notional(self) -> _Number: ...
    @property
    def levels(self) -> int: ...
    @property
    def worst_price(self) -> _Number | None: ...
    @property
    def average_price(self) -> float | None: ...
    @property
    def slippage_bps(self) -> float | None: ...
    def astuple(self) -> tuple[_Number, _Number, _Number, int, _Number | None]: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Book(Generic[_Number]):
    @overload
    def __new__(  # type: ignore[overload-overlap]
        cls,
        bid_prices: _Ints,
        bid_quantities: _Ints,
        ask_prices: _Ints,
        ask_quantities: _Ints,
        *,
        lot_size: None = None,
    ) -> Book[int]: ...
    @overload
    def __new__(
        cls,
        bid_prices: npt.ArrayLike,
        bid_quantities: npt.ArrayLike,
        ask_prices: npt.ArrayLike,
        ask_quantities: npt.ArrayLike,
        *,
        lot_size: float | None = None,
    ) -> Book[float]: ...
    @property
    def bid_prices(self) -> npt.NDArray[Any]: ...
    @property
    def bid_quantities(self) -> npt.NDArray[Any]: ...
    @property
    def ask_prices(self) -> npt.NDArray[Any]: ...
    @property
    def ask_quantities(self) -> npt.NDArray[Any]: ...
    @property
    def lot_size(self) -> float | None: ...
    def buy(self, quantity: _Number, /) -> Fill[_Number]: ...
    def sell(self, quantity: _Number, /) -> Fill[_Number]: ...
    def fill(self, side: str, quantity: _Number, limit: _Number | None = None) -> Fill[_Number]: ...
    def walk(
        self, side: str, quantity: _Number, limit: _Number | None = None
    ) -> tuple[_Number, _Number, _Number, int, _Number | None]: ...
    def buy_notional(self, amount: _Number, limit: _Number | None = None) -> Fill[_Number]: ...
    def sell_notional(self, amount: _Number, limit: _Number | None = None) -> Fill[_Number]: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Fills:
    filled: npt.NDArray[Any]
    remaining: npt.NDArray[Any]
    worst_price: npt.NDArray[Any]
    levels: npt.NDArray[np.int64]
    notional_low: npt.NDArray[np.uint64] | None
    notional_high: npt.NDArray[np.uint64] | None
    @overload
    def __new__(
        cls,
        *,
        filled: npt.NDArray[np.int64],
        remaining: npt.NDArray[np.int64],
        worst_price: npt.NDArray[np.int64],
        levels: npt.NDArray[np.int64],
        notional: None = None,
        notional_low: npt.NDArray[np.uint64],
        notional_high: npt.NDArray[np.uint64],
    ) -> Fills: ...
    @overload
    def __new__(
        cls,
        *,
        filled: npt.NDArray[np.float64],
        remaining: npt.NDArray[np.float64],
        worst_price: npt.NDArray[np.float64],
        levels: npt.NDArray[np.int64],
        notional: npt.NDArray[np.float64],
        notional_low: None = None,
        notional_high: None = None,
    ) -> Fills: ...
    @classmethod
    def allocate(cls, orders: int, dtype: npt.DTypeLike = ...) -> Fills: ...
    @property
    def notional(self) -> npt.NDArray[Any]: ...
    @property
    def average_price(self) -> npt.NDArray[np.float64]: ...
    def __len__(self) -> int: ...

@overload
def walk(
    prices: _Ints,
    quantities: _Ints,
    quantity: SupportsIndex,
    limit: SupportsIndex | None = None,
    descending: bool = False,
    *,
    lot_size: None = None,
    check: bool = True,
) -> tuple[int, int, int, int, int | None]: ...
@overload
def walk(
    prices: npt.ArrayLike,
    quantities: npt.ArrayLike,
    quantity: float,
    limit: float | None = None,
    descending: bool = False,
    *,
    lot_size: float | None = None,
    check: bool = True,
) -> tuple[float, float, float, int, float | None]: ...
def walk_batch(
    prices: npt.ArrayLike,
    quantities: npt.ArrayLike,
    order_quantities: npt.ArrayLike,
    limits: npt.ArrayLike | None = None,
    descending: bool = False,
    *,
    offsets: npt.ArrayLike | None = None,
    books: npt.ArrayLike | None = None,
    lot_size: float | None = None,
    out: Fills | None = None,
    check: bool = True,
) -> Fills: ...
def parse_decimal(text: str, decimals: int) -> int: ...
def format_decimal(value: int, decimals: int) -> str: ...
