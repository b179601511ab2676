/* Protobuf on the wire: what is written of a report, what is read of an order.
 * Source: https://protobuf.dev/programming-guides/encoding */
#ifndef EXECUTION_ORDER_MESSAGE_H
#define EXECUTION_ORDER_MESSAGE_H

#include "_order_buffer.h"

enum { ORDER_VARINT = 0, ORDER_DELIMITED = 2 };

#define ORDER_VARINT_MAX 10 /* bytes of 64 bits, seven a byte */

MATCH_INLINE size_t order_varint_size(uint64_t number) {
    size_t count = 1;
    while (number >>= 7) count++;
    return count;
}

MATCH_INLINE char *order_varint(char *at, uint64_t number) {
    while (number >= 0x80) {
        *at++ = (char)(number | 0x80);
        number >>= 7;
    }
    *at++ = (char)number;
    return at;
}

MATCH_INLINE void order_put_varint(order_buffer *buffer, uint64_t number) {
    char *at = order_reserve(buffer, ORDER_VARINT_MAX);
    if (!at) return;
    buffer->length = (size_t)(order_varint(at, number) - buffer->start);
}

/* The head of a field of `count` bytes. */
MATCH_INLINE void order_put_head(order_buffer *buffer, unsigned field, size_t count) {
    char *at = order_reserve(buffer, 2 * ORDER_VARINT_MAX);
    if (!at) return;
    at = order_varint(at, field << 3 | ORDER_DELIMITED);
    buffer->length = (size_t)(order_varint(at, count) - buffer->start);
}

/* A string field; nothing where it is empty. */
MATCH_INLINE void order_put_field(order_buffer *buffer, unsigned field, PyObject *text) {
    size_t count;
    char *at;
    const char *bytes = order_utf8(buffer, text, &count);
    if (!bytes || !count) return;
    at = order_reserve(buffer, 2 * ORDER_VARINT_MAX + count);
    if (!at) return;
    at = order_varint(at, field << 3 | ORDER_DELIMITED);
    at = order_varint(at, count);
    memcpy(at, bytes, count);
    buffer->length = (size_t)(at + count - buffer->start);
}

/* What `order_put_field` would write. */
MATCH_INLINE size_t order_field_size(order_buffer *buffer, unsigned field, PyObject *text) {
    size_t count;
    if (!order_utf8(buffer, text, &count) || !count) return 0;
    return order_varint_size(field << 3) + order_varint_size(count) + count;
}

/* A varint field; nothing where it is zero. */
MATCH_INLINE void order_put_number_field(order_buffer *buffer, unsigned field, uint64_t number) {
    char *at;
    if (!number) return;
    at = order_reserve(buffer, 2 * ORDER_VARINT_MAX);
    if (!at) return;
    at = order_varint(at, field << 3 | ORDER_VARINT);
    buffer->length = (size_t)(order_varint(at, number) - buffer->start);
}

/* A google.protobuf.Timestamp, present also where it is the epoch. */
MATCH_INLINE void order_put_timestamp(order_buffer *buffer, unsigned field, int64_t seconds,
                                      unsigned nanos) {
    size_t count = (seconds ? 1 + order_varint_size((uint64_t)seconds) : 0) +
                   (nanos ? 1 + order_varint_size(nanos) : 0);
    order_put_head(buffer, field, count);
    order_put_number_field(buffer, 1, (uint64_t)seconds);
    order_put_number_field(buffer, 2, nanos);
}

/* One field as it was read. */
typedef struct {
    int present;
    const char *text;
    size_t count;
    uint64_t number;
} order_value;

#define ORDER_FIELDS 15      /* of OrderRequest, from 1; 0 is none */
#define ORDER_TIME_FIELDS 3  /* of Timestamp */

