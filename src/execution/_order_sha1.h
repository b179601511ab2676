/* SHA-1 (RFC 3174), for names alone: a UUIDv5 is one. Nothing is kept secret by it. */
#ifndef EXECUTION_ORDER_SHA1_H
#define EXECUTION_ORDER_SHA1_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "_match_u128.h"

typedef struct {
    uint32_t state[5];
    uint64_t count; /* bytes so far */
    unsigned char block[64];
} order_sha1;

MATCH_INLINE uint32_t order_rotate(uint32_t word, int bits) {
    return word << bits | word >> (32 - bits);
}

static void order_sha1_block(uint32_t *state, const unsigned char *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], next;
    int i;
    for (i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    }
    for (; i < 80; i++) w[i] = order_rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
#define ORDER_ROUNDS(from, to, mix, constant)                               \
    for (i = from; i < to; i++) {                                           \
        next = order_rotate(a, 5) + (mix) + e + (uint32_t)(constant) + w[i]; \
        e = d;                                                              \
        d = c;                                                              \
        c = order_rotate(b, 30);                                            \
        b = a;                                                              \
        a = next;                                                           \
    }
    ORDER_ROUNDS(0, 20, d ^ (b & (c ^ d)), 0x5a827999u)
    ORDER_ROUNDS(20, 40, b ^ c ^ d, 0x6ed9eba1u)
    ORDER_ROUNDS(40, 60, (b & c) | (d & (b | c)), 0x8f1bbcdcu)
    ORDER_ROUNDS(60, 80, b ^ c ^ d, 0xca62c1d6u)
#undef ORDER_ROUNDS
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

MATCH_INLINE void order_sha1_begin(order_sha1 *sum) {
    static const uint32_t first[5] = {
        0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u,
    };
    memcpy(sum->state, first, sizeof first);
    sum->count = 0;
}

static void order_sha1_add(order_sha1 *sum, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    while (count) {
        size_t filled = (size_t)(sum->count % 64), part = 64 - filled;
        if (part > count) part = count;
        memcpy(sum->block + filled, at, part);
        sum->count += part;
        at += part;
        count -= part;
        if (sum->count % 64 == 0) order_sha1_block(sum->state, sum->block);
    }
}

static void order_sha1_end(order_sha1 *sum, unsigned char digest[20]) {
    static const unsigned char padding[64] = {0x80};
    uint64_t bits = sum->count * 8;
    size_t filled = (size_t)(sum->count % 64);
    unsigned char length[8];
    int i;
    order_sha1_add(sum, padding, filled < 56 ? 56 - filled : 120 - filled);
    for (i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    order_sha1_add(sum, length, 8);
    for (i = 0; i < 20; i++) digest[i] = (unsigned char)(sum->state[i / 4] >> (24 - 8 * (i % 4)));
}

#define ORDER_UUID_TEXT 36

/* The first 16 bytes of the digest as a UUID of version 5, RFC 9562. */
MATCH_INLINE void order_uuid5(unsigned char digest[20], char *at) {
    static const char hex[] = "0123456789abcdef";
    int i;
    digest[6] = (unsigned char)((digest[6] & 0x0f) | 0x50);
    digest[8] = (unsigned char)((digest[8] & 0x3f) | 0x80);
    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
}

#endif
