/* Many orders in one call, without the GIL: each on a book of its own, or all on one.
 *
 * Order i meets the book of row books[i], or row i where `books` is NULL. A row is `depth`
 * levels of a dense block (`offsets` NULL), or the levels offsets[row] to offsets[row + 1].
 */
#ifndef EXECUTION_MATCH_BATCH_H
#define EXECUTION_MATCH_BATCH_H

#include "_match_prefix.h"
#include "_match_walk.h"

typedef struct {
    const void *prices, *quantities; /* int64 or double */
    const int64_t *offsets, *books;  /* or NULL */
    ptrdiff_t depth, row_stride;     /* of a dense block, in levels */
    const void *orders;
    const void *limits; /* or NULL: the limit below is everyone's */
    int64_t limit_exact;
    double limit_approximate;
    int descending;
    /* results, one an order */
    void *filled, *remaining, *worst_price;
    int64_t *levels;
    void *notional; /* double, or uint64 of the low word */
    uint64_t *notional_high;
} match_batch;

#if defined(__GNUC__)
#define MATCH_PREFETCH(address) __builtin_prefetch((address), 0, 2)
#else
#define MATCH_PREFETCH(address) ((void)(address))
#endif

/* How many orders ahead books are asked for. Far enough to hide the memory behind the walks
 * between, near enough that the lines are still there: 16 was measured. */
#define MATCH_AHEAD 16

MATCH_INLINE ptrdiff_t match_row_begin(const match_batch *batch, ptrdiff_t row) {
    return batch->offsets ? (ptrdiff_t)batch->offsets[row] : row * batch->row_stride;
}

/* Asks memory for the first levels of a row a later order meets; three lines of each array
 * are 24 levels. Rows in their own order gain, too: the processor foresees arrays read from end
 * to end, not the first half of every row. */
MATCH_INLINE void match_ask_ahead(const match_batch *batch, ptrdiff_t order, ptrdiff_t orders) {
    if (batch->books && batch->offsets && order + 2 * MATCH_AHEAD < orders)
        MATCH_PREFETCH(&batch->offsets[batch->books[order + 2 * MATCH_AHEAD]]);
    if (order + MATCH_AHEAD < orders) {
        ptrdiff_t row = order + MATCH_AHEAD;
        ptrdiff_t begin = match_row_begin(batch, batch->books ? batch->books[row] : row);
        const char *prices = (const char *)batch->prices + 8 * begin;
        const char *quantities = (const char *)batch->quantities + 8 * begin;
        MATCH_PREFETCH(prices);
        MATCH_PREFETCH(quantities);
        MATCH_PREFETCH(prices + 64);
        MATCH_PREFETCH(quantities + 64);
        MATCH_PREFETCH(prices + 128);
        MATCH_PREFETCH(quantities + 128);
    }
}

MATCH_INLINE void match_put_exact(const match_batch *batch, ptrdiff_t i,
                                  const match_exact *result) {
    ((int64_t *)batch->filled)[i] = result->filled;
    ((int64_t *)batch->remaining)[i] = result->remaining;
    ((int64_t *)batch->worst_price)[i] = result->worst_price;
    batch->levels[i] = result->levels;
    ((uint64_t *)batch->notional)[i] = result->notional_low;
    batch->notional_high[i] = result->notional_high;
}

MATCH_INLINE void match_put_approximate(const match_batch *batch, ptrdiff_t i,
                                        const match_approximate *result) {
    ((double *)batch->filled)[i] = result->filled;
    ((double *)batch->remaining)[i] = result->remaining;
    ((double *)batch->worst_price)[i] = result->worst_price;
    batch->levels[i] = result->levels;
    ((double *)batch->notional)[i] = result->notional;
}

MATCH_INLINE void match_rows_exact(const match_batch *batch, ptrdiff_t orders, int descending) {
    const int64_t *wants = (const int64_t *)batch->orders;
    const int64_t *limits = (const int64_t *)batch->limits;
    ptrdiff_t i;
    for (i = 0; i < orders; i++) {
        ptrdiff_t row = batch->books ? (ptrdiff_t)batch->books[i] : i;
        ptrdiff_t begin = match_row_begin(batch, row);
        ptrdiff_t count =
            batch->offsets ? (ptrdiff_t)batch->offsets[row + 1] - begin : batch->depth;
        match_exact result;
        match_ask_ahead(batch, i, orders);
        match_walk_exact((const int64_t *)batch->prices + begin,
                         (const int64_t *)batch->quantities + begin, count, wants[i],
                         limits ? limits[i] : batch->limit_exact, descending, &result);
        match_put_exact(batch, i, &result);
    }
}

