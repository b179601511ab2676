# The JSON of a report, of a trade and of a rejection. Spelled by `adapters.records`' rules:
# CONTRACT, Redis.

cdef inline void _put_member(order_buffer *buffer, const char *name, object text) noexcept:
    """`,"name":"text"`, or nothing where the text is empty. `name` is all but the text."""
    if not _is_empty(text):
        _put_chars(buffer, name)
        order_put_quoted(buffer, <PyObject *>text)


cdef inline bint _is_empty(object text) noexcept:
    return PyUnicode_Check(text) and PyUnicode_GET_LENGTH(text) == 0


cdef int _put_time(order_buffer *buffer, object time_ns) except -1:
    """A quoted RFC 3339 time."""
    cdef char[ORDER_TIME_TEXT] text
    cdef int64_t seconds
    cdef uint32_t nanos
    _split(time_ns, &seconds, &nanos)
    _require_calendar(seconds)
    order_put_byte(buffer, c'"')
    order_put(buffer, text, order_rfc3339(text, seconds, nanos))
    order_put_byte(buffer, c'"')
    return 0


cdef int _put_report(order_buffer *buffer, ExecutionReport report) except -1:
    cdef const char *reason = _reason(report.reason)
    cdef object fill
    # The order id is empty only in tests; the comma before the first member is then left out.
    order_put_byte(buffer, c"{")
    cdef size_t begun = buffer.length
    _put_member(buffer, b',"order_id":', report.order_id)
    _put_member(buffer, b',"user_id":', report.user_id)
    _put_member(buffer, b',"symbol":', report.symbol)
    _put_chars(buffer, b',"direction":"')
    _put_chars(buffer, _direction(report.direction))
    _put_chars(buffer, b'","order_type":"')
    _put_chars(buffer, _order_type(report.order_type))
    _put_chars(buffer, b'","status":"')
    _put_chars(buffer, _status(report.status))
    order_put_byte(buffer, c'"')
    _put_member(buffer, b',"quantity":', report.quantity)
    _put_member(buffer, b',"effective_quantity":', report.effective_quantity)
    _put_member(buffer, b',"filled_quantity":', report.filled_quantity)
    _put_member(buffer, b',"remaining_quantity":', report.remaining_quantity)
    _put_member(buffer, b',"average_price":', report.average_price)
    _put_member(buffer, b',"notional":', report.notional)
    _put_member(buffer, b',"trade_id":', report.trade_id)
    if reason[0]:
        _put_chars(buffer, b',"reason":"')
        _put_chars(buffer, reason)
        order_put_byte(buffer, c'"')
    _put_member(buffer, b',"message":', report.message)
    _put_member(buffer, b',"realized_pnl":', report.realized_pnl)
    _put_member(buffer, b',"fee":', report.fee)
    _put_member(buffer, b',"trigger_price":', report.trigger_price)
    _put_member(buffer, b',"triggered_by_price":', report.triggered_by_price)
    if report.received_time_ns:
        _put_chars(buffer, b',"received_time":')
        _put_time(buffer, report.received_time_ns)
    if report.transact_time_ns:
        _put_chars(buffer, b',"transact_time":')
        _put_time(buffer, report.transact_time_ns)
    _put_fills(buffer, report.fills)
    if report.reduce_only:
        _put_chars(buffer, b',"reduce_only":true')
    if report.snapshot is not None:
        # A message that is there but empty is not a message that is absent.
        _put_chars(buffer, b',"snapshot":')
        _put_bytes(buffer, _ref_json(report.snapshot))
    if report.version:
        _put_chars(buffer, b',"version":')
        _put_int(buffer, report.version)
    order_put_byte(buffer, c"}")
    if not buffer.fault:
        order_drop(buffer, begun)
    return 0


cdef int _put_fills(order_buffer *buffer, tuple fills) except -1:
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(fills)
    cdef Fill fill
    for i in range(count):
        fill = fills[i]
        _put_chars(buffer, b'},{"price":' if i else b',"fills":[{"price":')
        order_put_quoted(buffer, <PyObject *>fill.price)
        _put_chars(buffer, b',"quantity":')
        order_put_quoted(buffer, <PyObject *>fill.quantity)
    if count:
        _put_chars(buffer, b"}]")
    return 0


cdef inline void _put_bytes(order_buffer *buffer, bytes made) noexcept:
    order_put(buffer, PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made))


cdef int _put_int(order_buffer *buffer, object number) except -1:
    cdef int64_t small
    if match_read_int(<PyObject *>number, &small):
        order_put_signed(buffer, small)
    else:
        text = str(number)
        order_put_text(buffer, <PyObject *>text)
    return 0


cdef bytes _ref_json(SnapshotRef ref):
    if ref.json is None:
        ref.json = _ref_members(ref, False)
    return ref.json


cdef bytes _ref_trade_json(SnapshotRef ref):
    if ref.trade_json is None:
        ref.trade_json = _ref_members(ref, True)
    return ref.trade_json


