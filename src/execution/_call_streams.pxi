# What is kept of a stream while it is answered: the body that its client has yet to be sent.

cdef struct _Chunk:
    _Chunk *next
    PyObject *data


cdef struct _Stream:
    _Stream *before
    _Stream *after
    _Chunk *first
    _Chunk *last
    Py_ssize_t taken  # of the first
    size_t queued  # bytes in all
    PyObject *trailers
    bint has_body
    bint ended  # nothing will be added
    bint deferred  # the library asks no more until it is told that there is something


cdef _Stream *_add_stream(_Stream **first) except NULL:
    cdef _Stream *stream = <_Stream *>PyMem_Calloc(1, sizeof(_Stream))
    if stream == NULL:
        raise MemoryError
    stream.after = first[0]
    if first[0] != NULL:
        first[0].before = stream
    first[0] = stream
    return stream


cdef void _remove_stream(_Stream **first, _Stream *stream) noexcept:
    _clear(stream)
    if stream.before != NULL:
        stream.before.after = stream.after
    else:
        first[0] = stream.after
    if stream.after != NULL:
        stream.after.before = stream.before
    PyMem_Free(stream)


cdef int _add_chunk(_Stream *stream, bytes data) except -1:
    cdef _Chunk *chunk = <_Chunk *>PyMem_Malloc(sizeof(_Chunk))
    if chunk == NULL:
        raise MemoryError
    Py_INCREF(data)
    chunk.data = <PyObject *>data
    chunk.next = NULL
    if stream.first == NULL:
        stream.first = chunk
    else:
        stream.last.next = chunk
    stream.last = chunk
    stream.queued += PyBytes_GET_SIZE(data)
    return 0


cdef void _end_with(_Stream *stream, tuple trailers) noexcept:
    Py_INCREF(trailers)
    stream.trailers = <PyObject *>trailers
    stream.ended = True


cdef void _drop_chunk(_Stream *stream) noexcept:
    cdef _Chunk *chunk = stream.first
    stream.first = chunk.next
    stream.taken = 0
    Py_DECREF(<object>chunk.data)
    PyMem_Free(chunk)


cdef size_t _take(_Stream *stream, uint8_t *to, size_t room) noexcept:
    """Moves bytes into a frame; returns how many."""
    cdef size_t moved = 0, part
    cdef bytes data
    while stream.first != NULL and moved < room:
        data = <bytes>stream.first.data
        part = min(<size_t>(PyBytes_GET_SIZE(data) - stream.taken), room - moved)
        memcpy(to + moved, PyBytes_AS_STRING(data) + stream.taken, part)
        moved += part
        stream.taken += part
        if stream.taken == PyBytes_GET_SIZE(data):
            _drop_chunk(stream)
    stream.queued -= moved
    return moved


cdef void _clear(_Stream *stream) noexcept:
    while stream.first != NULL:
        _drop_chunk(stream)
    stream.queued = 0
    if stream.trailers != NULL:
        Py_DECREF(<object>stream.trailers)
        stream.trailers = NULL


# What is written at once: first into `usual`, on the stack of who asks.
cdef struct _Output:
    uint8_t *usual
    uint8_t *at
    size_t size
    size_t room
    size_t most


cdef int _write(_Output *output, const uint8_t *data, size_t size) except -1:
    cdef size_t room = output.room
    cdef uint8_t *grown
    if size > room - output.size:
        room = max(2 * room, output.size + size)
        grown = <uint8_t *>PyMem_Realloc(
            NULL if output.at == output.usual else output.at, room
        )
        if grown == NULL:
            raise MemoryError
        if output.at == output.usual:
            memcpy(grown, output.usual, output.size)
        output.at, output.room = grown, room
    memcpy(output.at + output.size, data, size)
    output.size += size
    return 0
