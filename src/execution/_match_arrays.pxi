# Many orders in one call.

@cython.final
cdef class Fills:
    """What many orders took: one array a number, one element an order.

    `filled`, `remaining`, `worst_price` (0 where nothing was filled) are int64 or float64, as
    the batch is; `levels` is int64. The exact notional of an int64 batch lies in two arrays,
    `notional_high` * 2**64 + `notional_low` (uint64), and is put together by `notional`.

    Made by `walk_batch`, by `Fills.allocate`, or over arrays of your own (contiguous,
    writable, of one length), to be passed to `walk_batch` as `out`.
    """

    cdef readonly object filled
    cdef readonly object remaining
    cdef readonly object worst_price
    cdef readonly object levels
    cdef readonly object notional_low
    cdef readonly object notional_high
    cdef object floats

    def __cinit__(self, *, filled, remaining, worst_price, levels, notional=None,
                  notional_low=None, notional_high=None):
        if (notional is None) == (notional_low is None and notional_high is None):
            raise TypeError("give notional (floats), or notional_low and notional_high (ints)")
        number = _np.float64 if notional is not None else _np.int64
        self.filled = _result_array(filled, "filled", number, filled)
        self.remaining = _result_array(remaining, "remaining", number, filled)
        self.worst_price = _result_array(worst_price, "worst_price", number, filled)
        self.levels = _result_array(levels, "levels", _np.int64, filled)
        if notional is not None:
            self.floats = _result_array(notional, "notional", number, filled)
        else:
            self.notional_low = _result_array(notional_low, "notional_low", _np.uint64, filled)
            self.notional_high = _result_array(notional_high, "notional_high", _np.uint64, filled)

    @classmethod
    def allocate(cls, orders, dtype=_np.int64):
        """Arrays for so many orders; `dtype` is int64 or float64. Their content is arbitrary."""
        if _np.dtype(dtype) == _np.float64:
            made = {name: _np.empty(orders) for name in
                    ("filled", "remaining", "worst_price", "notional")}
        elif _np.dtype(dtype) == _np.int64:
            made = {name: _np.empty(orders, _np.int64) for name in
                    ("filled", "remaining", "worst_price")}
            made |= {name: _np.empty(orders, _np.uint64) for name in
                     ("notional_low", "notional_high")}
        else:
            raise ValueError(f"dtype must be int64 or float64, not {dtype}")
        return cls(levels=_np.empty(orders, _np.int64), **made)

    @property
    def notional(self):
        """The sums of price x quantity: float64, or an object array of exact Python ints."""
        if self.floats is not None:
            return self.floats
        return (self.notional_high.astype(object) << 64) | self.notional_low.astype(object)

    @property
    def average_price(self):
        """notional / filled as floats; NaN where nothing was filled. For display."""
        filled = self.filled.astype(_np.float64)
        if self.floats is not None:
            notional = self.floats
        else:
            notional = self.notional_high * 2.0**64 + self.notional_low
        average = _np.full(len(filled), _np.nan)
        return _np.divide(notional, filled, out=average, where=filled > 0)

    def __len__(self):
        return len(self.filled)

    def __repr__(self):
        kind = "int64" if self.floats is None else "float64"
        return f"<Fills of {len(self)} orders, {kind}>"


cdef object _result_array(object array, str name, object dtype, object like):
    if not isinstance(array, _np.ndarray) or array.dtype != dtype or array.ndim != 1:
        raise TypeError(f"{name} must be a one-dimensional {_np.dtype(dtype)} array")
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"{name} must be contiguous and writable")
    if len(array) != len(like):
        raise ValueError(f"{name} has {len(array)} elements, filled {len(like)}")
    return array


