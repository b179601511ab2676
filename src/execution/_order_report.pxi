# Orders and reports. See `_order_model.pxi` for what they have in common.

_order_fields, _order_params = _described("Order", [
    ("order_id", _MISSING), ("user_id", _MISSING), ("symbol", _MISSING),
    ("direction", _MISSING), ("quantity", _MISSING), ("order_type", None),
    ("reduce_only", False), ("time_in_force", None), ("limit_price", None),
    ("max_slippage_bps", None), ("trigger_price", None), ("trigger_by", None),
    ("reject_if_triggered", False), ("expire_time_ns", None), ("received_time_ns", 0),
])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Order:
    """A well-formed order. Decimals are canonical text: no scale is known yet.

    `received_time_ns` is wall clock, ns since the epoch.
    """

    cdef readonly object order_id, user_id, symbol, direction, quantity, order_type
    cdef readonly object reduce_only, time_in_force, limit_price, max_slippage_bps
    cdef readonly object trigger_price, trigger_by, reject_if_triggered, expire_time_ns
    cdef readonly object received_time_ns
    cdef object _payload

    __dataclass_fields__ = _order_fields
    __dataclass_params__ = _order_params
    __match_args__ = tuple(_order_fields)

    def __init__(self, order_id, user_id, symbol, direction, quantity, order_type=None,
                 reduce_only=False, time_in_force=None, limit_price=None,
                 max_slippage_bps=None, trigger_price=None, trigger_by=None,
                 reject_if_triggered=False, expire_time_ns=None, received_time_ns=0):
        self.order_id = order_id
        self.user_id = user_id
        self.symbol = symbol
        self.direction = direction
        self.quantity = quantity
        self.order_type = _order_types[0] if order_type is None else order_type
        self.reduce_only = reduce_only
        self.time_in_force = _times_in_force[0] if time_in_force is None else time_in_force
        self.limit_price = limit_price
        self.max_slippage_bps = max_slippage_bps
        self.trigger_price = trigger_price
        self.trigger_by = _triggers[0] if trigger_by is None else trigger_by
        self.reject_if_triggered = reject_if_triggered
        self.expire_time_ns = expire_time_ns
        self.received_time_ns = received_time_ns
        self._payload = None

    def payload(self):
        """The request as one text, equal for equal requests.

        Two requests under one order id are the same if their payloads are:
        compared after defaults and decimal normalisation (SEMANTICS, Exactly
        once). No value can contain the separator.
        """
        return _payload_of(self)

    @classmethod
    def from_payload(cls, payload, order_id, received_time_ns):
        """The order whose `payload` this is. Raises `ValueError` or `KeyError`."""
        (
            order_type, user_id, symbol, direction, quantity, reduce_only, time_in_force,
            limit_price, max_slippage_bps, trigger_price, trigger_by, reject_if_triggered,
            expire_time_ns,
        ) = payload.split("|")
        return Order(
            order_id,
            user_id,
            symbol,
            type(_directions[1])[direction],
            quantity,
            order_type=type(_order_types[0])[order_type],
            reduce_only=reduce_only == "1",
            time_in_force=type(_times_in_force[0])[time_in_force],
            limit_price=limit_price or None,
            max_slippage_bps=int(max_slippage_bps) if max_slippage_bps else None,
            trigger_price=trigger_price or None,
            trigger_by=type(_triggers[0])[trigger_by],
            reject_if_triggered=reject_if_triggered == "1",
            expire_time_ns=int(expire_time_ns) if expire_time_ns else None,
            received_time_ns=received_time_ns,
        )

    def __eq__(self, other):
        if type(other) is not Order:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return Order, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


cdef inline void _put_part(order_buffer *buffer, object part) noexcept:
    order_put_byte(buffer, c"|")
    if part is not None:
        order_put_text(buffer, <PyObject *>part)


cdef object _payload_of(Order order):
    if order._payload is None:
        order._payload = _payload(order)
    return order._payload


cdef str _payload(Order order):
    cdef char[ORDER_ROOM] room
    cdef order_buffer buffer
    cdef object slippage = order.max_slippage_bps, expires = order.expire_time_ns
    order_begin(&buffer, room, ORDER_ROOM)
    try:
        _put_chars(&buffer, _order_type(order.order_type))
        _put_part(&buffer, order.user_id)
        _put_part(&buffer, order.symbol)
        order_put_byte(&buffer, c"|")
        _put_chars(&buffer, _direction(order.direction))
        _put_part(&buffer, order.quantity)
        _put_chars(&buffer, b"|1|" if order.reduce_only else b"|0|")
        _put_chars(&buffer, _name(ORDER_TIME_IN_FORCE, order.time_in_force))
        _put_part(&buffer, order.limit_price)
        _put_part(&buffer, None if slippage is None else str(slippage))
        _put_part(&buffer, order.trigger_price)
        order_put_byte(&buffer, c"|")
        _put_chars(&buffer, _name(ORDER_TRIGGER, order.trigger_by))
        _put_chars(&buffer, b"|1" if order.reject_if_triggered else b"|0")
        _put_part(&buffer, None if expires is None else str(expires))
        return (<bytes>order_bytes(&buffer)).decode("utf-8")
    finally:
        order_end(&buffer)


