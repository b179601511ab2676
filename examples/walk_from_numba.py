"""The walk from code that numba compiles: through the C functions the kernel exports.

Needs numba (`pip install numba`). Run it: `python examples/walk_from_numba.py`.
"""

import ctypes

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import get_cython_function_address

Ints = npt.NDArray[np.int64]

# void walk_exact(prices, quantities, count, quantity, limit, descending, out)
_walk_exact = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int,
    ctypes.c_void_p,
)(get_cython_function_address("execution._match", "walk_exact"))

NO_LIMIT = np.iinfo(np.int64).max
FILLED, REMAINING, WORST_PRICE, LEVELS, NOTIONAL_LOW, NOTIONAL_HIGH = range(6)


@njit
def worst_prices(prices: Ints, quantities: Ints, orders: Ints) -> Ints:
    """The worst price each order of a buyer reaches, 0 where nothing is filled."""
    result = np.empty(6, np.int64)
    worst = np.empty(len(orders), np.int64)
    for i in range(len(orders)):
        _walk_exact(
            prices.ctypes.data,
            quantities.ctypes.data,
            len(prices),
            orders[i],
            NO_LIMIT,
            0,
            result.ctypes.data,
        )
        worst[i] = result[WORST_PRICE]
    return worst


if __name__ == "__main__":
    book_prices = np.array([101, 102, 104], np.int64)
    book_quantities = np.array([2, 3, 5], np.int64)
    print(worst_prices(book_prices, book_quantities, np.array([1, 4, 99], np.int64)))
