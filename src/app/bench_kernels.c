/* SPDX-License-Identifier: MIT */
#include "app/bench_kernels.h"

#include "app/app.h"
#include "kernel/kern_bench.h"
#include "kernel/kern_reach.h"

#define KERNEL_MS 50  /* of measuring a kernel */
#define REACH_MS  300 /* of measuring it against the machine */

struct rows {
    struct buf *out;
    bool        as_json;
    int         n;
};

static bool is_cancelled(void *arg)
{
    return app_stop_signal() != 0;
}

static void add_kernel(void *arg, const struct kern_bench_row *row)
{
    struct rows *rows = arg;

    if (rows->as_json)
        buf_add_fmt(rows->out,
                    "%s{\"isa\": \"%s\", \"kernel\": \"%s\", \"shape\": \"%s\", \"ns\": %.1f, "
                    "\"best_ns\": %.1f, \"gb_s\": %.2f, \"gflop_s\": %.2f}",
                    rows->n ? ", " : "", row->isa, row->kernel, row->shape, row->ns, row->best_ns,
                    row->gb_s, row->gflop_s);
    else
        buf_add_fmt(rows->out, "%-8s %-16s %-28s %12.0f %8.1f %8.1f\n", row->isa, row->kernel,
                    row->shape, row->ns, row->gb_s, row->gflop_s);
    rows->n++;
}

static void add_share(struct buf *out, double share)
{
    if (share > 0)
        buf_add_fmt(out, " %8.1f %%", 100 * share);
    else
        buf_add_str(out, "          -");
}

static void add_reach(void *arg, const struct kern_reach_row *row)
{
    static const char *const kinds[] = { "read", "peak", "gemv", "gemm" };
    struct rows             *rows = arg;

    if (rows->as_json) {
        buf_add_fmt(rows->out,
                    "%s{\"kind\": \"%s\", \"kernel\": \"%s\", \"shape\": \"%s\", \"vectors\": %d, ",
                    rows->n ? ", " : "", kinds[row->kind], row->kernel, row->shape, row->n_vec);
        buf_add_fmt(rows->out,
                    "\"threads\": %d, \"ns\": %.1f, \"gb_s\": %.2f, \"gflop_s\": %.2f, "
                    "\"share_of_read_loop\": %.4f, \"share_of_peak\": %.4f}",
                    row->n_thread, row->ns, row->gb_s, row->gflop_s, row->read_share,
                    row->peak_share);
    } else {
        buf_add_fmt(rows->out, "%-17s %-36s %5d %12.0f %8.1f", row->kernel, row->shape, row->n_vec,
                    row->ns, row->gb_s);
        add_share(rows->out, row->read_share);
        buf_add_fmt(rows->out, " %8.1f", row->gflop_s);
        add_share(rows->out, row->peak_share);
        buf_add_str(rows->out, "\n");
    }
    rows->n++;
}

/* The threads of a be, as kern_reach() wants them. */
struct crew {
    struct be *be;
    int        n;
    void (*fn)(void *arg, int i, int n);
    void *arg;
};

static void run_part(void *arg, int i)
{
    struct crew *c = arg;
    c->fn(c->arg, i, c->n);
}

static void run_crew(void *threads, void (*fn)(void *arg, int i, int n), void *arg)
{
    struct crew *c = threads;

    c->fn = fn;
    c->arg = arg;
    be_begin(c->be, &be_one_lane);
    be_parallel(c->be, run_part, c, c->n);
    must(be_end(c->be) == OK); /* nothing in there can fail */
}

static enum err reach(struct buf *out, const struct be_options *o, bool as_json)
{
    struct rows                 rows = { .out = out, .as_json = as_json };
    const struct kern_reach_ear ear = { add_reach, is_cancelled, &rows };
    struct crew                 crew = { 0 };

    enum err err = be_open(&crew.be, o);
    if (err)
        return err;
    crew.n = be_thread_count(crew.be);
    const struct kern_reach_threads threads = { crew.n, run_crew, &crew };
    if (as_json)
        buf_add_str(out, ", \"reach\": [");
    else
        buf_add_fmt(out, "\n%s, %d threads, weights beyond the caches\n", kern.name, crew.n);
    if (!as_json)
        buf_add_fmt(out, "%-17s %-36s %5s %12s %8s %10s %8s %10s\n", "", "", "vecs", "ns", "GB/s",
                    "of read", "GFLOP/s", "of peak");
    err = kern_reach(&ear, &threads, REACH_MS);
    be_close(&crew.be);
    buf_add_str(out, as_json ? "]" : "");
    return err;
}

enum err bench_kernels(struct buf *out, const struct be_options *be, bool as_json)
{
    struct rows                 rows = { .out = out, .as_json = as_json };
    const struct kern_bench_ear ear = { add_kernel, is_cancelled, &rows };

    buf_add_str(out, as_json ? ", \"kernels\": ["
                             : "one thread                                                   ns"
                               "     GB/s  GFLOP/s\n");
    enum err err = kern_bench(&ear, KERNEL_MS);
    buf_add_str(out, as_json ? "]" : "");
    return err || !be ? err : reach(out, be, as_json);
}
