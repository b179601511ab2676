# What an execution does to a position, and its report. Rules: SEMANTICS, Position and realised
# PnL; `settlement` and `engine` say when each applies.

cdef bint _hold(Position position, int price_decimals, int quantity_decimals) except -1:
    """Reads the position at the scale of its symbol; False where it is finer, or too big."""
    cdef order_holding *holding = &position.holding
    cdef order_signed quantity, cost, pnl
    if not (
        ORDER_IS_FAST
        and 0 <= price_decimals <= MATCH_DECIMALS_MAX
        and 0 <= quantity_decimals <= MATCH_DECIMALS_MAX
    ):
        return False
    if (
        holding.known
        and holding.price_decimals == price_decimals
        and holding.quantity_decimals == quantity_decimals
    ):
        return True
    money_unit = _money_unit(price_decimals + quantity_decimals)
    in_units = []
    for value, unit in (
        (position.quantity, _quantity_unit(quantity_decimals)),
        (position.entry_cost, money_unit),
        (position.realized_pnl, money_unit),
    ):
        units, rest = divmod(value, unit)
        if rest:
            return False
        in_units.append(units)
    if not (
        _read_signed(in_units[0], &quantity)
        and _read_signed(in_units[1], &cost)
        and _read_signed(in_units[2], &pnl)
        and cost >= 0
    ):
        return False
    holding.quantity = quantity
    holding.cost = <order_wide>cost
    holding.pnl = pnl
    holding.price_decimals = price_decimals
    holding.quantity_decimals = quantity_decimals
    holding.known = True
    return True


def settle(Position position not None, direction, filled, notional, int price_decimals,
           int quantity_decimals):
    """(position after a fill, PnL the fill realised).

    `filled` is at the quantity scale, `notional` at price + quantity decimals, the PnL at
    `MONEY_DECIMALS`.
    """
    cdef Position after = None
    cdef order_wide quantity, money
    cdef order_signed pnl = 0
    cdef bint bought = <long>direction == _BUY
    if order_read_wide(<PyObject *>filled, &quantity) and order_read_wide(
        <PyObject *>notional, &money
    ):
        after = _settled(
            position, bought, quantity, money, price_decimals, quantity_decimals, &pnl
        )
    if after is None:
        return _settle_any(position, bought, filled, notional, price_decimals, quantity_decimals)
    if not pnl:
        return after, 0
    return after, order_new_int(pnl) * _money_unit(price_decimals + quantity_decimals)


cdef Position _settled(Position position, bint bought, order_wide quantity, order_wide money,
                       int price_decimals, int quantity_decimals, order_signed *pnl):
    """The position after a fill, and the PnL at the scale of the money; None where a number is
    too fine or too large for it.
    """
    cdef Position after
    cdef order_wide scaled, held
    cdef order_holding holding
    if not (
        _hold(position, price_decimals, quantity_decimals)
        and order_settle(&position.holding, bought, quantity, money, &holding, pnl)
        and order_multiply(holding.cost, ORDER_EXTRA, &scaled)
    ):
        return None
    held = <order_wide>(-holding.quantity if holding.quantity < 0 else holding.quantity)
    after = Position.__new__(Position)
    after.user_id = position.user_id
    after.symbol = position.symbol
    after.entry_price = (
        order_decimal_text(order_half_even(scaled, held), False, price_decimals + 8)
        if held else ""
    )
    after.version = position.version + 1
    after.holding = holding
    return after


cdef tuple _settle_any(Position position, bint bought, object filled, object notional,
                       int price_decimals, int quantity_decimals):
    """`settle` in Python's integers."""
    cdef object held, signed
    money_unit = _money_unit(price_decimals + quantity_decimals)
    quantity = filled * _quantity_unit(quantity_decimals)
    money = notional * money_unit
    held = abs(position.quantity)
    opposite = position.quantity < 0 if bought else position.quantity > 0
    closed = min(held, quantity) if opposite else 0
    cost_out = _share(position.entry_cost, closed, held, money_unit)
    closed_money = _share(money, closed, quantity, money_unit)
    pnl = cost_out - closed_money if bought else closed_money - cost_out
    entry_cost = position.entry_cost - cost_out + money - closed_money
    signed = position.quantity + (quantity if bought else -quantity)
    held = abs(signed)
    entry_price = "" if not held else _ratio_text(
        entry_cost * _power(ORDER_QUANTITY_DECIMALS),
        held * _power(ORDER_MONEY_DECIMALS),
        price_decimals + 8,
    )
    after = Position(
        position.user_id, position.symbol, signed, entry_cost, position.realized_pnl + pnl,
        entry_price, position.version + 1,
    )
    return after, pnl


cdef object _share(object money, object part, object whole, object unit):
    if not part:
        return 0
    if part == whole:
        return money
    return min(_divide_half_even(money * part, whole * unit) * unit, money)


