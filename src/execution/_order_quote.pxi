# The side of a book that orders take from, with what an execution asks of it at hand.

_quote_fields, _quote_params = _described("Quote", [
    ("spec", _MISSING), ("ref", _MISSING), ("prices", _MISSING), ("available", _MISSING),
    ("best", _MISSING),
])


# Bounds on the quantity of an order at its symbol's scale: the filters of a spec.
cdef struct _Filters:
    int64_t step, least, most
    order_wide least_notional


@cython.final
@cython.no_gc
cdef class Quote:
    """The side of a usable book that an order may take, best level first.

    `prices` and `available` are contiguous arrays of int64. `available` is what
    earlier orders left of each level; `best` is the best price the snapshot shows
    any size at, taken or not, None if it shows none.
    """

    cdef readonly object spec, ref, prices, available, best
    cdef Py_buffer price_view, available_view
    cdef bint has_prices, has_available
    cdef int price_decimals, quantity_decimals
    cdef _Filters filters
    # Whether scales and filters are such that `_execute_whole` can count in C numbers.
    cdef bint is_usual

    __dataclass_fields__ = _quote_fields
    __dataclass_params__ = _quote_params
    __match_args__ = tuple(_quote_fields)

    def __init__(self, spec, ref, prices, available, best):
        if self.has_prices:
            raise TypeError("a quote is made once")
        _borrow(prices, &self.price_view)
        self.has_prices = True
        _borrow(available, &self.available_view, PyBUF_WRITABLE)
        self.has_available = True
        if self.price_view.shape[0] != self.available_view.shape[0]:
            raise ValueError("prices and available differ in length")
        self.spec = spec
        self.ref = ref
        self.prices = prices
        self.available = available
        self.best = best
        self.is_usual = _read_spec(self)

    def __dealloc__(self):
        if self.has_prices:
            PyBuffer_Release(&self.price_view)
        if self.has_available:
            PyBuffer_Release(&self.available_view)

    def __repr__(self):
        return _shown(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


cdef int _borrow(object array, Py_buffer *view, int more=0) except -1:
    """The memory of an array of int64; to be given back."""
    PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_ND | PyBUF_C_CONTIGUOUS | more)
    if (
        view.ndim != 1 or view.itemsize != 8 or view.format == NULL
        or view.format[0] not in (c"l", c"q") or view.format[1] != 0
    ):
        PyBuffer_Release(view)
        raise TypeError("levels are an array of int64")
    return 0


cdef bint _read_spec(Quote quote) except -1:
    """Reads scales and filters; False where they are too fine or too large for C numbers."""
    cdef object spec = quote.spec
    cdef _Filters *filters = &quote.filters
    quote.price_decimals = spec.price_decimals
    quote.quantity_decimals = spec.quantity_decimals
    if not (
        ORDER_IS_FAST
        and 0 <= quote.price_decimals <= MATCH_DECIMALS_MAX
        and 0 <= quote.quantity_decimals <= MATCH_DECIMALS_MAX
    ):
        return False
    unit = _quantity_unit(quote.quantity_decimals)
    step, rest = divmod(spec.quantity_step or 0, unit)
    if rest:
        return False
    least = -(-(spec.min_quantity or 0) // unit)
    most = INT64_MAX
    if spec.max_quantity:
        most = min(spec.max_quantity // unit, most)
    notional = 0
    if spec.min_notional and quote.best is not None:
        money_unit = _money_unit(quote.price_decimals + quote.quantity_decimals)
        notional = -(-spec.min_notional // money_unit)
    if step > INT64_MAX or least > INT64_MAX:
        return False
    filters.step = step
    filters.least = least
    filters.most = most
    return order_read_wide(<PyObject *>notional, &filters.least_notional)


cdef inline bint _passes(Quote quote, int64_t quantity) noexcept:
    """Whether an order of this quantity breaks no filter."""
    cdef const _Filters *filters = &quote.filters
    if filters.step and quantity % filters.step:
        return False
    return filters.least <= quantity <= filters.most


def take(Quote quote not None, tuple taken not None):
    """Books `taken` (per level, best first) out of what is available."""
    _move(quote, taken, -1)


def give_back(Quote quote not None, tuple taken not None):
    """Undoes `take`."""
    _move(quote, taken, 1)


cdef int _move(Quote quote, tuple taken, int sign) except -1:
    cdef Py_ssize_t level, count = PyTuple_GET_SIZE(taken)
    cdef int64_t *available = <int64_t *>quote.available_view.buf
    if count > quote.available_view.shape[0]:
        raise ValueError("there are not so many levels")
    for level in range(count):
        available[level] += sign * PyLong_AsLongLong(<object>PyTuple_GET_ITEM(taken, level))
    return 0
