# What surrounds a unary call without a task: it is counted, let in or refused, and passed on.

cdef enum:
    _ANSWERED_MAX = 1024


cdef class CallCounts:
    """The numbers of an rpc that every call touches; a subclass has the others.

    `answered` are the seconds of calls that ended OK and are not in the others yet, at most
    `_ANSWERED_MAX`: then `settle` is called. It and `ended(code, seconds)` are the subclass's.
    """

    cdef public Py_ssize_t started
    cdef public list answered

    def __cinit__(self):
        self.answered = []


cdef class Counted:
    """A call that is counted when its handler answers, also if the caller is gone by then.

    `metrics` is where, None if it was or nobody counts; `since` is by `perf_counter`.
    """

    cdef public CallCounts metrics
    cdef public double since

    def count_in(self, CallCounts metrics not None):
        """The call has started."""
        _count_in(self, metrics)

    def count_out(self, code):
        """The call has ended with this `StatusCode`; counts the first time alone."""
        cdef CallCounts metrics = self.metrics
        if metrics is not None:
            self.metrics = None
            metrics.ended(code, <double>_perf_counter() - self.since)


cdef int _count_in(Counted call, CallCounts metrics) except -1:
    call.metrics = metrics
    metrics.started += 1
    call.since = _perf_counter()
    return 0


cdef int _count_answered(Counted call) except -1:
    """As `count_out`, for a call that ends OK: the cheapest way to count one."""
    cdef CallCounts metrics = call.metrics
    if metrics is not None:
        call.metrics = None
        metrics.answered.append(<double>_perf_counter() - call.since)
        if len(metrics.answered) >= _ANSWERED_MAX:
            metrics.settle()
    return 0


@cython.final
cdef class Door:
    """Whether calls are let in, for everybody who asks."""

    cdef public bint closed


@cython.final
cdef class Entrance:
    """The handler of a unary rpc that needs no task: counts a call and passes it on.

    `answer(message, call, plain)` answers it; `call` is `anybody`, with a deadline what
    `anybody_until(deadline_ns)` says on the clock `now_ns`; where `anybody` is None, always what
    `known(plain)` does. While the door is closed, `refuse` is called first, and raises. What is
    raised is what the call fails with.
    """

    cdef Door door
    cdef CallCounts metrics
    cdef object answer, anybody, anybody_until, now_ns, known, refuse

    def __cinit__(
        self, CallCounts metrics not None, answer, anybody, anybody_until, now_ns, known,
        Door door not None, refuse,
    ):
        self.door = door
        self.metrics = metrics
        self.answer = answer
        self.anybody = anybody
        self.anybody_until = anybody_until
        self.now_ns = now_ns
        self.known = known
        self.refuse = refuse

    def __call__(self, bytes message not None, Counted plain not None):
        _pass_on(self, message, plain)


cdef int _pass_on(Entrance entrance, bytes message, Counted plain) except -1:
    _count_in(plain, entrance.metrics)
    try:
        if entrance.door.closed:
            entrance.refuse()
        call = entrance.anybody
        if call is None:
            call = entrance.known(plain)
        else:
            deadline = plain.deadline
            if deadline is not None:
                call = entrance.anybody_until(_on_clock(deadline, entrance.now_ns))
        entrance.answer(message, call, plain)
    except Exception as error:
        # The boundary: a bug must not kill the server.
        plain.fail(error)
    return 0


def on_clock(deadline, now_ns):
    """A time of the event loop's clock on that one, in nanoseconds; the present for one past."""
    return _on_clock(deadline, now_ns)


cdef object _on_clock(double deadline, now_ns):
    cdef double left = deadline - <double>_get_running_loop().time()
    # As a Python int: gRPC knows deadlines in ten thousand years.
    return now_ns() + int(left * 1e9) if left > 0 else now_ns()
