/* SPDX-License-Identifier: MIT */
#include "app/bench_report.h"

static void add_stage(struct buf *out, const char *name, struct step_times *t, bool as_json)
{
    double p50 = step_times_ms(t, 0.5), p95 = step_times_ms(t, 0.95), p99 = step_times_ms(t, 0.99);
    double max = step_times_ms(t, 1), mean = step_times_mean_ms(t),
           spread = p50 > 0 ? p99 / p50 : 0;

    if (as_json)
        buf_add_fmt(out,
                    ", \"%s\": {\"p50_ms\": %.4f, \"p95_ms\": %.4f, \"p99_ms\": %.4f, "
                    "\"p99_over_p50\": %.3f, \"mean_ms\": %.4f, \"max_ms\": %.4f}",
                    name, p50, p95, p99, spread, mean, max);
    else
        buf_add_fmt(out, "%-10s %9.3f %9.3f %9.3f %8.3f %9.3f %9.3f\n", name, p50, p95, p99, spread,
                    mean, max);
}

/* The floor: reading what must be read, at the pace of the read loop. */
static void add_cost(struct buf *out, struct bench_result *r, double read_gb_s, bool as_json)
{
    double bytes = (double)(r->cost.weight_bytes + r->cost.kv_bytes);
    double ms = step_times_ms(&r->times[BENCH_LM_FRAME], 0.5);
    double gb_s = ms > 0 ? bytes / ms / 1e6 : 0, gflop_s = ms > 0 ? r->cost.flop / ms / 1e6 : 0;
    double floor_ms = read_gb_s > 0 ? bytes / read_gb_s / 1e6 : 0;
    double ratio = floor_ms > 0 ? ms / floor_ms : 0;
    double share = read_gb_s > 0 ? 100 * gb_s / read_gb_s : 0;
    double beside = step_times_ms(&r->beside, 0.5);

    if (as_json && beside > 0)
        buf_add_fmt(out, ", \"ratio_beside_reads\": %.3f", beside);
    if (as_json)
        buf_add_fmt(out,
                    ", \"weight_bytes\": %lld, \"kv_bytes\": %lld, \"gb_s\": %.2f, "
                    "\"share_of_read_loop\": %.3f, \"floor_ms\": %.3f, \"ratio_to_floor\": %.3f, "
                    "\"gflop_s\": %.2f, \"steps_per_s\": %.2f",
                    (long long)r->cost.weight_bytes, (long long)r->cost.kv_bytes, gb_s, share / 100,
                    floor_ms, ratio, gflop_s, ms > 0 ? 1e3 / ms : 0);
    else
        buf_add_fmt(
            out,
            "lm reads %.3f GB of weights and %.3f GB of keys and values a frame: %.1f GB/s, "
            "%.0f %% of the read loop\n"
            "lm floor %.2f ms, ratio %.3f; %.1f GFLOP/s; %.1f steps/s\n",
            (double)r->cost.weight_bytes / 1e9, (double)r->cost.kv_bytes / 1e9, gb_s, share,
            floor_ms, ratio, gflop_s, ms > 0 ? 1e3 / ms : 0);
    if (!as_json && beside > 0)
        buf_add_fmt(out, "lm beside a read before and after each frame: ratio %.3f\n", beside);
}

void bench_report_stages(struct buf *out, struct bench_result *r, double read_gb_s, bool as_json)
{
    if (!as_json)
        buf_add_fmt(out, "%-10s %9s %9s %9s %8s %9s %9s\n", "ms", "p50", "p95", "p99", "p99/p50",
                    "mean", "max");
    for (int i = 0; i < BENCH_STAGE_COUNT; i++)
        if (r->times[i].n > 0)
            add_stage(out, bench_stage_names[i], &r->times[i], as_json);
    if (r->cost.weight_bytes > 0)
        add_cost(out, r, read_gb_s, as_json);
}
