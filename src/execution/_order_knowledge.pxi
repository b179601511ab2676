# What this process believes each position to be: the state of `adapters.positions`.

cdef enum:
    _UNCHAINED = 0


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class _Belief:
    cdef object key
    cdef Position position
    cdef int64_t epoch
    cdef bint used


@cython.final
cdef class PositionKnowledge:
    """The latest known or predicted positions, `limit` at most; what was not used lately goes
    first.
    """

    cdef object beliefs
    cdef Py_ssize_t limit
    # Never reused, so that a belief forgotten and learnt anew is not the old one.
    cdef int64_t latest_epoch
    # What was recalled last is mostly what is chained on next.
    cdef _Belief recalled

    def __init__(self, Py_ssize_t limit):
        self.limit = limit
        self.beliefs = _OrderedDict()
        self.latest_epoch = _UNCHAINED
        self.recalled = None

    def recall(self, user_id, symbol):
        """The present belief; flat at version 0 if there is none."""
        return self._recall(user_id, symbol)

    cdef Position _recall(self, user_id, symbol):
        key = (user_id, symbol)
        cdef _Belief belief = self.beliefs.get(key)
        if belief is None:
            return Position(user_id, symbol)
        belief.used = True
        self.recalled = belief
        return belief.position

    def chain(self, Position basis not None, Position outcome):
        """Believes that what was computed from `basis` comes true.

        Returns the epoch to hand to `correct` with the answer. A commit that
        does not rest on the present belief changes nothing and corrects nothing.
        """
        return self._chain(basis, outcome)

    cdef int64_t _chain(self, Position basis, Position outcome) except -1:
        cdef _Belief belief = self.recalled
        if belief is None or belief.position is not basis:
            belief = self.beliefs.get((basis.user_id, basis.symbol))
            if belief is None:
                return self._believe(
                    (basis.user_id, basis.symbol), basis if outcome is None else outcome
                )
            if belief.position is not basis and belief.position != basis:
                return _UNCHAINED
        if outcome is not None:
            belief.position = outcome
        return belief.epoch

    def correct(self, Position position not None, int64_t epoch):
        """An answer to a commit of `epoch` shows the position to be this.

        Heard only while the epoch lasts; begins a new one.
        """
        key = (position.user_id, position.symbol)
        cdef _Belief belief = self.beliefs.get(key)
        if belief is not None and belief.epoch == epoch:
            self.latest_epoch += 1
            belief.position = position
            belief.epoch = self.latest_epoch
            belief.used = True

    cdef int64_t _believe(self, tuple key, Position position) except -1:
        cdef _Belief belief = _Belief.__new__(_Belief)
        if len(self.beliefs) >= self.limit:
            self._forget_one()
        self.latest_epoch += 1
        belief.key = key
        belief.position = position
        belief.epoch = self.latest_epoch
        belief.used = False
        self.beliefs[key] = belief
        return self.latest_epoch

    cdef int _forget_one(self) except -1:
        """Whoever was used since it was looked at last gets a second chance."""
        cdef _Belief belief
        while True:
            belief = next(iter(self.beliefs.values()))
            if not belief.used:
                break
            belief.used = False
            self.beliefs.move_to_end(belief.key)
        if self.recalled is belief:
            self.recalled = None
        del self.beliefs[belief.key]
        return 0
