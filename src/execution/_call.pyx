# cython: language_level=3, boundscheck=False, wraparound=False
# cython: binding=False, auto_pickle=False, autotestdict=False
"""A call of our HTTP/2 server, compiled: its state, and the way of the usual unary one.

That is one whose request is one message in one frame, and whose answer is a small message, as it
is: what to do with any other is said in `execution.server.transports.http2`.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy

from time import perf_counter as _perf_counter

BEGIN = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK_TRAILERS = ((b"grpc-status", b"0"),)

cdef enum:
    _PREFIX_BYTES = 5
    _SMALL_BYTES = 4096

cdef object _begin = BEGIN, _ok_trailers = OK_TRAILERS

# Of ngh2: told by who uses it, because not everybody has it.
cdef object _gone = (), _data_received = None, _request_received = None, _stream_closed = None


def know_ngh2(gone, data_received, request_received, stream_closed):
    """Tells the exception that says that a stream is gone, and the events that a call is made of."""
    global _gone, _data_received, _request_received, _stream_closed
    _gone = gone
    _data_received, _request_received = data_received, request_received
    _stream_closed = stream_closed


cdef class Counted:
    """A call that is counted when its handler answers, also if the caller is gone by then.

    `metrics` is where, None if it was or nobody counts; `since` is by `perf_counter`.
    """

    cdef public object metrics
    cdef public double since

    def count_in(self, metrics):
        """The call has started."""
        self.metrics = metrics
        metrics.started += 1
        self.since = _perf_counter()

    def count_out(self, code):
        """The call has ended with this `StatusCode`; counts the first time alone."""
        metrics = self.metrics
        if metrics is not None:
            self.metrics = None
            metrics.ended(code, _perf_counter() - self.since)


cdef class Exchange(Counted):
    """A request and its answer, on a stream of a connection.

    `over`: it is answered, or nobody waits for the answer; `half_closed`: the client has sent all.
    `deadline` is on the event loop's clock; `gone` is told if the caller goes away, or its time is
    up, before the answer. What is no usual unary call has methods of its own for it.
    """

    cdef public object request, deadline, gone
    cdef public object _link, _deframer
    cdef public int stream_id
    cdef public bint over, half_closed, _begun
    cdef public Py_ssize_t _held
    cdef object h2

    def open(self, link, int stream_id, request, timeout_seconds):
        """Begins the call that this request asks for."""
        self._link = link
        self.h2 = link.h2
        self.stream_id = stream_id
        self.request = request
        if timeout_seconds is not None:
            self.deadline = link.deadlines.add(self, timeout_seconds)

    def received(self, bytes data not None, bint end_stream):
        """Takes a part of the one message; calls the handler when it is whole."""
        cdef object message = None
        if PyBytes_GET_SIZE(data):
            try:
                self.h2.acknowledge_received_data(PyBytes_GET_SIZE(data), self.stream_id)
            except _gone:
                # The stream is gone; its end is on its way to us.
                pass
        if self.over:
            return
        self.half_closed = end_stream
        if end_stream and self._deframer is None:
            message = _only_message(data, self._link.limits.message_bytes_max)
        if message is None:
            self._received_otherwise(data, end_stream)
            return
        self._handle(message)

    def _handle(self, message):
        """Hands the one message to the handler."""
        try:
            self.request.method.plain(message, self)
        except Exception as error:
            # The boundary: a bug must not kill the server.
            self.fallen(error)

    def reply(self, bytes message not None):
        """Answers OK with this serialised message; nothing if the caller is gone."""
        cdef object metrics = self.metrics, link, answered
        if metrics is not None:
            self.metrics = None
            answered = metrics.answered
            answered.append(_perf_counter() - self.since)
            if len(answered) >= metrics.ANSWERED_MAX:
                metrics.settle()
        if self.over:
            return
        if PyBytes_GET_SIZE(message) > _SMALL_BYTES or self.request.gzip:
            self._reply_otherwise(message)
            return
        try:
            self.h2.send_response(self.stream_id, _begin)
            self.h2.send_data(self.stream_id, _framed(message))
            self.h2.send_trailers(self.stream_id, _ok_trailers)
        except _gone:
            # As above.
            pass
        if self._held:
            self._end()
        else:
            self.over = True
        link = self._link
        if not link.touched:
            link.touch()
        if not self.half_closed:
            link.forget(self, whole=False)


cdef bytes _only_message(bytes data, Py_ssize_t bytes_max):
    """The message that is all of the data, as it is; None if it is anything else."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data) - _PREFIX_BYTES
    if (
        size < 0 or size > bytes_max or at[0] != 0
        or ((<Py_ssize_t>at[1] << 24) | (at[2] << 16) | (at[3] << 8) | at[4]) != size
    ):
        return None
    return PyBytes_FromStringAndSize(<const char *>at + _PREFIX_BYTES, size)


