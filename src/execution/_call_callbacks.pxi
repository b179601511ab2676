# What the library calls. None may raise through it: what is raised waits in `_error`.

cdef Py_ssize_t _collect(
    void *session, const uint8_t *data, size_t size, int flags, void *user
) noexcept:
    """Takes what there is room for. A frame counts as sent once all of it was taken."""
    cdef ServerConnection self = <ServerConnection>user
    cdef _Output *output = self._output
    cdef size_t taken = min(size, output.most - output.size)
    if not taken:
        return _E_WOULDBLOCK
    try:
        _write(output, data, taken)
        return taken
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _begin_headers(void *session, const h2_frame *frame, void *user) noexcept:
    _forget_fields(&(<ServerConnection>user)._fields)
    return 0


cdef int _header(
    void *session, const h2_frame *frame, void *name, void *value, uint8_t flags, void *user
) noexcept:
    cdef ServerConnection self = <ServerConnection>user
    cdef _Fields *fields = &self._fields
    fields.size += rcbuf_get_buf(name).bytes + rcbuf_get_buf(value).bytes + _FIELD_OVERHEAD_BYTES
    try:
        if fields.size > self._header_bytes_max:
            raise _ngh2.DenialOfServiceError("received header list exceeds configured size")
        if fields.count >= self._headers_max:
            raise _ngh2.DenialOfServiceError("received header list exceeds configured count")
        _add_field(fields, name, value)
        return 0
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _invalid_header(
    void *session, const h2_frame *frame, void *name, void *value, uint8_t flags, void *user
) noexcept:
    # The stream is reset; else the library would only leave the header out.
    return _E_TEMPORAL_CALLBACK_FAILURE


cdef int _data_came(
    void *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t size, void *user
) noexcept:
    """A part of a frame: nearly always all of it."""
    cdef ServerConnection self = <ServerConnection>user
    try:
        part = PyBytes_FromStringAndSize(<const char *>data, size)
        if self._data is None or self._data_stream_id != stream_id:
            # The frame before, if it was not whole, goes with its stream.
            _let_part_go(self)
            self._data_stream_id = stream_id
            self._data = part
        elif type(self._data) is bytes:
            self._data = [self._data, part]
        else:
            (<list>self._data).append(part)
        return 0
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _let_part_go(ServerConnection self) except -1:
    """Of a frame whose stream has ended: nobody is told of it, so nobody gives back its window."""
    cdef size_t size = 0
    data, self._data = self._data, None
    if data is None:
        return 0
    for part in data if type(data) is list else (data,):
        size += PyBytes_GET_SIZE(part)
    return _check(consume_connection(self._session, size))


cdef int _frame_came(void *session, const h2_frame *frame, void *user) noexcept:
    cdef ServerConnection self = <ServerConnection>user
    cdef int32_t stream_id = frame.head.stream_id
    cdef bint end_stream = frame.head.flags & _END_STREAM
    cdef object data
    try:
        if frame.head.type == _HEADERS:
            if frame.headers.category == _OF_REQUEST:
                _requested(self, stream_id, end_stream)
            else:
                told = _told(&self._fields, &self._latest, None)
                _forget_fields(&self._fields)
                trailers = _ngh2.TrailersReceived(stream_id, told)
                _add_event(&self._events, _SELDOM, stream_id, trailers, False, 0)
        elif frame.head.type == _DATA:
            data = b""
            if self._data is not None and self._data_stream_id == stream_id:
                data, self._data = self._data, None
                if type(data) is list:
                    data = b"".join(data)
            self._unacknowledged += PyBytes_GET_SIZE(data)
            _add_event(&self._events, _DATA_CAME, stream_id, data, end_stream, 0)
        else:
            event = _seldom_event(self, frame)
            if event is not None:
                _add_event(&self._events, _SELDOM, stream_id, event, False, 0)
        return 0
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _requested(ServerConnection self, int32_t stream_id, bint end_stream) except -1:
    cdef tuple told = _told(&self._fields, &self._latest, self._latest_told)
    if told is not self._latest_told:
        self._latest_told = told
        self._fields, self._latest = self._latest, self._fields
    _forget_fields(&self._fields)
    return _add_event(&self._events, _REQUESTED, stream_id, told, end_stream, 0)


cdef object _seldom_event(ServerConnection self, const h2_frame *frame):
    """What ngh2 makes of a frame that is none of a usual call; None if nothing."""
    cdef int kind = frame.head.type
    cdef bint acknowledges = frame.head.flags & _ACK
    cdef h2_priority_update *priority
    cdef size_t at
    if kind == _SETTINGS:
        if acknowledges:
            return _ngh2.SettingsAcknowledged()
        return _ngh2.SettingsReceived({
            frame.settings.settings[at].id: frame.settings.settings[at].value
            for at in range(frame.settings.count)
        })
    if kind == _WINDOW_UPDATE:
        return _ngh2.WindowUpdated(frame.head.stream_id, frame.window_update.increment)
    if kind == _RST_STREAM:
        return _ngh2.StreamReset(frame.head.stream_id, frame.rst_stream.error_code)
    if kind == _PING:
        opaque = PyBytes_FromStringAndSize(<const char *>frame.ping.opaque, 8)
        return _ngh2.PingAcknowledged(opaque) if acknowledges else _ngh2.PingReceived(opaque)
    if kind == _GOAWAY:
        _note_goaway(self, frame)
        return _ngh2.GoAwayReceived(
            frame.goaway.last_stream_id, frame.goaway.error_code, self._close_debug
        )
    if kind == _PRIORITY_UPDATE:
        priority = <h2_priority_update *>frame.extension.payload
        return _ngh2.PriorityUpdateReceived(priority.stream_id, PyBytes_FromStringAndSize(
            <const char *>priority.field_value, priority.field_value_bytes
        ))
    return None