_report_fields, _report_params = _described("ExecutionReport", [
    ("order_id", _MISSING), ("user_id", _MISSING), ("symbol", _MISSING),
    ("direction", _MISSING), ("order_type", _MISSING), ("status", _MISSING),
    ("quantity", _MISSING), ("effective_quantity", _MISSING), ("filled_quantity", _MISSING),
    ("remaining_quantity", _MISSING), ("average_price", ""), ("notional", "0"), ("fills", ()),
    ("trade_id", ""), ("reason", None), ("message", ""), ("realized_pnl", "0"), ("fee", "0"),
    ("trigger_price", ""), ("triggered_by_price", ""), ("reduce_only", False),
    ("snapshot", None), ("received_time_ns", 0), ("transact_time_ns", 0), ("version", 1),
])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class ExecutionReport:
    """The state of an order after one write; see the proto for every field.

    Decimals are canonical text; times are wall-clock ns since the epoch.
    """

    cdef readonly object order_id, user_id, symbol, direction, order_type, status, quantity
    cdef readonly object effective_quantity, filled_quantity, remaining_quantity
    cdef readonly object average_price, notional, fills, trade_id, reason, message
    cdef readonly object realized_pnl, fee, trigger_price, triggered_by_price, reduce_only
    cdef readonly object snapshot, received_time_ns, transact_time_ns, version

    __dataclass_fields__ = _report_fields
    __dataclass_params__ = _report_params
    __match_args__ = tuple(_report_fields)

    def __init__(self, order_id, user_id, symbol, direction, order_type, status, quantity,
                 effective_quantity, filled_quantity, remaining_quantity, average_price="",
                 notional="0", fills=(), trade_id="", reason=None, message="",
                 realized_pnl="0", fee="0", trigger_price="", triggered_by_price="",
                 reduce_only=False, snapshot=None, received_time_ns=0, transact_time_ns=0,
                 version=1):
        self.order_id = order_id
        self.user_id = user_id
        self.symbol = symbol
        self.direction = direction
        self.order_type = order_type
        self.status = status
        self.quantity = quantity
        self.effective_quantity = effective_quantity
        self.filled_quantity = filled_quantity
        self.remaining_quantity = remaining_quantity
        self.average_price = average_price
        self.notional = notional
        self.fills = fills
        self.trade_id = trade_id
        self.reason = _no_reason if reason is None else reason
        self.message = message
        self.realized_pnl = realized_pnl
        self.fee = fee
        self.trigger_price = trigger_price
        self.triggered_by_price = triggered_by_price
        self.reduce_only = reduce_only
        self.snapshot = snapshot
        self.received_time_ns = received_time_ns
        self.transact_time_ns = transact_time_ns
        self.version = version

    def __eq__(self, other):
        if type(other) is not ExecutionReport:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return ExecutionReport, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


_execution_fields, _execution_params = _described("Execution", [
    ("report", _MISSING), ("taken", ()), ("position", None), ("rests_on_position", False),
    ("resting", None),
])


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Execution:
    """What an order did, before it is committed.

    `taken` is the quantity taken from each level of the quote, best first;
    `position` the position after it, None if unchanged; `rests_on_position`
    whether another position could have led to another report; `resting` what to
    watch for, if the order rests now.
    """

    cdef readonly object report, taken, position, rests_on_position, resting

    __dataclass_fields__ = _execution_fields
    __dataclass_params__ = _execution_params
    __match_args__ = tuple(_execution_fields)

    def __init__(self, report, taken=(), position=None, rests_on_position=False, resting=None):
        self.report = report
        self.taken = taken
        self.position = position
        self.rests_on_position = rests_on_position
        self.resting = resting

    def entry(self, payload, basis):
        """What is written of it where the order is new; it was computed from `basis`."""
        return _entry(self, payload, basis)

    def __eq__(self, other):
        if type(other) is not Execution:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def __hash__(self):
        return hash(_values(self))

    def __repr__(self):
        return _shown(self)

    def __reduce__(self):
        return Execution, _values(self)

    def __setattr__(self, name, value):
        _refuse_assignment(name)

    def __delattr__(self, name):
        _refuse_deletion(name)


cdef Entry _entry(Execution execution, object payload, object basis):
    cdef Entry made = Entry.__new__(Entry)
    made.payload = payload
    made.report = execution.report
    made.basis = basis if execution.rests_on_position else None
    made.position = execution.position
    made.resting = execution.resting
    return made
