/* One side of a Book: its arrays, and prefix sums once they pay. */
#ifndef EXECUTION_MATCH_SIDE_H
#define EXECUTION_MATCH_SIDE_H

#include "_match_prefix.h"

typedef struct {
    const void *prices, *quantities; /* int64 or double */
    ptrdiff_t count;
    void *prefix;     /* match_prefix_exact or match_prefix_approximate; NULL until it pays */
    int64_t patience; /* levels still to be walked before prefix sums are made */
} match_side;

/* Below this many levels the walk is as fast as the searches. */
#define MATCH_PREFIX_LEAST 16
/* Making the sums costs about as much as walking the side twice; a side that was walked this
 * often in full will most likely be walked again. */
#define MATCH_PREFIX_AFTER 4

static void match_start_side(match_side *side) {
    side->prefix = NULL;
    side->patience = side->count < MATCH_PREFIX_LEAST
                         ? INT64_MAX
                         : (int64_t)side->count * MATCH_PREFIX_AFTER;
}

static void match_end_side(match_side *side) {
    free(side->prefix);
    side->prefix = NULL;
}

static void match_make_prefix(match_side *side, int exact) {
    side->patience = INT64_MAX; /* also where memory is short: the walk still works */
    if (exact)
        side->prefix = match_make_prefix_exact((const int64_t *)side->prices,
                                               (const int64_t *)side->quantities, side->count);
    else
        side->prefix = match_make_prefix_approximate(
            (const double *)side->prices, (const double *)side->quantities, side->count);
}

/* These change the side (its prefix sums): the caller holds the GIL. */
MATCH_APART void match_take_long_exact(match_side *side, int64_t want, int64_t limit,
                                       int descending, match_exact *out) {
    const int64_t *prices = (const int64_t *)side->prices;
    if (side->prefix) {
        match_find_exact((const match_prefix_exact *)side->prefix, prices, want, limit,
                         descending, out);
        return;
    }
    match_walk_exact(prices, (const int64_t *)side->quantities, side->count, want, limit,
                     descending, out);
    side->patience -= out->levels;
    if (side->patience < 0) match_make_prefix(side, 1);
}

/* A short book is walked at once; what long ones need stays out of its way. */
MATCH_INLINE void match_take_exact(match_side *side, int64_t want, int64_t limit, int descending,
                                   match_exact *out) {
    if (side->count < MATCH_PREFIX_LEAST)
        match_walk_any_exact((const int64_t *)side->prices, (const int64_t *)side->quantities,
                             side->count, want, limit, descending, 0, out);
    else
        match_take_long_exact(side, want, limit, descending, out);
}

MATCH_INLINE void match_take_approximate(match_side *side, double want, double limit,
                                         int descending, match_approximate *out) {
    const double *prices = (const double *)side->prices;
    const double *quantities = (const double *)side->quantities;
    if (side->prefix) {
        match_find_approximate((const match_prefix_approximate *)side->prefix, prices, quantities,
                               want, limit, descending, out);
        return;
    }
    match_walk_approximate(prices, quantities, side->count, want, limit, descending, out);
    side->patience -= out->levels;
    if (side->patience < 0) match_make_prefix(side, 0);
}

#endif
