# The usual call of `fill` and `walk`, three plain arguments on an int64 book, does not go through
# the general unpacking of arguments; any other call does. None of these can fail but for memory.

cdef match_fastcall _general_fill, _general_walk


cdef inline match_side *_usual_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                                    PyObject *names, int64_t *want, int64_t *limit) noexcept:
    """The side this call takes from, its numbers read; NULL where it is not the usual one."""
    if count != 3 or names != NULL or (<Book>self).is_float:
        return NULL
    if not match_reads_int(arguments[1], want):
        return NULL
    if arguments[0] == <PyObject *>_BUY:
        if arguments[2] == <PyObject *>None:
            limit[0] = INT64_MAX
        elif not match_reads_int(arguments[2], limit):
            return NULL
        return &(<Book>self).asks
    if arguments[0] == <PyObject *>_SELL:
        if arguments[2] == <PyObject *>None:
            limit[0] = INT64_MIN
        elif not match_reads_int(arguments[2], limit):
            return NULL
        return &(<Book>self).bids
    return NULL


cdef PyObject *_usual_fill(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                           PyObject *names) noexcept:
    cdef int64_t want, limit
    cdef match_side *side = _usual_call(self, arguments, count, names, &want, &limit)
    if side == NULL:
        return _general_fill(self, arguments, count, names)
    cdef PyObject *fill = match_pool_take(<PyTypeObject *>Fill)
    if fill == NULL:
        return NULL
    cdef bint is_sell = side == &(<Book>self).bids
    if is_sell:
        match_take_exact(side, want, limit, True, &(<Fill>fill).result.exact)
    else:
        match_take_exact(side, want, limit, False, &(<Fill>fill).result.exact)
    (<Fill>fill).best_price.exact = (<const int64_t *>side.prices)[0] if side.count else 0
    (<Fill>fill).remaining_high = 0
    (<Fill>fill).is_float = False
    (<Fill>fill).is_sell = is_sell
    return fill


cdef PyObject *_usual_walk(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                           PyObject *names) noexcept:
    cdef int64_t want, limit
    cdef match_exact result
    cdef match_side *side = _usual_call(self, arguments, count, names, &want, &limit)
    if side == NULL:
        return _general_walk(self, arguments, count, names)
    if side == &(<Book>self).bids:
        match_take_exact(side, want, limit, True, &result)
    else:
        match_take_exact(side, want, limit, False, &result)
    return match_exact_tuple_new(&result, arguments[1], arguments[2])


_general_fill = match_put_before(Book.__dict__["fill"], _usual_fill)
_general_walk = match_put_before(Book.__dict__["walk"], _usual_walk)
