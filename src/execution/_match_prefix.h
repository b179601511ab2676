/* Prefix sums of one side: a book that is asked again answers by two short searches.
 *
 * The results are those of the walk, to the bit: exact for int64, and for floats because the
 * sums are made in the order of the walk.
 */
#ifndef EXECUTION_MATCH_PREFIX_H
#define EXECUTION_MATCH_PREFIX_H

#include <stdlib.h>

#include "_match_walk.h"

typedef struct {
    ptrdiff_t count;
    int64_t *through;     /* quantity of the levels up to and including this one, at most
                             INT64_MAX: no order wants more, so what lies beyond is never read */
    match_u128 *notional; /* of the levels before this one */
} match_prefix_exact;

typedef struct {
    ptrdiff_t count;
    double *through;
    double *notional;
} match_prefix_approximate;

/* NULL where memory is short. */
static match_prefix_exact *match_make_prefix_exact(const int64_t *prices,
                                                   const int64_t *quantities, ptrdiff_t count) {
    size_t head = 32; /* the struct, and the alignment of a 128-bit number behind it */
    char *block = (char *)malloc(head + (size_t)count * (sizeof(match_u128) + sizeof(int64_t)));
    match_prefix_exact *made = (match_prefix_exact *)block;
    match_u128 notional = match_u128_make(0, 0);
    int64_t through = 0;
    ptrdiff_t i;
    if (!block) return NULL;
    made->count = count;
    made->notional = (match_u128 *)(block + head);
    made->through = (int64_t *)(block + head + (size_t)count * sizeof(match_u128));
    for (i = 0; i < count; i++) {
        made->notional[i] = notional;
        if (quantities[i] > INT64_MAX - through) {
            through = INT64_MAX;
        } else {
            through += quantities[i];
            notional = match_u128_add(notional, match_u128_product(prices[i], quantities[i]));
        }
        made->through[i] = through;
    }
    return made;
}

static match_prefix_approximate *match_make_prefix_approximate(const double *prices,
                                                               const double *quantities,
                                                               ptrdiff_t count) {
    size_t head = 32;
    char *block = (char *)malloc(head + (size_t)count * 2 * sizeof(double));
    match_prefix_approximate *made = (match_prefix_approximate *)block;
    double notional = 0.0, through = 0.0;
    ptrdiff_t i;
    if (!block) return NULL;
    made->count = count;
    made->notional = (double *)(block + head);
    made->through = made->notional + count;
    for (i = 0; i < count; i++) {
        made->notional[i] = notional;
        through += quantities[i];
        notional += prices[i] * quantities[i];
        made->through[i] = through;
    }
    return made;
}

/* The first level whose running quantity reaches `want`; `count` where none does. Halves
 * without a branch: which half is a coin toss that no predictor wins. */
#define MATCH_DEFINE_REACH(name, number)                                              \
    MATCH_INLINE ptrdiff_t name(const number *through, ptrdiff_t count, number want) { \
        const number *base = through;                                                 \
        ptrdiff_t length = count;                                                     \
        if (!count) return 0;                                                         \
        while (length > 1) {                                                          \
            ptrdiff_t half = length / 2;                                              \
            base += (base[half - 1] < want) ? half : 0;                               \
            length -= half;                                                           \
        }                                                                             \
        return base - through + (*base < want);                                       \
    }

MATCH_DEFINE_REACH(match_reach_exact, int64_t)
MATCH_DEFINE_REACH(match_reach_approximate, double)

/* How many leading levels are not worse than `limit`. */
#define MATCH_DEFINE_ACCEPTABLE(name, number, is_worse)                                   \
    MATCH_INLINE ptrdiff_t name(const number *prices, ptrdiff_t count, number limit,      \
                                int descending) {                                         \
        const number *base = prices;                                                      \
        ptrdiff_t length = count;                                                         \
        if (!count) return 0;                                                             \
        while (length > 1) {                                                              \
            ptrdiff_t half = length / 2;                                                  \
            base += is_worse(base[half - 1], limit, descending) ? 0 : half;               \
            length -= half;                                                               \
        }                                                                                 \
        return base - prices + !is_worse(*base, limit, descending);                       \
    }

MATCH_DEFINE_ACCEPTABLE(match_acceptable_exact, int64_t, match_is_worse_exact)
MATCH_DEFINE_ACCEPTABLE(match_acceptable_approximate, double, match_is_worse_approximate)

MATCH_INLINE void match_find_exact(const match_prefix_exact *prefix, const int64_t *prices,
                                   int64_t want, int64_t limit, int descending,
                                   match_exact *out) {
    ptrdiff_t count = prefix->count;
    int64_t take = want;
    match_u128 notional = match_u128_make(0, 0);
    ptrdiff_t level = 0;
    if (count && match_is_worse_exact(prices[count - 1], limit, descending))
        count = match_acceptable_exact(prices, count, limit, descending);
    if (!count)
        take = 0;
    else if (prefix->through[count - 1] < take)
        take = prefix->through[count - 1];
    if (take > 0) {
        int64_t before;
        /* Orders that sweep the side, or all that the limit lets in, need no search. */
        level = count - 1;
        if (level && prefix->through[level - 1] >= take)
            level = match_reach_exact(prefix->through, count, take);
        before = level ? prefix->through[level - 1] : 0;
        notional = match_u128_add(prefix->notional[level],
                                  match_u128_product(prices[level], take - before));
        level++;
    }
    out->filled = take;
    out->remaining = want - take;
    out->worst_price = level ? prices[level - 1] : 0;
    out->levels = level;
    out->notional_low = match_u128_low(notional);
    out->notional_high = match_u128_high(notional);
}

MATCH_INLINE void match_find_approximate(const match_prefix_approximate *prefix,
                                         const double *prices, const double *quantities,
                                         double want, double limit, int descending,
                                         match_approximate *out) {
    ptrdiff_t count = prefix->count, level = 0;
    double filled = 0.0, notional = 0.0;
    if (count && match_is_worse_approximate(prices[count - 1], limit, descending))
        count = match_acceptable_approximate(prices, count, limit, descending);
    if (count && want > 0.0) {
        level = match_reach_approximate(prefix->through, count, want);
        if (level < count) {
            double before = level ? prefix->through[level - 1] : 0.0;
            notional = prefix->notional[level] + prices[level] * (want - before);
            filled = want;
            level++;
        } else {
            notional = prefix->notional[count - 1] + prices[count - 1] * quantities[count - 1];
            filled = prefix->through[count - 1];
            while (level > 0 && quantities[level - 1] == 0.0) level--;
        }
    }
    out->filled = filled;
    out->remaining = want - filled;
    out->worst_price = level ? prices[level - 1] : 0.0;
    out->levels = level;
    out->notional = notional;
}

#endif
