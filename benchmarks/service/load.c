/* A load generator for unary, batched and streamed orders over HTTP/2, one thread, no TLS.
 *
 *     load --target 127.0.0.1:50051 --mode unary --in-flight 64 --seconds 3 --prefix run-1
 *
 * Closed loop: as many calls under way as --in-flight says. Open loop (--rate): calls begin when
 * their time has come, whatever became of the ones before, and are timed from then. Every answer
 * is read and compared with what was asked. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <poll.h>
#include <signal.h>

#include "load_connection.h"

#define CONNECTIONS_MAX 64
#define OPEN_LOOP_MAX 16384 /* under way at once; beyond it an open loop waits */
#define STALL_NS (20 * NS_PER_SECOND)
#define FAILURES_MAX 1000

static const char USAGE[] =
    "load --target HOST:PORT|unix:PATH [--path /service/Method]\n"
    "  --mode echo|unary|batch|stream   [--batch 100] [--bytes 93]\n"
    "  [--connections 1] [--in-flight 64] [--rate CALLS_PER_SECOND]\n"
    "  [--warm-up SECONDS] [--seconds SECONDS] [--requests CALLS]\n"
    "  [--prefix TEXT] [--users 1000] [--symbols 100] [--quantities 0.125,1.5] [--cpu-of PID]...\n"
    "--in-flight: calls on all connections together; in stream mode messages.";

static void read_mode(struct options *options, const char *text) {
    static const char *const names[] = {"echo", "unary", "batch", "stream"};
    static const char *const paths[] = {"/echo.Echo/Echo",
                                        "/execution.v1.ExecutionService/ExecuteMarketOrder",
                                        "/execution.v1.ExecutionService/ExecuteBatch",
                                        "/execution.v1.ExecutionService/ExecuteStream"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, names[i])) {
            options->mode = (enum mode)i;
            if (!options->path) options->path = paths[i];
            return;
        }
    fail(USAGE);
}

static void read_quantities(struct orders *orders, char *text) {
    orders->quantities = 0;
    for (char *name = strtok(text, ","); name; name = strtok(NULL, ",")) {
        if (orders->quantities == 8 || strlen(name) >= sizeof orders->names[0])
            fail("--quantities: at most 8, each of at most 15 characters");
        strcpy(orders->names[orders->quantities++], name);
    }
    if (!orders->quantities) fail(USAGE);
}

static uint32_t number(const char *text, uint32_t most) {
    unsigned long value = strtoul(text, NULL, 10);
    if (value < 1 || value > most) fail(USAGE);
    return (uint32_t)value;
}

static void read_options(struct run *run, int argc, char **argv) {
    static const struct option known[] = {
        {"target", 1, 0, 't'},      {"path", 1, 0, 'p'},      {"mode", 1, 0, 'm'},
        {"batch", 1, 0, 'b'},       {"bytes", 1, 0, 'B'},     {"connections", 1, 0, 'c'},
        {"in-flight", 1, 0, 'i'},   {"rate", 1, 0, 'r'},      {"warm-up", 1, 0, 'w'},
        {"seconds", 1, 0, 's'},     {"requests", 1, 0, 'n'},  {"prefix", 1, 0, 'P'},
        {"users", 1, 0, 'u'},       {"symbols", 1, 0, 'S'},   {"quantities", 1, 0, 'q'},
        {"cpu-of", 1, 0, 'C'},      {0, 0, 0, 0}};
    struct options *options = &run->options;
    char quantities[] = "0.125,0.5,1.25,2";
    *options = (struct options){.mode = UNARY, .connections = 1, .in_flight = 64, .batch = 100,
                                .echo_bytes = 93, .warm_up_seconds = 0.5, .seconds = 2,
                                .orders = {.prefix = "load", .users = 1000, .symbols = 100}};
    read_quantities(&options->orders, quantities);
    const char *mode = "unary";
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
        case 't': options->target = optarg; break;
        case 'p': options->path = optarg; break;
        case 'm': mode = optarg; break;
        case 'b': options->batch = number(optarg, 10000); break;
        case 'B': options->echo_bytes = number(optarg, 1 << 20); break;
        case 'c': options->connections = number(optarg, CONNECTIONS_MAX); break;
        case 'i': options->in_flight = number(optarg, OPEN_LOOP_MAX); break;
        case 'r': options->rate = atof(optarg); break;
        case 'w': options->warm_up_seconds = atof(optarg); break;
        case 's': options->seconds = atof(optarg); break;
        case 'n': options->requests = strtoull(optarg, NULL, 10); break;
        case 'P': options->orders.prefix = optarg; break;
        case 'u': options->orders.users = number(optarg, 10000); break;
        case 'S': options->orders.symbols = number(optarg, 1000); break;
        case 'q': read_quantities(&options->orders, optarg); break;
        case 'C': watch(&run->watched, optarg); break;
        default: fail(USAGE);
    }
    read_mode(options, mode);
    if (!options->target || strlen(options->orders.prefix) > 40) fail(USAGE);
    if (options->in_flight < options->connections) options->in_flight = options->connections;
}

/* --- the loop ------------------------------------------------------------------------------- */

