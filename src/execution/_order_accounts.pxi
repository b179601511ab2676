# What orders left of the snapshot each symbol shows now: the state of `pricing.Liquidity`.

@cython.final
@cython.no_gc
cdef class _Account:
    """One snapshot, judged once, with the two sides that orders draw down."""

    cdef object symbol, snapshot, asks, bids
    cdef bint used


@cython.final
cdef class Accounts:
    """Of `limit` symbols at most; what was not used lately goes first.

    `judge` answers (asks, bids) for a snapshot, each a `Quote` or why there is none; `same` says
    whether two snapshots show one book.
    """

    cdef object accounts, judge, same
    cdef Py_ssize_t limit

    def __init__(self, Py_ssize_t limit, judge, same):
        self.limit = limit
        self.judge = judge
        self.same = same
        self.accounts = _OrderedDict()

    def side(self, snapshot, direction):
        """The side that orders in this direction take, as earlier ones left it."""
        return _side(self, snapshot, direction)


cdef object _side(Accounts accounts, object snapshot, object direction):
    symbol = snapshot.spec.symbol
    cdef _Account account = accounts.accounts.get(symbol)
    if account is None or not (
        account.snapshot is snapshot or accounts.same(account.snapshot, snapshot)
    ):
        account = _open_account(accounts, account, symbol, snapshot)
    else:
        account.used = True
    return account.asks if <long>direction == _BUY else account.bids


cdef _Account _open_account(Accounts accounts, _Account former, object symbol, object snapshot):
    cdef _Account account = _Account.__new__(_Account)
    account.asks, account.bids = accounts.judge(snapshot)
    account.symbol = symbol
    account.snapshot = snapshot
    # Of a symbol that is known it was just used.
    account.used = former is not None
    if former is None and len(accounts.accounts) >= accounts.limit:
        _close_one(accounts)
    accounts.accounts[symbol] = account
    return account


cdef int _close_one(Accounts accounts) except -1:
    """Whoever was used since it was looked at last gets a second chance."""
    cdef _Account account
    while True:
        account = next(iter(accounts.accounts.values()))
        if not account.used:
            break
        account.used = False
        accounts.accounts.move_to_end(account.symbol)
    del accounts.accounts[account.symbol]
    return 0
