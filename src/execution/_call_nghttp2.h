/* The part of libnghttp2 that a server needs, called through addresses found at run time.
 *
 * ngh2 carries the library inside its own module and shows its symbols, but no header; so what is
 * declared here is libnghttp2's ABI, which has been that of libnghttp2.so.14 since version 1.0.
 * Source: nghttp2.h, version 1.70.
 */
#ifndef EXECUTION_CALL_NGHTTP2_H
#define EXECUTION_CALL_NGHTTP2_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t length;
    int32_t stream_id;
    uint8_t type, flags, reserved;
} h2_frame_head;

typedef struct {
    int32_t stream_id, weight;
    uint8_t exclusive;
} h2_priority;

typedef struct {
    uint8_t *name, *value;
    size_t name_bytes, value_bytes;
    uint8_t flags;
} h2_header;

typedef struct {
    int32_t id;
    uint32_t value;
} h2_setting;

typedef struct {
    int32_t stream_id;
    uint8_t *field_value;
    size_t field_value_bytes;
} h2_priority_update;

typedef union {
    h2_frame_head head;
    struct {
        h2_frame_head head;
        size_t padding;
        h2_priority priority;
        h2_header *headers;
        size_t count;
        int category;
    } headers;
    struct {
        h2_frame_head head;
        uint32_t error_code;
    } rst_stream;
    struct {
        h2_frame_head head;
        size_t count;
        h2_setting *settings;
    } settings;
    struct {
        h2_frame_head head;
        uint8_t opaque[8];
    } ping;
    struct {
        h2_frame_head head;
        int32_t last_stream_id;
        uint32_t error_code;
        uint8_t *opaque;
        size_t opaque_bytes;
        uint8_t reserved;
    } goaway;
    struct {
        h2_frame_head head;
        int32_t increment;
        uint8_t reserved;
    } window_update;
    struct {
        h2_frame_head head;
        void *payload;
    } extension;
} h2_frame;

typedef struct {
    uint8_t *at;
    size_t bytes;
} h2_text;

typedef union {
    int fd;
    void *ptr;
} h2_source;

typedef ptrdiff_t (*h2_read)(void *session, int32_t stream_id, uint8_t *to, size_t room,
                             uint32_t *flags, h2_source *source, void *user);

typedef struct {
    h2_source source;
    h2_read read;
} h2_body;

typedef int (*h2_on_frame)(void *session, const h2_frame *frame, void *user);
typedef int (*h2_on_not_sent)(void *session, const h2_frame *frame, int error, void *user);
typedef int (*h2_on_header)(void *session, const h2_frame *frame, void *name, void *value,
                            uint8_t flags, void *user);
typedef int (*h2_on_data)(void *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                          size_t bytes, void *user);
typedef ptrdiff_t (*h2_on_send)(void *session, const uint8_t *data, size_t bytes, int flags,
                                void *user);
typedef int (*h2_on_close)(void *session, int32_t stream_id, uint32_t error_code, void *user);
typedef void (*h2_random)(uint8_t *to, size_t bytes);

