/* One HTTP/2 connection and the gRPC calls on it, over libnghttp2. */
#ifndef LOAD_CONNECTION_H
#define LOAD_CONNECTION_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "load_run.h"

#define GRPC_HEAD 5
#define WINDOW_BYTES (16 << 20)
#define READ_BYTES (256 << 10)

struct bytes {
    uint8_t *data;
    size_t length, capacity;
};

/* A message on its way, in stream mode; a whole call otherwise. */
struct sent {
    uint64_t begun_ns, order;
};

struct call {
    struct call *next_free;
    struct connection *connection;
    int32_t stream_id;
    int status; /* grpc-status; -1 before it came */
    struct sent sent;
    struct bytes out, in;
    size_t out_at;
    char message[128];
};

struct connection {
    struct run *run;
    nghttp2_session *session;
    int socket;
    uint32_t outstanding;
    bool closed, half_closed;
    struct bytes out;
    size_t out_at;
    struct call *free_calls;
    struct call *stream; /* stream mode: the one call, and what is under way on it */
    struct sent *ring;
    uint64_t ring_mask, ring_first, ring_end;
};

static inline uint8_t *room(struct bytes *bytes, size_t more) {
    if (bytes->length + more > bytes->capacity) {
        bytes->capacity = (bytes->length + more) * 2;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) fail("out of memory");
    }
    return bytes->data + bytes->length;
}

static inline void append(struct bytes *bytes, const uint8_t *data, size_t length) {
    memcpy(room(bytes, length), data, length);
    bytes->length += length;
}

static inline uint32_t big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* --- what is sent --------------------------------------------------------------------------- */

/* The five bytes before a message: not compressed, and its length. */
static inline void frame(struct bytes *bytes, size_t at) {
    size_t length = bytes->length - at - GRPC_HEAD;
    uint8_t head[GRPC_HEAD] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                               (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(bytes->data + at, head, GRPC_HEAD);
}

static inline void add_order(struct run *run, struct bytes *bytes) {
    room(bytes, ORDER_BYTES_MAX);
    bytes->length += order_write(bytes->data + bytes->length, &run->options.orders,
                                 run->counts.next_order++);
}

static inline void add_message(struct run *run, struct bytes *bytes) {
    const struct options *options = &run->options;
    size_t begin = bytes->length;
    room(bytes, GRPC_HEAD);
    bytes->length += GRPC_HEAD;
    if (options->mode == ECHO) {
        memset(room(bytes, options->echo_bytes), 'x', options->echo_bytes);
        bytes->length += options->echo_bytes;
    } else if (options->mode == BATCH) {
        for (uint32_t i = 0; i < options->batch; i++) {
            uint8_t order[ORDER_BYTES_MAX], head[8] = {1 << 3 | 2};
            size_t length = order_write(order, &options->orders, run->counts.next_order++);
            append(bytes, head, 1 + varint_write(head + 1, length));
            append(bytes, order, length);
        }
    } else {
        add_order(run, bytes);
    }
    frame(bytes, begin);
}

static inline ssize_t give_data(nghttp2_session *session, int32_t stream_id, uint8_t *out,
                                size_t space, uint32_t *flags, nghttp2_data_source *source,
                                void *user) {
    struct call *call = source->ptr;
    struct connection *connection = user;
    (void)session, (void)stream_id;
    size_t left = call->out.length - call->out_at, take = left < space ? left : space;
    bool last = call != connection->stream || connection->half_closed;
    if (!left && !last) return NGHTTP2_ERR_DEFERRED;
    memcpy(out, call->out.data + call->out_at, take);
    call->out_at += take;
    if (take < left) return (ssize_t)take;
    call->out.length = call->out_at = 0;
    if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)take;
}

