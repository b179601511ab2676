# cython: language_level=3, boundscheck=False, wraparound=False
# cython: binding=False, auto_pickle=False, autotestdict=False
"""A call of our HTTP/2 server, compiled: its frames, its state, and the way of the usual unary one.

That is one whose request is one message in one frame, and whose answer is a small message, as it
is: what to do with any other is said in `execution.server.transports.http2`.
"""

cimport cython
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from asyncio import get_running_loop as _get_running_loop
from os import urandom as _urandom
from time import perf_counter as _perf_counter

BEGIN = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK_TRAILERS = ((b"grpc-status", b"0"),)

cdef enum:
    _PREFIX_BYTES = 5
    _SMALL_BYTES = 4096

cdef tuple _begin = BEGIN, _ok_trailers = OK_TRAILERS

# Told by who uses it, because not everybody has it.
cdef object _ngh2 = None
cdef object _gone = (), _data_received = None, _request_received = None, _stream_closed_event = None
cdef object _never_indexed = None


def know_ngh2(module):
    """Tells us ngh2, whose events and exceptions we use."""
    global _ngh2, _gone, _data_received, _request_received, _stream_closed_event, _never_indexed
    _ngh2 = module
    _gone = module.NGH2Error
    _data_received, _request_received = module.DataReceived, module.RequestReceived
    _stream_closed_event = module.StreamClosed
    _never_indexed = module.NeverIndexedHeader


include "_call_nghttp2.pxi"
include "_call_fields.pxi"
include "_call_streams.pxi"
include "_call_events.pxi"
include "_call_errors.pxi"
include "_call_server.pxi"
include "_call_callbacks.pxi"
include "_call_counts.pxi"
include "_call_deadlines.pxi"


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
    cdef ServerConnection _server  # the same, where it is ours
    cdef Py_ssize_t _message_bytes_max
    # Of a call that a `Conversation` knows to be unary, plain and not compressed; else None.
    cdef Entrance _entrance

    def open(self, link, int stream_id, request, timeout_seconds):
        """Begins the call that this request asks for."""
        self._open(link, link.h2, stream_id, request, timeout_seconds)
        self._message_bytes_max = link.limits.message_bytes_max

    cdef int _open(self, link, h2, int stream_id, request, timeout_seconds) except -1:
        self._link = link
        self.h2 = h2
        self._server = h2 if type(h2) is ServerConnection else None
        self.stream_id = stream_id
        self.request = request
        if timeout_seconds is not None:
            self.deadline = (<Deadlines?>link.deadlines)._add(self, timeout_seconds)
        return 0

    def received(self, bytes data not None, bint end_stream):
        """Takes a part of the one message; calls the handler when it is whole."""
        self._receive(data, end_stream)

    cdef int _receive(self, bytes data, bint end_stream) except -1:
        cdef bytes message = None
        if PyBytes_GET_SIZE(data):
            try:
                if self._server is None:
                    self.h2.acknowledge_received_data(PyBytes_GET_SIZE(data), self.stream_id)
                elif end_stream:
                    # Nothing more comes on this stream, so its window needs no opening.
                    self._server.acknowledge_last(PyBytes_GET_SIZE(data))
                else:
                    self._server.acknowledge(PyBytes_GET_SIZE(data), self.stream_id)
            except _gone:
                # The stream is gone; its end is on its way to us.
                pass
        if self.over:
            return 0
        self.half_closed = end_stream
        if end_stream and self._deframer is None:
            message = _only_message(data, self._message_bytes_max)
        if message is None:
            self._received_otherwise(data, end_stream)
        else:
            self._hand_over(message)
        return 0

    def _handle(self, bytes message not None):
        """Hands the one message to the handler."""
        self._hand_over(message)

    cdef int _hand_over(self, bytes message) except -1:
        try:
            if self._entrance is not None:
                _pass_on(self._entrance, message, self)
            else:
                self.request.method.plain(message, self)
        except Exception as error:
            # The boundary: a bug must not kill the server.
            self.fallen(error)
        return 0

    def reply(self, bytes message not None):
        """Answers OK with this serialised message; nothing if the caller is gone."""
        cdef object link
        _count_answered(self)
        if self.over:
            return
        if PyBytes_GET_SIZE(message) > _SMALL_BYTES or (
            self._entrance is None and self.request.gzip
        ):
            self._reply_otherwise(message)
            return
        try:
            if self._server is not None:
                self._server.answer(self.stream_id, _begin, _framed(message), _ok_trailers)
            else:
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
            self.gone = None
        link = self._link
        if not link.touched:
            link.touch()
        if not self.half_closed:
            link.answered_early(self.stream_id)


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


include "_call_conversation.pxi"
