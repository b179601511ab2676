/* An unsigned 128-bit number: what price x quantity sums need.
 *
 * Compilers with __int128 use it. MSVC has none, so there the number is a pair of words with
 * the four operations the kernel uses; EXECUTION_NO_INT128 selects that form anywhere, which
 * is how it is tested here.
 */
#ifndef EXECUTION_MATCH_U128_H
#define EXECUTION_MATCH_U128_H

#include <stdint.h>

#if defined(_MSC_VER)
#include <intrin.h>
#define MATCH_INLINE static __forceinline
#define MATCH_APART static __declspec(noinline)
#else
#define MATCH_APART static __attribute__((noinline))
#define MATCH_INLINE static inline __attribute__((always_inline))
#endif

#if defined(__SIZEOF_INT128__) && !defined(EXECUTION_NO_INT128)

typedef unsigned __int128 match_u128;

MATCH_INLINE match_u128 match_u128_make(uint64_t high, uint64_t low) {
    return ((match_u128)high << 64) | low;
}

MATCH_INLINE uint64_t match_u128_low(match_u128 value) { return (uint64_t)value; }

MATCH_INLINE uint64_t match_u128_high(match_u128 value) { return (uint64_t)(value >> 64); }

MATCH_INLINE match_u128 match_u128_product(uint64_t a, uint64_t b) { return (match_u128)a * b; }

MATCH_INLINE match_u128 match_u128_add(match_u128 a, match_u128 b) { return a + b; }

MATCH_INLINE match_u128 match_u128_subtract(match_u128 a, match_u128 b) { return a - b; }

MATCH_INLINE int match_u128_less(match_u128 a, match_u128 b) { return a < b; }

/* min(floor(value / divisor), cap); divisor > 0. */
MATCH_INLINE uint64_t match_u128_divide(match_u128 value, uint64_t divisor, uint64_t cap) {
    if (value >= (match_u128)divisor * cap) return cap;
    /* The usual amount fits one word, where a division is a single instruction. */
    if (!(value >> 64)) return (uint64_t)value / divisor;
    return (uint64_t)(value / divisor);
}

#else

typedef struct {
    uint64_t low, high;
} match_u128;

MATCH_INLINE match_u128 match_u128_make(uint64_t high, uint64_t low) {
    match_u128 made;
    made.low = low;
    made.high = high;
    return made;
}

MATCH_INLINE uint64_t match_u128_low(match_u128 value) { return value.low; }

MATCH_INLINE uint64_t match_u128_high(match_u128 value) { return value.high; }

MATCH_INLINE match_u128 match_u128_product(uint64_t a, uint64_t b) {
#if defined(_MSC_VER) && defined(_M_X64)
    uint64_t high, low = _umul128(a, b, &high);
    return match_u128_make(high, low);
#elif defined(_MSC_VER) && defined(_M_ARM64)
    return match_u128_make(__umulh(a, b), a * b);
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t cross = a1 * b0 + ((a0 * b0) >> 32); /* cannot carry: (2^32-1)^2 + 2^32-1 */
    uint64_t middle = a0 * b1 + (uint32_t)cross;
    return match_u128_make(a1 * b1 + (cross >> 32) + (middle >> 32), a * b);
#endif
}

MATCH_INLINE match_u128 match_u128_add(match_u128 a, match_u128 b) {
    uint64_t low = a.low + b.low;
    return match_u128_make(a.high + b.high + (low < a.low), low);
}

MATCH_INLINE match_u128 match_u128_subtract(match_u128 a, match_u128 b) {
    return match_u128_make(a.high - b.high - (a.low < b.low), a.low - b.low);
}

MATCH_INLINE int match_u128_less(match_u128 a, match_u128 b) {
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

/* min(floor(value / divisor), cap); divisor > 0. One bit at a time: this form is for
 * correctness where there is no 128-bit division, and runs once an order. */
MATCH_INLINE uint64_t match_u128_divide(match_u128 value, uint64_t divisor, uint64_t cap) {
    uint64_t rest, quotient = 0;
    int bit;
    if (!match_u128_less(value, match_u128_product(divisor, cap))) return cap;
    if (!value.high) return value.low / divisor;
    rest = value.high; /* < divisor, because the quotient is below cap < 2^64 */
    for (bit = 63; bit >= 0; bit--) {
        uint64_t carried = rest >> 63;
        rest = (rest << 1) | ((value.low >> bit) & 1);
        if (carried || rest >= divisor) {
            rest -= divisor;
            quotient |= (uint64_t)1 << bit;
        }
    }
    return quotient;
}

#endif
#endif