def walk_batch(prices, quantities, order_quantities, limits=None, descending=False, *,
               offsets=None, books=None, lot_size=None, out=None, check=True):
    """Walks many orders at once, without the GIL; returns `Fills`.

    Three forms, by what `prices` and `quantities` are:

    - two-dimensional: one book a row. Rows of a wider array are read in place. A row shorter
      than the others is filled up with its last price and quantity 0.
    - one-dimensional with `offsets`: book b is the levels offsets[b] to offsets[b + 1].
    - one-dimensional alone: every order meets the same book.

    In the first two, order i meets book i, or book books[i] where `books` is given (any order,
    any number of times). Nothing is consumed from one order to the next.

    `limits` is one worst acceptable price for all or one an order, inclusive; `descending`
    says that prices are bids. All int64: exact. Any float64: research, with the `lot_size` of
    `Book`. `out` takes the results in place of new arrays. `check=False` leaves out the look
    at every price and quantity, for books that are known to be good; the rest is always
    checked.

    Raises ValueError naming the argument (and the book) where `Book` would, TypeError where
    arrays hold no numbers, OverflowError where numbers pass int64 or a float notional is not
    finite.

    >>> walk_batch([[101, 102], [11, 12]], [[2, 3], [1, 1]], [4, 1]).notional.tolist()
    [406, 11]
    """
    cdef int levels_of = 2 if _dimensions(prices) == 2 else 1
    cdef LotScale lots = _lot_scale(lot_size)
    cdef match_batch batch
    names = ("prices", "quantities", "order_quantities")
    arrays = [
        _as_array(prices, "prices", levels_of),
        _as_array(quantities, "quantities", levels_of),
        _as_array(order_quantities, "order_quantities"),
    ]
    arrays = _of_one_kind(arrays, names, lot_size is not None)
    cdef bint exact = arrays[0].dtype.kind == "i"
    if lots.size:
        arrays[1] = _array_in_lots(lots, arrays[1], "quantities")
        arrays[2] = _array_in_lots(lots, arrays[2], "order_quantities")
    price_rows, quantity_rows = _rows_alike(arrays[0], arrays[1])
    wants = _order_quantities(arrays[2])
    cdef Py_ssize_t orders = len(wants)
    offset_array = _offsets(offsets, levels_of, len(price_rows))
    cdef Py_ssize_t rows = _row_count(price_rows, offset_array)
    book_array = _book_rows(books, rows, orders)
    limit_array = _limits(limits, exact, orders)
    fills = _results(out, exact, orders)

    batch.prices, batch.quantities = _address(price_rows), _address(quantity_rows)
    batch.offsets, batch.books = <int64_t *>_address(offset_array), <int64_t *>_address(book_array)
    batch.depth = price_rows.shape[levels_of - 1]
    batch.row_stride = price_rows.strides[0] // 8 if levels_of == 2 else 0
    batch.orders, batch.limits = _address(wants), _address(limit_array)
    batch.descending = descending
    one_limit = limits if limit_array is None else None
    if exact:
        batch.limit_exact = _exact_limit(one_limit, descending)
    else:
        batch.limit_approximate = _approximate_limit(one_limit, descending)
    batch.filled, batch.remaining = _address(fills.filled), _address(fills.remaining)
    batch.worst_price = _address(fills.worst_price)
    batch.levels = <int64_t *>_address(fills.levels)
    batch.notional = _address(fills.notional_low if exact else fills.notional)
    batch.notional_high = <uint64_t *>_address(fills.notional_high)
    if check:
        _check_rows(&batch, rows if rows >= 0 else 1, exact, rows >= 0)
    _run(&batch, orders, exact, rows < 0)
    if lots.size:
        for array in (fills.filled, fills.remaining, fills.notional):
            if lots.per_unit:
                array /= lots.per_unit
            else:
                array *= lots.size
    return fills


cdef int _dimensions(object source) except -1:
    dimensions = getattr(source, "ndim", None)
    return dimensions if isinstance(dimensions, int) else _np.ndim(source)


cdef void *_address(object array) except? NULL:
    return NULL if array is None else <void *><uintptr_t>array.ctypes.data


cdef _check_rows(match_batch *batch, Py_ssize_t rows, bint exact, bint many):
    cdef int fault = MATCH_SIDE_SOUND
    cdef Py_ssize_t row
    with nogil:
        row = match_check_rows(batch, rows, exact, &fault)
    if row >= 0:
        where = f" (book {row})" if many else ""
        _refuse_side(fault, "prices", "quantities", batch.descending, where)


