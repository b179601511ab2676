# What nearly every order does, decided in one step: `engine.execute` where nothing is unusual.

cdef inline bint _says_how_much_alone(Order order) noexcept:
    """Whether the order bounds neither its price nor its position, and waits for nothing."""
    return (
        order.limit_price is None
        and order.max_slippage_bps is None
        and order.trigger_price is None
        and not order.reduce_only
    )


cdef bint _read_quantity(Order order, int decimals, int64_t *quantity) noexcept:
    cdef order_buffer unused
    cdef char[1] room
    cdef size_t count
    cdef const char *text
    order_begin(&unused, room, 1)
    text = order_utf8(&unused, <PyObject *>order.quantity, &count)
    return (
        text != NULL
        and match_parse_decimal(text, count, decimals, quantity) == MATCH_TEXT_SOUND
        and quantity[0] > 0
    )


cdef Execution _execute_whole(Order order, Quote quote, Position position, object scaled_bps,
                              object now_ns, bytes namespace):
    """What `engine.execute` answers for an order that says how much and no more, passes every
    filter, and is filled whole; None for any other, which is decided there.

    The fee is at `scaled_bps` / 10^18 basis points; `namespace` is that of trade ids.
    """
    cdef ExactFill walked
    cdef int64_t quantity
    cdef int price_decimals = quote.price_decimals, quantity_decimals = quote.quantity_decimals
    cdef bint bought
    cdef order_wide notional, scaled
    cdef order_signed pnl
    cdef Position after
    cdef ExecutionReport report
    cdef Execution execution
    if not (
        quote.is_usual
        and _says_how_much_alone(order)
        and _read_quantity(order, quantity_decimals, &quantity)
        and _passes(quote, quantity)
    ):
        return None
    bought = <long>order.direction == _BUY
    walk_exact(
        <const int64_t *>quote.price_view.buf, <const int64_t *>quote.available_view.buf,
        quote.price_view.shape[0], quantity, INT64_MAX if bought else 0, not bought, &walked,
    )
    if walked.remaining:
        return None
    if quote.filters.least_notional and (
        not order_multiply(<order_wide>quantity, <order_wide><int64_t>quote.best, &scaled)
        or scaled < quote.filters.least_notional
    ):
        return None
    notional = order_join(walked.notional_high, walked.notional_low)
    if not order_multiply(notional, ORDER_EXTRA, &scaled):
        return None
    after = _settled(
        position, bought, <order_wide>quantity, notional, price_decimals, quantity_decimals, &pnl
    )
    if after is None:
        return None

    report = _about(order, _filled, now_ns)
    report.reason = _no_reason
    report.message = ""
    report.snapshot = quote.ref
    report.trade_id = _trade_id(namespace, order.user_id, order.order_id)
    report.effective_quantity = report.filled_quantity = _same_or_new(
        order.quantity, quantity, quantity_decimals
    )
    report.remaining_quantity = "0"
    report.average_price = order_decimal_text(
        order_half_even(scaled, <order_wide>quantity), False, price_decimals + 8
    )
    report.notional = order_decimal_text(notional, False, price_decimals + quantity_decimals)
    report.realized_pnl = (
        order_signed_text(pnl, price_decimals + quantity_decimals) if pnl else "0"
    )
    report.fee = "0" if not scaled_bps else fee_text(
        order_new_int(<order_signed>notional), scaled_bps, price_decimals, quantity_decimals
    )
    execution = Execution.__new__(Execution)
    execution.report = report
    execution.taken = _take_levels(
        report, <const int64_t *>quote.price_view.buf,
        <const int64_t *>quote.available_view.buf, walked.levels, quantity, price_decimals,
        quantity_decimals,
    )
    execution.position = after
    execution.rests_on_position = True
    execution.resting = None
    return execution


cdef object _same_or_new(object text, int64_t number, int decimals):
    """The text of a number: the one that is there already, if it is the same."""
    cdef char[MATCH_TEXT_MAX] made
    cdef int length = match_format_decimal(number, decimals, made)
    cdef const char *begun = made + MATCH_TEXT_MAX - length
    cdef order_buffer unused
    cdef char[1] room
    cdef size_t count
    cdef const char *known
    order_begin(&unused, room, 1)
    known = order_utf8(&unused, <PyObject *>text, &count)
    if known != NULL and count == <size_t>length and memcmp(known, begun, count) == 0:
        return text
    return begun[:length].decode("ascii")