#define HEADER(NAME, VALUE)                                                               \
    {(uint8_t *)(NAME), (uint8_t *)(VALUE), strlen(NAME), strlen(VALUE),                  \
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static inline struct call *open_call(struct connection *connection) {
    struct call *call = connection->free_calls;
    if (call) connection->free_calls = call->next_free;
    else if (!(call = calloc(1, sizeof *call))) fail("out of memory");
    call->connection = connection;
    call->status = -1;
    call->in.length = call->out.length = call->out_at = 0;
    call->message[0] = 0;
    return call;
}

static inline void submit(struct connection *connection, struct call *call) {
    const char *path = connection->run->options.path;
    /* The same for every call, so that HPACK names each by one byte. */
    const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),   HEADER(":scheme", "http"),
        HEADER(":path", path),       HEADER(":authority", "localhost"),
        HEADER("te", "trailers"),    HEADER("content-type", "application/grpc"),
        HEADER("user-agent", "load"),
    };
    nghttp2_data_provider provider = {.source = {.ptr = call}, .read_callback = give_data};
    call->stream_id = nghttp2_submit_request(connection->session, NULL, headers,
                                             sizeof headers / sizeof *headers, &provider, call);
    if (call->stream_id < 0) fail(nghttp2_strerror(call->stream_id));
}

/* Sends the next call, or the next message of the stream; `begun_ns` is what it is timed from. */
static inline void send_next(struct connection *connection, uint64_t begun_ns) {
    struct run *run = connection->run;
    struct sent sent = {begun_ns, run->counts.next_order};
    run->counts.sent++;
    connection->outstanding++;
    if (run->options.mode != STREAM) {
        struct call *call = open_call(connection);
        call->sent = sent;
        add_message(run, &call->out);
        submit(connection, call);
        return;
    }
    connection->ring[connection->ring_end++ & connection->ring_mask] = sent;
    bool opens = !connection->stream;
    if (opens) connection->stream = open_call(connection);
    add_message(run, &connection->stream->out);
    if (opens) submit(connection, connection->stream);
    else nghttp2_session_resume_data(connection->session, connection->stream->stream_id);
}

static inline void half_close(struct connection *connection) {
    if (!connection->stream || connection->half_closed) return;
    connection->half_closed = true;
    nghttp2_session_resume_data(connection->session, connection->stream->stream_id);
}

/* --- what comes back ------------------------------------------------------------------------ */

static inline void take_stream_reports(struct connection *connection, struct call *call) {
    struct bytes *in = &call->in;
    size_t at = 0;
    while (in->length - at >= GRPC_HEAD) {
        size_t length = big_endian(in->data + at + 1);
        if (in->length - at - GRPC_HEAD < length) break;
        if (connection->ring_first == connection->ring_end) {
            connection->run->counts.wrong++; /* an answer to nothing */
            at = in->length;
            break;
        }
        struct sent *sent = &connection->ring[connection->ring_first++ & connection->ring_mask];
        count_report(connection->run, sent->order, in->data + at + GRPC_HEAD, length);
        count_answer(connection->run, sent->begun_ns);
        connection->outstanding--;
        at += GRPC_HEAD + length;
    }
    memmove(in->data, in->data + at, in->length - at);
    in->length -= at;
}

static inline int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                          const uint8_t *data, size_t length, void *user) {
    (void)flags;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!call) return 0;
    append(&call->in, data, length);
    if (call == ((struct connection *)user)->stream) take_stream_reports(user, call);
    return 0;
}

static inline int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_length, const uint8_t *value,
                            size_t length, uint8_t flags, void *user) {
    (void)flags, (void)user;
    if (name_length != 11 && name_length != 12) return 0;
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!call) return 0;
    if (!memcmp(name, "grpc-status", 11)) {
        call->status = atoi((const char *)value);
    } else if (!memcmp(name, "grpc-message", 12)) {
        size_t most = sizeof call->message - 1;
        if (length < most) most = length;
        memcpy(call->message, value, most);
        call->message[most] = 0;
    }
    return 0;
}

