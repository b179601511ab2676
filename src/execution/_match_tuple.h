/* Results as Python objects, none made that exists already. */
#ifndef EXECUTION_MATCH_TUPLE_H
#define EXECUTION_MATCH_TUPLE_H

#include "_match_python.h"
#include "_match_walk.h"

/* Text whose characters are bytes of ASCII, one after the other. */
MATCH_INLINE int match_is_plain_text(PyObject *text) {
    return PyUnicode_Check(text) && PyUnicode_IS_COMPACT_ASCII(text);
}

MATCH_INLINE const char *match_characters(PyObject *text) {
    return (const char *)PyUnicode_1BYTE_DATA(text);
}

MATCH_INLINE Py_ssize_t match_length(PyObject *text) { return PyUnicode_GET_LENGTH(text); }

MATCH_INLINE PyObject *match_new_text(const char *characters, Py_ssize_t length) {
    PyObject *made = PyUnicode_New(length, 127);
    if (made) memcpy(PyUnicode_1BYTE_DATA(made), characters, (size_t)length);
    return made;
}

/* (filled, notional, remaining, levels, worst_price). `want` and `limit` are the ints of the
 * call, or NULL: an order that fills has filled just what was asked. */
static PyObject *match_exact_tuple(const match_exact *result, PyObject *want, PyObject *limit) {
    PyObject *made = PyTuple_New(5), *number;
    int64_t bound;
    if (!made) return NULL;

    if (want && !result->remaining) {
        number = Py_NewRef(want);
    } else {
        number = match_new_int(result->filled);
        if (!number) goto failed;
    }
    PyTuple_SET_ITEM(made, 0, number);

    number = match_wide_int(result->notional_high, result->notional_low);
    if (!number) goto failed;
    PyTuple_SET_ITEM(made, 1, number);

    number = match_new_int(result->remaining);
    if (!number) goto failed;
    PyTuple_SET_ITEM(made, 2, number);

    number = match_new_int(result->levels);
    if (!number) goto failed;
    PyTuple_SET_ITEM(made, 3, number);

    if (!result->levels) {
        number = Py_NewRef(Py_None);
    } else if (limit && match_read_int(limit, &bound) && bound == result->worst_price) {
        number = Py_NewRef(limit);
    } else {
        number = match_new_int(result->worst_price);
        if (!number) goto failed;
    }
    PyTuple_SET_ITEM(made, 4, number);
    return made;

failed:
    Py_DECREF(made);
    return NULL;
}

#endif
