# The server's side of an HTTP/2 connection, over libnghttp2 itself.
#
# As `ngh2.Connection`, as far as our server uses it: the same methods, events, bytes and errors,
# proved equal by `tests/property/test_http2_twins.py`; but a frame whose stream ends within it gives
# the window of the connection back, where ngh2 forgets it. What it leaves out is a Python object for
# every event, header and queue of a call; `Conversation.act_on_events` reads the events of usual
# calls where they lie.

cdef enum:
    _OUTPUT_BYTES = 4_096


@cython.final
cdef class ServerConnection:
    """As `ngh2.Connection(ngh2.Role.SERVER, config)`, for a `config` without automatic windows.

    Drive it from one thread. Raises what ngh2 does, and RuntimeError where its library is not to
    be had: see `find_nghttp2`.
    """

    cdef void *_session
    cdef _Stream *_streams
    cdef size_t _queued
    cdef _Events _events
    cdef _Fields _fields, _latest
    cdef tuple _latest_told
    cdef object _data
    cdef int32_t _data_stream_id
    cdef _Output *_output
    cdef size_t _unacknowledged
    cdef object _error
    cdef size_t _header_bytes_max, _headers_max
    cdef bint _active, _failed, _terminating, _closing, _closed
    cdef uint32_t _close_code
    cdef bytes _close_debug

    def __cinit__(self, config):
        cdef void *callbacks = NULL
        cdef void *option = NULL
        if not _found:
            raise RuntimeError("libnghttp2 is not to be had")
        if config.auto_window_update:
            raise ValueError("auto_window_update: windows are opened by hand here")
        self._close_debug = b""
        self._header_bytes_max = config.max_inbound_header_list_size
        self._headers_max = config.max_inbound_header_count
        _check(callbacks_new(&callbacks))
        try:
            _set_callbacks(callbacks)
            _check(option_new(&option))
            try:
                _set_options(option, config)
                _check(server_new(&self._session, callbacks, <void *>self, option))
            finally:
                option_del(option)
        finally:
            callbacks_del(callbacks)

    def __dealloc__(self):
        self._let_go()
        _forget_events(&self._events)
        PyMem_Free(self._fields.at)
        PyMem_Free(self._latest.at)

    # What the client sends.

    def receive_data(self, bytes data not None):
        """Processes bytes of the client. Raises what ngh2 does if the connection is lost."""
        cdef Py_ssize_t result
        self._require_active()
        result = mem_recv(
            self._session, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        )
        if result < 0:
            self._raise_deferred(<int>result)
        if result != PyBytes_GET_SIZE(data):
            self._fail()
            raise _ngh2.InternalError("the library has not taken all it was given")
        if self._closing:
            self._look_for_the_end()

    def events(self):
        """What has happened since it was last asked, as events of ngh2."""
        cdef _Events events = self._take_events()
        cdef size_t at = 0
        cdef list told = []
        try:
            while at < events.count:
                told.append(_as_ngh2(&events.at[at]))
                at += 1
        finally:
            _forget_events(&events)
        return told

    cdef _Events _take_events(self) noexcept:
        cdef _Events events = self._events
        self._events.at = NULL
        self._events.count = self._events.room = 0
        return events

    def acknowledge_received_data(self, size_t amount, int32_t stream_id):
        """Lets the client send as much again."""
        self.acknowledge(amount, stream_id)

    cdef int acknowledge(self, size_t amount, int32_t stream_id) except -1:
        self._released(amount)
        return self._require(consume(self._session, stream_id, amount)) if amount else 0

    cdef int acknowledge_last(self, size_t amount) except -1:
        """As above, for a stream on which no more comes: other streams have room again."""
        self._released(amount)
        return self._require(consume_connection(self._session, amount))

    cdef inline int _released(self, size_t amount) except -1:
        self._require_active()
        if amount > self._unacknowledged:
            raise ValueError("amount exceeds unacknowledged data")
        self._unacknowledged -= amount
        return 0

    # What it is sent.

    def data_to_send(self, amount=None):
        """The bytes that may be sent now, `amount` at most."""
        if self._failed:
            self._raise_state()
        if not self._active:
            return b""
        return self._send(<size_t>-1 if amount is None else <size_t>amount)

    cdef bytes _send(self, size_t most):
        cdef uint8_t usual[_OUTPUT_BYTES]
        cdef _Output output = _Output(&usual[0], &usual[0], 0, _OUTPUT_BYTES, most)
        cdef int result
        if not most:
            return b""
        self._output = &output
        try:
            # Asks `_collect` to take each frame.
            result = session_send(self._session)
            if result < 0:
                self._raise_deferred(result)
            if self._closing:
                self._look_for_the_end()
            return PyBytes_FromStringAndSize(<char *>output.at, output.size)
        except BaseException:
            # What the library has made once, it does not make again.
            self._fail()
            raise
        finally:
            self._output = NULL
            if output.at != &usual[0]:
                PyMem_Free(output.at)

    def initiate_connection(self, settings):
        """Says hello, with the settings by their numbers."""
        cdef h2_setting entries[16]
        cdef size_t count = 0
        if self._failed:
            self._raise_state()
        if self._active:
            raise _ngh2.ConnectionStateError("Connection is already initiated")
        for name, value in settings.items():
            if count == 16:
                raise ValueError("settings: 16 at most")
            entries[count] = h2_setting(name, value)
            count += 1
        self._require(submit_settings(self._session, 0, entries, count))
        self._active = True

    def set_local_window_size(self, int32_t window_size):
        """What the client may send on all streams before we take it."""
        self._require_active()
        self._require(set_local_window_size(self._session, 0, 0, window_size))

    def send_response(self, int32_t stream_id, headers, *, bint end_stream=False):
        """Begins the answer, and ends it too if there is no body to come."""
        self._respond(stream_id, tuple(headers), None, None, end_stream)

    def send_data(self, int32_t stream_id, bytes data not None, *, bint end_stream=False):
        """Adds to the body of an answer."""
        cdef _Stream *stream = self._open_stream(stream_id)
        if PyBytes_GET_SIZE(data):
            _add_chunk(stream, data)
            self._queued += PyBytes_GET_SIZE(data)
        stream.ended = end_stream
        self._resume(stream_id, stream, end_stream or PyBytes_GET_SIZE(data) > 0)

    def send_trailers(self, int32_t stream_id, headers):
        """Ends the answer, once its body is sent."""
        cdef tuple trailers = tuple(headers)
        cdef _Stream *stream = self._open_stream(stream_id)
        for pair in trailers:
            _require_pair(pair)
        _end_with(stream, trailers)
        self._resume(stream_id, stream, True)

    cdef int answer(self, int32_t stream_id, tuple headers, bytes data, tuple trailers) except -1:
        """A whole answer, as the three above one after the other."""
        return self._respond(stream_id, headers, data, trailers, False)

    def reset_stream(self, int32_t stream_id, uint32_t error_code):
        """Ends a stream at once."""
        self._require_active()
        self._require(submit_rst_stream(self._session, 0, stream_id, error_code))

    def ping(self, bytes opaque_data not None=bytes(8)):
        """Asks the client whether it is there."""
        self._require_active()
        if PyBytes_GET_SIZE(opaque_data) != 8:
            raise ValueError("opaque_data must contain exactly 8 bytes")
        self._require(
            submit_ping(self._session, 0, <const uint8_t *>PyBytes_AS_STRING(opaque_data))
        )

    def send_shutdown_notice(self):
        """The first of two GOAWAY frames: no number yet of the last stream that is answered."""
        self._require_active()
        self._require(submit_shutdown_notice(self._session))

    def send_goaway(self, uint32_t error_code=0):
        """Says which streams were the last."""
        self._require_active()
        self._require(submit_goaway(
            self._session, 0, last_proc_stream_id(self._session), error_code, NULL, 0
        ))

    def queued_body_size(self, stream_id=None):
        """Bytes of bodies that no frame holds yet: of one stream, or of all."""
        cdef _Stream *stream
        if stream_id is None:
            return self._queued
        if self._session == NULL:
            return 0
        stream = <_Stream *>stream_user_data(self._session, stream_id)
        return 0 if stream == NULL else stream.queued

    @property
    def remote_window_size(self):
        """What the client takes on all streams."""
        self._require_active()
        return remote_window_size(self._session)

    def stream_remote_window_size(self, int32_t stream_id):
        """What the client takes on this one."""
        cdef int32_t size
        self._require_active()
        size = stream_remote_window_size(self._session, stream_id)
        if size < 0:
            raise _ngh2.StreamUnavailableError("stream does not exist")
        return size

    # Streams.

    cdef int _respond(
        self, int32_t stream_id, tuple headers, bytes data, tuple trailers, bint end_stream
    ) except -1:
        cdef h2_header usual[_HEADERS_USUAL]
        cdef h2_header *made = NULL
        cdef h2_body body
        cdef _Stream *stream
        self._require_active()
        if stream_user_data(self._session, stream_id) != NULL:
            raise _ngh2.StreamProtocolError("a response is already pending")
        stream = _add_stream(&self._streams)
        try:
            stream.has_body = not end_stream
            if trailers is not None:
                _end_with(stream, trailers)
                _add_chunk(stream, data)
                self._queued += PyBytes_GET_SIZE(data)
            body.source.ptr = stream
            body.read = _read_body
            made = _headers_of(headers, usual)
            if set_stream_user_data(self._session, stream_id, stream):
                raise _ngh2.StreamUnavailableError("stream does not exist")
            self._require(submit_response(
                self._session, stream_id, made, len(headers), NULL if end_stream else &body
            ))
        except BaseException:
            if self._session != NULL:
                set_stream_user_data(self._session, stream_id, NULL)
                self._drop_stream(stream)
            raise
        finally:
            if made != usual:
                PyMem_Free(made)
        return 0

    cdef _Stream *_open_stream(self, int32_t stream_id) except NULL:
        cdef _Stream *stream
        self._require_active()
        stream = <_Stream *>stream_user_data(self._session, stream_id)
        if stream == NULL or not stream.has_body:
            raise _ngh2.StreamProtocolError("stream has no open body")
        if stream.ended:
            raise _ngh2.StreamProtocolError("stream body is already ended")
        return stream

    cdef int _resume(self, int32_t stream_id, _Stream *stream, bint something) except -1:
        if stream.deferred and something:
            self._require(resume_data(self._session, stream_id))
            stream.deferred = False
        return 0

    cdef int _submit_trailers(self, int32_t stream_id, tuple trailers) except -1:
        cdef h2_header usual[_HEADERS_USUAL]
        cdef h2_header *made = _headers_of(trailers, usual)
        try:
            return _check(submit_trailer(self._session, stream_id, made, len(trailers)))
        finally:
            if made != usual:
                PyMem_Free(made)

    cdef void _drop_stream(self, _Stream *stream) noexcept:
        self._queued -= stream.queued
        _remove_stream(&self._streams, stream)

    # States and errors.

    cdef inline int _require_active(self) except -1:
        if not self._active or self._terminating:
            self._raise_state()
        return 0

    cdef int _raise_state(self) except -1:
        if self._failed:
            raise _ngh2.ConnectionStateError("Connection is no longer usable")
        if not self._active:
            raise _ngh2.ConnectionStateError("Connection is not initiated")
        raise _ngh2.ConnectionStateError("Connection is terminating")

    cdef inline int _require(self, int result) except -1:
        if result < 0:
            if is_fatal(result):
                self._fail()
            raise _error_of(result)
        return 0

    cdef int _raise_deferred(self, int result) except -1:
        """Raises what a callback would have raised, or what the library says."""
        error = self._error
        if error is not None:
            self._fail()
            raise error
        self._require(result)
        return 0

    cdef int _failed_in_callback(self, error) noexcept:
        """Keeps an exception until the library has returned."""
        self._error = error
        return _E_CALLBACK_FAILURE

    cdef void _fail(self) noexcept:
        """Nothing can be sent or received any more."""
        self._let_go()
        self._failed = self._closed = True
        self._active = self._terminating = self._closing = False

    cdef void _let_go(self) noexcept:
        if self._session != NULL:
            session_del(self._session)
            self._session = NULL
        while self._streams != NULL:
            self._drop_stream(self._streams)
        _forget_fields(&self._fields)
        _forget_fields(&self._latest)
        self._latest_told = None
        self._data = self._error = None

    cdef int _look_for_the_end(self) except -1:
        """After a GOAWAY, the connection ends once neither side has anything to say."""
        cdef _Stream *stream
        if (
            self._active and not self._closed
            and not want_read(self._session) and not want_write(self._session)
        ):
            self._terminating = self._closed = True
            stream = self._streams
            while stream != NULL:
                _clear(stream)
                stream = stream.after
            self._queued = 0
            closed = _ngh2.ConnectionClosed(self._close_code, self._close_debug)
            _add_event(&self._events, _SELDOM, 0, closed, False, 0)
        return 0
