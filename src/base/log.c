/* SPDX-License-Identifier: MIT */
/* One bounded queue for all threads (after Dmitry Vyukov's): a writer claims a slot with one
 * compare-and-swap and never waits, the keeper prints in the order of the claims. A ring for each
 * thread would have to be allocated by its first line, which may come from inside a tick. */
#include "base/log.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/metric.h"
#include "base/os.h"

#define N_LINE   1024 /* a power of two */
#define LINE_CAP 500

struct line {
    _Atomic uint32_t turn; /* position whose writer may fill it; + 1: filled */
    enum log_level   level;
    int64_t          at_ms;
    char             text[LINE_CAP];
};

static _Atomic(enum log_level) level_now = LOG_INFO;

/* any thread */
static struct line *_Atomic lines; /* NULL: lines are printed at once */
static _Atomic uint32_t     n_claimed;
static _Atomic uint32_t     n_bell; /* the keeper sleeps on it */
static atomic_bool          is_asleep, is_stopping;
static atomic_int           n_writer; /* threads between looking at lines and leaving them */
static _Atomic uint64_t     n_dropped;
/* keeper only */
static uint32_t          n_printed;
static struct os_thread *keeper;

static const char *const level_name[] = { "error", "warn", "info", "debug", "trace" };

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, level);
}

enum err log_parse_level(enum log_level *out, const char *name)
{
    for (int i = LOG_ERROR; i <= LOG_TRACE; i++)
        if (strcmp(name, level_name[i]) == 0) {
            *out = (enum log_level)i;
            return OK;
        }
    if (strcmp(name, "none") == 0) {
        *out = LOG_NONE;
        return OK;
    }
    return err_set(ERR_USAGE, "log level '%s' is not one of none, error, warn, info, debug, trace",
                   name);
}

bool log_is_on(enum log_level level)
{
    return level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

static bool has_colour(void)
{
    static atomic_int known; /* 0: not looked at, 1: no, 2: yes */
    int               k = atomic_load_explicit(&known, memory_order_relaxed);
    if (k == 0) {
        const char *no = getenv("NO_COLOR");
        k = os_is_terminal(2) && !(no && *no) ? 2 : 1;
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k == 2;
}

/* A reader that rests holds the keeper up, but not the end of the program: once a stop signal has
 * come and a line found no room, the others are lost. */
static void write_out(const char *text, size_t len)
{
    static atomic_bool is_given_up;

    if (!atomic_load(&is_given_up) &&
        os_stream_write(2, text, len, "standard error") == ERR_INTERRUPTED)
        atomic_store(&is_given_up, true);
}

/* One write for one line, so that lines of several processes do not mix. */
static void print(enum log_level level, int64_t at_ms, const char *text)
{
    static const char *const colour[] = { "\033[31m", "\033[33m", "", "\033[2m", "\033[2m" };

    char      out[LINE_CAP + 64];
    time_t    s = (time_t)(at_ms / 1000);
    struct tm tm;
    bool      is_coloured = has_colour() && colour[level][0];

    localtime_r(&s, &tm);
    int n = snprintf(out, sizeof out, "%s%02d:%02d:%02d.%03d %-5s %s%s\n",
                     is_coloured ? colour[level] : "", tm.tm_hour, tm.tm_min, tm.tm_sec,
                     (int)(at_ms % 1000), level_name[level], text, is_coloured ? "\033[0m" : "");
    if (n > 0)
        write_out(out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}

static void format(char text[LINE_CAP], const char *fmt, va_list args)
{
    if (vsnprintf(text, LINE_CAP, fmt, args) < 0)
        text[0] = '\0';
    /* A line is a line: what clients send must not be able to forge another one. */
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

/* The slot of the next line, or NULL when the queue is full. */
static struct line *claim(struct line *all)
{
    uint32_t at = atomic_load_explicit(&n_claimed, memory_order_relaxed);
    for (;;) {
        struct line *l = &all[at % N_LINE];
        int32_t      ahead = (int32_t)(atomic_load_explicit(&l->turn, memory_order_acquire) - at);
        if (ahead < 0)
            return NULL;
        if (ahead == 0 && atomic_compare_exchange_weak(&n_claimed, &at, at + 1))
            return l;
        if (ahead > 0)
            at = atomic_load_explicit(&n_claimed, memory_order_relaxed);
    }
}

static void enqueue(struct line *all, enum log_level level, const char *fmt, va_list args)
{
    struct line *l = claim(all);
    if (!l) {
        atomic_fetch_add_explicit(&n_dropped, 1, memory_order_relaxed);
        metric_inc(M_LOG_DROPPED_TOTAL);
        return;
    }
    l->level = level;
    l->at_ms = os_wall_ms();
    format(l->text, fmt, args);
    atomic_fetch_add(&l->turn, 1);
    atomic_fetch_add(&n_bell, 1);
    if (atomic_exchange(&is_asleep, false))
        os_futex_wake(&n_bell, INT_MAX);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list args;

    if (!log_is_on(level))
        return;
    va_start(args, fmt);
    atomic_fetch_add(&n_writer, 1);
    struct line *all = atomic_load(&lines);
    if (all)
        enqueue(all, level, fmt, args);
    atomic_fetch_sub(&n_writer, 1);
    if (!all) {
        char text[LINE_CAP];
        format(text, fmt, args);
        print(level, os_wall_ms(), text);
    }
    va_end(args);
}

static void drain(struct line *all)
{
    for (;; n_printed++) {
        struct line *l = &all[n_printed % N_LINE];
        if (atomic_load_explicit(&l->turn, memory_order_acquire) != n_printed + 1)
            break;
        print(l->level, l->at_ms, l->text);
        atomic_store_explicit(&l->turn, n_printed + N_LINE, memory_order_release);
    }
    uint64_t n = atomic_exchange(&n_dropped, 0);
    if (n) {
        char text[64];
        snprintf(text, sizeof text, "log lines dropped n=%llu", (unsigned long long)n);
        print(LOG_WARN, os_wall_ms(), text);
    }
}

static void keep(void *arg)
{
    struct line *all = arg;
    while (!atomic_load(&is_stopping)) {
        uint32_t bell = atomic_load(&n_bell);
        drain(all);
        atomic_store(&is_asleep, true);
        os_futex_wait(&n_bell, bell, INT64_MAX);
    }
}

enum err log_start(void)
{
    if (atomic_load(&lines))
        return OK;
    struct line *all = mem_zalloc(mem_size(N_LINE, sizeof *all));
    if (!all)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < N_LINE; i++)
        atomic_store(&all[i].turn, i);
    n_printed = 0;
    atomic_store(&n_claimed, 0);
    atomic_store(&is_stopping, false);
    enum err err = os_thread_start(&keeper, "keeper", keep, all);
    if (err) {
        mem_free(all);
        return err;
    }
    atomic_store(&lines, all);
    return OK;
}

void log_stop(void)
{
    struct line *all = atomic_exchange(&lines, NULL);
    if (!all)
        return;
    /* Writers that saw the queue finish their line; new ones print at once. */
    while (atomic_load(&n_writer) > 0)
        os_cpu_relax();
    atomic_store(&is_stopping, true);
    atomic_fetch_add(&n_bell, 1);
    os_futex_wake(&n_bell, INT_MAX);
    os_thread_join(&keeper);
    drain(all);
    mem_free(all);
}
