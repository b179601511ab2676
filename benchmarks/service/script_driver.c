/* How fast Redis runs requests that somebody packed before, kept under way by the dozen.
 *
 *     script_driver --socket /run/redis.sock --file packed --window 4
 *
 * The file holds records, little-endian: length (4 bytes), orders (4 bytes), a request of that
 * length. Every answer has to be `[1, 1, ...]`, one for each order: all were committed. Prints one
 * line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "measure.h"

#define WINDOW_MAX 1024
#define ANSWER_BYTES (1 << 20)

static const char USAGE[] =
    "script_driver --socket PATH --file FILE [--window CALLS] [--warm-up CALLS] [--cpu-of PID]...";

struct record {
    const uint8_t *bytes;
    uint32_t length, orders;
};

struct driver {
    int socket;
    uint32_t window;
    uint64_t warm_up; /* calls before the measured window begins */
    struct record *records;
    uint64_t count, sent, answered, orders;
    uint64_t begun_ns[WINDOW_MAX];
    struct histogram latency;
    struct watched watched;
    char answers[ANSWER_BYTES];
    size_t have;
};

static void read_records(struct driver *driver, const char *path) {
    int file = open(path, O_RDONLY);
    struct stat stat;
    if (file < 0 || fstat(file, &stat) != 0 || !stat.st_size) fail("--file: cannot be read");
    size_t size = (size_t)stat.st_size, capacity = 0;
    const uint8_t *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (at == MAP_FAILED) fail("--file: cannot be mapped");
    for (const uint8_t *end = at + size; at < end;) {
        struct record record;
        if (end - at < 8) fail("--file: ends within a record");
        memcpy(&record.length, at, 4);
        memcpy(&record.orders, at + 4, 4);
        record.bytes = at + 8;
        if ((size_t)(end - record.bytes) < record.length) fail("--file: ends within a record");
        at = record.bytes + record.length;
        if (driver->count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            driver->records = realloc(driver->records, capacity * sizeof record);
            if (!driver->records) fail("out of memory");
        }
        driver->records[driver->count++] = record;
    }
    close(file);
}

static void dial(struct driver *driver, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("--socket: the path is too long");
    strcpy(address.sun_path, path);
    driver->socket = socket(AF_UNIX, SOCK_STREAM, 0);
    if (driver->socket < 0 ||
        connect(driver->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("--socket: no server there");
}

static void write_whole(struct driver *driver, const uint8_t *bytes, size_t length) {
    while (length) {
        ssize_t written = write(driver->socket, bytes, length);
        if (written <= 0) fail("Redis closed the connection");
        bytes += written;
        length -= (size_t)written;
    }
}

/* Length of the whole answer at the front, 0 if it is not all there. Fails for any other. */
static size_t committed(const struct driver *driver, uint32_t orders) {
    static const char ONE[] = ":1\r\n";
    char head[16];
    size_t at = (size_t)snprintf(head, sizeof head, "*%u\r\n", orders);
    size_t whole = at + orders * (sizeof ONE - 1);
    size_t have = driver->have < whole ? driver->have : whole;
    bool well = !memcmp(driver->answers, head, have < at ? have : at);
    for (; well && at + sizeof ONE - 1 <= have; at += sizeof ONE - 1)
        well = !memcmp(driver->answers + at, ONE, sizeof ONE - 1);
    if (!well) {
        fprintf(stderr, "not committed: %.*s\n", (int)(driver->have < 300 ? driver->have : 300),
                driver->answers);
        exit(1);
    }
    return have < whole ? 0 : whole;
}

static void take_answers(struct driver *driver) {
    ssize_t length =
        read(driver->socket, driver->answers + driver->have, ANSWER_BYTES - driver->have);
    if (length <= 0) fail("Redis closed the connection");
    driver->have += (size_t)length;
    uint64_t now = now_ns();
    size_t used;
    while (driver->answered < driver->sent &&
           (used = committed(driver, driver->records[driver->answered].orders))) {
        uint64_t begun_ns = driver->begun_ns[driver->answered % WINDOW_MAX];
        if (driver->answered >= driver->warm_up) {
            histogram_add(&driver->latency, now - begun_ns);
            driver->orders += driver->records[driver->answered].orders;
        }
        driver->answered++;
        driver->have -= used;
        memmove(driver->answers, driver->answers + used, driver->have);
    }
}

static void read_options(struct driver *driver, int argc, char **argv) {
    static const struct option known[] = {{"socket", 1, 0, 's'}, {"file", 1, 0, 'f'},
                                          {"window", 1, 0, 'w'}, {"warm-up", 1, 0, 'W'},
                                          {"cpu-of", 1, 0, 'C'}, {0, 0, 0, 0}};
    const char *path = NULL, *file = NULL;
    driver->window = 1;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
        case 's': path = optarg; break;
        case 'f': file = optarg; break;
        case 'w': driver->window = (uint32_t)atoi(optarg); break;
        case 'W': driver->warm_up = strtoull(optarg, NULL, 10); break;
        case 'C': watch(&driver->watched, optarg); break;
        default: fail(USAGE);
    }
    if (!path || !file || driver->window < 1 || driver->window > WINDOW_MAX) fail(USAGE);
    read_records(driver, file);
    if (driver->warm_up >= driver->count) fail("--warm-up: the file holds fewer calls");
    dial(driver, path);
}

int main(int argc, char **argv) {
    static struct driver driver;
    read_options(&driver, argc, argv);
    uint64_t begun_ns = 0;
    while (driver.answered < driver.count) {
        if (!begun_ns && driver.answered >= driver.warm_up) {
            watch_begins(&driver.watched);
            begun_ns = now_ns();
        }
        while (driver.sent < driver.count && driver.sent - driver.answered < driver.window) {
            const struct record *record = &driver.records[driver.sent];
            driver.begun_ns[driver.sent++ % WINDOW_MAX] = now_ns();
            write_whole(&driver, record->bytes, record->length);
        }
        take_answers(&driver);
    }
    double seconds = (double)(now_ns() - begun_ns) / 1e9;
    watch_ends(&driver.watched);
    printf("{\"calls\":%llu,\"orders\":%llu,\"seconds\":%.6f,\"orders_per_second\":%.1f",
           (unsigned long long)(driver.count - driver.warm_up), (unsigned long long)driver.orders,
           seconds, (double)driver.orders / seconds);
    histogram_print(&driver.latency);
    watch_print(&driver.watched);
    printf("}\n");
    return 0;
}