static void match_run_exact(const match_batch *batch, ptrdiff_t orders) {
    if (batch->descending)
        match_rows_exact(batch, orders, 1);
    else
        match_rows_exact(batch, orders, 0);
}

/* Returns 0 where a notional is not finite. */
static int match_run_approximate(const match_batch *batch, ptrdiff_t orders) {
    const double *wants = (const double *)batch->orders;
    const double *limits = (const double *)batch->limits;
    int finite = 1;
    ptrdiff_t i;
    for (i = 0; i < orders; i++) {
        ptrdiff_t row = batch->books ? (ptrdiff_t)batch->books[i] : i;
        ptrdiff_t begin = match_row_begin(batch, row);
        ptrdiff_t count =
            batch->offsets ? (ptrdiff_t)batch->offsets[row + 1] - begin : batch->depth;
        match_approximate result;
        match_ask_ahead(batch, i, orders);
        match_walk_approximate((const double *)batch->prices + begin,
                               (const double *)batch->quantities + begin, count, wants[i],
                               limits ? limits[i] : batch->limit_approximate,
                               batch->descending, &result);
        match_put_approximate(batch, i, &result);
        finite &= fabs(result.notional) <= DBL_MAX;
    }
    return finite;
}

/* All orders on one book: prefix sums, or the walk where memory for them is short. */
static void match_run_one_exact(const match_batch *batch, ptrdiff_t orders, ptrdiff_t prefix_least) {
    const int64_t *prices = (const int64_t *)batch->prices;
    const int64_t *quantities = (const int64_t *)batch->quantities;
    const int64_t *wants = (const int64_t *)batch->orders;
    const int64_t *limits = (const int64_t *)batch->limits;
    match_prefix_exact *prefix = NULL;
    ptrdiff_t i;
    if (batch->depth >= prefix_least && orders > 2)
        prefix = match_make_prefix_exact(prices, quantities, batch->depth);
    for (i = 0; i < orders; i++) {
        int64_t limit = limits ? limits[i] : batch->limit_exact;
        match_exact result;
        if (prefix)
            match_find_exact(prefix, prices, wants[i], limit, batch->descending, &result);
        else
            match_walk_exact(prices, quantities, batch->depth, wants[i], limit,
                             batch->descending, &result);
        match_put_exact(batch, i, &result);
    }
    free(prefix);
}

static int match_run_one_approximate(const match_batch *batch, ptrdiff_t orders,
                                     ptrdiff_t prefix_least) {
    const double *prices = (const double *)batch->prices;
    const double *quantities = (const double *)batch->quantities;
    const double *wants = (const double *)batch->orders;
    const double *limits = (const double *)batch->limits;
    match_prefix_approximate *prefix = NULL;
    int finite = 1;
    ptrdiff_t i;
    if (batch->depth >= prefix_least && orders > 2)
        prefix = match_make_prefix_approximate(prices, quantities, batch->depth);
    for (i = 0; i < orders; i++) {
        double limit = limits ? limits[i] : batch->limit_approximate;
        match_approximate result;
        if (prefix)
            match_find_approximate(prefix, prices, quantities, wants[i], limit,
                                   batch->descending, &result);
        else
            match_walk_approximate(prices, quantities, batch->depth, wants[i], limit,
                                   batch->descending, &result);
        match_put_approximate(batch, i, &result);
        finite &= fabs(result.notional) <= DBL_MAX;
    }
    free(prefix);
    return finite;
}

/* The first row that is no side of a book, or -1; *fault says what is wrong with it. */
static ptrdiff_t match_check_rows(const match_batch *batch, ptrdiff_t rows, int exact,
                                  int *fault) {
    ptrdiff_t row;
    for (row = 0; row < rows; row++) {
        ptrdiff_t begin = match_row_begin(batch, row);
        ptrdiff_t count =
            batch->offsets ? (ptrdiff_t)batch->offsets[row + 1] - begin : batch->depth;
        *fault = exact ? match_check_exact((const int64_t *)batch->prices + begin,
                                           (const int64_t *)batch->quantities + begin, count,
                                           batch->descending)
                       : match_check_approximate((const double *)batch->prices + begin,
                                                 (const double *)batch->quantities + begin,
                                                 count, batch->descending);
        if (*fault != MATCH_SIDE_SOUND) return row;
    }
    return -1;
}

#endif
