# The data that every order makes, with the behaviour of frozen, slotted data classes.
#
# `no_gc`: they hold text, numbers, enum members and each other, from which no cycle leads back.
# That spares the collector, which would otherwise run every few orders.

cdef object _MISSING = _dataclasses.MISSING


cdef tuple _described(str name, list fields):
    """(fields, parameters) as `dataclasses` keeps them, from (name, default) pairs."""
    twin = _dataclasses.make_dataclass(
        name,
        [
            (field, object) if default is _MISSING
            else (field, object, _dataclasses.field(default=default))
            for field, default in fields
        ],
        frozen=True,
    )
    return twin.__dataclass_fields__, twin.__dataclass_params__


cdef tuple _values(object data):
    return tuple([getattr(data, name) for name in type(data).__match_args__])


cdef str _shown(object data):
    cls = type(data)
    fields = ", ".join([f"{name}={getattr(data, name)!r}" for name in cls.__match_args__])
    return f"{cls.__qualname__}({fields})"


cdef _refuse_assignment(str name):
    raise _dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


cdef _refuse_deletion(str name):
    raise _dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


_fill_fields, _fill_params = _described("Fill", [("price", _MISSING), ("quantity", _MISSING)])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Fill:
    """What one level gave; decimal text."""

    cdef readonly object price, quantity

    __dataclass_fields__ = _fill_fields
    __dataclass_params__ = _fill_params
    __match_args__ = tuple(_fill_fields)

    def __init__(self, price, quantity):
        self.price = price
        self.quantity = quantity

    def __eq__(self, other):
        if type(other) is not Fill:
            return NotImplemented
        return self.price == (<Fill>other).price and self.quantity == (<Fill>other).quantity

    def __hash__(self):
        return hash((self.price, self.quantity))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return Fill, (self.price, self.quantity)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


_ref_fields, _ref_params = _described("SnapshotRef", [
    ("source", _MISSING), ("sequence", 0), ("source_time_ns", None), ("best_bid", ""),
    ("best_ask", ""),
])


@cython.final
@cython.no_gc
@cython.freelist(16)
cdef class SnapshotRef:
    """Which book an order met; prices are text, empty for an absent side."""

    cdef readonly object source, sequence, source_time_ns, best_bid, best_ask
    # Written once, for all the orders that meet this book.
    cdef bytes json, trade_json, message

    __dataclass_fields__ = _ref_fields
    __dataclass_params__ = _ref_params
    __match_args__ = tuple(_ref_fields)

    def __init__(self, source, sequence=0, source_time_ns=None, best_bid="", best_ask=""):
        self.source = source
        self.sequence = sequence
        self.source_time_ns = source_time_ns
        self.best_bid = best_bid
        self.best_ask = best_ask
        self.json = self.trade_json = self.message = None

    def __eq__(self, other):
        if type(other) is not SnapshotRef:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return SnapshotRef, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


_position_fields, _position_params = _described("Position", [
    ("user_id", _MISSING), ("symbol", _MISSING), ("quantity", 0), ("entry_cost", 0),
    ("realized_pnl", 0), ("entry_price", ""), ("version", 0),
])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Position:
    """What the service has committed for one user in one symbol.

    `quantity` is signed, at `decimals.QUANTITY_DECIMALS`; `entry_cost` (never
    negative) and `realized_pnl` are at `decimals.MONEY_DECIMALS`. Version 0:
    nothing was ever committed.
    """

    cdef readonly object user_id, symbol, entry_price, version
    # The same numbers twice: as Python integers once they are asked for, and at the scale of
    # the symbol where they are known so.
    cdef object _quantity, _entry_cost, _realized_pnl
    cdef order_holding holding

    __dataclass_fields__ = _position_fields
    __dataclass_params__ = _position_params
    __match_args__ = tuple(_position_fields)

    def __init__(self, user_id, symbol, quantity=0, entry_cost=0, realized_pnl=0,
                 entry_price="", version=0):
        self.user_id = user_id
        self.symbol = symbol
        self._quantity = quantity
        self._entry_cost = entry_cost
        self._realized_pnl = realized_pnl
        self.entry_price = entry_price
        self.version = version
        self.holding.known = False

    @property
    def quantity(self):
        if self._quantity is None and self.holding.known:
            self._quantity = order_new_int(self.holding.quantity) * _quantity_unit(
                self.holding.quantity_decimals
            )
        return self._quantity

    @property
    def entry_cost(self):
        if self._entry_cost is None and self.holding.known:
            self._entry_cost = order_new_int(<order_signed>self.holding.cost) * _money_unit(
                self.holding.price_decimals + self.holding.quantity_decimals
            )
        return self._entry_cost

    @property
    def realized_pnl(self):
        if self._realized_pnl is None and self.holding.known:
            self._realized_pnl = order_new_int(self.holding.pnl) * _money_unit(
                self.holding.price_decimals + self.holding.quantity_decimals
            )
        return self._realized_pnl

    def __eq__(self, other):
        if type(other) is not Position:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return Position, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)
