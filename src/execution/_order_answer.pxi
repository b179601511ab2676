# From the report of an order to whoever asked for it: the state of `server.orders`.

cdef class UnderWay:
    """How many have begun and not ended, `limit` at most; a subclass says how one is refused."""

    cdef public Py_ssize_t count
    cdef readonly Py_ssize_t limit

    def __init__(self, Py_ssize_t limit):
        self.limit = limit

    def enter(self):
        """One more is under way. Raises what `refuse` does."""
        self._enter()

    cdef int _enter(self) except -1:
        if self.count >= self.limit:
            self.refuse()
        self.count += 1
        return 0

    def leave(self):
        """It has ended."""
        self.count -= 1


@cython.final
cdef class Outcomes:
    """How many orders were answered, by what became of them."""

    cdef readonly Py_ssize_t orders
    cdef dict counts

    def __cinit__(self):
        self.counts = {}

    def items(self):
        """((status, reason), orders) of each outcome there was, as numbers."""
        # Asked in another thread, beside which orders are counted.
        counts = list(self.counts.items())
        return [(divmod(outcome, _REASONS_MAX), count) for outcome, count in counts]


cdef enum:
    _REASONS_MAX = 64


cdef int _count_outcome(Outcomes outcomes, ExecutionReport report) except -1:
    # One number: members of an enum are slow to hash.
    outcome = <long>report.status * _REASONS_MAX + <long>report.reason
    outcomes.counts[outcome] = outcomes.counts.get(outcome, 0) + 1
    outcomes.orders += 1
    return 0


@cython.final
@cython.freelist(64)
cdef class Finish:
    """What is done with the report of an order, or with why there is none: it is counted, and
    `answer` gets its bytes by `reply`, or the failure by `fail`.
    """

    cdef UnderWay under_way
    cdef Outcomes outcomes
    cdef object answer

    def __init__(self, UnderWay under_way not None, Outcomes outcomes not None, answer):
        self.under_way = under_way
        self.outcomes = outcomes
        self.answer = answer

    def __call__(self, outcome):
        _finish(self, outcome)


cdef int _finish(Finish finish, object outcome) except -1:
    finish.under_way.count -= 1
    if type(outcome) is ExecutionReport:
        try:
            written = _written(<ExecutionReport>outcome, _put_message)
        except Exception as error:
            # Whoever waits is told, whatever it was.
            finish.answer.fail(error)
            return 0
        _count_outcome(finish.outcomes, <ExecutionReport>outcome)
        finish.answer.reply(written)
    else:
        finish.answer.fail(outcome)
    return 0
