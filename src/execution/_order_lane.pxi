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
    """Takes orders that are filled whole at once from their book to the ledger.

    `newest` answers the fresh snapshot of a symbol or None; `accounts` and `consumes` are those of
    the liquidity. `committing` and `committed` are the executor's own, so that a retry is known
    whichever way the first went. `ledger` is a `ports.LedgerLane`. An order whose position has
    moved, so that it got `conflict_type`, is decided again, `attempts_max` times in all. What
    becomes of it else, but for `committed_type`, goes to `otherwise`, which goes on as the executor
    does: (order, quote, deadline, done, result, attempts). `woken` is told of ends while `waiters`
    is not empty.
    """

    cdef set committing
    cdef Recent committed
    cdef dict waiters
    cdef PositionKnowledge knowledge
    cdef CommitQueue queue
    cdef Accounts accounts
    cdef object order_prefix, position_prefix, scaled_bps, committed_type, conflict_type
    cdef int attempts_max
    cdef object newest, time_ns, monotonic_ns, reserve_ns
    cdef object otherwise, woken
    cdef bytes namespace
    cdef bint consumes

    def __init__(self, ledger, newest, Accounts accounts not None, bint consumes, clock,
                 reserve_ns, scaled_bps, bytes namespace not None, set committing not None,
                 Recent committed not None, dict waiters not None, committed_type, conflict_type,
                 int attempts_max, otherwise, woken):
        self.knowledge = ledger.knowledge
        self.queue = ledger.queue
        self.order_prefix = ledger.order_prefix
        self.position_prefix = ledger.position_prefix
        self.newest = newest
        self.accounts = accounts
        self.consumes = consumes
        self.time_ns = clock.time_ns
        self.monotonic_ns = clock.monotonic_ns
        self.reserve_ns = reserve_ns
        self.scaled_bps = scaled_bps
        self.namespace = namespace
        self.committing = committing
        self.committed = committed
        self.waiters = waiters
        self.committed_type = committed_type
        self.conflict_type = conflict_type
        self.attempts_max = attempts_max
        self.otherwise = otherwise
        self.woken = woken

    def submit(self, Order order not None, deadline_ns, done):
        """As `begin`, for an order that is new, with the newest book."""
        return _submit(self, order, deadline_ns, done)

    def begin(self, Order order not None, Quote quote not None, deadline_ns, done):
        """Whether the order is on its way now; if not, nothing has happened."""
        return _begin(self, order, quote, deadline_ns, done, 1)


cdef bint _submit(Lane lane, Order order, object deadline_ns, object done) except -1:
    if order.order_id in lane.committing or order.order_id in lane.committed:
        return False
    snapshot = lane.newest(order.symbol)
    if snapshot is None:
        return False
    side = _side(lane.accounts, snapshot, order.direction)
    return type(side) is Quote and _begin(lane, order, <Quote>side, deadline_ns, done, 1)


cdef bint _begin(
    Lane lane, Order order, Quote quote, object deadline_ns, object done, int attempt
) except -1:
    cdef Position basis
    cdef Execution execution
    cdef Pending pending
    if deadline_ns is not None and deadline_ns - lane.monotonic_ns() < lane.reserve_ns:
        return False
    basis = lane.knowledge._recall(order.user_id, order.symbol)
    pending = Pending.__new__(Pending)
    try:
        execution = _execute_whole(
            order, quote, basis, lane.scaled_bps, lane.time_ns(), lane.namespace
        )
        if execution is None:
            return False
        pending.entry = _entry(execution, _payload_of(order), basis)
        pending.packed = _pack(pending.entry, "", lane.order_prefix, lane.position_prefix)
    except Exception:
        # The long way fails at the same, and tells who asked.
        return False
    pending.epoch = lane.knowledge._chain(basis, execution.position)
    pending.done = done
    pending.lane = lane
    pending.order = order
    pending.quote = quote
    pending.taken = execution.taken
    pending.deadline_ns = deadline_ns
    pending.attempt = attempt
    if lane.consumes:
        _move(quote, execution.taken, -1)
    lane.committing.add(order.order_id)
    try:
        _put(lane.queue, pending)
    except BaseException:
        # A bug. Who asked is told by whoever called us, and by nobody else.
        pending.done = None
        if lane.consumes:
            _move(quote, execution.taken, 1)
        lane.committing.discard(order.order_id)
        raise
    return True


cdef int _leave_lane(Pending pending, object done, object result) except -1:
    cdef Lane lane = pending.lane
    cdef object order_id = pending.order.order_id
    if type(result) is lane.committed_type:
        lane.committing.discard(order_id)
        _remember(lane.committed, order_id)
        if lane.waiters:
            lane.woken(order_id)
        if type(done) is Finish:
            _finish(<Finish>done, pending.entry.report)
        else:
            done(pending.entry.report)
        return 0
    if lane.consumes:
        _move(pending.quote, pending.taken, 1)
    if type(result) is lane.conflict_type and pending.attempt < lane.attempts_max:
        try:
            if _begin(
                lane, pending.order, pending.quote, pending.deadline_ns, done, pending.attempt + 1
            ):
                return 0
        except Exception as error:
            result = error
    lane.otherwise(
        pending.order, pending.quote, pending.deadline_ns, done, result, pending.attempt
    )
    return 0
