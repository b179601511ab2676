# cython: language_level=3, boundscheck=False, wraparound=False
"""The walk from other Cython code: no Python object on the way, and no GIL.

Build it in place with `cythonize -i examples/walk_from_cython.pyx`.
"""

from libc.stdint cimport INT64_MAX, int64_t

from execution._match cimport ExactFill, walk_exact


def worst_prices(const int64_t[::1] prices, const int64_t[::1] quantities,
                 const int64_t[::1] orders, int64_t[::1] worst):
    """Writes the worst price each order of a buyer reaches, 0 where nothing is filled."""
    cdef ExactFill fill
    cdef Py_ssize_t i, count = prices.shape[0]
    if not count or quantities.shape[0] != count or worst.shape[0] != orders.shape[0]:
        raise ValueError("arrays are empty or differ in length")
    with nogil:
        for i in range(orders.shape[0]):
            walk_exact(&prices[0], &quantities[0], count, orders[i], INT64_MAX, False, &fill)
            worst[i] = fill.worst_price