#define H2_FUNCTIONS(F)                                                                       \
    F(int, is_fatal, (int))                                                                   \
    F(const char *, strerror, (int))                                                          \
    F(int, session_callbacks_new, (void **))                                                  \
    F(void, session_callbacks_del, (void *))                                                  \
    F(void, session_callbacks_set_send_callback2, (void *, h2_on_send))                       \
    F(void, session_callbacks_set_on_begin_headers_callback, (void *, h2_on_frame))           \
    F(void, session_callbacks_set_on_header_callback2, (void *, h2_on_header))                \
    F(void, session_callbacks_set_on_invalid_header_callback2, (void *, h2_on_header))        \
    F(void, session_callbacks_set_on_data_chunk_recv_callback, (void *, h2_on_data))          \
    F(void, session_callbacks_set_on_frame_recv_callback, (void *, h2_on_frame))              \
    F(void, session_callbacks_set_on_frame_send_callback, (void *, h2_on_frame))              \
    F(void, session_callbacks_set_on_frame_not_send_callback, (void *, h2_on_not_sent))       \
    F(void, session_callbacks_set_on_stream_close_callback, (void *, h2_on_close))            \
    F(void, session_callbacks_set_rand_callback, (void *, h2_random))                         \
    F(int, option_new, (void **))                                                             \
    F(void, option_del, (void *))                                                             \
    F(void, option_set_no_auto_window_update, (void *, int))                                  \
    F(void, option_set_peer_max_concurrent_streams, (void *, uint32_t))                       \
    F(void, option_set_max_reserved_remote_streams, (void *, uint32_t))                       \
    F(void, option_set_max_send_header_block_length, (void *, size_t))                        \
    F(void, option_set_max_deflate_dynamic_table_size, (void *, size_t))                      \
    F(void, option_set_max_outbound_ack, (void *, size_t))                                    \
    F(void, option_set_max_settings, (void *, size_t))                                        \
    F(void, option_set_max_continuations, (void *, size_t))                                   \
    F(void, option_set_stream_reset_rate_limit, (void *, uint64_t, uint64_t))                 \
    F(void, option_set_glitch_rate_limit, (void *, uint64_t, uint64_t))                       \
    F(void, option_set_builtin_recv_extension_type, (void *, uint8_t))                        \
    F(int, session_server_new2, (void **, const void *, void *, const void *))                \
    F(void, session_del, (void *))                                                            \
    F(ptrdiff_t, session_mem_recv2, (void *, const uint8_t *, size_t))                        \
    F(int, session_send, (void *))                                                            \
    F(int, session_want_read, (void *))                                                       \
    F(int, session_want_write, (void *))                                                      \
    F(int, session_consume, (void *, int32_t, size_t))                                        \
    F(int, session_consume_connection, (void *, size_t))                                      \
    F(int, session_resume_data, (void *, int32_t))                                            \
    F(int, session_set_local_window_size, (void *, uint8_t, int32_t, int32_t))                \
    F(int32_t, session_get_remote_window_size, (void *))                                      \
    F(int32_t, session_get_stream_remote_window_size, (void *, int32_t))                      \
    F(int32_t, session_get_last_proc_stream_id, (void *))                                     \
    F(void *, session_get_stream_user_data, (void *, int32_t))                                \
    F(int, session_set_stream_user_data, (void *, int32_t, void *))                           \
    F(int, submit_settings, (void *, uint8_t, const h2_setting *, size_t))                    \
    F(int, submit_response2, (void *, int32_t, const h2_header *, size_t, const h2_body *))   \
    F(int, submit_trailer, (void *, int32_t, const h2_header *, size_t))                      \
    F(int, submit_rst_stream, (void *, uint8_t, int32_t, uint32_t))                           \
    F(int, submit_ping, (void *, uint8_t, const uint8_t *))                                   \
    F(int, submit_goaway, (void *, uint8_t, int32_t, uint32_t, const uint8_t *, size_t))      \
    F(int, submit_shutdown_notice, (void *))                                                  \
    F(h2_text, rcbuf_get_buf, (void *))                                                       \
    F(void, rcbuf_incref, (void *))                                                           \
    F(void, rcbuf_decref, (void *))

#define H2_MEMBER(result, name, arguments) result(*name) arguments;
#define H2_NAME(result, name, arguments) "nghttp2_" #name,

/* Every member is an address; all are set before any is called. */
static union {
    struct {
        H2_FUNCTIONS(H2_MEMBER)
    } call;
    void *at[sizeof(struct { H2_FUNCTIONS(H2_MEMBER) }) / sizeof(void *)];
} h2;

static const char *const h2_names[] = {H2_FUNCTIONS(H2_NAME)};

enum { H2_COUNT = sizeof h2_names / sizeof h2_names[0] };

#endif
