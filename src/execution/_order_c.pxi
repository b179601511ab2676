# What is used of the C headers.

cdef extern from "_match_python.h":
    bint match_read_int(PyObject *number, int64_t *out) noexcept
    PyObject *match_new_int(int64_t value)

cdef extern from "_match_text.h" nogil:
    enum:
        MATCH_DECIMALS_MAX
        MATCH_TEXT_MAX
        MATCH_TEXT_SOUND
    int match_format_decimal(int64_t value, int decimals, char *buffer) noexcept
    int match_parse_decimal(const char *text, Py_ssize_t length, int decimals,
                            int64_t *out) noexcept

cdef extern from "_order_buffer.h":
    enum:
        ORDER_ROOM
    ctypedef struct order_buffer:
        char *start
        size_t length
        int fault
    void order_begin(order_buffer *buffer, char *room, size_t capacity) noexcept
    void order_end(order_buffer *buffer) noexcept
    void order_put(order_buffer *buffer, const char *bytes, size_t count) noexcept
    void order_put_byte(order_buffer *buffer, int byte) noexcept
    void order_put_text(order_buffer *buffer, PyObject *text) noexcept
    void order_put_signed(order_buffer *buffer, int64_t number) noexcept
    void order_put_unsigned(order_buffer *buffer, uint64_t number) noexcept
    void order_put_bulk(order_buffer *buffer, const char *bytes, size_t count) noexcept
    void order_put_bulk_text(order_buffer *buffer, PyObject *text) noexcept
    void order_put_bulk_buffer(order_buffer *buffer, const order_buffer *made) noexcept
    void order_drop(order_buffer *buffer, size_t at) noexcept
    const char *order_utf8(order_buffer *buffer, PyObject *text, size_t *count) noexcept
    object order_raise(const order_buffer *buffer)
    object order_bytes(const order_buffer *buffer)

cdef extern from "_order_json.h":
    void order_put_quoted(order_buffer *buffer, PyObject *text) noexcept
    void order_put_number(order_buffer *buffer, PyObject *text) noexcept

cdef extern from "_order_number.h":
    enum:
        ORDER_IS_FAST
        ORDER_MONEY_DECIMALS
        ORDER_QUANTITY_DECIMALS
        ORDER_EXTRA
    # Not what they are: numbers of 128 bits, which never become Python objects by themselves.
    ctypedef unsigned long long order_wide
    ctypedef long long order_signed
    ctypedef struct order_holding:
        bint known
        int price_decimals
        int quantity_decimals
        order_signed quantity
        order_signed pnl
        order_wide cost
    bint order_multiply(order_wide a, order_wide b, order_wide *product) noexcept
    order_wide order_half_even(order_wide numerator, order_wide denominator) noexcept
    order_wide order_power(int exponent) noexcept
    order_wide order_join(uint64_t high, uint64_t low) noexcept
    bint order_read_wide(PyObject *number, order_wide *out) noexcept
    object order_new_int(order_signed number)
    bint order_settle(const order_holding *before, bint bought, order_wide filled,
                      order_wide notional, order_holding *after, order_signed *pnl) noexcept
    object order_decimal_text(order_wide size, bint negative, int decimals)
    object order_signed_text(order_signed number, int decimals)
    void order_put_bulk_decimal(order_buffer *buffer, order_signed number,
                                int decimals) noexcept

cdef extern from "_order_sha1.h":
    enum:
        ORDER_UUID_TEXT
    ctypedef struct order_sha1:
        pass
    void order_sha1_begin(order_sha1 *sum) noexcept
    void order_sha1_add(order_sha1 *sum, const void *bytes, size_t count) noexcept
    void order_sha1_end(order_sha1 *sum, unsigned char *digest) noexcept
    void order_uuid5(unsigned char *digest, char *at) noexcept

cdef extern from "_order_time.h":
    int64_t ORDER_SECOND_MIN
    int64_t ORDER_SECOND_MAX
    enum:
        ORDER_SECOND_TEXT
        ORDER_TIME_TEXT
    void order_second(char *at, int64_t seconds, char between) noexcept
    int order_rfc3339(char *at, int64_t seconds, unsigned nanos) noexcept

cdef extern from "_order_message.h":
    size_t order_varint_size(uint64_t number) noexcept
    void order_put_varint(order_buffer *buffer, uint64_t number) noexcept
    void order_put_field(order_buffer *buffer, unsigned field, PyObject *text) noexcept
    size_t order_field_size(order_buffer *buffer, unsigned field, PyObject *text) noexcept
    void order_put_number_field(order_buffer *buffer, unsigned field, uint64_t number) noexcept
    void order_put_timestamp(order_buffer *buffer, unsigned field, int64_t seconds,
                             unsigned nanos) noexcept
    void order_put_head(order_buffer *buffer, unsigned field, size_t count) noexcept
    enum:
        ORDER_FIELDS
        ORDER_TIME_FIELDS
    ctypedef struct order_value:
        bint present
        const char *text
        size_t count
        uint64_t number
    bint order_read_fields(const char *at, size_t count, order_value *values) noexcept
    bint order_read_time(const order_value *field, uint64_t *seconds, uint64_t *nanos) noexcept
    bint order_is_id(const order_value *field) noexcept
    bint order_is_symbol(const order_value *field) noexcept

cdef extern from "_order_words.h":
    enum:
        ORDER_DIRECTION
        ORDER_TYPE
        ORDER_TIME_IN_FORCE
        ORDER_TRIGGER
        ORDER_STATUS
        ORDER_REASON
    const char *order_name(int kind, long number) noexcept

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
