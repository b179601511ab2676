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
    cdef int attempt

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


@cython.final
cdef class CommitQueue:
    """Entries that wait to be sent, in `entries`; `most` at most.

    `refused` gets one that is put while the queue is not `open`, or full. `stirred` is called after
    one was put, unless the queue is `awake` (what waits is about to be sent) and holds fewer than
    `at_once`. `time` and `stirred` are set by who sends, before he opens it.
    """

    cdef readonly object entries
    cdef public bint open, awake
    cdef public object time, stirred
    cdef object refused
    cdef Py_ssize_t most, at_once
    cdef double timeout

    def __init__(self, Py_ssize_t most, Py_ssize_t at_once, double timeout_seconds, refused):
        self.entries = _deque()
        self.most = most
        self.at_once = at_once
        self.timeout = timeout_seconds
        self.refused = refused

    def put(self, Pending pending not None):
        """One more waits, in whose outcome `PositionKnowledge` believes already."""
        _put(self, pending)

    def add(self, Pending pending not None):
        """As `put`, whether it is open or not."""
        _add(self, pending)

    def batch(self, Py_ssize_t most, double now):
        """The next to be sent, `most` at most, one more sending counted for each; and those before
        them whose time is up.
        """
        cdef list sent = [], late = []
        cdef Pending pending
        while self.entries and len(sent) < most:
            pending = self.entries.popleft()
            if pending.deadline <= now:
                late.append(pending)
            else:
                pending.sends += 1
                sent.append(pending)
        return sent, late


cdef int _put(CommitQueue queue, Pending pending) except -1:
    if queue.open and len(queue.entries) < queue.most:
        return _add(queue, pending)
    queue.refused(pending)
    return 0


cdef int _add(CommitQueue queue, Pending pending) except -1:
    pending.deadline = <double>queue.time() + queue.timeout
    queue.entries.append(pending)
    if not queue.awake or len(queue.entries) >= queue.at_once:
        queue.stirred()
    return 0