/* By field: its wire type in OrderRequest. */
static const signed char order_wire_types[ORDER_FIELDS] = {
    -1,
    ORDER_DELIMITED, /* order_id */
    ORDER_DELIMITED, /* user_id */
    ORDER_DELIMITED, /* symbol */
    ORDER_VARINT,    /* direction */
    ORDER_DELIMITED, /* quantity */
    ORDER_VARINT,    /* reduce_only */
    ORDER_DELIMITED, /* trigger_price */
    ORDER_DELIMITED, /* limit_price */
    ORDER_VARINT,    /* max_slippage_bps */
    ORDER_VARINT,    /* time_in_force */
    ORDER_VARINT,    /* trigger_by */
    ORDER_VARINT,    /* reject_if_triggered */
    ORDER_DELIMITED, /* expire_time */
    ORDER_VARINT,    /* order_type */
};

static const signed char order_time_wire_types[ORDER_TIME_FIELDS] = {
    -1, ORDER_VARINT, ORDER_VARINT,
};

/* Reads a varint of up to five bytes, in its shortest form; NULL for any other. */
MATCH_INLINE const char *order_read_varint(const char *at, const char *end, uint64_t *number) {
    uint64_t read = 0;
    int shift;
    for (shift = 0; shift < 42 && at < end; shift += 7) {
        unsigned char byte = (unsigned char)*at++;
        read |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        if (!byte && shift) return NULL;
        *number = read;
        return at;
    }
    return NULL;
}

/* Reads fields below `fields`, each at most once, each of the wire type it must have; 0 for
 * whatever else the bytes may hold. */
MATCH_INLINE int order_read_message(const char *at, size_t size, order_value *values, int fields,
                                    const signed char *wire_types) {
    const char *end = at + size;
    uint64_t number;
    memset(values, 0, (size_t)fields * sizeof *values);
    while (at < end) {
        unsigned tag = (unsigned char)*at++, field = tag >> 3;
        if (tag & 0x80 || field >= (unsigned)fields) return 0;
        if ((int)(tag & 7) != wire_types[field] || values[field].present) return 0;
        at = order_read_varint(at, end, &number);
        if (!at) return 0;
        values[field].present = 1;
        if ((tag & 7) == ORDER_VARINT) {
            values[field].number = number;
            continue;
        }
        if (number > (uint64_t)(end - at)) return 0;
        values[field].text = at;
        values[field].count = (size_t)number;
        at += number;
    }
    return 1;
}

MATCH_INLINE int order_read_fields(const char *at, size_t size, order_value *values) {
    return order_read_message(at, size, values, ORDER_FIELDS, order_wire_types);
}

#define ORDER_SECONDS_MAX 253402300799ull /* the last of the year 9999 */

MATCH_INLINE int order_read_time(const order_value *field, uint64_t *seconds, uint64_t *nanos) {
    order_value values[ORDER_TIME_FIELDS];
    if (!order_read_message(field->text, field->count, values, ORDER_TIME_FIELDS,
                            order_time_wire_types)) {
        return 0;
    }
    *seconds = values[1].number;
    *nanos = values[2].number;
    return *seconds <= ORDER_SECONDS_MAX && *nanos < 1000000000u;
}

MATCH_INLINE int order_is_word(const order_value *field, size_t count_max, char besides) {
    size_t i;
    if (!field->count || field->count > count_max) return 0;
    for (i = 0; i < field->count; i++) {
        char at = field->text[i];
        if (!((at >= 'a' && at <= 'z') || (at >= 'A' && at <= 'Z') || (at >= '0' && at <= '9') ||
              at == '.' || at == '_' || at == '-' || at == besides)) {
            return 0;
        }
    }
    return 1;
}

/* [A-Za-z0-9._-]{1,64} */
MATCH_INLINE int order_is_id(const order_value *field) { return order_is_word(field, 64, '-'); }

/* [A-Za-z0-9._/-]{1,32} */
MATCH_INLINE int order_is_symbol(const order_value *field) { return order_is_word(field, 32, '/'); }

#endif
