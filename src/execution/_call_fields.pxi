# The headers of a block, as the library holds them, and as they are told.
#
# Most clients repeat their headers, and then the library hands out the very texts of its table: what
# is equal to the request before is recognised by its address, and told by the same objects.

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


cdef int _add_field(_Fields *fields, void *name, void *value) except -1:
    cdef size_t room
    cdef _Field *grown
    if fields.count == fields.room:
        room = 2 * fields.room if fields.room else 16
        grown = <_Field *>PyMem_Realloc(fields.at, room * sizeof(_Field))
        if grown == NULL:
            raise MemoryError
        fields.at, fields.room = grown, room
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


cdef tuple _told(_Fields *fields, _Fields *before, tuple told_before):
    """The (name, value) pairs of a block; of those before, whatever is equal."""
    cdef size_t at
    cdef bint comparable = fields.count == before.count and told_before is not None
    cdef bint same = comparable
    cdef list told
    if comparable:
        for at in range(fields.count):
            if not (
                _same_text(fields.at[at].name, before.at[at].name)
                and _same_text(fields.at[at].value, before.at[at].value)
            ):
                same = False
                break
        if same:
            return told_before
    told = []
    for at in range(fields.count):
        if (
            comparable and _same_text(fields.at[at].name, before.at[at].name)
            and _same_text(fields.at[at].value, before.at[at].value)
        ):
            told.append(told_before[at])
        else:
            told.append((_text(fields.at[at].name), _text(fields.at[at].value)))
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
