# The enums of `model`: told once, by `model`, because nothing of ours is imported here.

cdef object _directions = None, _order_types = None, _times_in_force = None, _triggers = None
cdef object _no_reason = None, _filled = None


def know_words(directions, order_types, times_in_force, triggers, no_reason, filled):
    """Tells the members of the enums of `model` that orders and reports are made with.

    Each but the last two is a tuple by number, whose item 0 is what is meant where nothing is said.
    """
    global _directions, _order_types, _times_in_force, _triggers, _no_reason, _filled
    _directions, _order_types, _times_in_force = directions, order_types, times_in_force
    _triggers, _no_reason, _filled = triggers, no_reason, filled
    for fields, name, default in (
        (Order.__dataclass_fields__, "order_type", order_types[0]),
        (Order.__dataclass_fields__, "time_in_force", times_in_force[0]),
        (Order.__dataclass_fields__, "trigger_by", triggers[0]),
        (ExecutionReport.__dataclass_fields__, "reason", no_reason),
    ):
        fields[name].default = default


cdef inline const char *_name(int kind, object member) except NULL:
    cdef const char *name = order_name(kind, member)
    if name == NULL:
        raise ValueError(f"{member!r} has no name here")
    return name


cdef inline const char *_direction(object member) except NULL:
    return _name(ORDER_DIRECTION, member)


cdef inline const char *_order_type(object member) except NULL:
    return _name(ORDER_TYPE, member)


cdef inline const char *_status(object member) except NULL:
    return _name(ORDER_STATUS, member)


cdef inline const char *_reason(object member) except NULL:
    return _name(ORDER_REASON, member)


cdef enum:
    _BUY = 1
    _REJECTED = 6
