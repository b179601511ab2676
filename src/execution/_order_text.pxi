# Exact texts: amounts, averages, fees, times, names. Rules: SEMANTICS, Numbers.
#
# Where a number might not fit 126 bits, and where the compiler has none so wide, the same is
# done with Python's integers, which hold any.

# An object: of C numbers a power would be a double.
cdef object _TEN = 10
cdef tuple _POWERS = tuple([_TEN**<object>exponent for exponent in range(ORDER_MONEY_DECIMALS + 1)])


cdef inline object _power(int exponent):
    if 0 <= exponent <= ORDER_MONEY_DECIMALS:
        return _POWERS[exponent]
    raise ValueError("a scale has 0 to 18 decimals")


cdef inline object _quantity_unit(int quantity_decimals):
    return _power(ORDER_QUANTITY_DECIMALS - quantity_decimals)


cdef inline object _money_unit(int money_decimals):
    return _power(ORDER_MONEY_DECIMALS - money_decimals)


cdef inline void _put_chars(order_buffer *buffer, const char *characters) noexcept:
    order_put(buffer, characters, strlen(characters))


cdef bint _read_signed(object number, order_signed *out) except -1:
    """Reads an int of up to 126 bits with its sign."""
    cdef order_wide size
    if order_read_wide(<PyObject *>number, &size):
        out[0] = <order_signed>size
        return True
    if ORDER_IS_FAST and type(number) is int and number < 0:
        number = -number
        if order_read_wide(<PyObject *>number, &size):
            out[0] = -<order_signed>size
            return True
    return False


def to_text(value, int decimals):
    """Decimal text of a scaled integer of any size, trailing zeros stripped."""
    return _to_text(value, decimals)


