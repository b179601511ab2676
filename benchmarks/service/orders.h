/* Orders as protobuf, written by hand, and what is read of a report. See execution.proto. */
#ifndef ORDERS_H
#define ORDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ORDER_BYTES_MAX 256
#define ORDER_ID_MAX 64
#define STATUS_PARTIAL 4
#define STATUS_FILLED 5
#define STATUS_REJECTED 6

/* Which orders a run sends: order n is the same whoever sends it, and when. */
struct orders {
    const char *prefix; /* of order and user ids, so that no run meets the orders of another */
    uint32_t users, symbols;
    char names[8][16]; /* quantities, as text */
    uint32_t quantities;
};

struct report {
    const uint8_t *order_id;
    size_t order_id_length;
    uint64_t status;
    bool error; /* of an item of a batch or a stream: field 26 */
};

static inline uint64_t scattered(uint64_t n) {
    n += 0x9e3779b97f4a7c15ull;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebull;
    return n ^ (n >> 31);
}

/* Decimal digits with leading zeros; snprintf would cost more than all the rest of an order. */
static inline char *digits(char *out, uint64_t value, int width) {
    for (int i = width - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
    return out + width;
}

static inline char *text(char *out, const char *what) {
    size_t length = strlen(what);
    memcpy(out, what, length);
    return out + length;
}

static inline size_t order_id(char *out, const struct orders *orders, uint64_t n) {
    char *end = text(out, orders->prefix);
    *end++ = '-';
    return (size_t)(digits(end, n, 12) - out);
}

/* A length-delimited field whose length takes one byte. */
static inline char *field(char *out, int number, const char *from, const char *to) {
    *out++ = (char)(number << 3 | 2);
    *out++ = (char)(to - from);
    memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

static inline size_t order_write(uint8_t *out, const struct orders *orders, uint64_t n) {
    uint64_t chance = scattered(n);
    char word[ORDER_ID_MAX + 16], *end, *to = (char *)out;
    to = field(to, 1, word, word + order_id(word, orders, n));
    end = text(word, "u-");
    end = text(end, orders->prefix);
    *end++ = '-';
    to = field(to, 2, word, digits(end, chance % orders->users, 4));
    end = digits(text(word, "SYM"), (chance >> 20) % orders->symbols, 3);
    to = field(to, 3, word, text(end, "-USDT"));
    *to++ = 4 << 3;
    *to++ = (char)(1 + (chance >> 40) % 2);
    const char *quantity = orders->names[(chance >> 50) % orders->quantities];
    to = field(to, 5, quantity, quantity + strlen(quantity));
    return (size_t)(to - (char *)out);
}

static inline size_t varint_write(uint8_t *out, uint64_t value) {
    size_t at = 0;
    for (; value >= 0x80; value >>= 7) out[at++] = (uint8_t)(value | 0x80);
    out[at++] = (uint8_t)value;
    return at;
}

/* Reads a varint; NULL if it does not end. */
static inline const uint8_t *varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; at < end && shift < 64; shift += 7) {
        *value |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) return at;
    }
    return NULL;
}

/* One field of a message: its number, and its value or where its bytes are. NULL: no field. */
static inline const uint8_t *field_read(const uint8_t *at, const uint8_t *end, uint64_t *number,
                                        uint64_t *value, const uint8_t **bytes) {
    uint64_t tag;
    *bytes = NULL;
    if (!(at = varint_read(at, end, &tag))) return NULL;
    *number = tag >> 3;
    switch (tag & 7) {
        case 0: return varint_read(at, end, value);
        case 1: return end - at < 8 ? NULL : at + 8;
        case 5: return end - at < 4 ? NULL : at + 4;
        case 2:
            if (!(at = varint_read(at, end, value)) || *value > (uint64_t)(end - at)) return NULL;
            *bytes = at;
            return at + *value;
    }
    return NULL;
}

static inline bool report_read(const uint8_t *at, size_t length, struct report *report) {
    const uint8_t *end = at + length, *bytes;
    uint64_t number, value = 0;
    memset(report, 0, sizeof *report);
    while (at < end) {
        if (!(at = field_read(at, end, &number, &value, &bytes))) return false;
        if (number == 1 && bytes) {
            report->order_id = bytes;
            report->order_id_length = value;
        } else if (number == 6 && !bytes) {
            report->status = value;
        } else if (number == 26) {
            report->error = true;
        }
    }
    return true;
}

#endif
