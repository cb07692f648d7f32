/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/step_times.h"
#include "base/mem.h"
#include "base/os.h"
#include "kernel/kern_bench.h"
#include "talk/duplex.h"

#define KERNEL_MS 50 /* of measuring a kernel */

/* Times of the parts of many frames. */
struct bench {
    struct app       *app;
    struct duplex    *duplex;
    struct step_times encode, lm, decode, frame;
    double            frame_ms; /* what a frame may take */
};

static enum err step(struct bench *b, float *mic, float *speaker)
{
    static const int    lane = 0;
    struct step         s = { 1, &lane };
    struct duplex_frame f = { .mic = mic, .speaker = speaker, .forced_text = -1 };

    enum err            err = duplex_step(b->duplex, &s, &f);
    struct duplex_times t = duplex_last_times(b->duplex);
    if (!err)
        err = step_times_add(&b->encode, t.encode_ns);
    if (!err)
        err = step_times_add(&b->lm, t.temporal_ns + t.depth_ns);
    if (!err)
        err = step_times_add(&b->decode, t.decode_ns);
    return err ? err
               : step_times_add(&b->frame, t.encode_ns + t.temporal_ns + t.depth_ns + t.decode_ns);
}

/* Noise from a linear congruence: what is encoded does not change the time. */
static void fill_noise(float *pcm, int n, uint32_t *seed)
{
    for (int i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        pcm[i] = (float)(int32_t)*seed / 2147483648.0f * 0.1f;
    }
}

static enum err run_steps(struct bench *b)
{
    int                   n_smp = duplex_codec(b->duplex)->frame_size;
    float                *mic = mem_zalloc(mem_size((size_t)n_smp, 2 * sizeof *mic));
    struct lm_gen_options gen = duplex_defaults(b->duplex);
    int64_t               n = app_int(b->app, OPT_STEPS);
    uint32_t              seed = 1;
    enum err              err = mic ? OK : ERR_NOMEM;

    duplex_reset(b->duplex, 0, &gen);
    for (int64_t i = 0; !err && i < n && !app_stop_signal(); i++) {
        fill_noise(mic, n_smp, &seed);
        err = step(b, mic, mic + n_smp);
        app_progress("bench", i + 1, n);
    }
    mem_free(mic);
    return err;
}

static enum err open_bench(struct bench *b, char *dir, size_t cap)
{
    struct duplex_options o = { .model_dir = dir, .n_lane = 1 };

    enum err err = app_be_options(b->app, &o.be, false);
    if (!err)
        err = app_quant(b->app, &o.quant);
    if (!err)
        err = app_model_dir(b->app, dir, cap);
    if (!err)
        err = duplex_open(&b->duplex, &o);
    if (!err)
        b->frame_ms = 1e3 / duplex_codec(b->duplex)->frame_rate_hz;
    return err;
}

static void add_times(struct buf *out, const char *name, struct step_times *t, bool as_json)
{
    double p50 = step_times_ms(t, 0.5), p95 = step_times_ms(t, 0.95), p99 = step_times_ms(t, 0.99);

    if (as_json)
        buf_add_fmt(out, ", \"%s\": {\"p50_ms\": %.4f, \"p95_ms\": %.4f, \"p99_ms\": %.4f}", name,
                    p50, p95, p99);
    else
        buf_add_fmt(out, "%-8s %8.3f %8.3f %8.3f\n", name, p50, p95, p99);
}

static void add_steps(struct buf *out, struct bench *b, const char *what, const char *dir)
{
    bool as_json = app_flag(b->app, OPT_JSON);
    bool all = strcmp(what, "all") == 0 || strcmp(what, "talk") == 0;

    if (as_json) {
        buf_add_str(out, ", \"model\": ");
        buf_add_json(out, dir, strlen(dir));
        buf_add_fmt(out, ", \"steps\": %d, \"frame_ms\": %.3f", b->frame.n, b->frame_ms);
    } else {
        buf_add_fmt(out,
                    "%d frames of %.0f ms, %s, kernels %s\n         p50 ms   p95 ms   p99 ms\n",
                    b->frame.n, b->frame_ms, dir, kern.name);
    }
    if (all || strcmp(what, "codec") == 0) {
        add_times(out, "encode", &b->encode, as_json);
        add_times(out, "decode", &b->decode, as_json);
    }
    if (all || strcmp(what, "lm") == 0)
        add_times(out, "lm", &b->lm, as_json);
    if (all)
        add_times(out, "frame", &b->frame, as_json);
}

