# From the bytes of a request to the lane: the state of `server.orders`.

cdef class Intake:
    """Takes orders as bytes; the usual one is on its way without a step in Python.

    A subclass does the rest: `read_otherwise(data, order_type, received_time_ns)` reads what is
    unusual, or raises why not; `execute_otherwise(order, deadline_ns, finish)` executes what `lane`
    does not take, and answers how to give it up, or None. `lane` None: that is every order.
    """

    cdef readonly UnderWay in_flight
    cdef Outcomes outcomes
    cdef Lane lane
    cdef object time_ns

    def __init__(self, UnderWay in_flight not None, Outcomes outcomes not None, Lane lane, time_ns):
        self.in_flight = in_flight
        self.outcomes = outcomes
        self.lane = lane
        self.time_ns = time_ns

    def take(self, bytes data not None, order_type, call, answer):
        """Executes the order of a serialised OrderRequest; `order_type` None: it says itself.

        `answer` gets its report by `reply`, or why there is none by `fail`. Returns how to give it
        up while nothing is sent, None if that is past. Raises `ExecutionError` for an order that
        goes no further.
        """
        return _take_in(self, data, order_type, call, answer)

    def execute(self, order_type, bytes data not None, call, answer):
        """As `take`, for the one order of a call: who goes away gives it up."""
        cancel = _take_in(self, data, order_type, call, answer)
        if cancel is not None:
            answer.on_gone(cancel)


cdef object _take_in(Intake intake, bytes data, object order_type, object call, object answer):
    cdef UnderWay in_flight = intake.in_flight
    cdef Order order
    cdef Finish finish
    in_flight._enter()
    try:
        now_ns = intake.time_ns()
        order = _read_order(data, order_type, now_ns)
        if order is None:
            order = intake.read_otherwise(data, order_type, now_ns)
        if call.users is not None:
            call.require_user(order.user_id)
        finish = Finish.__new__(Finish)
        finish.under_way = in_flight
        finish.outcomes = intake.outcomes
        finish.answer = answer
        if intake.lane is not None and _submit(intake.lane, order, call.deadline_ns, finish):
            return None
        return intake.execute_otherwise(order, call.deadline_ns, finish)
    except BaseException:
        in_flight.count -= 1
        raise
