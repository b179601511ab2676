# libnghttp2 as Cython sees it; what each function does is said in nghttp2.h.

cdef extern from "_call_nghttp2.h":
    ctypedef struct h2_frame_head:
        int32_t stream_id
        uint8_t type
        uint8_t flags

    ctypedef struct h2_header:
        uint8_t *name
        uint8_t *value
        size_t name_bytes
        size_t value_bytes
        uint8_t flags

    ctypedef struct h2_setting:
        int32_t id
        uint32_t value

    ctypedef struct h2_priority_update:
        int32_t stream_id
        uint8_t *field_value
        size_t field_value_bytes

    ctypedef struct _h2_headers "h2_headers":
        int category

    ctypedef struct _h2_rst_stream "h2_rst_stream":
        uint32_t error_code

    ctypedef struct _h2_settings "h2_settings":
        size_t count
        h2_setting *settings

    ctypedef struct _h2_ping "h2_ping":
        uint8_t opaque[8]

    ctypedef struct _h2_goaway "h2_goaway":
        int32_t last_stream_id
        uint32_t error_code
        uint8_t *opaque
        size_t opaque_bytes

    ctypedef struct _h2_window_update "h2_window_update":
        int32_t increment

    ctypedef struct _h2_extension "h2_extension":
        void *payload

    ctypedef struct h2_frame:
        h2_frame_head head
        _h2_headers headers
        _h2_rst_stream rst_stream
        _h2_settings settings
        _h2_ping ping
        _h2_goaway goaway
        _h2_window_update window_update
        _h2_extension extension

    ctypedef struct h2_text:
        uint8_t *at
        size_t bytes

    ctypedef struct h2_source:
        void *ptr

    ctypedef Py_ssize_t (*h2_read)(
        void *, int32_t, uint8_t *, size_t, uint32_t *, h2_source *, void *
    ) noexcept

    ctypedef struct h2_body:
        h2_source source
        h2_read read

    ctypedef int (*h2_on_frame)(void *, const h2_frame *, void *) noexcept
    ctypedef int (*h2_on_not_sent)(void *, const h2_frame *, int, void *) noexcept
    ctypedef int (*h2_on_header)(void *, const h2_frame *, void *, void *, uint8_t, void *) noexcept
    ctypedef int (*h2_on_data)(
        void *, uint8_t, int32_t, const uint8_t *, size_t, void *
    ) noexcept
    ctypedef Py_ssize_t (*h2_on_send)(void *, const uint8_t *, size_t, int, void *) noexcept
    ctypedef int (*h2_on_close)(void *, int32_t, uint32_t, void *) noexcept
    ctypedef void (*h2_random)(uint8_t *, size_t) noexcept

    int is_fatal "h2.call.is_fatal"(int)
    const char *strerror "h2.call.strerror"(int)
    int callbacks_new "h2.call.session_callbacks_new"(void **)
    void callbacks_del "h2.call.session_callbacks_del"(void *)
    void on_send "h2.call.session_callbacks_set_send_callback2"(void *, h2_on_send)
    void on_begin_headers "h2.call.session_callbacks_set_on_begin_headers_callback"(
        void *, h2_on_frame)
    void on_header "h2.call.session_callbacks_set_on_header_callback2"(void *, h2_on_header)
    void on_invalid_header "h2.call.session_callbacks_set_on_invalid_header_callback2"(
        void *, h2_on_header)
    void on_data "h2.call.session_callbacks_set_on_data_chunk_recv_callback"(void *, h2_on_data)
    void on_frame_recv "h2.call.session_callbacks_set_on_frame_recv_callback"(void *, h2_on_frame)
    void on_frame_send "h2.call.session_callbacks_set_on_frame_send_callback"(void *, h2_on_frame)
    void on_not_sent "h2.call.session_callbacks_set_on_frame_not_send_callback"(
        void *, h2_on_not_sent)
    void on_close "h2.call.session_callbacks_set_on_stream_close_callback"(void *, h2_on_close)
    void on_random "h2.call.session_callbacks_set_rand_callback"(void *, h2_random)
    int option_new "h2.call.option_new"(void **)
    void option_del "h2.call.option_del"(void *)
    void no_auto_window_update "h2.call.option_set_no_auto_window_update"(void *, int)
    void peer_max_concurrent_streams "h2.call.option_set_peer_max_concurrent_streams"(
        void *, uint32_t)
    void max_reserved_remote_streams "h2.call.option_set_max_reserved_remote_streams"(
        void *, uint32_t)
    void max_send_header_block_length "h2.call.option_set_max_send_header_block_length"(
        void *, size_t)
    void max_deflate_dynamic_table_size "h2.call.option_set_max_deflate_dynamic_table_size"(
        void *, size_t)
    void max_outbound_ack "h2.call.option_set_max_outbound_ack"(void *, size_t)
    void max_settings "h2.call.option_set_max_settings"(void *, size_t)
    void max_continuations "h2.call.option_set_max_continuations"(void *, size_t)
    void stream_reset_rate_limit "h2.call.option_set_stream_reset_rate_limit"(
        void *, uint64_t, uint64_t)
    void glitch_rate_limit "h2.call.option_set_glitch_rate_limit"(void *, uint64_t, uint64_t)
    void receive_extension "h2.call.option_set_builtin_recv_extension_type"(void *, uint8_t)
    int server_new "h2.call.session_server_new2"(void **, const void *, void *, const void *)
    void session_del "h2.call.session_del"(void *)
    Py_ssize_t mem_recv "h2.call.session_mem_recv2"(void *, const uint8_t *, size_t)
    int session_send "h2.call.session_send"(void *)
    int want_read "h2.call.session_want_read"(void *)
    int want_write "h2.call.session_want_write"(void *)
    int consume "h2.call.session_consume"(void *, int32_t, size_t)
    int consume_connection "h2.call.session_consume_connection"(void *, size_t)
    int resume_data "h2.call.session_resume_data"(void *, int32_t)
    int set_local_window_size "h2.call.session_set_local_window_size"(
        void *, uint8_t, int32_t, int32_t)
    int32_t remote_window_size "h2.call.session_get_remote_window_size"(void *)
    int32_t stream_remote_window_size "h2.call.session_get_stream_remote_window_size"(
        void *, int32_t)
    int32_t last_proc_stream_id "h2.call.session_get_last_proc_stream_id"(void *)
    void *stream_user_data "h2.call.session_get_stream_user_data"(void *, int32_t)
    int set_stream_user_data "h2.call.session_set_stream_user_data"(void *, int32_t, void *)
    int submit_settings "h2.call.submit_settings"(void *, uint8_t, const h2_setting *, size_t)
    int submit_response "h2.call.submit_response2"(
        void *, int32_t, const h2_header *, size_t, const h2_body *)
    int submit_trailer "h2.call.submit_trailer"(void *, int32_t, const h2_header *, size_t)
    int submit_rst_stream "h2.call.submit_rst_stream"(void *, uint8_t, int32_t, uint32_t)
    int submit_ping "h2.call.submit_ping"(void *, uint8_t, const uint8_t *)
    int submit_goaway "h2.call.submit_goaway"(
        void *, uint8_t, int32_t, uint32_t, const uint8_t *, size_t)
    int submit_shutdown_notice "h2.call.submit_shutdown_notice"(void *)
    h2_text rcbuf_get_buf "h2.call.rcbuf_get_buf"(void *)
    void rcbuf_incref "h2.call.rcbuf_incref"(void *)
    void rcbuf_decref "h2.call.rcbuf_decref"(void *)

    const char *const h2_names[]
    enum: H2_COUNT
    void *h2_at "h2.at"[]


