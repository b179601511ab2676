# The way of the order that nearly all are, from its book to the queue of commits and back, without
# a step in Python: `executor` and `commitments` say what happens on it, and do it for every other.

@cython.final
cdef class Recent:
    """The latest ids, `count_max` at most; when half of it is full the older half goes."""

    cdef set newer, older
    cdef Py_ssize_t half

    def __init__(self, Py_ssize_t count_max):
        self.half = max(count_max // 2, 1)
        self.newer = set()
        self.older = set()

    def __contains__(self, name):
        return name in self.newer or name in self.older

    def add(self, name):
        """Remembers it."""
        _remember(self, name)

    def discard(self, name):
        """Forgets it."""
        self.newer.discard(name)
        self.older.discard(name)


cdef int _remember(Recent recent, object name) except -1:
    if len(recent.newer) >= recent.half:
        recent.newer, recent.older = set(), recent.newer
    recent.newer.add(name)
    return 0


@cython.final
cdef class Lane:
    """Takes orders that are filled whole at once from a quote to the ledger.

    `committing` and `committed` are the executor's own, so that a retry is known whichever way
    the first went. `knowledge`, the prefixes of keys and `enqueue` are the ledger's. What becomes
    of an order that is not `committed_type` goes to `otherwise`, which goes on as the executor
    does: (order, quote, deadline, done, result). `woken` is told of ends while `waiters` is not
    empty.
    """

    cdef set committing
    cdef Recent committed
    cdef dict waiters
    cdef PositionKnowledge knowledge
    cdef object order_prefix, position_prefix, enqueue, scaled_bps, committed_type
    cdef object otherwise, woken
    cdef bytes namespace
    cdef bint consumes

    def __init__(self, set committing not None, Recent committed not None,
                 dict waiters not None, PositionKnowledge knowledge not None, order_prefix,
                 position_prefix, enqueue, bint consumes, scaled_bps, bytes namespace not None,
                 committed_type, otherwise, woken):
        self.committing = committing
        self.committed = committed
        self.waiters = waiters
        self.knowledge = knowledge
        self.order_prefix = order_prefix
        self.position_prefix = position_prefix
        self.enqueue = enqueue
        self.consumes = consumes
        self.scaled_bps = scaled_bps
        self.namespace = namespace
        self.committed_type = committed_type
        self.otherwise = otherwise
        self.woken = woken

    def begin(self, Order order not None, Quote quote not None, deadline_ns, now_ns, done):
        """Whether the order is on its way now; if not, nothing has happened."""
        cdef Position basis = self.knowledge.recall(order.user_id, order.symbol)
        cdef Execution execution
        cdef Pending pending = Pending.__new__(Pending)
        try:
            execution = _execute_whole(
                order, quote, basis, self.scaled_bps, now_ns, self.namespace
            )
            if execution is None:
                return False
            pending.entry = _entry(execution, _payload_of(order), basis)
            pending.packed = _pack(pending.entry, "", self.order_prefix, self.position_prefix)
        except Exception:
            # The long way fails at the same, and tells who asked.
            return False
        pending.epoch = self.knowledge.chain(basis, execution.position)
        pending.done = done
        pending.lane = self
        pending.order = order
        pending.quote = quote
        pending.taken = execution.taken
        pending.deadline_ns = deadline_ns
        if self.consumes:
            _move(quote, execution.taken, -1)
        self.committing.add(order.order_id)
        self.enqueue(pending)
        return True


cdef int _leave_lane(Pending pending, object done, object result) except -1:
    cdef Lane lane = pending.lane
    cdef object order_id = pending.order.order_id
    if type(result) is lane.committed_type:
        lane.committing.discard(order_id)
        _remember(lane.committed, order_id)
        if lane.waiters:
            lane.woken(order_id)
        done(pending.entry.report)
        return 0
    if lane.consumes:
        _move(pending.quote, pending.taken, 1)
    lane.otherwise(pending.order, pending.quote, pending.deadline_ns, done, result)
    return 0
