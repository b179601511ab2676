# An entry that waits for its answer: the state of `adapters.group_commit`.

@cython.final
@cython.freelist(64)
cdef class Pending:
    """An entry somebody waits for: `done` is called once, with what became of it.

    `epoch` is that of the position it rests on, `deadline` on the event loop's clock;
    `failure` is what stood in the way most recently.
    """

    cdef readonly Entry entry
    cdef readonly Packed packed
    cdef readonly object epoch
    cdef public double deadline
    cdef public int sends
    cdef public object failure
    cdef object done
    # Of an order in the lane.
    cdef object lane, deadline_ns
    cdef Order order
    cdef Quote quote
    cdef tuple taken

    def __init__(self, Entry entry not None, Packed packed not None, epoch, done):
        self.entry = entry
        self.packed = packed
        self.epoch = epoch
        self.done = done

    @property
    def waited_for(self):
        """Whether somebody still waits to be told."""
        return self.done is not None

    def answer(self, result):
        """Tells who waits, if that was not done before."""
        _answer(self, result)


cdef int _answer(Pending pending, object result) except -1:
    done = pending.done
    if done is None:
        return 0
    pending.done = None
    try:
        if pending.lane is None:
            done(result)
        else:
            _leave_lane(pending, done, result)
    except Exception:
        # The neighbours of the order have answers to hear, too.
        _logging.getLogger("execution.adapters.group_commit").exception(
            "unforeseen failure in the answer to a commit"
        )
    return 0


def answer_all(list batch not None, result):
    """Tells the same to all."""
    cdef Pending pending
    for pending in batch:
        _answer(pending, result)