static inline void count_call(struct run *run, struct call *call) {
    uint8_t *message = call->in.data + GRPC_HEAD;
    if (call->in.length < GRPC_HEAD ||
        call->in.length - GRPC_HEAD != big_endian(call->in.data + 1))
        run->counts.wrong++;
    else if (run->options.mode == UNARY)
        count_report(run, call->sent.order, message, call->in.length - GRPC_HEAD);
    else if (run->options.mode == BATCH)
        count_batch(run, call->sent.order, message, call->in.length - GRPC_HEAD);
    count_answer(run, call->sent.begun_ns);
}

static inline int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error,
                           void *user) {
    struct connection *connection = user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    (void)error;
    if (!call) return 0;
    if (call == connection->stream) {
        connection->stream = NULL;
        connection->closed = true;
        if (call->status != 0) count_failure(connection->run, call->status, call->message);
        else if (connection->outstanding)
            count_failure(connection->run, LOST, "the stream ended before its answers");
        connection->outstanding = 0;
        return 0;
    }
    connection->outstanding--;
    if (call->status == 0) count_call(connection->run, call);
    else count_failure(connection->run, call->status, call->message);
    call->next_free = connection->free_calls;
    connection->free_calls = call;
    return 0;
}

static inline void connection_lost(struct connection *connection, const char *why) {
    for (; connection->outstanding; connection->outstanding--)
        count_failure(connection->run, LOST, why);
    connection->closed = true;
}

/* --- the socket ----------------------------------------------------------------------------- */

static inline int dial_tcp(const char *target) {
    char host[128];
    const char *colon = strrchr(target, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (!colon || (size_t)(colon - target) >= sizeof host) fail("--target is not HOST:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - target), target);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) fail("--target: no such host");
    int handle = socket(found->ai_family, SOCK_STREAM, 0), on = 1;
    if (handle < 0 || connect(handle, found->ai_addr, found->ai_addrlen) != 0)
        fail("--target does not take connections");
    setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    return handle;
}

static inline int dial_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("the path of the socket is too long");
    strcpy(address.sun_path, path);
    int handle = socket(AF_UNIX, SOCK_STREAM, 0);
    if (handle < 0 || connect(handle, (struct sockaddr *)&address, sizeof address) != 0)
        fail("the unix socket does not take connections");
    return handle;
}

static inline int dial(const char *target) {
    int handle = strncmp(target, "unix:", 5) ? dial_tcp(target) : dial_unix(target + 5);
    fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) | O_NONBLOCK);
    return handle;
}

static inline void connection_open(struct connection *connection, struct run *run) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    connection->run = run;
    connection->socket = dial(run->options.target);
    if (nghttp2_session_client_new(&connection->session, callbacks, connection) != 0)
        fail("no HTTP/2 session");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
}

static inline void flush(struct connection *connection) {
    struct bytes *out = &connection->out;
    const uint8_t *data;
    ssize_t length;
    while (!connection->closed && out->length - connection->out_at < READ_BYTES &&
           (length = nghttp2_session_mem_send(connection->session, &data)) > 0)
        append(out, data, (size_t)length);
    while (!connection->closed && connection->out_at < out->length) {
        length = write(connection->socket, out->data + connection->out_at,
                       out->length - connection->out_at);
        if (length < 0 && errno == EAGAIN) return;
        if (length <= 0) connection_lost(connection, "the connection does not take bytes");
        else connection->out_at += (size_t)length;
    }
    out->length = connection->out_at = 0;
}

static inline void receive(struct connection *connection) {
    static uint8_t buffer[READ_BYTES];
    ssize_t length = read(connection->socket, buffer, sizeof buffer);
    if (length < 0 && errno == EAGAIN) return;
    connection->run->now = now_ns();
    if (length <= 0) connection_lost(connection, "the server closed the connection");
    else if (nghttp2_session_mem_recv(connection->session, buffer, (size_t)length) < 0)
        connection_lost(connection, "the server does not speak HTTP/2");
}

#endif