cdef str _to_text(object value, int decimals):
    cdef order_signed number
    if 0 <= decimals <= ORDER_MONEY_DECIMALS and _read_signed(value, &number):
        return order_signed_text(number, decimals)
    digits = str(abs(value)).rjust(decimals + 1, "0")
    sign = "-" if value < 0 else ""
    if not decimals:
        return sign + digits
    whole, fraction = digits[:-decimals], digits[-decimals:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


cdef object _divide_half_even(object numerator, object denominator):
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient


def ratio_text(numerator, denominator, int decimals):
    """Text of numerator / denominator, half-even at `decimals`, zeros stripped."""
    return _ratio_text(numerator, denominator, decimals)


cdef str _ratio_text(object numerator, object denominator, int decimals):
    cdef order_wide over, under, scaled
    if (
        0 <= decimals <= ORDER_MONEY_DECIMALS
        and order_read_wide(<PyObject *>numerator, &over)
        and order_read_wide(<PyObject *>denominator, &under)
        and under
        and order_multiply(over, order_power(decimals), &scaled)
    ):
        return order_decimal_text(order_half_even(scaled, under), False, decimals)
    return _to_text(_divide_half_even(numerator * _TEN**<object>decimals, denominator), decimals)


cdef str _average(object notional, object filled, int price_decimals):
    """notional / filled at the price scale and eight digits; both at the symbol's scales."""
    cdef order_wide over, under, scaled
    if (
        order_read_wide(<PyObject *>notional, &over)
        and order_read_wide(<PyObject *>filled, &under)
        and under
        and order_multiply(over, ORDER_EXTRA, &scaled)
    ):
        return order_decimal_text(order_half_even(scaled, under), False, price_decimals + 8)
    return _ratio_text(notional, filled * _power(price_decimals), price_decimals + 8)


def fee_text(notional, scaled_bps, int price_decimals, int quantity_decimals):
    """The fee on `notional` at a rate of `scaled_bps` / 10^18 basis points.

    notional x bps / 10,000, half-even at the price scale + 8 digits.
    """
    cdef order_wide money, rate, scaled
    # notional / 10^(p + q) x scaled / 10^22, at p + 8 digits, is notional x scaled / 10^(q + 14).
    cdef int exponent = quantity_decimals + 14
    if not scaled_bps:
        return "0"
    if (
        order_read_wide(<PyObject *>notional, &money)
        and order_read_wide(<PyObject *>scaled_bps, &rate)
        and 0 <= price_decimals <= MATCH_DECIMALS_MAX
        and 0 <= quantity_decimals <= MATCH_DECIMALS_MAX
    ):
        while exponent and rate % 10 == 0:
            rate //= 10
            exponent -= 1
        if order_multiply(money, rate, &scaled):
            return order_decimal_text(
                order_half_even(scaled, order_power(exponent)), False, price_decimals + 8
            )
    return _ratio_text(
        notional * scaled_bps,
        _TEN ** <object>(22 + price_decimals + quantity_decimals),
        price_decimals + 8,
    )


def canonical(str text):
    """The one spelling of an unsigned decimal; None for text that is none, or too long.

    What is wrong with it is said by `decimals.canonical`.
    """
    cdef const char *begun
    cdef const char *end
    cdef size_t count
    cdef order_buffer unused
    cdef char[1] room
    order_begin(&unused, room, 1)
    if not text.isascii():
        return None
    begun = order_utf8(&unused, <PyObject *>text, &count)
    if begun == NULL or count > _TEXT_LENGTH_MAX:
        return None
    end = begun + count
    if not _canonical(&begun, &end):
        return None
    if <size_t>(end - begun) == count:
        return text
    return begun[:end - begun].decode("ascii")


cdef enum:
    _TEXT_LENGTH_MAX = 64


cdef inline bint _is_digit(char character) noexcept:
    return c"0" <= character <= c"9"


cdef bint _canonical(const char **begun, const char **end) noexcept:
    """Narrows the text to its canonical part, which is always one; False if it is no decimal."""
    cdef const char *at = begun[0]
    cdef const char *stop = end[0]
    cdef const char *point
    while at < stop and _is_digit(at[0]):
        at += 1
    if at == begun[0]:
        return False
    point = at
    if at < stop:
        if at[0] != c".":
            return False
        at += 1
        if at == stop:
            return False
        while at < stop and _is_digit(at[0]):
            at += 1
        if at != stop:
            return False
        while stop - 1 > point and (stop - 1)[0] == c"0":
            stop -= 1
        if stop - 1 == point:
            stop = point
    while begun[0] + 1 < point and begun[0][0] == c"0":
        begun[0] += 1
    end[0] = stop
    return True


cdef int _split(object time_ns, int64_t *seconds, uint32_t *nanos) except -1:
    """Whole seconds, rounded down, and what is left."""
    cdef int64_t time = 0, rest
    cdef int overflow = 0
    if not PyLong_CheckExact(time_ns):
        overflow = 1
    else:
        time = PyLong_AsLongLongAndOverflow(time_ns, &overflow)
    if overflow:
        whole, part = divmod(time_ns, 1_000_000_000)
        seconds[0] = PyLong_AsLongLong(whole)
        nanos[0] = part
        return 0
    seconds[0] = time // 1_000_000_000
    rest = time - seconds[0] * 1_000_000_000
    if rest < 0:
        rest += 1_000_000_000
        seconds[0] -= 1
    nanos[0] = <uint32_t>rest
    return 0


cdef int _require_calendar(int64_t seconds) except -1:
    if not ORDER_SECOND_MIN <= seconds <= ORDER_SECOND_MAX:
        raise OverflowError("the time lies outside the years 1 to 9999")
    return 0


def rfc3339(time_ns):
    """UTC text with nine digits of a second, or none where they are zero.

    Raises `OverflowError` beyond the years 1 to 9999.
    """
    cdef char[ORDER_TIME_TEXT] text
    cdef int64_t seconds
    cdef uint32_t nanos
    cdef int length
    _split(time_ns, &seconds, &nanos)
    _require_calendar(seconds)
    length = order_rfc3339(text, seconds, nanos)
    return text[:length].decode("ascii")


def utc_seconds(time_ns):
    """UTC text in kline-service's format, `YYYY-MM-DD HH:MM:SS`."""
    cdef char[ORDER_SECOND_TEXT] text
    cdef int64_t seconds
    cdef uint32_t nanos
    _split(time_ns, &seconds, &nanos)
    _require_calendar(seconds)
    order_second(text, seconds, c" ")
    return text[:ORDER_SECOND_TEXT].decode("ascii")


def trade_id(bytes namespace, user_id, order_id):
    """The UUIDv5 of "user_id/order_id" in a namespace."""
    return _trade_id(namespace, user_id, order_id)


cdef str _trade_id(bytes namespace, object user_id, object order_id):
    cdef unsigned char[20] digest
    cdef char[ORDER_UUID_TEXT] text
    cdef char[1] room
    cdef order_sha1 sum
    cdef order_buffer unused
    cdef size_t count
    cdef const char *part
    order_begin(&unused, room, 1)
    order_sha1_begin(&sum)
    order_sha1_add(&sum, PyBytes_AS_STRING(namespace), PyBytes_GET_SIZE(namespace))
    part = order_utf8(&unused, <PyObject *>user_id, &count)
    order_sha1_add(&sum, part, count)
    order_sha1_add(&sum, b"/", 1)
    part = order_utf8(&unused, <PyObject *>order_id, &count)
    order_sha1_add(&sum, part, count)
    if unused.fault:
        order_raise(&unused)
    order_sha1_end(&sum, digest)
    order_uuid5(digest, text)
    return text[:ORDER_UUID_TEXT].decode("ascii")
