/* The walk: what an order takes from one side of a book, level by level.
 *
 * Plain C, no Python: everything here runs without the GIL. Prices are positive and sorted
 * best first, quantities are not negative. `limit` is the worst acceptable price, inclusive;
 * the callers pass the end of the range where there is none.
 *
 * `levels` counts the leading levels up to and including the last one something was taken
 * from; levels of quantity zero are stepped over.
 */
#ifndef EXECUTION_MATCH_WALK_H
#define EXECUTION_MATCH_WALK_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "_match_u128.h"

typedef struct {
    int64_t filled;
    int64_t remaining;
    int64_t worst_price; /* 0 when nothing was filled */
    int64_t levels;
    uint64_t notional_low;
    uint64_t notional_high;
} match_exact;

typedef struct {
    double filled;
    double remaining;
    double worst_price;
    int64_t levels;
    double notional;
} match_approximate;

/* How far a walk got: the levels behind it were taken whole. */
typedef struct {
    ptrdiff_t level;
    int64_t left;
    match_u128 notional;
} match_progress;

#include "_match_simd.h"

MATCH_INLINE int match_is_worse_exact(int64_t price, int64_t limit, int descending) {
    return descending ? price < limit : price > limit;
}

MATCH_INLINE int match_is_worse_approximate(double price, double limit, int descending) {
    return descending ? price < limit : price > limit;
}

/* The sum cannot overflow: what is taken adds up to at most `want` < 2^63, each unit of it
 * at a price below 2^63, so the notional stays below 2^126. */
MATCH_INLINE void match_walk_any_exact(const int64_t *prices, const int64_t *quantities,
                                       ptrdiff_t count, int64_t want, int64_t limit,
                                       int descending, int may_sweep, match_exact *out) {
    match_u128 notional = match_u128_make(0, 0);
    int64_t left = want;
    ptrdiff_t level = 0;
    if (want > 0) {
#if MATCH_HAS_SWEEP
        if (may_sweep && count >= MATCH_SWEEP_LEAST && match_can_sweep) {
            match_progress done = {0, want, match_u128_make(0, 0)};
            match_sweep(prices, quantities, count, limit, descending, &done);
            level = done.level;
            left = done.left;
            notional = done.notional;
        }
#endif
        while (level < count) {
            int64_t price = prices[level], quantity = quantities[level];
            if (match_is_worse_exact(price, limit, descending)) break;
            level++;
            if (quantity >= left) {
                notional = match_u128_add(notional, match_u128_product(price, left));
                left = 0;
                break;
            }
            notional = match_u128_add(notional, match_u128_product(price, quantity));
            left -= quantity;
        }
        while (level > 0 && quantities[level - 1] == 0) level--;
    }
    out->filled = want - left;
    out->remaining = left;
    out->worst_price = level ? prices[level - 1] : 0;
    out->levels = level;
    out->notional_low = match_u128_low(notional);
    out->notional_high = match_u128_high(notional);
}

MATCH_INLINE void match_walk_exact(const int64_t *prices, const int64_t *quantities,
                                   ptrdiff_t count, int64_t want, int64_t limit, int descending,
                                   match_exact *out) {
    match_walk_any_exact(prices, quantities, count, want, limit, descending, 1, out);
}

/* Sums from the best level on and in no other order, so that prefix sums give the very same
 * floats. */
MATCH_INLINE void match_walk_approximate(const double *prices, const double *quantities,
                                         ptrdiff_t count, double want, double limit,
                                         int descending, match_approximate *out) {
    double notional = 0.0, filled = 0.0;
    ptrdiff_t level = 0;
    if (want > 0.0) {
        while (level < count) {
            double price = prices[level], through = filled + quantities[level];
            if (match_is_worse_approximate(price, limit, descending)) break;
            level++;
            if (through >= want) {
                notional += price * (want - filled);
                filled = want;
                break;
            }
            notional += price * quantities[level - 1];
            filled = through;
        }
        while (level > 0 && quantities[level - 1] == 0.0) level--;
    }
    out->filled = filled;
    out->remaining = want - filled;
    out->worst_price = level ? prices[level - 1] : 0.0;
    out->levels = level;
    out->notional = notional;
}

/* Spends at most `amount` < 2^127, best level first, and stops at the first level it cannot
 * afford whole. Returns 0 where the quantity passes int64. `remaining` is not set: what is
 * left over is amount - notional. */