static enum err bench_steps(struct app *app, struct buf *out, const char *what)
{
    struct bench b = { .app = app };
    char         dir[MODEL_PATH_CAP];

    enum err err = open_bench(&b, dir, sizeof dir);
    if (!err)
        err = run_steps(&b);
    if (!err) {
        add_steps(out, &b, what, dir);
        double p95 = step_times_ms(&b.frame, 0.95);
        if (app_flag(app, OPT_REQUIRE_REALTIME) && p95 > b.frame_ms)
            err = err_set(ERR_FAIL, "not real time: p95 of a frame is %.1f ms, it may take %.1f",
                          p95, b.frame_ms);
    }
    duplex_close(&b.duplex);
    step_times_fini(&b.encode);
    step_times_fini(&b.lm);
    step_times_fini(&b.decode);
    step_times_fini(&b.frame);
    return err;
}

struct kernel_rows {
    struct buf *out;
    bool        as_json;
    int         n;
};

static void add_kernel(void *arg, const struct kern_bench_row *row)
{
    struct kernel_rows *rows = arg;

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

static enum err bench_kernels(struct buf *out, bool as_json)
{
    struct kernel_rows rows = { .out = out, .as_json = as_json };

    buf_add_str(out, as_json ? ", \"kernels\": ["
                             : "one thread                                                   ns"
                               "     GB/s  GFLOP/s\n");
    enum err err = kern_bench(add_kernel, &rows, KERNEL_MS);
    buf_add_str(out, as_json ? "]" : "");
    return err;
}

static enum err run(struct app *app)
{
    static const char *const known[] = { "lm", "codec", "talk", "kernels", "all" };
    const char              *what = app_operand(app, 0) ? app_operand(app, 0) : "all";
    bool                     as_json = app_flag(app, OPT_JSON), is_known = false;
    struct buf               out;
    enum err                 err = OK;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known |= strcmp(what, known[i]) == 0;
    if (!is_known)
        return err_set(ERR_USAGE, "'%s' is none of lm, codec, talk, kernels, all", what);
    app_catch_signals(NULL, NULL);
    buf_init(&out, 1 << 20);
    if (as_json)
        buf_add_fmt(&out, "{\"cpu\": \"%s\"", kern.name);
    if (strcmp(what, "kernels") != 0)
        err = bench_steps(app, &out, what);
    if (!err && (strcmp(what, "kernels") == 0 || strcmp(what, "all") == 0))
        err = bench_kernels(&out, as_json);
    buf_add_str(&out, as_json ? "}\n" : "");
    if (!err)
        err = buf_err(&out);
    if (!err && app_stop_signal())
        err = ERR_INTERRUPTED;
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

static const enum option options[] = { OPT_MODEL,   OPT_THREADS, OPT_DEVICE,           OPT_QUANT,
                                       OPT_KV,      OPT_STEPS,   OPT_REQUIRE_REALTIME, OPT_JSON,
                                       OPTION_COUNT };

const struct command cmd_bench = {
    .name = "bench",
    .summary = "measure the speed of a model and of the kernels on this machine",
    .operands = "[lm|codec|talk|kernels|all]",
    .text =
        "Steps the model on noise as serve would and prints the median, p95 and p99 of each part "
        "in milliseconds; kernels prints the rate of each arithmetic kernel in use. With "
        "--require-realtime it fails when the p95 of a frame is over its time.",
    .example = "parley bench talk --steps 500 --json",
    .max_operand = 1,
    .run = run,
    .options = options,
};