cdef bytes _ref_members(SnapshotRef ref, bint in_trade):
    """The book as an object; in a trade prices are numbers, and source and sequence are shown."""
    cdef char[ORDER_ROOM] room
    cdef order_buffer buffer
    order_begin(&buffer, room, ORDER_ROOM)
    try:
        order_put_byte(&buffer, c"{")
        if in_trade or not _is_empty(ref.source):
            _put_chars(&buffer, b',"source":')
            order_put_quoted(&buffer, <PyObject *>ref.source)
        if in_trade or ref.sequence:
            _put_chars(&buffer, b',"sequence":')
            _put_int(&buffer, ref.sequence)
        if ref.source_time_ns is not None:
            _put_chars(&buffer, b',"source_time":')
            _put_time(&buffer, ref.source_time_ns)
        _put_price(&buffer, b',"best_bid":', ref.best_bid, in_trade)
        _put_price(&buffer, b',"best_ask":', ref.best_ask, in_trade)
        order_put_byte(&buffer, c"}")
        if not buffer.fault and buffer.length > 2:
            order_drop(&buffer, 1)
        return order_bytes(&buffer)
    finally:
        order_end(&buffer)


cdef inline void _put_price(order_buffer *buffer, const char *name, object text,
                            bint as_number) noexcept:
    if _is_empty(text):
        return
    _put_chars(buffer, name)
    if as_number:
        order_put_number(buffer, <PyObject *>text)
    else:
        order_put_quoted(buffer, <PyObject *>text)


cdef int _put_trade(order_buffer *buffer, ExecutionReport report) except -1:
    cdef tuple fills = report.fills
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(fills)
    cdef Fill fill
    _put_chars(buffer, b'{"user":')
    order_put_quoted(buffer, <PyObject *>report.user_id)
    _put_chars(buffer, b',"symbol":')
    order_put_quoted(buffer, <PyObject *>report.symbol)
    _put_chars(buffer, b',"price":')
    order_put_number(buffer, <PyObject *>report.average_price)
    _put_chars(buffer, b',"qty":')
    order_put_number(buffer, <PyObject *>report.filled_quantity)
    _put_chars(buffer, b',"side":"')
    _put_chars(buffer, _direction(report.direction))
    _put_chars(buffer, b'","pnl":')
    order_put_number(buffer, <PyObject *>report.realized_pnl)
    _put_chars(buffer, b',"order_id":')
    order_put_quoted(buffer, <PyObject *>report.order_id)
    _put_chars(buffer, b',"trade_id":')
    order_put_quoted(buffer, <PyObject *>report.trade_id)
    _put_chars(buffer, b',"fee":')
    order_put_number(buffer, <PyObject *>report.fee)
    _put_chars(buffer, b',"fills":[')
    for i in range(count):
        fill = fills[i]
        _put_chars(buffer, b",[" if i else b"[")
        order_put_number(buffer, <PyObject *>fill.price)
        order_put_byte(buffer, c",")
        order_put_number(buffer, <PyObject *>fill.quantity)
        order_put_byte(buffer, c"]")
    _put_chars(buffer, b'],"ts":')
    _put_milliseconds(buffer, report.transact_time_ns)
    _put_chars(buffer, b',"snapshot":')
    _put_bytes(buffer, b"{}" if report.snapshot is None else _ref_trade_json(report.snapshot))
    order_put_byte(buffer, c"}")
    return 0


cdef int _put_milliseconds(order_buffer *buffer, object time_ns) except -1:
    cdef int64_t seconds
    cdef uint32_t nanos
    _split(time_ns, &seconds, &nanos)
    # Seconds of a Python integer may be any; of an int64 of nanoseconds they leave room for this.
    if -9_000_000_000_000_000 < seconds < 9_000_000_000_000_000:
        order_put_signed(buffer, seconds * 1000 + nanos // 1_000_000)
    else:
        _put_int(buffer, time_ns // 1_000_000)
    return 0


cdef int _put_reject(order_buffer *buffer, ExecutionReport report) except -1:
    _put_chars(buffer, b'{"order_id":')
    order_put_quoted(buffer, <PyObject *>report.order_id)
    _put_chars(buffer, b',"symbol":')
    order_put_quoted(buffer, <PyObject *>report.symbol)
    _put_chars(buffer, b',"user":')
    order_put_quoted(buffer, <PyObject *>report.user_id)
    _put_chars(buffer, b',"qty":')
    order_put_number(buffer, <PyObject *>report.quantity)
    _put_chars(buffer, b',"side":"')
    _put_chars(buffer, _direction(report.direction))
    _put_chars(buffer, b'","reason":"')
    _put_chars(buffer, _reason(report.reason))
    _put_chars(buffer, b'","message":')
    order_put_quoted(buffer, <PyObject *>report.message)
    order_put_byte(buffer, c"}")
    return 0


ctypedef int (*_put_form)(order_buffer *buffer, ExecutionReport report) except -1


cdef bytes _written(ExecutionReport report, _put_form put):
    cdef char[ORDER_ROOM] room
    cdef order_buffer buffer
    order_begin(&buffer, room, ORDER_ROOM)
    try:
        put(&buffer, report)
        return order_bytes(&buffer)
    finally:
        order_end(&buffer)


def report_json(ExecutionReport report not None):
    """The report as `STREAM:ORDER` carries it; equal reports give equal bytes."""
    return _written(report, _put_report)


def trade_json(ExecutionReport report not None):
    """The `trade` object of a report that filled something.

    Raises `ValueError` for a text that is no number where one has to be.
    """
    return _written(report, _put_trade)


def reject_json(ExecutionReport report not None):
    """The `reject` object of a rejected order."""
    return _written(report, _put_reject)
