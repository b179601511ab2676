/* Time, CPU of other processes and a histogram of latencies; for both load generators. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull

static inline void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(2);
}

static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec at;
    if (clock_gettime(clock, &at) != 0) return 0;
    return (uint64_t)at.tv_sec * NS_PER_SECOND + (uint64_t)at.tv_nsec;
}

static inline uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* The kernel's own account of a process, to the nanosecond; /proc/PID/stat counts 10 ms ticks. */
static inline uint64_t cpu_ns_of(pid_t pid) {
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) fail("--cpu-of: no such process");
    return clock_ns(clock);
}

/* --- which processes are watched ------------------------------------------------------------ */

#define WATCHED_MAX 64

struct watched {
    int count;
    pid_t pids[WATCHED_MAX];
    uint64_t begun[WATCHED_MAX], taken[WATCHED_MAX];
    uint64_t own_begun, own_taken;
};

static inline void watch(struct watched *watched, const char *pid) {
    if (watched->count == WATCHED_MAX) fail("--cpu-of: too many processes");
    watched->pids[watched->count++] = (pid_t)atoi(pid);
}

static inline void watch_begins(struct watched *watched) {
    for (int i = 0; i < watched->count; i++) watched->begun[i] = cpu_ns_of(watched->pids[i]);
    watched->own_begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void watch_ends(struct watched *watched) {
    for (int i = 0; i < watched->count; i++)
        watched->taken[i] = cpu_ns_of(watched->pids[i]) - watched->begun[i];
    watched->own_taken = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - watched->own_begun;
}

static inline void watch_print(const struct watched *watched) {
    printf(",\"own_cpu_seconds\":%.6f,\"cpu_seconds\":[", (double)watched->own_taken / 1e9);
    for (int i = 0; i < watched->count; i++)
        printf("%s%.6f", i ? "," : "", (double)watched->taken[i] / 1e9);
    printf("]");
}

/* --- latencies ------------------------------------------------------------------------------ */

/* Exact below 256 ns; above, 128 buckets for each doubling: an error below one in a hundred. */
#define EXACT 256
#define PARTS 128
#define DOUBLINGS 40

struct histogram {
    uint64_t count, max;
    uint64_t buckets[EXACT + DOUBLINGS * PARTS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t ns) {
    size_t at = ns;
    if (ns >= EXACT) {
        int power = 63 - __builtin_clzll(ns);
        if (power >= 8 + DOUBLINGS) power = 8 + DOUBLINGS - 1;
        at = EXACT + (size_t)(power - 8) * PARTS + ((ns >> (power - 7)) & (PARTS - 1));
    }
    histogram->buckets[at]++;
    histogram->count++;
    if (ns > histogram->max) histogram->max = ns;
}

static inline double histogram_us(const struct histogram *histogram, double share) {
    uint64_t wanted = (uint64_t)((double)histogram->count * share), seen = 0;
    for (size_t at = 0; at < sizeof histogram->buckets / sizeof *histogram->buckets; at++) {
        seen += histogram->buckets[at];
        if (seen <= wanted) continue;
        if (at < EXACT) return (double)at / 1e3;
        size_t power = 8 + (at - EXACT) / PARTS, part = (at - EXACT) % PARTS;
        uint64_t width = 1ull << (power - 7);
        double middle = (double)((PARTS + part) * width) + (double)width / 2;
        return (middle < (double)histogram->max ? middle : (double)histogram->max) / 1e3;
    }
    return (double)histogram->max / 1e3;
}

static inline void histogram_print(const struct histogram *histogram) {
    printf(",\"latency_us\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}",
           histogram_us(histogram, 0.5), histogram_us(histogram, 0.9),
           histogram_us(histogram, 0.99), histogram_us(histogram, 0.999),
           (double)histogram->max / 1e3);
}

#endif
