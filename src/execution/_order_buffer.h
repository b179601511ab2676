/* Bytes that grow as they are written. A fault sticks: what comes after it is not written, and
 * the end tells. So the writers between need no checks of their own. */
#ifndef EXECUTION_ORDER_BUFFER_H
#define EXECUTION_ORDER_BUFFER_H

#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_match_text.h"

enum { ORDER_SOUND = 0, ORDER_NO_MEMORY, ORDER_NOT_TEXT, ORDER_NOT_UTF8, ORDER_NOT_NUMBER };

#define ORDER_ROOM 4096 /* on the stack of the caller; a usual entry fits */

typedef struct {
    char *start, *room;
    size_t length, capacity;
    int fault;
    PyObject *culprit; /* of the fault; borrowed, the caller holds what it writes */
} order_buffer;

MATCH_INLINE void order_begin(order_buffer *buffer, char *room, size_t capacity) {
    buffer->start = buffer->room = room;
    buffer->length = 0;
    buffer->capacity = capacity;
    buffer->fault = ORDER_SOUND;
    buffer->culprit = NULL;
}

MATCH_INLINE void order_fail(order_buffer *buffer, int fault, PyObject *culprit) {
    if (buffer->fault) return;
    buffer->fault = fault;
    buffer->culprit = culprit;
}

MATCH_INLINE void order_end(order_buffer *buffer) {
    if (buffer->start != buffer->room) free(buffer->start);
    buffer->start = buffer->room;
}

MATCH_APART int order_grow(order_buffer *buffer, size_t more) {
    size_t wanted;
    char *grown;
    if (buffer->fault) return 0;
    if (more > (size_t)PTRDIFF_MAX / 2 - buffer->length) {
        buffer->fault = ORDER_NO_MEMORY;
        return 0;
    }
    wanted = 2 * (buffer->length + more);
    if (buffer->start == buffer->room) {
        grown = (char *)malloc(wanted);
        if (grown) memcpy(grown, buffer->start, buffer->length);
    } else {
        grown = (char *)realloc(buffer->start, wanted);
    }
    if (!grown) {
        buffer->fault = ORDER_NO_MEMORY;
        return 0;
    }
    buffer->start = grown;
    buffer->capacity = wanted;
    return 1;
}

/* Where to write `more` bytes; NULL after a fault. Nothing is written until `length` says so. */
MATCH_INLINE char *order_reserve(order_buffer *buffer, size_t more) {
    if (buffer->fault) return NULL;
    if (buffer->capacity - buffer->length < more && !order_grow(buffer, more)) return NULL;
    return buffer->start + buffer->length;
}

MATCH_INLINE void order_put(order_buffer *buffer, const char *bytes, size_t count) {
    char *at = order_reserve(buffer, count);
    if (!at) return;
    memcpy(at, bytes, count);
    buffer->length += count;
}

MATCH_INLINE void order_put_byte(order_buffer *buffer, int byte) {
    char *at = order_reserve(buffer, 1);
    if (!at) return;
    *at = (char)byte;
    buffer->length++;
}

/* Takes out one byte that was written at `at`. */
MATCH_INLINE void order_drop(order_buffer *buffer, size_t at) {
    memmove(buffer->start + at, buffer->start + at + 1, buffer->length - at - 1);
    buffer->length--;
}

/* Raises what the fault was; always NULL. */
MATCH_APART PyObject *order_raise(const order_buffer *buffer) {
    switch (buffer->fault) {
    case ORDER_NOT_TEXT:
        return PyErr_Format(PyExc_TypeError, "%.200R is not text", buffer->culprit);
    case ORDER_NOT_UTF8: {
        PyObject *encoded = PyUnicode_AsUTF8String(buffer->culprit);
        if (!encoded) return NULL;
        Py_DECREF(encoded);
        return PyErr_NoMemory();
    }
    case ORDER_NOT_NUMBER:
        return PyErr_Format(PyExc_ValueError,
                            "%R is not decimal text that JSON takes as a number",
                            buffer->culprit);
    default: return PyErr_NoMemory();
    }
}

/* What was written as bytes; NULL and an exception after a fault. */
MATCH_INLINE PyObject *order_bytes(const order_buffer *buffer) {
    if (buffer->fault) return order_raise(buffer);
    return PyBytes_FromStringAndSize(buffer->start, (Py_ssize_t)buffer->length);
}

/* The text as UTF-8, alive as long as it is. NULL and a fault for what is no text, or has none. */
MATCH_INLINE const char *order_utf8(order_buffer *buffer, PyObject *text, size_t *count) {
    const char *bytes;
    Py_ssize_t length;
    *count = 0;
    if (buffer->fault) return NULL;
    if (!PyUnicode_Check(text)) {
        order_fail(buffer, ORDER_NOT_TEXT, text);
        return NULL;
    }
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *count = (size_t)PyUnicode_GET_LENGTH(text);
        return (const char *)PyUnicode_1BYTE_DATA(text);
    }
    bytes = PyUnicode_AsUTF8AndSize(text, &length);
    if (!bytes) {
        PyErr_Clear();
        order_fail(buffer, ORDER_NOT_UTF8, text);
        return NULL;
    }
    *count = (size_t)length;
    return bytes;
}

MATCH_INLINE void order_put_text(order_buffer *buffer, PyObject *text) {
    size_t count;
    const char *bytes = order_utf8(buffer, text, &count);
    if (bytes) order_put(buffer, bytes, count);
}

MATCH_INLINE void order_put_unsigned(order_buffer *buffer, uint64_t number) {
    char digits[MATCH_TEXT_MAX], *end = digits + MATCH_TEXT_MAX;
    char *at = match_put_digits(end, number, 1);
    order_put(buffer, at, (size_t)(end - at));
}

MATCH_INLINE void order_put_signed(order_buffer *buffer, int64_t number) {
    if (number < 0) order_put_byte(buffer, '-');
    order_put_unsigned(buffer, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

/* RESP: a bulk string. */
MATCH_INLINE void order_put_bulk(order_buffer *buffer, const char *bytes, size_t count) {
    char *at = order_reserve(buffer, count + MATCH_TEXT_MAX + 5);
    char digits[MATCH_TEXT_MAX], *end = digits + MATCH_TEXT_MAX, *begun;
    if (!at) return;
    begun = match_put_digits(end, (uint64_t)count, 1);
    *at++ = '$';
    memcpy(at, begun, (size_t)(end - begun));
    at += end - begun;
    *at++ = '\r';
    *at++ = '\n';
    memcpy(at, bytes, count);
    at += count;
    *at++ = '\r';
    *at++ = '\n';
    buffer->length = (size_t)(at - buffer->start);
}

MATCH_INLINE void order_put_bulk_text(order_buffer *buffer, PyObject *text) {
    size_t count;
    const char *bytes = order_utf8(buffer, text, &count);
    if (bytes) order_put_bulk(buffer, bytes, count);
}

MATCH_INLINE void order_put_bulk_buffer(order_buffer *buffer, const order_buffer *made) {
    if (made->fault) order_fail(buffer, made->fault, made->culprit);
    order_put_bulk(buffer, made->start, made->length);
}

#endif
