# Numbers and arrays across the boundary: what is taken, what is refused, and by which name.

cdef int64_t _exact_number(object value, str name) except? -1:
    if not PyLong_Check(value):
        try:
            value = _index(value)
        except TypeError:
            raise TypeError(
                f"{name} must be an integer for an int64 book, not {type(value).__name__}"
            ) from None
    try:
        return <int64_t>value
    except OverflowError:
        raise OverflowError(f"{name} does not fit int64: {value}") from None


cdef double _approximate_number(object value, str name) except? -1.0:
    try:
        return <double>value
    except TypeError:
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None
    except OverflowError:
        raise OverflowError(f"{name} does not fit float64: {value}") from None


cdef int64_t _checked_quantity(object value) except? -1:
    cdef int64_t quantity = _exact_number(value, "quantity")
    if quantity < 0:
        raise ValueError(f"quantity must not be negative: {quantity}")
    return quantity


cdef inline int64_t _exact_quantity(object value) except? -1:
    cdef int64_t quantity
    if match_read_int(value, &quantity):
        return quantity
    return _checked_quantity(value)


cdef double _approximate_quantity(object value, str name) except? -1.0:
    cdef double quantity = _approximate_number(value, name)
    if not isfinite(quantity) or quantity < 0.0:
        raise ValueError(f"{name} must be finite and not negative: {quantity}")
    return quantity


cdef inline int64_t _exact_limit(object value, bint descending) except? -1:
    cdef int64_t limit
    if value is None:
        return INT64_MIN if descending else INT64_MAX
    if match_read_int(value, &limit):
        return limit
    return _exact_number(value, "limit")


cdef double _approximate_limit(object value, bint descending) except? -1.0:
    if value is None:
        return -INFINITY if descending else INFINITY
    cdef double limit = _approximate_number(value, "limit")
    if isnan(limit):
        raise ValueError("limit must be a number, not NaN")
    return limit


cdef int _exact_amount(object value, match_u128 *out) except -1:
    """A quote amount, up to 2**127 - 1."""
    if not PyLong_Check(value):
        try:
            value = _index(value)
        except TypeError:
            raise TypeError(
                f"amount must be an integer for an int64 book, not {type(value).__name__}"
            ) from None
    if value < 0:
        raise ValueError(f"amount must not be negative: {value}")
    if value >> 127:
        raise OverflowError(f"amount does not fit 127 bits: {value}")
    out[0] = match_u128_make(<uint64_t>(value >> 64), <uint64_t>(value & 0xFFFF_FFFF_FFFF_FFFF))
    return 0


# --- lots: floats that count ---------------------------------------------------------------

# Doubles count exactly up to here.
cdef double LOTS_MAX = 9007199254740992.0


cdef struct LotScale:
    double size      # 0 where there are no lots
    double per_unit  # lots in one unit, where that is a whole number; else 0


cdef LotScale _lot_scale(object lot_size) except *:
    cdef LotScale scale
    scale.size = scale.per_unit = 0.0
    if lot_size is None:
        return scale
    scale.size = _approximate_number(lot_size, "lot_size")
    if not isfinite(scale.size) or scale.size <= 0.0:
        raise ValueError(f"lot_size must be finite and positive: {scale.size}")
    cdef double per_unit = nearbyint(1.0 / scale.size)
    # 0.001 is no binary fraction, but 1000 lots a unit are exact: n / 1000 is the float that
    # is written as the decimal.
    if per_unit >= 1.0 and fabs(per_unit * scale.size - 1.0) < 1e-12:
        scale.per_unit = per_unit
    return scale


cdef inline double _in_units(LotScale scale, double lots) noexcept nogil:
    if scale.per_unit:
        return lots / scale.per_unit
    return lots * scale.size


cdef inline double _in_lots(LotScale scale, double units) noexcept nogil:
    if scale.per_unit:
        return units * scale.per_unit
    return units / scale.size


cdef double _whole_lots(LotScale scale, double units, str name) except? -1.0:
    cdef double exact = _in_lots(scale, units), lots = nearbyint(exact)
    # A thousandth of a lot, and what the last bit of a large double may be off.
    if fabs(exact - lots) > 1e-3 + lots * 4.5e-16:
        raise ValueError(f"{name} must be in whole lots of {scale.size}: {units}")
    if lots > LOTS_MAX:
        raise OverflowError(f"{name} is more than 2**53 lots: {units}")
    return lots


