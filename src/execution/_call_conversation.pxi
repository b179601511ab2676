# From the events of a connection to its calls.

cdef class Conversation:
    """The calls of a connection, by the stream of each.

    `unfinished` are streams that are answered although the client is not done. `_read` is what the
    latest request asks for: a call of class `_kind`, None if it is refused, with so many seconds
    until its deadline, which stands at `_timeout_at` in its headers or, -1, does not. What is no
    usual event of a call has methods of its own for it.
    """

    cdef public dict calls
    cdef public set unfinished
    cdef public int last_stream_id
    cdef public object h2
    cdef public object _read, _read_headers, _timeout, _kind
    cdef public Py_ssize_t _timeout_at, _unsent_max
    # What is known of `_looked_at`, which was `_read` when it was looked at last.
    cdef object _looked_at
    cdef Entrance _entrance
    cdef Py_ssize_t _message_bytes_max

    def __cinit__(self):
        self.calls = {}
        self.unfinished = set()

    def act_on_events(self, link):
        """Makes and ends calls. Raises what ngh2 does if the connection cannot go on."""
        if type(self.h2) is ServerConnection:
            self._act_on_own(link, (<ServerConnection>self.h2)._take_events())
            return
        for event in self.h2.events():
            kind = type(event)
            if kind is _data_received:
                self._data(event.stream_id, event.data, event.end_stream)
            elif kind is _request_received:
                self._requested(link, event.stream_id, event.headers, event.end_stream)
            elif kind is _stream_closed_event:
                self._closed(event.stream_id)
            else:
                self._seldom(event)

    cdef int _act_on_own(self, link, _Events events) except -1:
        cdef size_t at = 0
        cdef _Event *event
        try:
            while at < events.count:
                event = &events.at[at]
                if event.kind == _DATA_CAME:
                    self._data(event.stream_id, <bytes>event.payload, event.end_stream)
                elif event.kind == _REQUESTED:
                    self._requested(
                        link, event.stream_id, <object>event.payload, event.end_stream
                    )
                elif event.kind == _CLOSED:
                    self._closed(event.stream_id)
                else:
                    self._seldom(<object>event.payload)
                at += 1
        finally:
            _forget_events(&events)
        return 0

    cdef int _data(self, int stream_id, bytes data, bint end_stream) except -1:
        call = self.calls.get(stream_id)
        if call is None or not PyBytes_GET_SIZE(data):
            self._odd_data(stream_id, data, end_stream)
        elif (<Exchange?>call)._entrance is not None:
            (<Exchange>call)._receive(data, end_stream)
        else:
            call.received(data, end_stream)
        return 0

    cdef int _requested(self, link, int stream_id, headers, bint end_stream) except -1:
        cdef Exchange opened
        self.last_stream_id = stream_id
        if headers is not self._read_headers and not self._asks_the_same(headers):
            self._read_anew(headers)
        if self._kind is None or self._unsent() > self._unsent_max:
            self._refuse(stream_id, end_stream)
            return 0
        if self._read is not self._looked_at:
            self._look_at(link)
        # A call that is over already stays until its stream is.
        opened = self._kind()
        if self._entrance is not None:
            opened._entrance = self._entrance
            opened._message_bytes_max = self._message_bytes_max
            opened._open(link, self.h2, stream_id, self._read, self._timeout)
        else:
            opened.open(link, stream_id, self._read, self._timeout)
        self.calls[stream_id] = opened
        if end_stream:
            opened.received(b"", True)
        return 0

    cdef bint _asks_the_same(self, headers) except -1:
        """Whether they ask for what the latest did, but for the deadline, which is taken."""
        cdef Py_ssize_t at = self._timeout_at
        cdef double timeout
        if not same_headers(headers, self._read_headers, at):
            return False
        if at >= 0:
            timeout = _timeout_of(headers[at][1])
            if timeout < 0:
                return False
            self._timeout = timeout
        self._read_headers = headers
        return True

    cdef int _look_at(self, link) except -1:
        """Whether `_read` asks for a usual call, of a class that opens and receives as ours."""
        kind, plain = self._kind, self._read.method.plain
        self._entrance = None
        if (
            type(plain) is Entrance and not self._read.gzip
            and kind.open is Exchange.open and kind.received is Exchange.received
        ):
            self._entrance = plain
        self._message_bytes_max = link.limits.message_bytes_max
        self._looked_at = self._read
        return 0

    cdef int _closed(self, int stream_id) except -1:
        call = self.calls.pop(stream_id, None)
        if call is not None and not (<Exchange?>call).over:
            call.dropped()
        if self.unfinished:
            self.unfinished.discard(stream_id)
        return 0

    cdef Py_ssize_t _unsent(self) except -1:
        if type(self.h2) is ServerConnection:
            return (<ServerConnection>self.h2)._queued
        return self.h2.queued_body_size()
