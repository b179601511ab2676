# The headers of a block, as the library holds them, and as they are told.
#
# Most clients repeat their headers, and then the library hands out the very texts of its table:
# what is equal to the request before is recognised by its address, and told by the same objects.

cdef struct _Field:
    void *name
    void *value


cdef struct _Fields:
    _Field *at
    size_t count
    size_t room
    size_t size  # bytes, as MAX_HEADER_LIST_SIZE counts them


cdef enum:
    _FIELD_OVERHEAD_BYTES = 32  # RFC 9113, 6.5.2
    _HEADERS_USUAL = 16  # of an answer


cdef void *_doubled(void *items, size_t *room, size_t least, size_t each) except NULL:
    """An array with room for twice as many, `least` at first; `room` is how many."""
    cdef size_t wanted = max(2 * room[0], least)
    cdef void *grown = PyMem_Realloc(items, wanted * each)
    if grown == NULL:
        raise MemoryError
    room[0] = wanted
    return grown


cdef int _add_field(_Fields *fields, void *name, void *value) except -1:
    if fields.count == fields.room:
        fields.at = <_Field *>_doubled(fields.at, &fields.room, 16, sizeof(_Field))
    rcbuf_incref(name)
    rcbuf_incref(value)
    fields.at[fields.count].name = name
    fields.at[fields.count].value = value
    fields.count += 1
    return 0


cdef void _forget_fields(_Fields *fields) noexcept:
    cdef size_t at
    for at in range(fields.count):
        rcbuf_decref(fields.at[at].name)
        rcbuf_decref(fields.at[at].value)
    fields.count = fields.size = 0


cdef inline bint _same_text(void *one, void *other) noexcept:
    cdef h2_text mine, others
    if one == other:
        return True
    mine, others = rcbuf_get_buf(one), rcbuf_get_buf(other)
    return mine.bytes == others.bytes and not memcmp(mine.at, others.at, mine.bytes)


cdef bytes _text(void *text):
    cdef h2_text its = rcbuf_get_buf(text)
    return PyBytes_FromStringAndSize(<char *>its.at, its.bytes)


cdef inline bint _same_field(_Field *one, _Field *other) noexcept:
    return _same_text(one.name, other.name) and _same_text(one.value, other.value)


cdef tuple _told(_Fields *fields, _Fields *before, tuple told_before):
    """The (name, value) pairs of a block; of those before, whatever is equal."""
    cdef bint comparable = told_before is not None and fields.count == before.count
    cdef size_t at = 0
    cdef list told
    if comparable:
        while at < fields.count and _same_field(&fields.at[at], &before.at[at]):
            at += 1
        if at == fields.count:
            return told_before
    told = list(told_before[:at]) if comparable else []
    while at < fields.count:
        if comparable and _same_field(&fields.at[at], &before.at[at]):
            told.append(told_before[at])
        else:
            told.append((_text(fields.at[at].name), _text(fields.at[at].value)))
        at += 1
    return tuple(told)


cdef int _require_pair(pair) except -1:
    # A tuple, because it keeps the texts until the library has copied them.
    if not (
        isinstance(pair, tuple) and len(<tuple>pair) == 2
        and PyBytes_CheckExact((<tuple>pair)[0]) and PyBytes_CheckExact((<tuple>pair)[1])
    ):
        raise TypeError("each header must be a pair of bytes")
    return 0


cdef h2_header *_headers_of(tuple headers, h2_header *usual) except NULL:
    """As the library wants them: in `usual` if it is large enough, else to be freed."""
    cdef h2_header *made = usual
    cdef Py_ssize_t at, count = len(headers)
    cdef bytes name, value
    if count > _HEADERS_USUAL:
        made = <h2_header *>PyMem_Malloc(count * sizeof(h2_header))
        if made == NULL:
            raise MemoryError
    try:
        for at in range(count):
            pair = headers[at]
            _require_pair(pair)
            name, value = (<tuple>pair)[0], (<tuple>pair)[1]
            made[at] = h2_header(
                <uint8_t *>PyBytes_AS_STRING(name), <uint8_t *>PyBytes_AS_STRING(value),
                PyBytes_GET_SIZE(name), PyBytes_GET_SIZE(value),
                _NO_INDEX if type(pair) is not tuple and isinstance(pair, _never_indexed) else 0,
            )
    except BaseException:
        if made != usual:
            PyMem_Free(made)
        raise
    return made
