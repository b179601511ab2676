/* Exact numbers of up to 127 bits. Whoever calls has a slower way for what does not fit, and
 * takes it for everything where the compiler has no such numbers (MSVC; EXECUTION_NO_INT128).
 *
 * Source of the rules: SEMANTICS, Numbers; Position and realised PnL.
 */
#ifndef EXECUTION_ORDER_NUMBER_H
#define EXECUTION_ORDER_NUMBER_H

#include "_match_python.h"
#include "_order_buffer.h"

#define ORDER_MONEY_DECIMALS 36    /* decimals.MONEY_DECIMALS */
#define ORDER_QUANTITY_DECIMALS 18 /* decimals.QUANTITY_DECIMALS */
#define ORDER_EXTRA 100000000u     /* 10^decimals.AVERAGE_PRICE_EXTRA_DECIMALS */
#define ORDER_DIGITS_MAX 40        /* of a number of 127 bits, and one to spare */

#if defined(__SIZEOF_INT128__) && !defined(EXECUTION_NO_INT128)
#define ORDER_IS_FAST 1
typedef unsigned __int128 order_wide;
typedef __int128 order_signed;
#else
#define ORDER_IS_FAST 0
typedef uint64_t order_wide;
typedef int64_t order_signed;
#endif

/* A position at the scale of its symbol. */
typedef struct {
    int known; /* 0: only its Python integers are */
    int price_decimals, quantity_decimals;
    order_signed quantity, pnl;
    order_wide cost;
} order_holding;

#if ORDER_IS_FAST

#define ORDER_WIDE_MAX ((order_wide)1 << 126)
#define ORDER_FITS(number) ((number) < (order_signed)ORDER_WIDE_MAX && \
                            (number) > -(order_signed)ORDER_WIDE_MAX)

MATCH_INLINE int order_bits(order_wide number) {
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    if (high) return 128 - __builtin_clzll(high);
    return low ? 64 - __builtin_clzll(low) : 0;
}

/* a * b where that surely fits 126 bits. */
MATCH_INLINE int order_multiply(order_wide a, order_wide b, order_wide *product) {
    if (order_bits(a) + order_bits(b) > 126) return 0;
    *product = a * b;
    return 1;
}

/* numerator / denominator, half-even. Both are below 2^127. */
MATCH_INLINE order_wide order_half_even(order_wide numerator, order_wide denominator) {
    order_wide quotient, twice;
    if (!(numerator >> 64) && !(denominator >> 64)) {
        uint64_t whole = (uint64_t)numerator / (uint64_t)denominator;
        quotient = whole;
        twice = 2 * (order_wide)((uint64_t)numerator - whole * (uint64_t)denominator);
    } else {
        quotient = numerator / denominator;
        twice = 2 * (numerator - quotient * denominator);
    }
    return quotient + (twice > denominator || (twice == denominator && (quotient & 1)));
}

MATCH_INLINE order_wide order_join(uint64_t high, uint64_t low) {
    return (order_wide)high << 64 | low;
}

MATCH_INLINE order_wide order_power(int exponent) {
    if (exponent <= MATCH_DECIMALS_MAX) return match_powers_of_ten[exponent];
    return (order_wide)match_powers_of_ten[MATCH_DECIMALS_MAX] *
           match_powers_of_ten[exponent - MATCH_DECIMALS_MAX];
}

/* The digits, right-aligned before `end`, at least `places`; returns where they begin. */
MATCH_INLINE char *order_digits(char *end, order_wide number, int places) {
    const uint64_t part = 10000000000000000000ull; /* 10^19 */
    char *at = end;
    if (number >> 64) {
        at = match_put_digits(at, (uint64_t)(number % part), 19);
        number /= part;
        places -= 19;
        if (number >> 64) {
            at = match_put_digits(at, (uint64_t)(number % part), 19);
            number /= part;
            places -= 19;
        }
    }
    return match_put_digits(at, (uint64_t)number, places < 1 ? 1 : places);
}

/* Reads an int of up to 126 bits, not negative, from the object itself. */
MATCH_INLINE int order_read_wide(PyObject *number, order_wide *out) {
#if MATCH_READS_DIGITS
    const PyLongObject *integer = (const PyLongObject *)number;
    const digit *digits;
    Py_ssize_t count, i;
    order_wide sum = 0;
    if (!PyLong_CheckExact(number)) return 0;
#if PY_VERSION_HEX >= 0x030C0000
    if (integer->long_value.lv_tag & 2) return 0; /* negative */
    count = (Py_ssize_t)(integer->long_value.lv_tag >> 3);
    digits = integer->long_value.ob_digit;
#else
    count = Py_SIZE(number);
    digits = integer->ob_digit;
#endif
    if (count < 0 || count > 5 || (count == 5 && digits[4] >> 6)) return 0;
    for (i = count - 1; i >= 0; i--) sum = sum << 30 | digits[i];
    *out = sum;
    return 1;
#else
    int overflow;
    long long value;
    if (!PyLong_CheckExact(number)) return 0;
    value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow || value < 0) return 0;
    *out = (order_wide)value;
    return 1;
#endif
}

static PyObject *order_new_int(order_signed number) {
    order_wide size = number < 0 ? 0 - (order_wide)number : (order_wide)number;
    PyObject *made = match_wide_int((uint64_t)(size >> 64), (uint64_t)size), *negative;
    if (!made || number >= 0) return made;
    negative = PyNumber_Negative(made);
    Py_DECREF(made);
    return negative;
}

