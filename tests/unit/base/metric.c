/* SPDX-License-Identifier: MIT */
#include "base/metric.h"

#include <math.h>

#include "base/os.h"
#include "check.h"

static const char *exposition(void)
{
    static char text[1 << 16];
    struct buf  b;

    buf_init(&b, sizeof text - 1);
    metric_write(&b);
    must(!buf_err(&b));
    memcpy(text, b.p, b.len);
    text[b.len] = '\0';
    buf_fini(&b);
    return text;
}

TEST(metric_writes_a_gauge_that_goes_up_and_down)
{
    metric_set(M_TALKS, 5);
    metric_add(M_TALKS, -2);
    CHECK_INT(metric_get(M_TALKS), 3);
    CHECK(strstr(exposition(), "# TYPE parley_talks gauge\nparley_talks 3\n"));
}

TEST(metric_histogram_counts_into_cumulative_buckets)
{
    metric_observe_ns(M_TICK_SECONDS, 12 * 1000000);
    metric_observe_ns(M_TICK_SECONDS, 45 * 1000000);
    metric_observe_ns(M_TICK_SECONDS, 60000 * (int64_t)1000000);
    const char *text = exposition();
    CHECK(strstr(text, "# TYPE parley_tick_seconds histogram\n"));
    CHECK(strstr(text, "parley_tick_seconds_bucket{le=\"0.01\"} 0\n"));
    CHECK(strstr(text, "parley_tick_seconds_bucket{le=\"0.015\"} 1\n"));
    CHECK(strstr(text, "parley_tick_seconds_bucket{le=\"0.05\"} 2\n"));
    CHECK(strstr(text, "parley_tick_seconds_bucket{le=\"+Inf\"} 3\n"));
    CHECK(strstr(text, "parley_tick_seconds_sum 60.057000000\n"));
    CHECK(strstr(text, "parley_tick_seconds_count 3\n"));
}

TEST(metric_quantile_lies_in_the_right_bucket)
{
    CHECK(metric_quantile_s(M_FRAME_LAG_SECONDS, 0.5) == 0);
    for (int i = 0; i < 95; i++)
        metric_observe_ns(M_FRAME_LAG_SECONDS, 25 * 1000000);
    for (int i = 0; i < 5; i++)
        metric_observe_ns(M_FRAME_LAG_SECONDS, 75 * 1000000);
    CHECK(fabs(metric_quantile_s(M_FRAME_LAG_SECONDS, 0.5) - 0.025) <= 0.005);
    CHECK(fabs(metric_quantile_s(M_FRAME_LAG_SECONDS, 0.99) - 0.075) <= 0.005);
}

TEST(metric_names_end_in_a_unit_or_total)
{
    static const char *const ends[] = { "_total",       "_seconds", "_frames", "_talks",
                                        "_connections", "_ready",   "_bytes" };
    static const struct {
        const char *name, *kind;
    } rows[] = {
#define METRIC(symbol, name, kind, help) { name, #kind },
#include "base/metrics.def"
#undef METRIC
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].name);
        bool   is_fine = false;
        for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
            is_fine |= strcmp(rows[i].name + len - strlen(ends[k]), ends[k]) == 0;
        CHECK(is_fine && strncmp(rows[i].name, "parley_", 7) == 0);
        bool is_total = strcmp(rows[i].name + len - 6, "_total") == 0;
        CHECK(is_total == (strcmp(rows[i].kind, "COUNTER") == 0));
    }
}

static void count_up(void *arg)
{
    for (int i = 0; i < 50000; i++)
        metric_inc(M_FRAMES_TOTAL);
}

TEST(metric_counts_from_many_threads)
{
    struct os_thread *t[3];
    int64_t           n = metric_get(M_FRAMES_TOTAL);

    for (int i = 0; i < 3; i++)
        CHECK(os_thread_start(&t[i], "counter", count_up, NULL) == OK);
    for (int i = 0; i < 3; i++)
        os_thread_join(&t[i]);
    CHECK_INT(metric_get(M_FRAMES_TOTAL), n + 150000);
}