cdef _run(match_batch *batch, Py_ssize_t orders, bint exact, bint one_book):
    cdef bint finite = True
    with nogil:
        if one_book and exact:
            match_run_one_exact(batch, orders, MATCH_PREFIX_LEAST)
        elif one_book:
            finite = match_run_one_approximate(batch, orders, MATCH_PREFIX_LEAST)
        elif exact:
            match_run_exact(batch, orders)
        else:
            finite = match_run_approximate(batch, orders)
    if not finite:
        raise OverflowError("a notional does not fit float64")


cdef tuple _rows_alike(object prices, object quantities):
    """Both with contiguous levels and, where they are rows, the same distance between rows."""
    if prices.shape != quantities.shape:
        raise ValueError(f"quantities has shape {quantities.shape}, prices {prices.shape}")
    if prices.ndim == 1:
        return _np.ascontiguousarray(prices), _np.ascontiguousarray(quantities)
    in_place = (
        prices.strides == quantities.strides
        and (prices.strides[1] == 8 or prices.shape[1] <= 1)
        and prices.strides[0] % 8 == 0
    )
    if in_place:
        return prices, quantities
    return _np.ascontiguousarray(prices), _np.ascontiguousarray(quantities)


cdef object _order_quantities(object wants):
    if wants.dtype.kind == "f" and not _np.isfinite(wants).all():
        raise ValueError("order_quantities must be finite")
    if wants.size and wants.min() < 0:
        raise ValueError("order_quantities must not be negative")
    return _np.ascontiguousarray(wants)


cdef object _offsets(object offsets, int dimensions, Py_ssize_t levels):
    if offsets is None:
        return None
    if dimensions != 1:
        raise ValueError("offsets are for one-dimensional prices")
    array = _integers(offsets, "offsets")
    if not array.size:
        raise ValueError("offsets must hold one number more than there are books")
    if array.min() < 0 or array.max() > levels or (_np.diff(array) < 0).any():
        raise ValueError(f"offsets must ascend within the {levels} levels of prices")
    return array


cdef Py_ssize_t _row_count(object prices, object offsets) except? -1:
    """How many books there are; -1 where all orders meet one."""
    if offsets is not None:
        return len(offsets) - 1
    return len(prices) if prices.ndim == 2 else -1


cdef object _book_rows(object books, Py_ssize_t rows, Py_ssize_t orders):
    if books is None:
        if 0 <= rows != orders:
            raise ValueError(f"order_quantities has {orders} orders for {rows} books")
        return None
    if rows < 0:
        raise ValueError("books are for more than one book")
    array = _integers(books, "books")
    if len(array) != orders:
        raise ValueError(f"books has {len(array)} elements, order_quantities {orders}")
    if orders and (array.min() < 0 or array.max() >= rows):
        raise ValueError(f"books must be 0 to {rows - 1}")
    return array


cdef object _integers(object source, str name):
    array = _as_array(source, name)
    if array.size and array.dtype.kind != "i":
        raise TypeError(f"{name} must hold integers, not {array.dtype}")
    return _np.ascontiguousarray(array, dtype=_np.int64)


cdef object _limits(object limits, bint exact, Py_ssize_t orders):
    """One limit an order, or None where there is one for all."""
    if limits is None or _np.ndim(limits) == 0:
        return None
    array = _integers(limits, "limits") if exact else _as_float(_as_array(limits, "limits"), "limits")
    if len(array) != orders:
        raise ValueError(f"limits has {len(array)} elements, order_quantities {orders}")
    if not exact and _np.isnan(array).any():
        raise ValueError("limits must be numbers, not NaN")
    return _np.ascontiguousarray(array)


cdef Fills _results(object out, bint exact, Py_ssize_t orders):
    if out is None:
        return Fills.allocate(orders, _np.int64 if exact else _np.float64)
    if not isinstance(out, Fills):
        raise TypeError(f"out must be Fills, not {type(out).__name__}")
    cdef Fills fills = out
    if (fills.floats is None) != exact:
        raise TypeError(f"out must be for {'int64' if exact else 'float64'}")
    if len(fills.filled) != orders:
        raise ValueError(f"out has {len(fills.filled)} elements, order_quantities {orders}")
    return fills
