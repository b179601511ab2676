# The deadlines of a connection's calls, over one timer.

cdef enum:
    _KEPT_MIN = 1024  # so many are kept before those that are over are looked for


@cython.final
cdef class Deadlines:
    """When which call expires; all times are of the event loop's clock.

    Nearly every call of a client that sets deadlines is answered long before its own. A timer for
    each would cost more than what the call itself does here; so an answered call just stays where
    it is, until somebody comes across it. Those due at the same time expire in any order.
    The timer is for the first of them, or sooner: then it is set again, for its very time.
    """

    # A heap: `_calls[n]` expires at `_when[n]`, no sooner than the one at `(n - 1) // 2`.
    cdef double *_when
    cdef size_t _room
    cdef list _calls
    cdef Py_ssize_t _kept_max
    cdef object _loop, _time, _timer
    cdef double _timer_when

    def __cinit__(self, loop):
        self._calls = []
        self._kept_max = _KEPT_MIN
        self._loop = loop
        self._time = loop.time

    def __dealloc__(self):
        PyMem_Free(self._when)

    def add(self, call, double seconds):
        """Expires the call after so long, unless it is over by then; returns when that is."""
        return self._add(call, seconds)

    def close(self):
        """No call expires any more."""
        self._calls.clear()
        self._stop_timer()

    def __len__(self):
        """How many are kept, over or not."""
        return len(self._calls)

    cdef double _add(self, call, double seconds) except? -1:
        cdef double when = <double>self._time() + seconds
        self._push(when, call)
        if self._timer is None or when < self._timer_when:
            # Half way: of ever sooner deadlines few set it again. Event loops keep for a while
            # what is cancelled, and a client may send thousands in one turn.
            self._set_timer(when - seconds / 2)
        if len(self._calls) > self._kept_max:
            self._tidy()
        return when

    cdef int _set_timer(self, double when) except -1:
        self._stop_timer()
        self._timer = self._loop.call_at(when, self._due)
        self._timer_when = when
        return 0

    cdef int _stop_timer(self) except -1:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return 0

    def _due(self):
        cdef double now = self._time()
        self._timer = None
        try:
            while self._calls and (self._calls[0].over or self._when[0] <= now):
                call = self._pop()
                if not call.over:
                    call.expire()
        finally:
            # To expire a call may have set the timer, for a later one.
            if self._calls and (self._timer is None or self._when[0] < self._timer_when):
                self._set_timer(self._when[0])

    cdef int _tidy(self) except -1:
        """Forgets who is over; no sooner again than as many have come."""
        cdef list calls = self._calls
        cdef Py_ssize_t at, kept = 0
        self._calls = []
        # No more come than have gone, so what is to be read yet is not written over.
        for at in range(len(calls)):
            if not calls[at].over:
                self._push(self._when[at], calls[at])
                kept += 1
        self._kept_max = max(<Py_ssize_t>_KEPT_MIN, 2 * kept)
        return 0

    # The heap.

    cdef int _push(self, double when, call) except -1:
        cdef list calls = self._calls
        cdef Py_ssize_t at = len(calls), above
        if <size_t>at == self._room:
            self._when = <double *>_doubled(self._when, &self._room, 16, sizeof(double))
        calls.append(call)
        while at:
            above = (at - 1) // 2
            if self._when[above] <= when:
                break
            self._when[at], calls[at] = self._when[above], calls[above]
            at = above
        self._when[at], calls[at] = when, call
        return 0

    cdef object _pop(self):
        """The first; the last takes a place on its way down."""
        cdef list calls = self._calls
        cdef Py_ssize_t at = 0, below = 1, size = len(calls) - 1
        first, last = calls[0], calls.pop()
        cdef double when = self._when[size]
        while below < size:
            if below + 1 < size and self._when[below + 1] < self._when[below]:
                below += 1
            if self._when[below] >= when:
                break
            self._when[at], calls[at] = self._when[below], calls[below]
            at, below = below, 2 * below + 1
        if size:
            self._when[at], calls[at] = when, last
        return first


def timeout_of(bytes value not None):
    """Seconds of a grpc-timeout header, None if it is none.

    Source: "gRPC over HTTP2" of the gRPC project, Requests: up to 8 digits and a unit.
    """
    cdef double seconds = _timeout_of(value)
    return None if seconds < 0 else seconds


cdef double _timeout_of(bytes value) noexcept:
    """-1 for what is no timeout."""
    if value is None:
        return -1
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t at, digits = PyBytes_GET_SIZE(value) - 1
    cdef long number = 0
    if not 1 <= digits <= 8:
        return -1
    for at in range(digits):
        if not c"0" <= text[at] <= c"9":
            return -1
        number = 10 * number + (text[at] - c"0")
    cdef double unit = _seconds_of_unit(text[digits])
    return -1 if unit < 0 else number * unit


cdef inline double _seconds_of_unit(char unit) noexcept:
    if unit == c"m":
        return 1e-3
    if unit == c"S":
        return 1
    if unit == c"u":
        return 1e-6
    if unit == c"n":
        return 1e-9
    if unit == c"M":
        return 60
    return 3600 if unit == c"H" else -1
