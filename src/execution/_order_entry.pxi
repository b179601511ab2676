# An entry as commit.lua takes it: RESP bulk strings, in the order of the script's names.

_entry_fields, _entry_params = _described("Entry", [
    ("payload", _MISSING), ("report", _MISSING), ("basis", None), ("position", None),
    ("follows", None), ("resting", None),
])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Entry:
    """One order to commit: its request, its outcome and what that rests on.

    `payload` is `Order.payload()`, what a retry is compared with. `basis` is the
    position the outcome was computed from, None if it depends on none; `position`
    the one after it, None if it does not change. `follows` is the version of the
    stored order this write follows, None where the id is new; the ledger answers
    `Stored` with what is there if it is another version. `resting` is what to
    watch for, if the order rests after this write.
    """

    cdef readonly object payload, report, basis, position, follows, resting

    __dataclass_fields__ = _entry_fields
    __dataclass_params__ = _entry_params
    __match_args__ = tuple(_entry_fields)

    def __init__(self, payload, report, basis=None, position=None, follows=None, resting=None):
        self.payload = payload
        self.report = report
        self.basis = basis
        self.position = position
        self.follows = follows
        self.resting = resting

    def __eq__(self, other):
        if type(other) is not Entry:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return Entry, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Packed:
    """One entry as the script takes it."""

    cdef readonly bytes payload, report, keys, arguments

    def __init__(self, bytes payload, bytes report, bytes keys, bytes arguments):
        self.payload = payload
        self.report = report
        self.keys = keys
        self.arguments = arguments


cdef int _put_state(order_buffer *buffer, Position position) except -1:
    """The four texts that tell one committed position from every other."""
    _put_bulk_int(buffer, position.version)
    _put_quantity(buffer, position)
    return _put_moneys(buffer, position)


cdef int _put_position_fields(order_buffer *buffer, Position position) except -1:
    """The five texts of the hash of a position."""
    _put_bulk_int(buffer, position.version)
    _put_quantity(buffer, position)
    order_put_bulk_text(buffer, <PyObject *>position.entry_price)
    return _put_moneys(buffer, position)


cdef int _put_quantity(order_buffer *buffer, Position position) except -1:
    if position.holding.known:
        order_put_bulk_decimal(
            buffer, position.holding.quantity, position.holding.quantity_decimals
        )
    else:
        _put_bulk_amount(buffer, position._quantity, ORDER_QUANTITY_DECIMALS)
    return 0


cdef int _put_moneys(order_buffer *buffer, Position position) except -1:
    cdef int decimals
    if position.holding.known:
        decimals = position.holding.price_decimals + position.holding.quantity_decimals
        order_put_bulk_decimal(buffer, <order_signed>position.holding.cost, decimals)
        order_put_bulk_decimal(buffer, position.holding.pnl, decimals)
    else:
        _put_bulk_amount(buffer, position._entry_cost, ORDER_MONEY_DECIMALS)
        _put_bulk_amount(buffer, position._realized_pnl, ORDER_MONEY_DECIMALS)
    return 0


cdef int _put_bulk_amount(order_buffer *buffer, object value, int decimals) except -1:
    text = _to_text(value, decimals)
    order_put_bulk_text(buffer, <PyObject *>text)
    return 0


cdef int _put_bulk_int(order_buffer *buffer, object number) except -1:
    cdef char[MATCH_TEXT_MAX] digits
    cdef int64_t small
    cdef int length
    if match_read_int(<PyObject *>number, &small):
        length = match_format_decimal(small, 0, digits)
        order_put_bulk(buffer, digits + MATCH_TEXT_MAX - length, length)
        return 0
    text = str(number)
    order_put_bulk_text(buffer, <PyObject *>text)
    return 0


cdef inline void _put_bulk_chars(order_buffer *buffer, const char *characters) noexcept:
    order_put_bulk(buffer, characters, strlen(characters))


def pack(Entry entry not None, stop, order_prefix, position_prefix):
    """The entry's keys and arguments; it is sound: `adapters.entries`.

    `stop` is the argument of that name. Raises `ValueError` for a report that could not be
    published truthfully.
    """
    return _pack(entry, stop, order_prefix, position_prefix)


