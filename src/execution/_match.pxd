# The walk for other Cython code, without the Python boundary:
#
#     from execution._match cimport ExactFill, walk_exact
#
# Pointers are to contiguous arrays of `count` levels, best first; prices positive, quantities
# not negative; nothing is checked. `limit` is the worst acceptable price, inclusive: pass
# INT64_MAX or infinity for none (descending: INT64_MIN or minus infinity). The functions are
# exported as capsules, so that numba finds them, too (get_cython_function_address).

from libc.stdint cimport int64_t, uint64_t


cdef struct ExactFill:
    int64_t filled
    int64_t remaining
    int64_t worst_price     # 0 when nothing was filled
    int64_t levels
    uint64_t notional_low   # notional = notional_high * 2**64 + notional_low
    uint64_t notional_high


cdef struct ApproximateFill:
    double filled
    double remaining
    double worst_price      # 0 when nothing was filled
    int64_t levels
    double notional


cdef void walk_exact(const int64_t *prices, const int64_t *quantities, int64_t count,
                     int64_t quantity, int64_t limit, bint descending,
                     ExactFill *out) noexcept nogil

cdef void walk_approximate(const double *prices, const double *quantities, int64_t count,
                           double quantity, double limit, bint descending,
                           ApproximateFill *out) noexcept nogil