cdef bytes _framed(bytes message):
    """A small message with its prefix: no flags, then its length."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(message)
    cdef bytes framed = PyBytes_FromStringAndSize(NULL, _PREFIX_BYTES + size)
    cdef char *at = PyBytes_AS_STRING(framed)
    at[0] = at[1] = at[2] = 0
    at[3] = <char>(size >> 8)
    at[4] = <char>(size & 0xFF)
    memcpy(at + _PREFIX_BYTES, PyBytes_AS_STRING(message), size)
    return framed


def same_headers(one, other, Py_ssize_t but=-1):
    """Whether two sequences of (name, value) are equal, leaving out the value at `but`."""
    cdef tuple mine, others
    cdef Py_ssize_t at
    # A pair may be of a class that says more, such as that it is never to be indexed.
    cdef object pair, twin
    if type(one) is not tuple or type(other) is not tuple or len(one) != len(other):
        return False
    mine, others = one, other
    for at in range(len(mine)):
        pair, twin = mine[at], others[at]
        if not _same_bytes(pair[0], twin[0]) or (
            at != but and not _same_bytes(pair[1], twin[1])
        ):
            return False
    return True


cdef inline bint _same_bytes(object one, object other):
    if one is other:
        return True
    if not (PyBytes_CheckExact(one) and PyBytes_CheckExact(other)):
        return one == other
    return PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other) and not memcmp(
        PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), PyBytes_GET_SIZE(one)
    )


cdef class Conversation:
    """The calls of a connection, by the stream of each.

    `unfinished` are streams that are answered although the client is not done. `_read` is what the
    latest request asks for: a call of class `_kind`, None if it is refused, with so many seconds
    until its deadline. What is no usual event of a call has methods of its own for it.
    """

    cdef public dict calls
    cdef public set unfinished
    cdef public int last_stream_id
    cdef public object h2
    cdef public object _read, _read_headers, _timeout, _kind
    cdef public Py_ssize_t _unsent_max

    def __cinit__(self):
        self.calls = {}
        self.unfinished = set()

    def act_on_events(self, link):
        """Makes and ends calls. Raises what ngh2 does if the connection cannot go on."""
        cdef int stream_id
        cdef Exchange opened
        for event in self.h2.events():
            kind = type(event)
            if kind is _data_received:
                data = event.data
                call = self.calls.get(event.stream_id)
                if data and call is not None:
                    call.received(data, event.end_stream)
                else:
                    self._odd_data(event.stream_id, data, event.end_stream)
            elif kind is _request_received:
                stream_id = self.last_stream_id = event.stream_id
                headers = event.headers
                if not same_headers(headers, self._read_headers):
                    self._read_anew(headers)
                if self._kind is None or self.h2.queued_body_size() > self._unsent_max:
                    self._refuse(stream_id, event.end_stream)
                    continue
                # A call that is over already stays until its stream is.
                opened = self._kind()
                opened.open(link, stream_id, self._read, self._timeout)
                self.calls[stream_id] = opened
                if event.end_stream:
                    opened.received(b"", True)
            elif kind is _stream_closed:
                call = self.calls.pop(event.stream_id, None)
                if call is not None and not (<Exchange?>call).over:
                    call.dropped()
                if self.unfinished:
                    self.unfinished.discard(event.stream_id)
            else:
                self._seldom(event)