cdef Packed _pack(Entry entry, object stop, object order_prefix, object position_prefix):
    cdef char[ORDER_ROOM] room, json_room
    cdef order_buffer buffer, json
    cdef Packed packed = Packed.__new__(Packed)
    cdef ExecutionReport report = entry.report
    order_begin(&buffer, room, ORDER_ROOM)
    order_begin(&json, json_room, ORDER_ROOM)
    try:
        order_put_text(&json, <PyObject *>entry.payload)
        packed.payload = order_bytes(&json)
        order_put_bulk_buffer(&buffer, &json)
        json.length = 0
        _put_report(&json, report)
        packed.report = order_bytes(&json)
        order_put_bulk_buffer(&buffer, &json)
        _put_order_fields(&buffer, report)
        _put_published(&buffer, &json, report)
        if entry.basis is None:
            _put_chars(&buffer, _EMPTY_4)
        else:
            _put_state(&buffer, entry.basis)
        if entry.position is None:
            _put_chars(&buffer, _EMPTY_5)
        else:
            _put_position_fields(&buffer, entry.position)
        order_put_bulk_text(&buffer, <PyObject *>stop)
        packed.arguments = order_bytes(&buffer)
        buffer.length = json.length = 0
        order_put_text(&json, <PyObject *>order_prefix)
        order_put_text(&json, <PyObject *>report.order_id)
        order_put_bulk_buffer(&buffer, &json)
        json.length = 0
        order_put_text(&json, <PyObject *>position_prefix)
        order_put_text(&json, <PyObject *>report.user_id)
        order_put_byte(&json, c":")
        order_put_text(&json, <PyObject *>report.symbol)
        order_put_bulk_buffer(&buffer, &json)
        packed.keys = order_bytes(&buffer)
        return packed
    finally:
        order_end(&json)
        order_end(&buffer)


cdef const char *_EMPTY = b"$0\r\n\r\n"
cdef const char *_EMPTY_4 = b"$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n"
cdef const char *_EMPTY_5 = b"$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n"


cdef int _put_order_fields(order_buffer *buffer, ExecutionReport report) except -1:
    """The values of the `ORDER` hash: `records.order_fields`."""
    cdef char[2 * MATCH_TEXT_MAX] digits
    cdef order_buffer number
    _put_bulk_chars(buffer, _status(report.status))
    order_put_bulk_text(buffer, <PyObject *>report.filled_quantity)
    order_put_bulk_text(buffer, <PyObject *>report.remaining_quantity)
    order_put_bulk_text(buffer, <PyObject *>report.average_price)
    order_put_bulk_text(buffer, <PyObject *>report.user_id)
    order_put_bulk_text(buffer, <PyObject *>report.symbol)
    _put_bulk_chars(buffer, _direction(report.direction))
    order_put_bulk_text(buffer, <PyObject *>report.quantity)
    order_put_bulk_text(buffer, <PyObject *>report.trade_id)
    _put_bulk_chars(buffer, _reason(report.reason))
    _put_bulk_int(buffer, report.version)
    order_begin(&number, digits, 2 * MATCH_TEXT_MAX)
    try:
        _put_milliseconds(&number, report.transact_time_ns)
        order_put_bulk_buffer(buffer, &number)
    finally:
        order_end(&number)
    return 0


cdef int _put_published(order_buffer *buffer, order_buffer *json,
                        ExecutionReport report) except -1:
    """The trade and its time, the rejection: each empty where the report is none."""
    cdef char[ORDER_SECOND_TEXT] text
    cdef int64_t seconds
    cdef uint32_t nanos
    if report.filled_quantity == "0":
        _put_chars(buffer, _EMPTY)
        _put_chars(buffer, _EMPTY)
    else:
        json.length = 0
        _put_trade(json, report)
        order_put_bulk_buffer(buffer, json)
        _split(report.transact_time_ns, &seconds, &nanos)
        _require_calendar(seconds)
        order_second(text, seconds, c" ")
        order_put_bulk(buffer, text, ORDER_SECOND_TEXT)
    if <long>report.status == _REJECTED:
        json.length = 0
        _put_reject(json, report)
        order_put_bulk_buffer(buffer, json)
    else:
        _put_chars(buffer, _EMPTY)
    return 0


def join_entries(list entries not None, bytes head not None, bytes between not None):
    """`head`, the keys of all entries, `between`, the arguments of all, as one text."""
    cdef Packed packed
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(between)
    cdef bytes joined
    cdef char *at
    for packed in entries:
        size += PyBytes_GET_SIZE(packed.keys) + PyBytes_GET_SIZE(packed.arguments)
    joined = PyBytes_FromStringAndSize(NULL, size)
    at = _copied(PyBytes_AS_STRING(joined), head)
    for packed in entries:
        at = _copied(at, packed.keys)
    at = _copied(at, between)
    for packed in entries:
        at = _copied(at, packed.arguments)
    return joined


cdef inline char *_copied(char *at, bytes part) noexcept:
    memcpy(at, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
    return at + PyBytes_GET_SIZE(part)
