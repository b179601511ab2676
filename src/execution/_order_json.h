/* Text as JSON: what json.encoder.encode_basestring_ascii writes, and number tokens. */
#ifndef EXECUTION_ORDER_JSON_H
#define EXECUTION_ORDER_JSON_H

#include "_order_buffer.h"

/* Whether any of eight bytes of ASCII has to be escaped: below a blank, ", \, or DEL. */
MATCH_INLINE int order_any_escaped(uint64_t eight) {
    const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    uint64_t quotes = eight ^ (ones * '"'), slashes = eight ^ (ones * '\\'),
             dels = eight ^ (ones * 0x7f);
    uint64_t found = (eight - ones * ' ') | (quotes - ones) | (slashes - ones) | (dels - ones);
    return (found & tops) != 0;
}

MATCH_INLINE int order_is_plain(const char *text, size_t count) {
    uint64_t eight;
    size_t i;
    for (i = 0; i + 8 <= count; i += 8) {
        memcpy(&eight, text + i, 8);
        if (order_any_escaped(eight)) return 0;
    }
    if (i == count) return 1;
    eight = 0x2020202020202020ull;
    memcpy(&eight, text + i, count - i);
    return !order_any_escaped(eight);
}

MATCH_INLINE char *order_put_escape(char *at, unsigned unit) {
    static const char hex[] = "0123456789abcdef";
    *at++ = '\\';
    *at++ = 'u';
    *at++ = hex[unit >> 12 & 15];
    *at++ = hex[unit >> 8 & 15];
    *at++ = hex[unit >> 4 & 15];
    *at++ = hex[unit & 15];
    return at;
}

static char *order_put_escaped(char *at, Py_UCS4 character) {
    switch (character) {
    case '"': *at++ = '\\'; *at++ = '"'; return at;
    case '\\': *at++ = '\\'; *at++ = '\\'; return at;
    case '\b': *at++ = '\\'; *at++ = 'b'; return at;
    case '\f': *at++ = '\\'; *at++ = 'f'; return at;
    case '\n': *at++ = '\\'; *at++ = 'n'; return at;
    case '\r': *at++ = '\\'; *at++ = 'r'; return at;
    case '\t': *at++ = '\\'; *at++ = 't'; return at;
    default: break;
    }
    if (character >= ' ' && character <= '~') {
        *at++ = (char)character;
        return at;
    }
    if (character < 0x10000) return order_put_escape(at, (unsigned)character);
    at = order_put_escape(at, (unsigned)(0xd800 + ((character - 0x10000) >> 10)));
    return order_put_escape(at, (unsigned)(0xdc00 + ((character - 0x10000) & 0x3ff)));
}

#define ORDER_ESCAPED_MAX 12 /* a character outside the basic plane: two escapes */

MATCH_APART void order_put_quoted_any(order_buffer *buffer, PyObject *text) {
    Py_ssize_t length, i;
    int kind;
    const void *data;
    char *at;
    if (buffer->fault) return;
    if (!PyUnicode_Check(text)) {
        order_fail(buffer, ORDER_NOT_TEXT, text);
        return;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) {
        PyErr_Clear();
        order_fail(buffer, ORDER_NO_MEMORY, NULL);
        return;
    }
#endif
    length = PyUnicode_GET_LENGTH(text);
    if ((size_t)length > (size_t)PTRDIFF_MAX / ORDER_ESCAPED_MAX - 2) {
        buffer->fault = ORDER_NO_MEMORY;
        return;
    }
    at = order_reserve(buffer, (size_t)length * ORDER_ESCAPED_MAX + 2);
    if (!at) return;
    kind = PyUnicode_KIND(text);
    data = PyUnicode_DATA(text);
    *at++ = '"';
    for (i = 0; i < length; i++) at = order_put_escaped(at, PyUnicode_READ(kind, data, i));
    *at++ = '"';
    buffer->length = (size_t)(at - buffer->start);
}

/* The text as a JSON string. */
MATCH_INLINE void order_put_quoted(order_buffer *buffer, PyObject *text) {
    if (PyUnicode_Check(text) && PyUnicode_IS_COMPACT_ASCII(text)) {
        const char *bytes = (const char *)PyUnicode_1BYTE_DATA(text);
        size_t count = (size_t)PyUnicode_GET_LENGTH(text);
        if (order_is_plain(bytes, count)) {
            char *at = order_reserve(buffer, count + 2);
            if (!at) return;
            at[0] = '"';
            memcpy(at + 1, bytes, count);
            at[count + 1] = '"';
            buffer->length += count + 2;
            return;
        }
    }
    order_put_quoted_any(buffer, text);
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?, what JSON takes as a number, without an exponent. */
MATCH_INLINE int order_is_number(const char *text, size_t count) {
    const char *at = text, *end = text + count, *begun;
    if (at < end && *at == '-') at++;
    begun = at;
    while (at < end && match_is_digit(*at)) at++;
    if (at == begun || (*begun == '0' && at - begun > 1)) return 0;
    if (at == end) return 1;
    if (*at++ != '.') return 0;
    begun = at;
    while (at < end && match_is_digit(*at)) at++;
    return at == end && at > begun;
}

/* The text as a number token; ValueError for one that is none, which is never published. */
MATCH_INLINE void order_put_number(order_buffer *buffer, PyObject *text) {
    const char *bytes;
    size_t count;
    if (!PyUnicode_Check(text)) {
        order_fail(buffer, ORDER_NOT_TEXT, text);
        return;
    }
    if (!PyUnicode_IS_COMPACT_ASCII(text)) {
        order_fail(buffer, ORDER_NOT_NUMBER, text);
        return;
    }
    bytes = (const char *)PyUnicode_1BYTE_DATA(text);
    count = (size_t)PyUnicode_GET_LENGTH(text);
    if (!order_is_number(bytes, count)) {
        order_fail(buffer, ORDER_NOT_NUMBER, text);
        return;
    }
    order_put(buffer, bytes, count);
}

#endif
