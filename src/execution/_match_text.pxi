# Exact decimal text.

cdef int _decimals(object decimals) except -1:
    cdef int64_t count = _exact_number(decimals, "decimals")
    if not 0 <= count <= MATCH_DECIMALS_MAX:
        raise ValueError(f"decimals must be 0 to {MATCH_DECIMALS_MAX}: {count}")
    return <int>count


cdef _refuse_text(object text, int fault, int scale):
    if not PyUnicode_Check(text):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    if fault == MATCH_TEXT_MALFORMED:
        raise ValueError(f"text is not a plain decimal number: {text!r:.60}")
    if fault == MATCH_TEXT_INEXACT:
        raise ValueError(f"text has more than {scale} decimals: {text!r:.60}")
    raise OverflowError(f"text does not fit int64 with {scale} decimals: {text!r:.60}")


def parse_decimal(text, decimals):
    """Reads decimal text as an int64 scaled by 10**decimals, exactly.

    The text is an optional "-", digits, and optionally a point and digits: no exponent, no
    plus, no spaces, ASCII only. Zeros past the scale are accepted ("1.000" is 1).

    Raises ValueError for other text and for non-zero digits past the scale, OverflowError
    where the number does not fit int64, TypeError where `text` is not a str.

    >>> parse_decimal("0.125", 8)
    12500000
    """
    cdef int scale = _decimals(decimals)
    cdef int64_t value = 0
    cdef int fault = MATCH_TEXT_MALFORMED
    cdef PyObject *given = <PyObject *>text
    if match_is_plain_text(given):
        fault = match_parse_decimal(match_characters(given), match_length(given), scale, &value)
    if fault != MATCH_TEXT_SOUND:
        _refuse_text(text, fault, scale)
    return value


def format_decimal(value, decimals):
    """Writes an int64 scaled by 10**decimals as decimal text, trailing zeros stripped.

    The shortest exact text: no exponent, no point without digits after it.
    Raises TypeError where `value` is no integer, OverflowError where it passes int64.

    >>> format_decimal(12500000, 8)
    '0.125'
    """
    cdef char buffer[MATCH_TEXT_MAX]
    cdef int scale = _decimals(decimals)
    cdef int length = match_format_decimal(_exact_number(value, "value"), scale, buffer)
    return match_text(buffer + MATCH_TEXT_MAX - length, length)


# As with Book.fill: two plain arguments go past the general unpacking.

cdef match_fastcall _general_parse, _general_format


cdef PyObject *_usual_parse(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                            PyObject *names) noexcept:
    cdef int64_t scale, value
    if (
        count == 2
        and names == NULL
        and match_is_plain_text(arguments[0])
        and match_reads_int(arguments[1], &scale)
        and scale <= MATCH_DECIMALS_MAX
        and match_parse_decimal(
            match_characters(arguments[0]), match_length(arguments[0]), <int>scale, &value
        ) == MATCH_TEXT_SOUND
    ):
        return match_new_int(value)
    return _general_parse(self, arguments, count, names)


cdef PyObject *_usual_format(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                             PyObject *names) noexcept:
    cdef char buffer[MATCH_TEXT_MAX]
    cdef int64_t scale, value
    cdef int length
    if (
        count == 2
        and names == NULL
        and match_reads_int(arguments[0], &value)
        and match_reads_int(arguments[1], &scale)
        and scale <= MATCH_DECIMALS_MAX
    ):
        length = match_format_decimal(value, <int>scale, buffer)
        return match_new_text(buffer + MATCH_TEXT_MAX - length, length)
    return _general_format(self, arguments, count, names)


_general_parse = match_put_before(parse_decimal, _usual_parse)
_general_format = match_put_before(format_decimal, _usual_format)
