/* What a run of the load generator is told, and what it has counted. */
#ifndef LOAD_RUN_H
#define LOAD_RUN_H

#include "measure.h"
#include "orders.h"

enum mode { ECHO, UNARY, BATCH, STREAM };

struct options {
    const char *target, *path;
    enum mode mode;
    uint32_t connections, in_flight, batch, echo_bytes;
    double warm_up_seconds, seconds, rate; /* rate 0: closed loop */
    uint64_t requests;                     /* 0: as many as the seconds bring */
    struct orders orders;
};

#define GRPC_CODES 17
#define LOST GRPC_CODES /* the stream or the connection ended without a status */

struct counts {
    uint64_t sent, answered; /* calls; in stream mode messages */
    uint64_t next_order;
    uint64_t filled, partial, rejected, other, item_errors;
    uint64_t wrong; /* no report, or the report of another order */
    uint64_t errors[GRPC_CODES + 1];
    uint64_t failed;
    char first_error[128];
};

struct run {
    struct options options;
    struct counts counts;
    struct watched watched;
    struct histogram latency;
    bool measuring;
    uint64_t begun_ns, ended_ns;     /* of the measured window */
    uint64_t answered_before, answered_within;
    uint64_t now; /* as of the last read */
};

static inline void count_report(struct run *run, uint64_t n, const uint8_t *message,
                                size_t length) {
    struct counts *counts = &run->counts;
    struct report report;
    char wanted[ORDER_ID_MAX + 16];
    size_t wanted_length = order_id(wanted, &run->options.orders, n);
    if (!report_read(message, length, &report) || report.order_id_length != wanted_length ||
        memcmp(report.order_id, wanted, wanted_length) != 0) {
        counts->wrong++;
        return;
    }
    if (report.error) counts->item_errors++;
    else if (report.status == STATUS_FILLED) counts->filled++;
    else if (report.status == STATUS_PARTIAL) counts->partial++;
    else if (report.status == STATUS_REJECTED) counts->rejected++;
    else counts->other++;
}

/* ExecutionReportBatch: one report for each order, in the order sent. */
static inline void count_batch(struct run *run, uint64_t first, const uint8_t *at, size_t length) {
    const uint8_t *end = at + length, *bytes;
    uint64_t number, value = 0, count = 0;
    while (at < end && (at = field_read(at, end, &number, &value, &bytes)))
        if (number == 1 && bytes) count_report(run, first + count++, bytes, value);
    if (!at || count != run->options.batch) run->counts.wrong++;
}

static inline void count_answer(struct run *run, uint64_t begun_ns) {
    run->counts.answered++;
    if (run->measuring) histogram_add(&run->latency, run->now - begun_ns);
}

static inline void count_failure(struct run *run, int status, const char *message) {
    struct counts *counts = &run->counts;
    if (status < 0 || status >= GRPC_CODES) status = LOST;
    counts->errors[status]++;
    if (!counts->failed++)
        for (size_t i = 0; message[i] && i + 1 < sizeof counts->first_error; i++) {
            /* It goes into a JSON string as it is. */
            char c = message[i];
            counts->first_error[i] = c < ' ' || c == '"' || c == '\\' ? ' ' : c;
        }
}

/* --- the window ----------------------------------------------------------------------------- */

static inline void window_begins(struct run *run) {
    watch_begins(&run->watched);
    run->answered_before = run->counts.answered;
    run->begun_ns = now_ns();
    run->measuring = true;
}

static inline void window_ends(struct run *run) {
    run->ended_ns = now_ns();
    watch_ends(&run->watched);
    run->answered_within = run->counts.answered - run->answered_before;
    run->measuring = false;
}

static inline void print_result(const struct run *run) {
    const struct counts *counts = &run->counts;
    const char *comma = "";
    double seconds = (double)(run->ended_ns - run->begun_ns) / 1e9;
    uint64_t per_call = run->options.mode == BATCH ? run->options.batch : 1;
    printf("{\"calls\":%llu,\"orders\":%llu,\"seconds\":%.6f,\"calls_per_second\":%.1f",
           (unsigned long long)run->answered_within,
           (unsigned long long)(run->answered_within * per_call), seconds,
           (double)run->answered_within / seconds);
    printf(",\"orders_per_second\":%.1f", (double)(run->answered_within * per_call) / seconds);
    histogram_print(&run->latency);
    watch_print(&run->watched);
    printf(",\"all\":{\"calls\":%llu,\"orders\":%llu,\"FILLED\":%llu,\"PARTIAL\":%llu,"
           "\"REJECTED\":%llu,\"other\":%llu,\"item_errors\":%llu,\"wrong\":%llu}",
           (unsigned long long)counts->sent, (unsigned long long)counts->next_order,
           (unsigned long long)counts->filled, (unsigned long long)counts->partial,
           (unsigned long long)counts->rejected, (unsigned long long)counts->other,
           (unsigned long long)counts->item_errors, (unsigned long long)counts->wrong);
    printf(",\"errors\":{");
    for (int code = 0; code <= LOST; code++) {
        if (!counts->errors[code]) continue;
        if (code == LOST) printf("%s\"lost\":", comma);
        else printf("%s\"%d\":", comma, code);
        printf("%llu", (unsigned long long)counts->errors[code]);
        comma = ",";
    }
    printf("},\"first_error\":\"%s\"}\n", counts->first_error);
}

#endif