struct pace {
    uint64_t window_ns, end_ns, interval_ns, due_ns, progress_ns, seen;
    bool sending;
    uint32_t next_connection;
};

static bool may_send(const struct run *run, const struct pace *pace) {
    return pace->sending &&
           (!run->options.requests || run->counts.sent < run->options.requests);
}

static void send_closed(struct run *run, struct pace *pace, struct connection *all) {
    const struct options *options = &run->options;
    for (uint32_t i = 0; i < options->connections; i++) {
        uint32_t most = options->in_flight / options->connections;
        while (!all[i].closed && all[i].outstanding < most && may_send(run, pace))
            send_next(&all[i], now_ns());
    }
}

static void send_open(struct run *run, struct pace *pace, struct connection *all) {
    uint64_t now = now_ns();
    while (pace->due_ns <= now && may_send(run, pace)) {
        struct connection *next = &all[pace->next_connection++ % run->options.connections];
        if (next->closed || next->outstanding >= OPEN_LOOP_MAX / run->options.connections) return;
        send_next(next, pace->due_ns);
        pace->due_ns += pace->interval_ns;
    }
}

/* Whether the run goes on; moves from warming up to measuring to waiting for the last answers. */
static bool goes_on(struct run *run, struct pace *pace, struct connection *all) {
    uint64_t now = now_ns();
    uint32_t outstanding = 0, open = 0;
    for (uint32_t i = 0; i < run->options.connections; i++) {
        outstanding += all[i].outstanding;
        open += !all[i].closed;
    }
    bool enough = run->options.requests && run->counts.sent >= run->options.requests;
    bool broken = !open || run->counts.failed >= FAILURES_MAX;
    if (!run->begun_ns && (now >= pace->window_ns || broken)) window_begins(run);
    if (run->measuring && (now >= pace->end_ns || broken || (enough && !outstanding))) {
        window_ends(run);
        pace->sending = false;
    }
    if (run->counts.answered + run->counts.failed != pace->seen) {
        pace->seen = run->counts.answered + run->counts.failed;
        pace->progress_ns = now;
    } else if (outstanding && now - pace->progress_ns > STALL_NS) {
        fail("no answer for 20 seconds");
    }
    return open && (pace->sending || outstanding);
}

static void wait_for_sockets(struct run *run, struct pace *pace, struct connection *all) {
    struct pollfd polled[CONNECTIONS_MAX];
    uint64_t wait_ns = 20000000, now = now_ns();
    if (run->options.rate > 0 && may_send(run, pace)) {
        uint64_t until = pace->due_ns > now ? pace->due_ns - now : 0;
        if (until < wait_ns) wait_ns = until;
    }
    for (uint32_t i = 0; i < run->options.connections; i++) {
        bool writes = all[i].out.length || nghttp2_session_want_write(all[i].session);
        polled[i] = (struct pollfd){all[i].closed ? -1 : all[i].socket,
                                    (short)(POLLIN | (writes ? POLLOUT : 0)), 0};
    }
    struct timespec wait = {(time_t)(wait_ns / NS_PER_SECOND), (long)(wait_ns % NS_PER_SECOND)};
    if (ppoll(polled, run->options.connections, &wait, NULL) <= 0) return;
    for (uint32_t i = 0; i < run->options.connections; i++)
        if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) receive(&all[i]);
}

static void end_streams(struct run *run, struct connection *all) {
    uint64_t until = now_ns() + STALL_NS;
    struct pace pace = {0};
    for (uint32_t i = 0; i < run->options.connections; i++) half_close(&all[i]);
    for (uint32_t i = 0; i < run->options.connections; i++)
        while (all[i].stream && !all[i].closed) {
            if (now_ns() > until) fail("a stream does not end");
            flush(&all[i]);
            wait_for_sockets(run, &pace, all);
        }
}

int main(int argc, char **argv) {
    static struct run run;
    static struct connection all[CONNECTIONS_MAX];
    signal(SIGPIPE, SIG_IGN);
    read_options(&run, argc, argv);
    for (uint32_t i = 0; i < run.options.connections; i++) {
        connection_open(&all[i], &run);
        uint64_t places = 1;
        while (places < OPEN_LOOP_MAX) places *= 2;
        all[i].ring = calloc(places, sizeof *all[i].ring);
        all[i].ring_mask = places - 1;
        if (!all[i].ring) fail("out of memory");
    }
    uint64_t now = now_ns();
    struct pace pace = {.window_ns = now + (uint64_t)(run.options.warm_up_seconds * 1e9),
                        .due_ns = now, .progress_ns = now, .sending = true};
    pace.end_ns = pace.window_ns + (uint64_t)(run.options.seconds * 1e9);
    if (run.options.rate > 0) pace.interval_ns = (uint64_t)(1e9 / run.options.rate);
    do {
        if (run.options.rate > 0) send_open(&run, &pace, all);
        else send_closed(&run, &pace, all);
        for (uint32_t i = 0; i < run.options.connections; i++) flush(&all[i]);
        wait_for_sockets(&run, &pace, all);
    } while (goes_on(&run, &pace, all));
    end_streams(&run, all);
    print_result(&run);
    return 0;
}
