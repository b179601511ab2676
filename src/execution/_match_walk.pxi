# The walk without a book.

def walk(
    prices, quantities, quantity, limit=None, descending=False, *, lot_size=None, check=True
):
    """Walks one side of a book held in two arrays.

    Returns (filled, notional, remaining, levels, worst_price). `prices` are best first:
    ascending (asks, for a buyer), or with `descending=True` descending (bids, for a seller).
    `limit` is the worst acceptable price, inclusive. `levels` counts the leading levels up to
    and including the last one something was taken from, so `prices[:levels]` covers all that
    was taken; it is 0, and `worst_price` None, when nothing was filled. Levels of quantity
    zero are stepped over.

    Two int64 arrays: exact, the notional an exact int. Otherwise float64; `lot_size` is that
    of `Book`. Contiguous arrays of one type are read in place at the moment of the call,
    without a copy, so they may change between calls. `check=False` leaves out the look at
    every price and quantity, for arrays that are known to be sorted, positive and without
    negative quantities.

    Raises as `Book` and `Book.fill` do.

    >>> walk([101, 102], [2, 3], 4)
    (4, 406, 0, 2, 102)
    """
    cdef Py_buffer price_view, quantity_view
    cdef bint has_prices = False, has_quantities = False
    cdef LotScale lots
    if lot_size is None:
        try:
            has_prices = _borrow(prices, &price_view)
            has_quantities = has_prices and _borrow(quantities, &quantity_view)
            if (
                has_quantities
                and (price_view.format[0] == c"d") == (quantity_view.format[0] == c"d")
            ):
                return _walk_buffers(
                    &price_view, &quantity_view, quantity, limit, descending, check
                )
        finally:
            if has_prices:
                PyBuffer_Release(&price_view)
            if has_quantities:
                PyBuffer_Release(&quantity_view)
    names = ("prices", "quantities")
    arrays = _of_one_kind(
        [_as_array(prices, "prices"), _as_array(quantities, "quantities")],
        names,
        lot_size is not None,
    )
    if lot_size is None:
        price_array, quantity_array = map(_np.ascontiguousarray, arrays)
        return walk(price_array, quantity_array, quantity, limit, descending, check=check)
    lots = _lot_scale(lot_size)
    filled, notional, remaining, levels, worst = walk(
        _np.ascontiguousarray(arrays[0]),
        _array_in_lots(lots, _np.ascontiguousarray(arrays[1]), "quantities"),
        _whole_lots(lots, _approximate_quantity(quantity, "quantity"), "quantity"),
        limit, descending, check=check,
    )
    return (
        _in_units(lots, filled), _in_units(lots, notional), _in_units(lots, remaining), levels,
        worst,
    )


cdef _walk_buffers(Py_buffer *prices, Py_buffer *quantities, object quantity, object limit,
                   bint descending, bint check):
    cdef match_result result
    cdef Py_ssize_t count = prices.shape[0]
    cdef int fault
    if quantities.shape[0] != count:
        raise ValueError(f"quantities has {quantities.shape[0]} levels, prices {count}")
    if prices.format[0] == c"d":
        if check:
            fault = match_check_approximate(
                <const double *>prices.buf, <const double *>quantities.buf, count, descending
            )
            if fault != MATCH_SIDE_SOUND:
                _refuse_side(fault, "prices", "quantities", descending)
        match_walk_approximate(
            <const double *>prices.buf, <const double *>quantities.buf, count,
            _approximate_quantity(quantity, "quantity"), _approximate_limit(limit, descending),
            descending, &result.approximate,
        )
        _require_finite(result.approximate.notional)
        return _approximate_tuple(&result.approximate)
    if check:
        fault = match_check_exact(
            <const int64_t *>prices.buf, <const int64_t *>quantities.buf, count, descending
        )
        if fault != MATCH_SIDE_SOUND:
            _refuse_side(fault, "prices", "quantities", descending)
    match_walk_exact(
        <const int64_t *>prices.buf, <const int64_t *>quantities.buf, count,
        _exact_quantity(quantity), _exact_limit(limit, descending), descending, &result.exact,
    )
    return _exact_tuple(&result.exact)
