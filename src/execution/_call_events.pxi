# What has happened on a connection, until somebody acts on it.

cdef enum:
    _REQUESTED = 1
    _DATA_CAME = 2
    _CLOSED = 3
    _SELDOM = 4  # any other; its payload is ngh2's event


cdef struct _Event:
    int kind
    int32_t stream_id
    uint32_t error_code
    bint end_stream
    PyObject *payload  # the headers, the data, or the event


cdef struct _Events:
    _Event *at
    size_t count
    size_t room


cdef int _add_event(
    _Events *events, int kind, int32_t stream_id, object payload, bint end_stream,
    uint32_t error_code,
) except -1:
    if events.count == events.room:
        events.at = <_Event *>_doubled(events.at, &events.room, 64, sizeof(_Event))
    Py_INCREF(payload)
    events.at[events.count] = _Event(kind, stream_id, error_code, end_stream, <PyObject *>payload)
    events.count += 1
    return 0


cdef void _forget_events(_Events *events) noexcept:
    cdef size_t at
    for at in range(events.count):
        Py_DECREF(<object>events.at[at].payload)
    PyMem_Free(events.at)
    events.at = NULL
    events.count = events.room = 0


cdef object _as_ngh2(_Event *event):
    payload = <object>event.payload
    if event.kind == _REQUESTED:
        return _ngh2.RequestReceived(event.stream_id, payload, event.end_stream)
    if event.kind == _DATA_CAME:
        return _ngh2.DataReceived(event.stream_id, payload, event.end_stream)
    if event.kind == _CLOSED:
        return _ngh2.StreamClosed(event.stream_id, event.error_code, None)
    return payload
