# An OrderRequest from its bytes, where nothing about it is unusual. Whatever is gets None: then
# `server.requests` reads it with the protobuf library, and says what is wrong with it, if anything.

cdef enum:
    _ORDER_ID = 1
    _USER_ID = 2
    _SYMBOL = 3
    _DIRECTION = 4
    _QUANTITY = 5
    _REDUCE_ONLY = 6
    _TRIGGER_PRICE = 7
    _LIMIT_PRICE = 8
    _SLIPPAGE = 9
    _TIME_IN_FORCE = 10
    _TRIGGER_BY = 11
    _REJECT_IF_TRIGGERED = 12
    _EXPIRE_TIME = 13
    _ORDER_TYPE = 14
    _MARKET = 1
    _REQUEST_BYTES_MAX = 65536
    _UINT32_MAX = 4294967295
    _SYMBOLS_MAX = 10000


cdef inline object _word(const order_value *field):
    return field.text[:field.count].decode("ascii")


# Symbols are few and come again and again: one text for each keeps its hash, and takes its room once.
cdef dict _symbols = {}


cdef inline object _same_word(object word):
    if len(_symbols) > _SYMBOLS_MAX:
        _symbols.clear()
    return _symbols.setdefault(word, word)


cdef inline object _decimal(const order_value *field):
    """Canonical text of a decimal above zero; None for anything else, and for no text."""
    cdef const char *begun = field.text
    cdef const char *end = begun + field.count
    if field.count == 0 or field.count > _TEXT_LENGTH_MAX or not _canonical(&begun, &end):
        return None
    if end - begun == 1 and begun[0] == c"0":
        return None
    return begun[:end - begun].decode("ascii")


cdef inline bint _is_market(const order_value *values, object order_type) noexcept:
    if order_type is None:
        return values[_ORDER_TYPE].number <= _MARKET
    return order_type is _order_types[1]


cdef inline bint _fields_apply(const order_value *values, bint market) noexcept:
    """Whether the fields of stops are there only where they may be."""
    if not market and values[_TRIGGER_PRICE].present:
        return True
    return not (
        values[_TRIGGER_PRICE].present
        or values[_TRIGGER_BY].number
        or values[_REJECT_IF_TRIGGERED].number
        or values[_EXPIRE_TIME].present
    )


cdef inline bint _numbers_are_known(const order_value *values) noexcept:
    return (
        1 <= values[_DIRECTION].number <= 2
        and values[_REDUCE_ONLY].number <= 1
        and values[_SLIPPAGE].number <= _UINT32_MAX
        and values[_TIME_IN_FORCE].number <= 2
        and values[_TRIGGER_BY].number <= 3
        and values[_REJECT_IF_TRIGGERED].number <= 1
        and values[_ORDER_TYPE].number <= 2
    )


def read_order(bytes data not None, order_type, received_time_ns):
    """The order of a serialised OrderRequest, or None if there is anything unusual about it.

    `order_type` None: the request says it; else it is not looked at.
    """
    return _read_order(data, order_type, received_time_ns)


cdef Order _read_order(bytes data, object order_type, object received_time_ns):
    cdef order_value[ORDER_FIELDS] values
    cdef Order order
    cdef bint market
    if PyBytes_GET_SIZE(data) > _REQUEST_BYTES_MAX or not order_read_fields(
        PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), values
    ):
        return None
    market = _is_market(values, order_type)
    if not (
        order_is_id(&values[_ORDER_ID])
        and order_is_id(&values[_USER_ID])
        and order_is_symbol(&values[_SYMBOL])
        and _numbers_are_known(values)
        and _fields_apply(values, market)
    ):
        return None
    order = Order.__new__(Order)
    order.order_type = order_type
    if order_type is None:
        order.order_type = _order_types[1 if market else 2]
    order.quantity = _decimal(&values[_QUANTITY])
    order.limit_price = _decimal(&values[_LIMIT_PRICE])
    order.trigger_price = _decimal(&values[_TRIGGER_PRICE])
    if (
        order.quantity is None
        or (order.limit_price is None and values[_LIMIT_PRICE].present)
        or (order.trigger_price is None and values[_TRIGGER_PRICE].present)
        or not _read_expiry(order, &values[_EXPIRE_TIME])
    ):
        return None
    order.order_id = _word(&values[_ORDER_ID])
    order.user_id = _word(&values[_USER_ID])
    order.symbol = _same_word(_word(&values[_SYMBOL]))
    order.direction = _directions[values[_DIRECTION].number]
    order.reduce_only = values[_REDUCE_ONLY].number == 1
    order.max_slippage_bps = values[_SLIPPAGE].number if values[_SLIPPAGE].present else None
    order.time_in_force = _times_in_force[values[_TIME_IN_FORCE].number]
    order.trigger_by = _triggers[values[_TRIGGER_BY].number]
    order.reject_if_triggered = values[_REJECT_IF_TRIGGERED].number == 1
    order.received_time_ns = received_time_ns
    return order


cdef bint _read_expiry(Order order, const order_value *field) except -1:
    cdef uint64_t seconds, nanos
    order.expire_time_ns = None
    if not field.present:
        return True
    if not order_read_time(field, &seconds, &nanos):
        return False
    order.expire_time_ns = <object>seconds * 1_000_000_000 + nanos
    return True