cdef int _note_goaway(ServerConnection self, const h2_frame *frame) except -1:
    """The connection ends; the last GOAWAY says why."""
    self._closing = True
    self._close_code = frame.goaway.error_code
    self._close_debug = PyBytes_FromStringAndSize(
        <const char *>frame.goaway.opaque, frame.goaway.opaque_bytes
    )
    return 0


cdef int _frame_sent(void *session, const h2_frame *frame, void *user) noexcept:
    cdef ServerConnection self
    if frame.head.type != _GOAWAY:
        return 0
    self = <ServerConnection>user
    try:
        return _note_goaway(self, frame)
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _not_sent(void *session, const h2_frame *frame, int why, void *user) noexcept:
    """An answer whose headers cannot be sent ends its stream; else its client would wait on."""
    cdef ServerConnection self = <ServerConnection>user
    cdef int result
    if frame.head.type != _HEADERS or why in (
        _E_STREAM_CLOSED, _E_STREAM_CLOSING, _E_STREAM_SHUT_WR, _E_SESSION_CLOSING
    ):
        return 0
    result = submit_rst_stream(session, 0, frame.head.stream_id, _INTERNAL_ERROR)
    if result in (_E_STREAM_CLOSED, _E_STREAM_CLOSING, _E_SESSION_CLOSING):
        return 0
    try:
        return _check(result)
    except BaseException as error:
        return self._failed_in_callback(error)


cdef int _stream_closed(
    void *session, int32_t stream_id, uint32_t error_code, void *user
) noexcept:
    cdef ServerConnection self = <ServerConnection>user
    cdef _Stream *stream = <_Stream *>stream_user_data(session, stream_id)
    try:
        if stream != NULL:
            self._drop_stream(stream)
        if self._data_stream_id == stream_id:
            _let_part_go(self)
        return _add_event(&self._events, _CLOSED, stream_id, None, False, error_code)
    except BaseException as error:
        return self._failed_in_callback(error)


cdef Py_ssize_t _read_body(
    void *session, int32_t stream_id, uint8_t *to, size_t room, uint32_t *flags,
    h2_source *source, void *user,
) noexcept:
    """Fills a DATA frame; after the last one come the trailers."""
    cdef ServerConnection self = <ServerConnection>user
    cdef _Stream *stream = <_Stream *>source.ptr
    cdef size_t moved = _take(stream, to, room)
    self._queued -= moved
    if stream.ended and stream.first == NULL:
        flags[0] |= _EOF
        if stream.trailers != NULL:
            flags[0] |= _NO_END_STREAM
            try:
                self._submit_trailers(stream_id, <tuple>stream.trailers)
            except BaseException as error:
                return self._failed_in_callback(error)
    elif not moved:
        stream.deferred = True
        return _E_DEFERRED
    return moved


cdef void _random_bytes(uint8_t *to, size_t size) noexcept:
    """Of the operating system: they seed the library's table of streams."""
    cdef bytes drawn
    memset(to, 0, size)
    try:
        drawn = _urandom(size)
        memcpy(to, PyBytes_AS_STRING(drawn), size)
    except Exception:
        # Nobody can be told. Without, as where the library is given no such function.
        return


cdef void _set_callbacks(void *callbacks) noexcept:
    on_send(callbacks, _collect)
    on_begin_headers(callbacks, _begin_headers)
    on_header(callbacks, _header)
    on_invalid_header(callbacks, _invalid_header)
    on_data(callbacks, _data_came)
    on_frame_recv(callbacks, _frame_came)
    on_frame_send(callbacks, _frame_sent)
    on_not_sent(callbacks, _not_sent)
    on_close(callbacks, _stream_closed)
    on_random(callbacks, _random_bytes)


cdef int _set_options(void *option, config) except -1:
    no_auto_window_update(option, 1)
    peer_max_concurrent_streams(option, config.peer_max_concurrent_streams)
    max_reserved_remote_streams(option, config.max_reserved_remote_streams)
    max_send_header_block_length(option, config.max_send_header_block_length)
    max_deflate_dynamic_table_size(option, config.max_deflate_dynamic_table_size)
    max_outbound_ack(option, config.max_outbound_ack)
    max_settings(option, config.max_settings)
    max_continuations(option, config.max_continuations)
    burst, rate = config.stream_reset_rate_limit
    stream_reset_rate_limit(option, burst, rate)
    burst, rate = config.glitch_rate_limit
    glitch_rate_limit(option, burst, rate)
    # Others of their kind are for clients.
    receive_extension(option, _PRIORITY_UPDATE)
    return 0
