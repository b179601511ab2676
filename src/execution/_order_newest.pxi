# The newest book of each symbol, as the source pushes them: the state of `adapters.feed`.

@cython.final
cdef class Pushed:
    """The newest book of a symbol, as it came; `snapshot` and `prices` are made when an order or
    a trigger asks for them.
    """

    cdef readonly object raw, book
    cdef readonly Py_ssize_t steps_by_one
    cdef public object stream, snapshot, prices
    cdef public int64_t received_ns

    def __init__(self, stream, raw, book, int64_t received_ns, Py_ssize_t steps_by_one):
        self.stream = stream
        self.raw = raw
        self.book = book
        self.received_ns = received_ns
        self.steps_by_one = steps_by_one


cdef class NewestBooks:
    """Fresh is a book that came within the last `age_ns_max` by `monotonic_ns`, or any while the
    source showed in that time that it lives: at `_beat_ns`.

    A subclass has `opened(symbol, pushed)`, which answers the snapshot of a book.
    """

    cdef readonly dict _pushed
    cdef public int64_t _beat_ns
    cdef object monotonic_ns
    cdef int64_t age_ns_max

    def __init__(self, monotonic_ns, int64_t age_ns_max):
        self._pushed = {}
        self.monotonic_ns = monotonic_ns
        self.age_ns_max = age_ns_max

    def held(self, symbol):
        """The newest book of the symbol as it came, None if there is none that is fresh."""
        return _held(self, symbol)

    def newest(self, symbol):
        """The snapshot of it: the same object, however often it is asked for."""
        cdef Pushed pushed = _held(self, symbol)
        if pushed is None:
            return None
        if pushed.snapshot is None:
            pushed.snapshot = self.opened(symbol, pushed)
        return pushed.snapshot


cdef Pushed _held(NewestBooks books, object symbol):
    cdef Pushed pushed = books._pushed.get(symbol)
    cdef int64_t oldest_ns
    if pushed is None:
        return None
    oldest_ns = <int64_t>books.monotonic_ns() - books.age_ns_max
    if pushed.received_ns < oldest_ns and books._beat_ns < oldest_ns:
        return None
    return pushed
