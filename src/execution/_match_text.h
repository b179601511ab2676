/* Exact decimal text <-> scaled int64. Plain C, no Python. */
#ifndef EXECUTION_MATCH_TEXT_H
#define EXECUTION_MATCH_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "_match_u128.h"

enum { MATCH_TEXT_SOUND = 0, MATCH_TEXT_MALFORMED, MATCH_TEXT_INEXACT, MATCH_TEXT_OVERFLOW };

#define MATCH_DECIMALS_MAX 18 /* 10^18 < 2^63 < 10^19 */
#define MATCH_TEXT_MAX 24     /* sign, 19 digits, point, and room */

static const uint64_t match_powers_of_ten[MATCH_DECIMALS_MAX + 1] = {
    1ull,
    10ull,
    100ull,
    1000ull,
    10000ull,
    100000ull,
    1000000ull,
    10000000ull,
    100000000ull,
    1000000000ull,
    10000000000ull,
    100000000000ull,
    1000000000000ull,
    10000000000000ull,
    100000000000000ull,
    1000000000000000ull,
    10000000000000000ull,
    100000000000000000ull,
    1000000000000000000ull,
};

/* INT64_MAX / 10^k: what may still be multiplied by 10^k. (Only for k = 0 is the number one
 * below zero any larger, and adding one to the others cannot wrap: it is caught behind.) */
static const uint64_t match_largest_before[MATCH_DECIMALS_MAX + 1] = {
    9223372036854775807ull,
    922337203685477580ull,
    92233720368547758ull,
    9223372036854775ull,
    922337203685477ull,
    92233720368547ull,
    9223372036854ull,
    922337203685ull,
    92233720368ull,
    9223372036ull,
    922337203ull,
    92233720ull,
    9223372ull,
    922337ull,
    92233ull,
    9223ull,
    922ull,
    92ull,
    9ull,
};

/* Appends one digit; 0 where the sum would pass 2^64. */
MATCH_INLINE int match_append_digit(uint64_t *sum, uint64_t digit) {
    if (*sum > (UINT64_MAX - digit) / 10) return 0;
    *sum = *sum * 10 + digit;
    return 1;
}

MATCH_INLINE int match_is_digit(char character) { return (unsigned char)(character - '0') <= 9; }

/* sum * 10^rest with its sign, where it fits. */
MATCH_INLINE int match_scale(uint64_t sum, int rest, int negative, int64_t *out) {
    if (sum > match_largest_before[rest] + (uint64_t)negative) return MATCH_TEXT_OVERFLOW;
    sum *= match_powers_of_ten[rest];
    if (sum > (uint64_t)INT64_MAX + (uint64_t)negative) return MATCH_TEXT_OVERFLOW;
    *out = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return MATCH_TEXT_SOUND;
}

/* Text of any length, with zeros past the scale, and with whatever is wrong with it. */
MATCH_APART int match_parse_any(const char *text, ptrdiff_t length, int decimals, int64_t *out) {
    const char *at = text, *end = text + length;
    uint64_t sum = 0;
    int negative = 0, digits = 0, places = 0, fits = 1, exact = 1;
    if (at < end && *at == '-') {
        negative = 1;
        at++;
    }
    for (; at < end && match_is_digit(*at); at++) {
        digits = 1;
        fits &= match_append_digit(&sum, (uint64_t)(*at - '0'));
    }
    if (digits && at < end && *at == '.') {
        digits = 0;
        for (at++; at < end && match_is_digit(*at); at++) {
            digits = 1;
            if (places < decimals) {
                fits &= match_append_digit(&sum, (uint64_t)(*at - '0'));
                places++;
            } else {
                exact &= *at == '0';
            }
        }
    }
    if (at != end || !digits) return MATCH_TEXT_MALFORMED;
    if (!exact) return MATCH_TEXT_INEXACT;
    if (!fits) return MATCH_TEXT_OVERFLOW;
    return match_scale(sum, decimals - places, negative, out);
}

/* Reads digits up to what is none; returns where that is. */
MATCH_INLINE const char *match_read_digits(const char *at, uint64_t *sum) {
    uint64_t read = *sum;
    for (;; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - (unsigned)'0';
        if (digit > 9) break;
        read = read * 10 + digit;
    }
    *sum = read;
    return at;
}

/* The grammar is -?[0-9]+(\.[0-9]+)?, as in JSON but for leading zeros, which are let in. The
 * text ends in a zero byte, as text of Python does. Up to 19 characters hold no number past 2^64:
 * the usual text is read without looking for that. */
MATCH_INLINE int match_parse_decimal(const char *text, ptrdiff_t length, int decimals,
                                     int64_t *out) {
    const char *at = text, *begun;
    uint64_t sum = 0;
    ptrdiff_t places = 0;
    int negative = *at == '-';
    if (length > 19) return match_parse_any(text, length, decimals, out);
    at += negative;
    begun = at;
    at = match_read_digits(at, &sum);
    if (at == begun) return MATCH_TEXT_MALFORMED;
    if (*at == '.') {
        begun = ++at;
        at = match_read_digits(at, &sum);
        places = at - begun;
        if (!places || places > decimals) return match_parse_any(text, length, decimals, out);
    }
    if (at != text + length) return MATCH_TEXT_MALFORMED;
    return match_scale(sum, decimals - (int)places, negative, out);
}

static const char match_digit_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* Writes `number` right-aligned before `at`, in at least `places` digits; two digits a
 * division. Returns where it begins. */
MATCH_INLINE char *match_put_digits(char *at, uint64_t number, int places) {
    while (number >= 100) {
        const char *pair = match_digit_pairs + 2 * (number % 100);
        number /= 100;
        at -= 2;
        places -= 2;
        at[0] = pair[0];
        at[1] = pair[1];
    }
    if (number >= 10) {
        *--at = (char)('0' + number % 10);
        number /= 10;
        places--;
    }
    *--at = (char)('0' + number);
    for (places--; places > 0; places--) *--at = '0';
    return at;
}

/* Writes the text right-aligned into `buffer` and returns its length; it begins at
 * buffer + MATCH_TEXT_MAX - length. */
MATCH_INLINE int match_format_decimal(int64_t value, int decimals, char *buffer) {
    char *end = buffer + MATCH_TEXT_MAX, *at = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, whole = rest;
    if (decimals) {
        uint64_t fraction;
        int places = decimals;
        whole = rest / match_powers_of_ten[decimals];
        fraction = rest - whole * match_powers_of_ten[decimals];
        if (fraction) {
            while (fraction % 10000 == 0) {
                fraction /= 10000;
                places -= 4;
            }
            while (fraction % 10 == 0) {
                fraction /= 10;
                places--;
            }
            at = match_put_digits(at, fraction, places);
            *--at = '.';
        }
    }
    at = match_put_digits(at, whole, 1);
    if (value < 0) *--at = '-';
    return (int)(end - at);
}

#endif
