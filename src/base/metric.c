/* SPDX-License-Identifier: MIT */
#include "base/metric.h"

#include <stdatomic.h>

enum kind { COUNTER, GAUGE, SECONDS };

static const struct {
    const char *name;
    enum kind   kind;
    const char *help;
} rows[METRIC_COUNT] = {
#define METRIC(symbol, name, kind, help) [symbol] = { name, kind, help },
#include "base/metrics.def"
#undef METRIC
};

/* Upper bounds in microseconds, close together where an 80 ms frame is decided. */
static const int64_t bound_us[] = {
    100,   200,   500,   1000,  2000,   5000,   10000,  15000,  20000,  30000,  40000,   50000,
    60000, 70000, 80000, 90000, 100000, 120000, 160000, 240000, 400000, 800000, 1600000, 5000000,
};

#define N_BOUND ((int)(sizeof bound_us / sizeof bound_us[0]))

static struct {
    atomic_llong value;               /* counters, gauges; a histogram's sum in ns */
    atomic_llong bucket[N_BOUND + 1]; /* not cumulative; the last one is +Inf */
    atomic_llong last;                /* of a histogram, ns */
} cells[METRIC_COUNT];

void metric_inc(enum metric m)
{
    metric_add(m, 1);
}

void metric_add(enum metric m, int64_t v)
{
    atomic_fetch_add_explicit(&cells[m].value, v, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t v)
{
    atomic_store_explicit(&cells[m].value, v, memory_order_relaxed);
}

void metric_observe_ns(enum metric m, int64_t ns)
{
    int i = 0;
    while (i < N_BOUND && ns > bound_us[i] * 1000)
        i++;
    atomic_fetch_add_explicit(&cells[m].bucket[i], 1, memory_order_relaxed);
    metric_add(m, ns);
    atomic_store_explicit(&cells[m].last, ns, memory_order_relaxed);
}

static int64_t bucket_get(enum metric m, int i)
{
    return atomic_load_explicit(&cells[m].bucket[i], memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
    if (rows[m].kind != SECONDS)
        return atomic_load_explicit(&cells[m].value, memory_order_relaxed);
    int64_t n = 0;
    for (int i = 0; i <= N_BOUND; i++)
        n += bucket_get(m, i);
    return n;
}

double metric_mean_s(enum metric m)
{
    int64_t n = metric_get(m);
    double  sum_ns = (double)atomic_load_explicit(&cells[m].value, memory_order_relaxed);
    return n > 0 ? sum_ns * 1e-9 / (double)n : 0;
}

double metric_last_s(enum metric m)
{
    return (double)atomic_load_explicit(&cells[m].last, memory_order_relaxed) * 1e-9;
}

double metric_quantile_s(enum metric m, double q)
{
    double rank = q * (double)metric_get(m), n_below = 0;
    for (int i = 0; i < N_BOUND; i++) {
        double n = (double)bucket_get(m, i);
        if (n > 0 && n_below + n >= rank) {
            double low = i ? (double)bound_us[i - 1] : 0, high = (double)bound_us[i];
            return (low + (high - low) * (rank - n_below) / n) * 1e-6;
        }
        n_below += n;
    }
    /* Above the last bound nothing finer is known. */
    return n_below < (double)metric_get(m) ? (double)bound_us[N_BOUND - 1] * 1e-6 : 0;
}

static void write_histogram(struct buf *out, enum metric m)
{
    int64_t n = 0;
    for (int i = 0; i < N_BOUND; i++) {
        n += bucket_get(m, i);
        buf_add_fmt(out, "%s_bucket{le=\"%g\"} %lld\n", rows[m].name, (double)bound_us[i] * 1e-6,
                    (long long)n);
    }
    n += bucket_get(m, N_BOUND);
    buf_add_fmt(out, "%s_bucket{le=\"+Inf\"} %lld\n", rows[m].name, (long long)n);
    buf_add_fmt(out, "%s_sum %.9f\n", rows[m].name,
                (double)atomic_load_explicit(&cells[m].value, memory_order_relaxed) * 1e-9);
    buf_add_fmt(out, "%s_count %lld\n", rows[m].name, (long long)n);
}

void metric_write(struct buf *out)
{
    static const char *const kind_name[] = { "counter", "gauge", "histogram" };

    for (int i = 0; i < METRIC_COUNT; i++) {
        enum metric m = (enum metric)i;
        buf_add_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", rows[m].name, rows[m].help, rows[m].name,
                    kind_name[rows[m].kind]);
        if (rows[m].kind == SECONDS)
            write_histogram(out, m);
        else
            buf_add_fmt(out, "%s %lld\n", rows[m].name, (long long)metric_get(m));
    }
}
