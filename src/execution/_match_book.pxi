# A book.

cdef str _BUY = "BUY"
cdef str _SELL = "SELL"


cdef inline bint _is_sell(object side) except -1:
    # Literals are one object each: the usual call compares addresses.
    if side is _BUY:
        return False
    if side is _SELL:
        return True
    return _is_sell_spelled(side)


cdef bint _is_sell_spelled(object side) except -1:
    if side == "BUY" or side == "buy":
        return False
    if side == "SELL" or side == "sell":
        return True
    raise ValueError(f"side must be 'BUY' or 'SELL', not {side!r}")


@cython.final
cdef class Book:
    """A checked, immutable snapshot of an order book: four arrays, best level first.

    All int64: prices and quantities are scaled integers and every result is exact. Any
    float64: research; integers among the arrays must then be exact as floats. Array-likes of
    any kind are taken (lists, numpy, columns of pandas, polars and pyarrow) and copied, so
    later changes to them do not reach the book. Either side may be empty. Levels of quantity
    zero are allowed and give no liquidity. Best bid = best ask (locked) is allowed.

    `lot_size` makes a float64 book count in lots: quantities must then be whole multiples of
    it (within a thousandth of a lot), sums of them are exact, and an order that ends on the
    edge of a level ends there. Without it the rounding of floats may leave a false remainder
    or touch one level too many.

    A book may be shared between threads.

    Raises ValueError naming the argument where prices are unsorted, crossed, not positive or
    not finite, quantities negative, not finite or no whole lots, or two arrays of a side
    differ in length; TypeError where an array holds no numbers; OverflowError where integers
    pass int64 or a quantity 2**53 lots.

    >>> book = Book([99, 98], [5, 5], [101, 102], [2, 3])
    >>> book.buy(4).astuple()
    (4, 406, 0, 2, 102)
    """

    cdef match_side bids
    cdef match_side asks
    cdef bint is_float
    cdef LotScale lots
    cdef bytes storage

    __class_getitem__ = classmethod(_GenericAlias)

    # Not __init__: that could be called a second time.
    def __cinit__(
        self, bid_prices, bid_quantities, ask_prices, ask_quantities, *, lot_size=None
    ):
        cdef list sources = [bid_prices, bid_quantities, ask_prices, ask_quantities]
        self.lots = _lot_scale(lot_size)
        if self.lots.size or not self._store_buffers(sources):
            self._store_arrays(sources)
        self._check(&self.bids, "bid_prices", "bid_quantities", True)
        self._check(&self.asks, "ask_prices", "ask_quantities", False)
        if self.bids.count and self.asks.count and self._is_crossed():
            raise ValueError("bid_prices cross ask_prices: the best bid is above the best ask")
        match_start_side(&self.bids)
        match_start_side(&self.asks)

    def __dealloc__(self):
        match_end_side(&self.bids)
        match_end_side(&self.asks)

    cdef bint _store_buffers(self, list sources) except -1:
        """The quick way for four contiguous arrays of one type; else False."""
        cdef Py_buffer views[4]
        cdef int taken = 0, i
        try:
            for source in sources:
                if not _borrow(source, &views[taken]):
                    return False
                taken += 1
                if (views[taken - 1].format[0] == c"d") != (views[0].format[0] == c"d"):
                    return False
            self.is_float = views[0].format[0] == c"d"
            self._lay_out(
                views[0].shape[0], views[1].shape[0], views[2].shape[0], views[3].shape[0]
            )
            memcpy(<void *>self.bids.prices, views[0].buf, 8 * self.bids.count)
            memcpy(<void *>self.bids.quantities, views[1].buf, 8 * self.bids.count)
            memcpy(<void *>self.asks.prices, views[2].buf, 8 * self.asks.count)
            memcpy(<void *>self.asks.quantities, views[3].buf, 8 * self.asks.count)
        finally:
            for i in range(taken):
                PyBuffer_Release(&views[i])
        return True

    cdef _store_arrays(self, list sources):
        names = ("bid_prices", "bid_quantities", "ask_prices", "ask_quantities")
        arrays = [_as_array(source, name) for source, name in zip(sources, names, strict=True)]
        arrays = _of_one_kind(arrays, names, self.lots.size != 0.0)
        if self.lots.size:
            arrays[1] = _array_in_lots(self.lots, arrays[1], names[1])
            arrays[3] = _array_in_lots(self.lots, arrays[3], names[3])
        self._store_buffers([_np.ascontiguousarray(array) for array in arrays])

    cdef _lay_out(self, Py_ssize_t bids, Py_ssize_t bid_quantities, Py_ssize_t asks,
                  Py_ssize_t ask_quantities):
        """Places the four arrays one after the other in one block of our own."""
        if bid_quantities != bids:
            raise ValueError(f"bid_quantities has {bid_quantities} levels, bid_prices {bids}")
        if ask_quantities != asks:
            raise ValueError(f"ask_quantities has {ask_quantities} levels, ask_prices {asks}")
        # A bytes object: views of it can never be made writable. 64: begin on a cache line.
        self.storage = PyBytes_FromStringAndSize(NULL, 16 * (bids + asks) + 64)
        cdef char *base = PyBytes_AS_STRING(self.storage)
        base += (64 - <uintptr_t>base % 64) % 64
        self.bids.count, self.asks.count = bids, asks
        self.bids.prices, self.bids.quantities = base, base + 8 * bids
        base += 16 * bids
        self.asks.prices, self.asks.quantities = base, base + 8 * asks

    cdef _check(self, match_side *side, str prices_name, str quantities_name, bint descending):
        cdef int fault
        if self.is_float:
            fault = match_check_approximate(
                <const double *>side.prices, <const double *>side.quantities, side.count,
                descending,
            )
        else:
            fault = match_check_exact(
                <const int64_t *>side.prices, <const int64_t *>side.quantities, side.count,
                descending,
            )
        if fault != MATCH_SIDE_SOUND:
            _refuse_side(fault, prices_name, quantities_name, descending)

    cdef bint _is_crossed(self) noexcept:
        if self.is_float:
            return (<const double *>self.bids.prices)[0] > (<const double *>self.asks.prices)[0]
        return (<const int64_t *>self.bids.prices)[0] > (<const int64_t *>self.asks.prices)[0]

    cdef object _view(self, const void *start, Py_ssize_t count, bint in_lots):
        offset = <const char *>start - PyBytes_AS_STRING(self.storage)
        kind = _np.float64 if self.is_float else _np.int64
        array = _np.frombuffer(self.storage, kind, count, offset)
        if in_lots and self.lots.size:
            array = array / self.lots.per_unit if self.lots.per_unit else array * self.lots.size
            array.flags.writeable = False
        return array

    @property
    def bid_prices(self):
        """Read-only array, best (highest) first."""
        return self._view(self.bids.prices, self.bids.count, False)

    @property
    def bid_quantities(self):
        """Read-only array beside `bid_prices`."""
        return self._view(self.bids.quantities, self.bids.count, True)

    @property
    def ask_prices(self):
        """Read-only array, best (lowest) first."""
        return self._view(self.asks.prices, self.asks.count, False)

    @property
    def ask_quantities(self):
        """Read-only array beside `ask_prices`."""
        return self._view(self.asks.quantities, self.asks.count, True)

    @property
    def lot_size(self):
        """The lot size of a float64 book; None where quantities are taken as they are."""
        return self.lots.size if self.lots.size else None

    def buy(self, quantity, /):
        """Takes `quantity` from the asks, best first. See `fill` for errors."""
        if self.is_float:
            return self._fill_approximate(quantity, None, False)
        cdef int64_t want = _exact_quantity(quantity)
        cdef Fill fill = _new_fill(False, False)
        match_take_exact(&self.asks, want, INT64_MAX, False, &fill.result.exact)
        fill.best_price.exact = (<const int64_t *>self.asks.prices)[0] if self.asks.count else 0
        return fill

    def sell(self, quantity, /):
        """Takes `quantity` from the bids, best first. See `fill` for errors."""
        if self.is_float:
            return self._fill_approximate(quantity, None, True)
        cdef int64_t want = _exact_quantity(quantity)
        cdef Fill fill = _new_fill(False, True)
        match_take_exact(&self.bids, want, INT64_MIN, True, &fill.result.exact)
        fill.best_price.exact = (<const int64_t *>self.bids.prices)[0] if self.bids.count else 0
        return fill

    def fill(self, side, quantity, limit=None):
        """Takes `quantity` from the opposite side of the book, best level first.

        `side` is "BUY" (takes asks) or "SELL" (takes bids); `limit` the worst acceptable
        price, inclusive. Nothing is consumed: the book is a snapshot. A quantity of zero
        fills nothing.

        Raises ValueError for another side, a negative or not finite quantity, one that is no
        whole number of lots, or a limit of NaN; TypeError for what is no number (int64 books
        take integers only); OverflowError where a number passes int64, or a float notional
        is not finite.
        """
        cdef bint is_sell = _is_sell(side)
        if self.is_float:
            return self._fill_approximate(quantity, limit, is_sell)
        cdef int64_t want = _exact_quantity(quantity)
        cdef int64_t worst = _exact_limit(limit, is_sell)
        cdef match_side *taken = &self.bids if is_sell else &self.asks
        cdef Fill fill = _new_fill(False, is_sell)
        match_take_exact(taken, want, worst, is_sell, &fill.result.exact)
        fill.best_price.exact = (<const int64_t *>taken.prices)[0] if taken.count else 0
        return fill

    def walk(self, side, quantity, limit=None):
        """`fill` as a plain tuple: (filled, notional, remaining, levels, worst_price)."""
        cdef bint is_sell = _is_sell(side)
        cdef match_result result
        if self.is_float:
            self._walk_approximate(quantity, limit, is_sell, &result.approximate)
            return _approximate_tuple(&result.approximate)
        cdef int64_t want = _exact_quantity(quantity)
        cdef int64_t worst = _exact_limit(limit, is_sell)
        match_take_exact(
            &self.bids if is_sell else &self.asks, want, worst, is_sell, &result.exact
        )
        return _exact_tuple(&result.exact)

    def buy_notional(self, amount, limit=None):
        """How much the quote `amount` buys: spends at most it, best level first.

        For an int64 book the amount is in units of price x quantity (an int below 2**127) and
        quantity is taken in whole units; for a float64 book with lots in whole lots. It ends
        at the first level it cannot afford whole, even where a worse level is smaller.
        `Fill.remaining` is the amount not spent. Errors are those of `fill`; OverflowError
        also where the quantity passes int64.
        """
        return self._spend(amount, limit, False)

    def sell_notional(self, amount, limit=None):
        """How much must be sold to receive the quote `amount`, at most. As `buy_notional`."""
        return self._spend(amount, limit, True)

    cdef int _walk_approximate(self, object quantity, object limit, bint is_sell,
                               match_approximate *out) except -1:
        cdef double want = _approximate_quantity(quantity, "quantity")
        cdef double worst = _approximate_limit(limit, is_sell)
        if self.lots.size:
            want = _whole_lots(self.lots, want, "quantity")
        match_take_approximate(
            &self.bids if is_sell else &self.asks, want, worst, is_sell, out
        )
        if self.lots.size:
            out.filled = _in_units(self.lots, out.filled)
            out.remaining = _in_units(self.lots, out.remaining)
            out.notional = _in_units(self.lots, out.notional)
        _require_finite(out.notional)
        return 0

    cdef Fill _fill_approximate(self, object quantity, object limit, bint is_sell):
        cdef Fill fill = self._empty_fill(is_sell)
        self._walk_approximate(quantity, limit, is_sell, &fill.result.approximate)
        return fill

    cdef Fill _empty_fill(self, bint is_sell):
        cdef match_side *side = &self.bids if is_sell else &self.asks
        cdef Fill fill = _new_fill(self.is_float, is_sell)
        if side.count and self.is_float:
            fill.best_price.approximate = (<const double *>side.prices)[0]
        elif side.count:
            fill.best_price.exact = (<const int64_t *>side.prices)[0]
        return fill

    cdef Fill _spend(self, object amount, object limit, bint is_sell):
        cdef Fill fill = self._empty_fill(is_sell)
        if self.is_float:
            self._spend_approximate(fill, _approximate_quantity(amount, "amount"), limit)
        else:
            self._spend_exact(fill, amount, limit)
        return fill

    cdef _spend_exact(self, Fill fill, object quote_amount, object limit):
        cdef match_side *side = &self.bids if fill.is_sell else &self.asks
        cdef match_exact *out = &fill.result.exact
        cdef match_u128 amount, left
        _exact_amount(quote_amount, &amount)
        if not match_spend_exact(
            <const int64_t *>side.prices, <const int64_t *>side.quantities, side.count, amount,
            _exact_limit(limit, fill.is_sell), fill.is_sell, out,
        ):
            raise OverflowError("the quantity this amount takes does not fit int64")
        left = match_u128_subtract(amount, match_u128_make(out.notional_high, out.notional_low))
        out.remaining = <int64_t>match_u128_low(left)
        fill.remaining_high = match_u128_high(left)

    cdef _spend_approximate(self, Fill fill, double amount, object limit):
        cdef match_side *side = &self.bids if fill.is_sell else &self.asks
        cdef match_approximate *out = &fill.result.approximate
        # In lots, money counts in price x lots.
        match_spend_approximate(
            <const double *>side.prices, <const double *>side.quantities, side.count,
            _in_lots(self.lots, amount) if self.lots.size else amount,
            _approximate_limit(limit, fill.is_sell), fill.is_sell, self.lots.size != 0.0, out,
        )
        if self.lots.size:
            out.filled = _in_units(self.lots, out.filled)
            out.notional = _in_units(self.lots, out.notional)
            out.remaining = _in_units(self.lots, out.remaining)
        _require_finite(out.notional)

    def __reduce__(self):
        return (
            _book,
            (
                self.bid_prices,
                self.bid_quantities,
                self.ask_prices,
                self.ask_quantities,
                self.lot_size,
            ),
        )

    def __repr__(self):
        kind = "float64" if self.is_float else "int64"
        lots = f", lots of {self.lots.size}" if self.lots.size else ""
        return f"<Book of {self.bids.count} bids and {self.asks.count} asks, {kind}{lots}>"


def _book(bid_prices, bid_quantities, ask_prices, ask_quantities, lot_size):
    """What a pickled Book is made with."""
    return Book(bid_prices, bid_quantities, ask_prices, ask_quantities, lot_size=lot_size)
