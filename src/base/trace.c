/* SPDX-License-Identifier: MIT */
#include "base/trace.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/os.h"
#include "base/ring.h"

#define N_EVENT  16384
#define LOOK_NS  50000000LL /* the tracer empties the rings this often: 16,384 events take longer */
#define TEXT_CAP (1 << 20)
#define N_POP    64

enum kind { SPAN, INSTANT, COUNT };

struct event {
    const char *name;
    int64_t     t0_ns, t1_ns;
    int64_t     value; /* a frame, or what is counted */
    uint64_t    lanes;
    enum kind   kind;
};

/* fixed while it is on */
static struct ring   *rings[TRACE_TRACK_COUNT];
static struct os_out *file;
static int64_t        origin_ns;
/* any thread */
static atomic_bool      is_on;
static _Atomic uint32_t is_stopping;
static atomic_llong     n_dropped;
/* tracer only, then trace_close() */
static struct os_thread *tracer;
static struct buf        text;
static enum err          failed;
static char              why[ERR_TEXT_CAP]; /* the sentence is the tracer thread's own */
static bool              has_events;

bool trace_is_on(void)
{
    return atomic_load_explicit(&is_on, memory_order_relaxed);
}

static void push(enum trace_track track, const struct event *e)
{
    if (ring_push(rings[track], e, 1) == 0)
        atomic_fetch_add_explicit(&n_dropped, 1, memory_order_relaxed);
}

void trace_span(enum trace_track track, const char *name, uint64_t lanes, int64_t frame,
                int64_t t0_ns, int64_t t1_ns)
{
    if (trace_is_on())
        push(track, &(struct event){ name, t0_ns, t1_ns, frame, lanes, SPAN });
}

void trace_instant(enum trace_track track, const char *name, uint64_t lanes, int64_t frame)
{
    int64_t now_ns = os_now_ns();

    if (trace_is_on())
        push(track, &(struct event){ name, now_ns, now_ns, frame, lanes, INSTANT });
}

void trace_count(enum trace_track track, const char *name, int64_t value)
{
    int64_t now_ns = os_now_ns();

    if (trace_is_on())
        push(track, &(struct event){ name, now_ns, now_ns, value, 0, COUNT });
}

/* Writing. */

static void begin_event(const char *name, char phase, int track, int64_t at_ns)
{
    buf_add_str(&text, has_events ? ",\n" : "\n");
    has_events = true;
    buf_add_fmt(&text, "{\"name\": \"%s\", \"cat\": \"parley\", \"ph\": \"%c\", \"pid\": 1, ", name,
                phase);
    buf_add_fmt(&text, "\"tid\": %d, \"ts\": %.3f", track + 1, (double)(at_ns - origin_ns) / 1e3);
}

/* Of what belongs to one lane "lane", else "lanes". */
static void add_args(const struct event *e)
{
    bool        is_one = e->lanes && (e->lanes & (e->lanes - 1)) == 0;
    const char *comma = "";

    buf_add_fmt(&text, ", \"args\": {\"frame\": %lld", (long long)e->value);
    if (e->lanes)
        buf_add_str(&text, is_one ? ", \"lane\": " : ", \"lanes\": [");
    for (int i = 0; i < 64; i++) {
        if (!(e->lanes >> i & 1))
            continue;
        buf_add_fmt(&text, "%s%d", comma, i);
        comma = ", ";
    }
    buf_add_str(&text, e->lanes && !is_one ? "]}" : "}");
}

static void add_event(int track, const struct event *e)
{
    switch (e->kind) {
    case SPAN:
        begin_event(e->name, 'B', track, e->t0_ns);
        add_args(e);
        buf_add_str(&text, "}");
        begin_event(e->name, 'E', track, e->t1_ns);
        buf_add_str(&text, "}");
        break;
    case INSTANT:
        begin_event(e->name, 'i', track, e->t0_ns);
        buf_add_str(&text, ", \"s\": \"t\"");
        add_args(e);
        buf_add_str(&text, "}");
        break;
    case COUNT:
        begin_event(e->name, 'C', track, e->t0_ns);
        buf_add_fmt(&text, ", \"args\": {\"n\": %lld}}", (long long)e->value);
        break;
    }
}

static void flush(void)
{
    enum err err = failed ? OK : buf_err(&text);

    if (!failed && !err && text.len > 0)
        err = os_out_write(file, text.p, text.len);
    if (err) {
        failed = err;
        snprintf(why, sizeof why, "%s", err_text(err));
    }
    buf_clear(&text);
}

static void drain(void)
{
    struct event e[N_POP];

    for (int t = 0; t < TRACE_TRACK_COUNT; t++) {
        for (size_t n; (n = ring_pop(rings[t], e, N_POP)) > 0;) {
            for (size_t i = 0; i < n; i++)
                add_event(t, &e[i]);
            flush();
        }
    }
}

static void trace_main(void *arg)
{
    while (!atomic_load(&is_stopping)) {
        os_futex_wait(&is_stopping, 0, os_now_ns() + LOOK_NS);
        drain();
    }
}

/* Opening, closing. */

static void add_names(void)
{
    static const char *const names[] = { "engine", "io", "opus" };

    buf_add_str(&text, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [");
    begin_event("process_name", 'M', -1, origin_ns);
    buf_add_str(&text, ", \"args\": {\"name\": \"parley\"}}");
    for (int t = 0; t < TRACE_TRACK_COUNT; t++) {
        begin_event("thread_name", 'M', t, origin_ns);
        buf_add_fmt(&text, ", \"args\": {\"name\": \"%s\"}}", names[t]);
    }
}

static void close_rings(void)
{
    for (int t = 0; t < TRACE_TRACK_COUNT; t++)
        ring_close(&rings[t]);
    buf_fini(&text);
}

enum err trace_open(const char *path)
{
    enum err err = os_out_open(&file, path);
    if (err)
        return err;
    buf_init(&text, TEXT_CAP);
    origin_ns = os_now_ns();
    failed = OK;
    has_events = false;
    atomic_store(&n_dropped, 0);
    atomic_store(&is_stopping, 0);
    for (int t = 0; !err && t < TRACE_TRACK_COUNT; t++)
        err = ring_open(&rings[t], N_EVENT, sizeof(struct event));
    if (!err) {
        add_names();
        err = os_thread_start(&tracer, "tracer", trace_main, NULL);
    }
    if (err) {
        close_rings();
        os_out_cancel(&file);
        return err;
    }
    atomic_store(&is_on, true);
    return OK;
}

/* false: no trace is open. */
static bool stop(void)
{
    if (!atomic_exchange(&is_on, false))
        return false;
    atomic_store(&is_stopping, 1);
    os_futex_wake(&is_stopping, INT_MAX);
    os_thread_join(&tracer);
    return true;
}

void trace_cancel(void)
{
    if (!stop())
        return;
    close_rings();
    os_out_cancel(&file);
}

enum err trace_close(void)
{
    if (!stop())
        return OK;
    drain();
    long long n = atomic_load(&n_dropped);
    buf_add_fmt(&text, "\n], \"otherData\": {\"dropped\": %lld}}\n", n);
    flush();
    close_rings();
    if (n > 0)
        log_warn("trace incomplete events_dropped=%lld", n);
    if (!failed)
        return os_out_commit(&file);
    os_out_cancel(&file);
    return err_set(failed, "%s", why);
}