/* The share of `money` that goes with `part` of `whole`: settlement._share. */
MATCH_INLINE int order_share(order_wide money, order_wide part, order_wide whole,
                             order_wide *share) {
    order_wide product;
    *share = part ? money : 0;
    if (!part || part == whole) return 1;
    if (!order_multiply(money, part, &product)) return 0;
    product = order_half_even(product, whole);
    if (product < money) *share = product;
    return 1;
}

/* settlement.settle at one scale; 0 where a number might not fit. */
MATCH_INLINE int order_settle(const order_holding *before, int bought, order_wide filled,
                              order_wide notional, order_holding *after, order_signed *pnl) {
    order_wide held, closed = 0, cost_out, closed_money, entry_cost;
    order_signed realized;
    if (filled >= ORDER_WIDE_MAX / 2 || notional >= ORDER_WIDE_MAX / 2) return 0;
    held = before->quantity < 0 ? (order_wide)-before->quantity : (order_wide)before->quantity;
    if (bought ? before->quantity < 0 : before->quantity > 0) {
        closed = held < filled ? held : filled;
    }
    if (!order_share(before->cost, closed, held, &cost_out) ||
        !order_share(notional, closed, filled, &closed_money)) {
        return 0;
    }
    realized = bought ? (order_signed)cost_out - (order_signed)closed_money
                      : (order_signed)closed_money - (order_signed)cost_out;
    entry_cost = before->cost - cost_out + (notional - closed_money);
    *after = *before;
    after->quantity += bought ? (order_signed)filled : -(order_signed)filled;
    after->cost = entry_cost;
    after->pnl += realized;
    *pnl = realized;
    return ORDER_FITS(after->quantity) && ORDER_FITS(after->pnl) && entry_cost < ORDER_WIDE_MAX;
}

#else /* no numbers of 128 bits: nothing fits, and nothing below is ever reached */

MATCH_INLINE int order_multiply(order_wide a, order_wide b, order_wide *product) {
    (void)a, (void)b, (void)product;
    return 0;
}
MATCH_INLINE order_wide order_half_even(order_wide numerator, order_wide denominator) {
    return numerator / denominator;
}
MATCH_INLINE order_wide order_join(uint64_t high, uint64_t low) {
    (void)high;
    return low;
}
MATCH_INLINE order_wide order_power(int exponent) {
    return match_powers_of_ten[exponent <= MATCH_DECIMALS_MAX ? exponent : MATCH_DECIMALS_MAX];
}
MATCH_INLINE char *order_digits(char *end, order_wide number, int places) {
    return match_put_digits(end, number, places < 1 ? 1 : places);
}
MATCH_INLINE int order_read_wide(PyObject *number, order_wide *out) {
    (void)number, (void)out;
    return 0;
}
static PyObject *order_new_int(order_signed number) { return PyLong_FromLongLong(number); }
MATCH_INLINE int order_settle(const order_holding *before, int bought, order_wide filled,
                              order_wide notional, order_holding *after, order_signed *pnl) {
    (void)before, (void)bought, (void)filled, (void)notional, (void)after, (void)pnl;
    return 0;
}

#endif

#define ORDER_DECIMAL_MAX (1 + ORDER_DIGITS_MAX + 1)

/* Decimal text as decimals.to_text writes it, right-aligned before `end`, where there is room
 * for ORDER_DECIMAL_MAX characters; `decimals` is at most ORDER_MONEY_DECIMALS. The text ends
 * at `*stop`. Returns where it begins. */
MATCH_INLINE char *order_decimal(char *end, order_wide size, int negative, int decimals,
                                 char **stop) {
    char *at, *point;
    if (!decimals) {
        *stop = end;
        at = order_digits(end, size, 1);
    } else {
        at = order_digits(end, size, decimals + 1);
        point = end - decimals;
        while (end > point && end[-1] == '0') end--;
        if (end == point) {
            *stop = end;
        } else {
            /* The whole part makes way for the point: the fraction stays where it is. */
            memmove(at - 1, at, (size_t)(point - at));
            at--;
            point[-1] = '.';
            *stop = end;
        }
    }
    if (negative) *--at = '-';
    return at;
}

MATCH_INLINE PyObject *order_decimal_text(order_wide size, int negative, int decimals) {
    char buffer[ORDER_DECIMAL_MAX], *stop, *at, *end = buffer + ORDER_DECIMAL_MAX;
    PyObject *made;
    at = order_decimal(end, size, negative && size, decimals, &stop);
    made = PyUnicode_New(stop - at, 127);
    if (made) memcpy(PyUnicode_1BYTE_DATA(made), at, (size_t)(stop - at));
    return made;
}

MATCH_INLINE PyObject *order_signed_text(order_signed number, int decimals) {
    return order_decimal_text(number < 0 ? 0 - (order_wide)number : (order_wide)number, number < 0,
                              decimals);
}

MATCH_INLINE void order_put_bulk_decimal(order_buffer *buffer, order_signed number, int decimals) {
    char digits[ORDER_DECIMAL_MAX], *stop, *at;
    order_wide size = number < 0 ? 0 - (order_wide)number : (order_wide)number;
    at = order_decimal(digits + ORDER_DECIMAL_MAX, size, number < 0, decimals, &stop);
    order_put_bulk(buffer, at, (size_t)(stop - at));
}

#endif
