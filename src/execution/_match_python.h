/* Python integers in and out, without detours: a call costs less than the usual conversions. */
#ifndef EXECUTION_MATCH_PYTHON_H
#define EXECUTION_MATCH_PYTHON_H

#include <Python.h>
#include <stdint.h>

#include "_match_u128.h"

/* Integers of at most two digits (below 2^60 for the usual 30-bit digits), not negative, are
 * read from the object itself. Returns 0 for all else: the caller then takes the long way. */
#if !defined(PYPY_VERSION) && !defined(Py_LIMITED_API) && PY_VERSION_HEX < 0x030F0000 && \
    PYLONG_BITS_IN_DIGIT == 30
#define MATCH_READS_DIGITS 1
MATCH_INLINE int match_read_int(PyObject *number, int64_t *out) {
    const PyLongObject *integer = (const PyLongObject *)number;
    if (!PyLong_CheckExact(number)) return 0;
#if PY_VERSION_HEX >= 0x030C0000
    {
        /* lv_tag: the sign in bits 0-1 (0 positive, 1 zero), the digit count from bit 3 on. */
        uintptr_t tag = integer->long_value.lv_tag;
        const digit *digits = integer->long_value.ob_digit;
        if ((tag >> 3) == 1 && !(tag & 3)) {
            *out = (int64_t)digits[0];
            return 1;
        }
        if ((tag >> 3) == 2 && !(tag & 3)) {
            *out = (int64_t)digits[0] | (int64_t)digits[1] << 30;
            return 1;
        }
    }
#else
    if (Py_SIZE(number) == 1) {
        *out = (int64_t)integer->ob_digit[0];
        return 1;
    }
    if (Py_SIZE(number) == 2) {
        *out = (int64_t)integer->ob_digit[0] | (int64_t)integer->ob_digit[1] << 30;
        return 1;
    }
#endif
    return 0;
}
#else
#define MATCH_READS_DIGITS 0
MATCH_INLINE int match_read_int(PyObject *number, int64_t *out) {
    (void)number;
    (void)out;
    return 0;
}
#endif

/* Python 3.11 and 3.12 let the digits of a new int be written; later ones have a function. */
#if MATCH_READS_DIGITS && PY_VERSION_HEX < 0x030D0000
#define MATCH_WRITES_DIGITS 1
MATCH_INLINE digit *match_digits(PyLongObject *integer) {
#if PY_VERSION_HEX >= 0x030C0000
    return integer->long_value.ob_digit;
#else
    return integer->ob_digit;
#endif
}
#else
#define MATCH_WRITES_DIGITS 0
#endif

/* `value` as a Python int. Two digits, the usual price or quantity, are written without the
 * counting of digits that the general function does. */
MATCH_INLINE PyObject *match_new_int(int64_t value) {
#if MATCH_WRITES_DIGITS
    if ((uint64_t)value - ((uint64_t)1 << 30) < ((uint64_t)1 << 60) - ((uint64_t)1 << 30)) {
        PyLongObject *made = _PyLong_New(2);
        if (!made) return NULL;
        match_digits(made)[0] = (digit)value & PyLong_MASK;
        match_digits(made)[1] = (digit)(value >> 30);
        return (PyObject *)made;
    }
#endif
    return PyLong_FromLongLong(value);
}

/* high * 2^64 + low as a Python int. */
static PyObject *match_wide_int(uint64_t high, uint64_t low) {
    if (!high) return PyLong_FromUnsignedLongLong(low);
#if PY_VERSION_HEX >= 0x030D0000
    {
        uint64_t words[2];
        words[0] = low;
        words[1] = high;
#if PY_BIG_ENDIAN
        words[0] = high;
        words[1] = low;
#endif
        return PyLong_FromUnsignedNativeBytes(words, sizeof words,
                                              Py_ASNATIVEBYTES_NATIVE_ENDIAN);
    }
#elif MATCH_WRITES_DIGITS
    {
        digit digits[5];
        int count = 5, i;
        PyLongObject *made;
        digits[0] = (digit)(low & PyLong_MASK);
        digits[1] = (digit)((low >> 30) & PyLong_MASK);
        digits[2] = (digit)((low >> 60 | high << 4) & PyLong_MASK);
        digits[3] = (digit)((high >> 26) & PyLong_MASK);
        digits[4] = (digit)(high >> 56);
        while (digits[count - 1] == 0) count--;
        made = _PyLong_New(count);
        if (!made) return NULL;
        for (i = 0; i < count; i++) match_digits(made)[i] = digits[i];
        return (PyObject *)made;
    }
#else
    {
        PyObject *top = PyLong_FromUnsignedLongLong(high), *shift = PyLong_FromLong(64);
        PyObject *rest = PyLong_FromUnsignedLongLong(low), *made = NULL;
        if (top && shift && rest) {
            PyObject *shifted = PyNumber_Lshift(top, shift);
            if (shifted) made = PyNumber_Or(shifted, rest);
            Py_XDECREF(shifted);
        }
        Py_XDECREF(top);
        Py_XDECREF(shift);
        Py_XDECREF(rest);
        return made;
    }
#endif
}

#endif
