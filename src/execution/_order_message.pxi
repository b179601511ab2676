# Reports as protobuf messages: exactly what `report_message(…).SerializeToString` gives.

cdef int _put_timestamp(order_buffer *buffer, unsigned field, object time_ns) except -1:
    cdef int64_t seconds
    cdef uint32_t nanos
    _split(time_ns, &seconds, &nanos)
    order_put_timestamp(buffer, field, seconds, nanos)
    return 0


cdef int _put_uint64(order_buffer *buffer, unsigned field, object number) except -1:
    cdef int64_t small
    if match_read_int(<PyObject *>number, &small):
        order_put_number_field(buffer, field, <uint64_t>small)
    else:
        order_put_number_field(buffer, field, PyLong_AsUnsignedLongLong(number))
    return 0


cdef int _put_message(order_buffer *buffer, ExecutionReport report) except -1:
    order_put_field(buffer, 1, <PyObject *>report.order_id)
    order_put_field(buffer, 2, <PyObject *>report.user_id)
    order_put_field(buffer, 3, <PyObject *>report.symbol)
    order_put_number_field(buffer, 4, <uint64_t><int64_t>report.direction)
    order_put_number_field(buffer, 5, <uint64_t><int64_t>report.order_type)
    order_put_number_field(buffer, 6, <uint64_t><int64_t>report.status)
    order_put_field(buffer, 7, <PyObject *>report.quantity)
    order_put_field(buffer, 8, <PyObject *>report.effective_quantity)
    order_put_field(buffer, 9, <PyObject *>report.filled_quantity)
    order_put_field(buffer, 10, <PyObject *>report.remaining_quantity)
    order_put_field(buffer, 11, <PyObject *>report.average_price)
    order_put_field(buffer, 12, <PyObject *>report.notional)
    _put_fill_messages(buffer, report.fills)
    order_put_field(buffer, 14, <PyObject *>report.trade_id)
    order_put_number_field(buffer, 15, <uint64_t><int64_t>report.reason)
    order_put_field(buffer, 16, <PyObject *>report.message)
    order_put_field(buffer, 17, <PyObject *>report.realized_pnl)
    order_put_field(buffer, 18, <PyObject *>report.fee)
    order_put_field(buffer, 19, <PyObject *>report.trigger_price)
    order_put_field(buffer, 20, <PyObject *>report.triggered_by_price)
    order_put_number_field(buffer, 21, 1 if report.reduce_only else 0)
    if report.snapshot is not None:
        _put_ref_message(buffer, report.snapshot)
    _put_timestamp(buffer, 23, report.received_time_ns)
    _put_timestamp(buffer, 24, report.transact_time_ns)
    _put_uint64(buffer, 25, report.version)
    return 0


cdef int _put_fill_messages(order_buffer *buffer, tuple fills) except -1:
    cdef Py_ssize_t i
    cdef Fill fill
    for i in range(PyTuple_GET_SIZE(fills)):
        fill = fills[i]
        order_put_head(
            buffer,
            13,
            order_field_size(buffer, 1, <PyObject *>fill.price)
            + order_field_size(buffer, 2, <PyObject *>fill.quantity),
        )
        order_put_field(buffer, 1, <PyObject *>fill.price)
        order_put_field(buffer, 2, <PyObject *>fill.quantity)
    return 0


cdef int _put_ref_message(order_buffer *buffer, SnapshotRef ref) except -1:
    cdef char[ORDER_ROOM] room
    cdef order_buffer made
    if ref.message is None:
        order_begin(&made, room, ORDER_ROOM)
        try:
            order_put_field(&made, 1, <PyObject *>ref.source)
            _put_uint64(&made, 2, ref.sequence)
            if ref.source_time_ns is not None:
                _put_timestamp(&made, 3, ref.source_time_ns)
            order_put_field(&made, 4, <PyObject *>ref.best_bid)
            order_put_field(&made, 5, <PyObject *>ref.best_ask)
            ref.message = order_bytes(&made)
        finally:
            order_end(&made)
    order_put_head(buffer, 22, PyBytes_GET_SIZE(ref.message))
    _put_bytes(buffer, ref.message)
    return 0


def report_bytes(ExecutionReport report not None):
    """The report as a serialised execution.v1.ExecutionReport; equal reports give equal bytes."""
    return _written(report, _put_message)


def batch_bytes(list reports not None):
    """Serialised reports as a serialised execution.v1.ExecutionReportBatch, in their order."""
    cdef char[ORDER_ROOM] room
    cdef order_buffer buffer
    cdef bytes report
    order_begin(&buffer, room, ORDER_ROOM)
    try:
        for report in reports:
            if report is None:
                raise TypeError("reports are bytes")
            order_put_head(&buffer, 1, PyBytes_GET_SIZE(report))
            _put_bytes(&buffer, report)
        return order_bytes(&buffer)
    finally:
        order_end(&buffer)