MATCH_INLINE int match_spend_exact(const int64_t *prices, const int64_t *quantities,
                                   ptrdiff_t count, match_u128 amount, int64_t limit,
                                   int descending, match_exact *out) {
    match_u128 left = amount, notional;
    int64_t filled = 0;
    ptrdiff_t level, levels = 0;
    for (level = 0; level < count; level++) {
        int64_t quantity = quantities[level], taken;
        if (match_is_worse_exact(prices[level], limit, descending)) break;
        taken = (int64_t)match_u128_divide(left, prices[level], quantity);
        if (taken > INT64_MAX - filled) return 0;
        if (taken) {
            filled += taken;
            left = match_u128_subtract(left, match_u128_product(prices[level], taken));
            levels = level + 1;
        }
        if (taken < quantity) break;
    }
    notional = match_u128_subtract(amount, left);
    out->filled = filled;
    out->remaining = 0;
    out->worst_price = levels ? prices[levels - 1] : 0;
    out->levels = levels;
    out->notional_low = match_u128_low(notional);
    out->notional_high = match_u128_high(notional);
    return 1;
}

/* The same in floats; in whole lots where `whole`, when quantities count lots and prices are
 * per lot. A hair's breadth is forgiven, so that n x price buys n whole lots. */
MATCH_INLINE void match_spend_approximate(const double *prices, const double *quantities,
                                          ptrdiff_t count, double amount, double limit,
                                          int descending, int whole, match_approximate *out) {
    double left = amount, filled = 0.0, notional = 0.0;
    ptrdiff_t level, levels = 0;
    for (level = 0; level < count; level++) {
        double quantity = quantities[level], taken = left / prices[level];
        if (match_is_worse_approximate(prices[level], limit, descending)) break;
        if (whole) taken = floor(taken * (1.0 + 1e-12) + 1e-9);
        if (taken > quantity) taken = quantity;
        if (taken > 0.0) {
            double paid = prices[level] * taken;
            filled += taken;
            notional += paid;
            left = left > paid ? left - paid : 0.0;
            levels = level + 1;
        }
        if (taken < quantity) break;
    }
    out->filled = filled;
    out->remaining = left;
    out->worst_price = levels ? prices[levels - 1] : 0.0;
    out->levels = levels;
    out->notional = notional;
}

/* What is wrong with one side of a book. */
enum {
    MATCH_SIDE_SOUND = 0,
    MATCH_PRICE_NOT_FINITE,
    MATCH_PRICE_NOT_POSITIVE,
    MATCH_PRICE_UNSORTED,
    MATCH_QUANTITY_NOT_FINITE,
    MATCH_QUANTITY_NEGATIVE
};

MATCH_INLINE int match_fault_exact(const int64_t *prices, const int64_t *quantities,
                                   ptrdiff_t count, int descending) {
    ptrdiff_t i;
    for (i = 0; i < count; i++) {
        if (prices[i] <= 0) return MATCH_PRICE_NOT_POSITIVE;
        if (i && match_is_worse_exact(prices[i - 1], prices[i], descending))
            return MATCH_PRICE_UNSORTED;
        if (quantities[i] < 0) return MATCH_QUANTITY_NEGATIVE;
    }
    return MATCH_SIDE_SOUND;
}

/* One pass without branches, which the compiler turns into vector code: every fault shows in
 * a sign bit. Positive prices cannot overflow the difference; others show by themselves. */
MATCH_INLINE int match_check_exact(const int64_t *prices, const int64_t *quantities,
                                   ptrdiff_t count, int descending) {
    uint64_t signs = 0;
    ptrdiff_t i;
    if (count) signs = (uint64_t)prices[0] | ((uint64_t)prices[0] - 1) | (uint64_t)quantities[0];
    if (descending) {
        for (i = 1; i < count; i++) {
            uint64_t price = (uint64_t)prices[i], step = (uint64_t)prices[i - 1] - price;
            signs |= price | (price - 1) | step | (uint64_t)quantities[i];
        }
    } else {
        for (i = 1; i < count; i++) {
            uint64_t price = (uint64_t)prices[i], step = price - (uint64_t)prices[i - 1];
            signs |= price | (price - 1) | step | (uint64_t)quantities[i];
        }
    }
    if (!(signs >> 63)) return MATCH_SIDE_SOUND;
    return match_fault_exact(prices, quantities, count, descending);
}

MATCH_INLINE int match_check_approximate(const double *prices, const double *quantities,
                                         ptrdiff_t count, int descending) {
    ptrdiff_t i;
    for (i = 0; i < count; i++) {
        if (!(fabs(prices[i]) <= DBL_MAX)) return MATCH_PRICE_NOT_FINITE;
        if (prices[i] <= 0.0) return MATCH_PRICE_NOT_POSITIVE;
        if (i && match_is_worse_approximate(prices[i - 1], prices[i], descending))
            return MATCH_PRICE_UNSORTED;
        if (!(fabs(quantities[i]) <= DBL_MAX)) return MATCH_QUANTITY_NOT_FINITE;
        if (quantities[i] < 0.0) return MATCH_QUANTITY_NEGATIVE;
    }
    return MATCH_SIDE_SOUND;
}

#endif
