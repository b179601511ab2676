# The result of one order.

cdef extern from *:
    """
    typedef union { match_exact exact; match_approximate approximate; } match_result;
    typedef union { int64_t exact; double approximate; } match_price;
    """
    ctypedef union match_result:
        match_exact exact
        match_approximate approximate
    ctypedef union match_price:
        int64_t exact
        double approximate


@cython.final
cdef class Fill:
    """What an order took from a book. Made by `Book`; read-only.

    Units are those of the book: for an int64 book scaled integers, the notional in units of
    price x quantity; for a float64 book plain floats.
    """

    cdef match_result result
    cdef match_price best_price
    cdef uint64_t remaining_high  # of money left over: it may be wider than a quantity
    cdef bint is_float
    cdef bint is_sell

    __class_getitem__ = classmethod(_GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError("Fill is made by Book, not called")

    @property
    def filled(self):
        """The quantity taken."""
        if self.is_float:
            return self.result.approximate.filled
        return self.result.exact.filled

    @property
    def remaining(self):
        """The quantity asked for and not taken; of `buy_notional`, the amount not spent."""
        if self.is_float:
            return self.result.approximate.remaining
        if self.remaining_high:
            return match_wide_int(self.remaining_high, <uint64_t>self.result.exact.remaining)
        return <uint64_t>self.result.exact.remaining

    @property
    def notional(self):
        """The sum of price x quantity over what was taken; exact for int64, past 64 bits too."""
        if self.is_float:
            return self.result.approximate.notional
        return match_wide_int(self.result.exact.notional_high, self.result.exact.notional_low)

    @property
    def levels(self):
        """How many leading levels hold all that was taken: up to and including the last one."""
        if self.is_float:
            return self.result.approximate.levels
        return self.result.exact.levels

    @property
    def worst_price(self):
        """The price of the last level taken from; None when nothing was filled."""
        if self.is_float:
            return self.result.approximate.worst_price if self.result.approximate.levels else None
        return self.result.exact.worst_price if self.result.exact.levels else None

    @property
    def average_price(self):
        """notional / filled as the nearest float; None when nothing was filled.

        For display. Exact work uses `notional` and `filled`.
        """
        if not self.levels:
            return None
        return self.notional / self.filled

    @property
    def slippage_bps(self):
        """How much worse than the best price of the side the average is, in basis points.

        Not negative; None when nothing was filled. The best price is that of the first level,
        also where that level shows no quantity.
        """
        if not self.levels:
            return None
        cdef object best, paid
        if self.is_float:
            best = self.best_price.approximate
            paid = self.notional / self.filled
            worse = best - paid if self.is_sell else paid - best
            return max(0.0, worse / best * 1e4)
        # One division of exact integers: the nearest float of the exact ratio.
        best = self.best_price.exact * <object>self.filled
        paid = self.notional
        return 10_000 * (best - paid if self.is_sell else paid - best) / best

    def astuple(self):
        """(filled, notional, remaining, levels, worst_price), as `Book.walk` returns it."""
        return (self.filled, self.notional, self.remaining, self.levels, self.worst_price)

    def __repr__(self):
        return (
            f"Fill(filled={self.filled!r}, notional={self.notional!r}, "
            f"remaining={self.remaining!r}, levels={self.levels!r}, "
            f"worst_price={self.worst_price!r})"
        )


cdef extern from "_match_pool.h":
    void match_pool_open(type filled_type)
    PyObject *match_pool_take(PyTypeObject *filled_type)
    Fill match_pool_taken "match_pool_take"(type filled_type)

match_pool_open(Fill)


cdef inline Fill _new_fill(bint is_float, bint is_sell):
    """A result whose walk is still to be written."""
    cdef Fill fill = match_pool_taken(Fill)
    fill.best_price.exact = 0
    fill.remaining_high = 0
    fill.is_float = is_float
    fill.is_sell = is_sell
    return fill


cdef inline object _exact_tuple(const match_exact *result):
    return match_exact_tuple(result, NULL, NULL)


cdef inline object _approximate_tuple(const match_approximate *result):
    return (
        result.filled,
        result.notional,
        result.remaining,
        result.levels,
        result.worst_price if result.levels else None,
    )