def unfilled(Order order not None, status, now_ns, reason=None, message="", snapshot=None):
    """The report of an order that has executed nothing."""
    cdef ExecutionReport report = _about(order, status, now_ns)
    report.effective_quantity = report.remaining_quantity = order.quantity
    report.filled_quantity = "0"
    report.average_price = ""
    report.notional = "0"
    report.fills = ()
    report.trade_id = ""
    report.reason = _no_reason if reason is None else reason
    report.message = message
    report.realized_pnl = report.fee = "0"
    report.snapshot = snapshot
    return report


cdef inline ExecutionReport _about(Order order, object status, object now_ns):
    """What a report repeats of its order."""
    cdef ExecutionReport report = ExecutionReport.__new__(ExecutionReport)
    report.order_id = order.order_id
    report.user_id = order.user_id
    report.symbol = order.symbol
    report.direction = order.direction
    report.order_type = order.order_type
    report.status = status
    report.quantity = order.quantity
    report.trigger_price = "" if order.trigger_price is None else order.trigger_price
    report.triggered_by_price = ""
    report.reduce_only = order.reduce_only
    report.received_time_ns = order.received_time_ns
    report.transact_time_ns = now_ns
    report.version = 1
    return report


cdef inline object _scaled_text(int64_t number, int decimals):
    cdef char[MATCH_TEXT_MAX] text
    cdef int length = match_format_decimal(number, decimals, text)
    return (text + MATCH_TEXT_MAX - length)[:length].decode("ascii")


def executed(
    Order order not None, status, reason, message, snapshot, now_ns, int price_decimals,
    int quantity_decimals, int64_t effective, filled, notional, prices, available,
    Py_ssize_t levels, trade_id, realized_pnl, fee,
):
    """(report, taken): what an order took from the first `levels` of a side.

    `effective` and `filled` are at the quantity scale, `notional` at price + quantity decimals;
    `taken` has the quantity taken from each level.
    """
    cdef ExecutionReport report
    cdef int64_t took = filled
    if not (
        0 <= price_decimals <= MATCH_DECIMALS_MAX and 0 <= quantity_decimals <= MATCH_DECIMALS_MAX
    ):
        raise ValueError("a scale has 0 to 18 decimals")
    report = _about(order, status, now_ns)
    report.reason = reason
    report.message = message
    report.snapshot = snapshot
    report.trade_id = trade_id
    report.realized_pnl = realized_pnl
    report.fee = fee
    report.effective_quantity = _scaled_text(effective, quantity_decimals)
    if took == effective:
        report.filled_quantity = report.effective_quantity
        report.remaining_quantity = "0"
    else:
        report.filled_quantity = _scaled_text(took, quantity_decimals)
        report.remaining_quantity = _scaled_text(effective - took, quantity_decimals)
    report.average_price = _average(notional, filled, price_decimals)
    report.notional = _to_text(notional, price_decimals + quantity_decimals)
    return report, _take(
        report, prices, available, levels, effective, price_decimals, quantity_decimals
    )


cdef tuple _take(ExecutionReport report, object prices, object available, Py_ssize_t levels,
                 int64_t wanted, int price_decimals, int quantity_decimals):
    """Writes the fills of the report; returns what is taken from each level."""
    cdef Py_buffer price_view, quantity_view
    _borrow(prices, &price_view)
    try:
        _borrow(available, &quantity_view)
        try:
            if not 0 <= levels <= min(price_view.shape[0], quantity_view.shape[0]):
                raise ValueError("there are not so many levels")
            return _take_levels(
                report, <const int64_t *>price_view.buf, <const int64_t *>quantity_view.buf,
                levels, wanted, price_decimals, quantity_decimals,
            )
        finally:
            PyBuffer_Release(&quantity_view)
    finally:
        PyBuffer_Release(&price_view)


cdef tuple _take_levels(ExecutionReport report, const int64_t *prices, const int64_t *available,
                        Py_ssize_t levels, int64_t wanted, int price_decimals,
                        int quantity_decimals):
    cdef list fills, taken
    cdef Py_ssize_t level
    cdef int64_t quantity
    cdef Fill fill
    if levels == 1 and 0 < wanted <= available[0]:
        # What most orders do; the text of the quantity is there already.
        fill = Fill.__new__(Fill)
        fill.price = _scaled_text(prices[0], price_decimals)
        fill.quantity = report.effective_quantity
        report.fills = (fill,)
        return (wanted,)
    fills, taken = [], []
    for level in range(levels):
        quantity = min(available[level], wanted)
        wanted -= quantity
        taken.append(quantity)
        if quantity:
            fill = Fill.__new__(Fill)
            fill.price = _scaled_text(prices[level], price_decimals)
            fill.quantity = _scaled_text(quantity, quantity_decimals)
            fills.append(fill)
    report.fills = tuple(fills)
    return tuple(taken)