cdef enum:
    # Frame types, and the flags of theirs that we look at.
    _DATA = 0x00
    _HEADERS = 0x01
    _RST_STREAM = 0x03
    _SETTINGS = 0x04
    _PING = 0x06
    _GOAWAY = 0x07
    _WINDOW_UPDATE = 0x08
    _PRIORITY_UPDATE = 0x10
    _END_STREAM = 0x01
    _ACK = 0x01
    _OF_REQUEST = 0

    _NO_INDEX = 0x01
    _EOF = 0x01
    _NO_END_STREAM = 0x02
    _INTERNAL_ERROR = 0x02

    _E_INVALID_ARGUMENT = -501
    _E_WOULDBLOCK = -504
    _E_DEFERRED = -508
    _E_STREAM_CLOSED = -510
    _E_STREAM_CLOSING = -511
    _E_STREAM_SHUT_WR = -512
    _E_INVALID_STREAM_ID = -513
    _E_START_STREAM_NOT_ALLOWED = -516
    _E_TEMPORAL_CALLBACK_FAILURE = -521
    _E_DATA_EXIST = -529
    _E_SESSION_CLOSING = -530
    _E_TOO_MANY_SETTINGS = -537
    _E_NOMEM = -901
    _E_CALLBACK_FAILURE = -902
    _E_BAD_CLIENT_MAGIC = -903
    _E_FLOODED = -904
    _E_TOO_MANY_CONTINUATIONS = -905


cdef bint _found = False


def find_nghttp2(address):
    """Asks `address` for each function by its C name; whether it knew all.

    It answers the address of a name, None if there is none. Where one is missing, nothing of this
    library is called.
    """
    global _found
    cdef list found = [address((<bytes>h2_names[at]).decode()) for at in range(H2_COUNT)]
    cdef Py_ssize_t at
    if None in found:
        return False
    for at in range(H2_COUNT):
        h2_at[at] = <void *><size_t>found[at]
    _found = True
    return True