cdef object _array_in_lots(LotScale scale, object array, str name):
    """A copy of the array in whole lots; what is negative or not finite stays to be refused."""
    exact = array * scale.per_unit if scale.per_unit else array / scale.size
    lots = _np.rint(exact)
    off = _np.abs(exact - lots) > 1e-3 + _np.abs(lots) * 4.5e-16
    if off.any():
        raise ValueError(f"{name} must be in whole lots of {scale.size}: {array[off][0]}")
    if (_np.isfinite(lots) & (lots > LOTS_MAX)).any():
        raise OverflowError(f"{name} holds more than 2**53 lots of {scale.size}")
    return lots


# --- arrays ---------------------------------------------------------------------------------

cdef object _as_array(object source, str name, int dimensions=1):
    """Any array-like as an int64 or float64 array; a copy only where it is another type."""
    try:
        array = _np.asarray(source)
        if array.dtype.kind in "fO" and not hasattr(source, "dtype"):
            # numpy makes floats of integers that pass int64: look at the items themselves.
            array = _np.asarray(source, dtype=object)
    except ValueError as error:
        raise ValueError(f"{name} is no array: {error}") from None
    if array.ndim != dimensions:
        wanted = "one dimension" if dimensions == 1 else "two dimensions"
        raise ValueError(f"{name} must have {wanted}, not {array.ndim}")
    kind = array.dtype.kind
    if array.size == 0:
        return array.astype(_np.float64 if kind == "f" else _np.int64, copy=False)
    if kind == "O":
        return _from_objects(array, name)
    if kind == "u" and array.dtype.itemsize == 8 and array.max() > INT64_MAX:
        raise OverflowError(f"{name} does not fit int64: {array.max()}")
    if kind not in "iuf":
        raise TypeError(f"{name} must hold integers or floats, not {array.dtype}")
    return array.astype(_np.float64 if kind == "f" else _np.int64, copy=False)


cdef object _from_objects(object array, str name):
    """Python numbers: int64 where all are integers, else float64."""
    integers, others = [], set()
    floats = False
    for item in array.flat:
        if isinstance(item, (int, _np.integer)) and not isinstance(item, bool):
            integers.append(int(item))
        elif isinstance(item, (float, _np.floating)):
            floats = True
        else:
            others.add(type(item).__name__)
    if others:
        raise TypeError(f"{name} must hold integers or floats, not {', '.join(sorted(others))}")
    if floats:
        if integers and max(-min(integers), max(integers)) > 2**53:
            raise ValueError(f"{name} holds integers that float64 cannot hold exactly")
        return array.astype(_np.float64)
    try:
        return array.astype(_np.int64)
    except OverflowError:
        raise OverflowError(f"{name} does not fit int64") from None


cdef object _as_float(object array, str name):
    """The array as float64; integers that a double cannot hold exactly are refused."""
    if array.dtype.kind == "f":
        return array
    if array.size and max(-int(array.min()), int(array.max())) > 2**53:
        raise ValueError(f"{name} holds integers that float64 cannot hold exactly")
    return array.astype(_np.float64)


cdef list _of_one_kind(list arrays, tuple names, bint floats):
    """All int64, or all float64 where any is (an empty array says nothing) or `floats`."""
    if floats or any(array.dtype.kind == "f" for array in arrays if array.size):
        return [_as_float(array, name) for array, name in zip(arrays, names, strict=True)]
    # What is left of floats is empty.
    return [array.astype(_np.int64, copy=False) for array in arrays]


cdef bint _borrow(object source, Py_buffer *view) except -1:
    """Takes a one-dimensional contiguous int64 or float64 buffer as it is; else False."""
    if not PyObject_CheckBuffer(source):
        return False
    try:
        PyObject_GetBuffer(source, view, PyBUF_FORMAT | PyBUF_STRIDES)
    except (BufferError, ValueError):
        return False
    if (
        view.ndim == 1
        and view.itemsize == 8
        and (view.strides[0] == 8 or view.shape[0] <= 1)
        and (view.format[0] == c"l" or view.format[0] == c"q" or view.format[0] == c"d")
        and view.format[1] == 0
    ):
        return True
    PyBuffer_Release(view)
    return False


cdef _refuse_side(int fault, str prices_name, str quantities_name, bint descending, str where=""):
    if fault == MATCH_PRICE_NOT_FINITE:
        raise ValueError(f"{prices_name} must be finite{where}")
    if fault == MATCH_PRICE_NOT_POSITIVE:
        raise ValueError(f"{prices_name} must be positive{where}")
    if fault == MATCH_PRICE_UNSORTED:
        order = "descend" if descending else "ascend"
        raise ValueError(f"{prices_name} must be sorted best first: they must {order}{where}")
    if fault == MATCH_QUANTITY_NOT_FINITE:
        raise ValueError(f"{quantities_name} must be finite{where}")
    raise ValueError(f"{quantities_name} must not be negative{where}")


cdef _require_finite(double notional):
    if not isfinite(notional):
        raise OverflowError("the notional does not fit float64")
