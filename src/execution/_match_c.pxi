# What is used of the C headers.

cdef extern from "_match_python.h":
    bint match_read_int(object number, int64_t *out) noexcept
    bint match_reads_int "match_read_int"(PyObject *number, int64_t *out) noexcept
    object match_wide_int(uint64_t high, uint64_t low)

cdef extern from "_match_text.h" nogil:
    enum:
        MATCH_TEXT_SOUND
        MATCH_TEXT_MALFORMED
        MATCH_TEXT_INEXACT
        MATCH_DECIMALS_MAX
        MATCH_TEXT_MAX
    int match_parse_decimal(const char *text, Py_ssize_t length, int decimals, int64_t *out)
    int match_format_decimal(int64_t value, int decimals, char *buffer)

cdef extern from "_match_tuple.h":
    PyObject *match_new_int(int64_t value)
    object match_text "match_new_text"(const char *characters, Py_ssize_t length)
    PyObject *match_new_text(const char *characters, Py_ssize_t length)
    bint match_is_plain_text(PyObject *text)
    const char *match_characters(PyObject *text)
    Py_ssize_t match_length(PyObject *text)

cdef extern from "_match_u128.h" nogil:
    ctypedef struct match_u128:
        pass
    match_u128 match_u128_make(uint64_t high, uint64_t low)
    match_u128 match_u128_subtract(match_u128 a, match_u128 b)
    uint64_t match_u128_low(match_u128 value)
    uint64_t match_u128_high(match_u128 value)

cdef extern from "_match_walk.h" nogil:
    ctypedef struct match_exact:
        int64_t filled
        int64_t remaining
        int64_t worst_price
        int64_t levels
        uint64_t notional_low
        uint64_t notional_high
    ctypedef struct match_approximate:
        double filled
        double remaining
        double worst_price
        int64_t levels
        double notional
    enum:
        MATCH_SIDE_SOUND
        MATCH_PRICE_NOT_FINITE
        MATCH_PRICE_NOT_POSITIVE
        MATCH_PRICE_UNSORTED
        MATCH_QUANTITY_NOT_FINITE
    void match_choose_sweep(bint allowed)
    void match_walk_exact(const int64_t *prices, const int64_t *quantities, Py_ssize_t count,
                          int64_t want, int64_t limit, bint descending, match_exact *out)
    void match_walk_approximate(const double *prices, const double *quantities,
                                Py_ssize_t count, double want, double limit, bint descending,
                                match_approximate *out)
    bint match_spend_exact(const int64_t *prices, const int64_t *quantities, Py_ssize_t count,
                           match_u128 amount, int64_t limit, bint descending, match_exact *out)
    void match_spend_approximate(const double *prices, const double *quantities,
                                 Py_ssize_t count, double amount, double limit,
                                 bint descending, bint whole, match_approximate *out)
    int match_check_exact(const int64_t *prices, const int64_t *quantities, Py_ssize_t count,
                          bint descending)
    int match_check_approximate(const double *prices, const double *quantities,
                                Py_ssize_t count, bint descending)

cdef extern from "_match_tuple.h":
    object match_exact_tuple(const match_exact *result, PyObject *want, PyObject *limit)
    PyObject *match_exact_tuple_new "match_exact_tuple"(const match_exact *result,
                                                        PyObject *want, PyObject *limit)

cdef extern from "_match_shortcut.h":
    ctypedef PyObject *(*match_fastcall)(PyObject *self, PyObject *const *arguments,
                                         Py_ssize_t count, PyObject *names) noexcept
    match_fastcall match_put_before(object callable, match_fastcall shortcut) except NULL

cdef extern from "_match_side.h" nogil:
    ctypedef struct match_side:
        const void *prices
        const void *quantities
        Py_ssize_t count
    enum:
        MATCH_PREFIX_LEAST
    void match_start_side(match_side *side)
    void match_end_side(match_side *side)
    void match_take_exact(match_side *side, int64_t want, int64_t limit, bint descending,
                          match_exact *out)
    void match_take_approximate(match_side *side, double want, double limit, bint descending,
                                match_approximate *out)

cdef extern from "_match_batch.h" nogil:
    ctypedef struct match_batch:
        const void *prices
        const void *quantities
        const int64_t *offsets
        const int64_t *books
        Py_ssize_t depth
        Py_ssize_t row_stride
        const void *orders
        const void *limits
        int64_t limit_exact
        double limit_approximate
        bint descending
        void *filled
        void *remaining
        void *worst_price
        int64_t *levels
        void *notional
        uint64_t *notional_high
    void match_run_exact(const match_batch *batch, Py_ssize_t orders)
    bint match_run_approximate(const match_batch *batch, Py_ssize_t orders)
    void match_run_one_exact(const match_batch *batch, Py_ssize_t orders, Py_ssize_t least)
    bint match_run_one_approximate(const match_batch *batch, Py_ssize_t orders,
                                   Py_ssize_t least)
    Py_ssize_t match_check_rows(const match_batch *batch, Py_ssize_t rows, bint exact,
                                int *fault)


cdef void walk_exact(const int64_t *prices, const int64_t *quantities, int64_t count,
                     int64_t quantity, int64_t limit, bint descending,
                     ExactFill *out) noexcept nogil:
    cdef match_exact walked
    match_walk_exact(prices, quantities, count, quantity, limit, descending, &walked)
    out.filled = walked.filled
    out.remaining = walked.remaining
    out.worst_price = walked.worst_price
    out.levels = walked.levels
    out.notional_low = walked.notional_low
    out.notional_high = walked.notional_high


cdef void walk_approximate(const double *prices, const double *quantities, int64_t count,
                           double quantity, double limit, bint descending,
                           ApproximateFill *out) noexcept nogil:
    cdef match_approximate walked
    match_walk_approximate(prices, quantities, count, quantity, limit, descending, &walked)
    out.filled = walked.filled
    out.remaining = walked.remaining
    out.worst_price = walked.worst_price
    out.levels = walked.levels
    out.notional = walked.notional
