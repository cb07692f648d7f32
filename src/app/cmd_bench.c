/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/bench_kernels.h"
#include "app/bench_quality.h"
#include "app/bench_read.h"
#include "app/bench_report.h"
#include "app/bench_rig.h"
#include "base/trace.h"
#include "model/model_shape.h"

#define READ_MS 500 /* of the read loop, before and after each part */

/* One run of the verb: parts are measured one after the other and printed at the end. */
struct bench {
    struct app        *app;
    struct bench_setup setup;
    char               dir[MODEL_PATH_CAP];
    struct buf         out;
    bool               as_json;
    double             part_ms[BENCH_TALK + 1]; /* p50 of each part's frame; 0: not measured */
};

static const char *const what_names[] = { "lm", "codec", "talk" };

/* --shape NAME, or its configs: the folder of an embedded model. */
static enum err find_model(struct bench *b)
{
    const char *shape = app_str(b->app, OPT_SHAPE);

    if (!shape) {
        b->setup.model_dir = b->dir;
        return app_model_dir(b->app, b->dir, sizeof b->dir);
    }
    b->setup.shape = shape;
    for (int i = 0; model_shape_name(i); i++)
        if (strcmp(model_shape_name(i), shape) == 0)
            return OK;
    b->setup.shape = b->dir;
    enum err err = app_find_model(shape, b->dir, sizeof b->dir);
    if (err)
        return err_set(ERR_MISSING,
                       "--shape: '%.60s' is none of moshi-7b, moshi-2b, moshi-1b, hibiki-2b, mimi, "
                       "nor a model's name",
                       shape);
    return OK;
}

static enum err read_setup(struct bench *b)
{
    b->setup = (struct bench_setup){ .n_lane = (int)app_int(b->app, OPT_LANES),
                                     .n_step = (int)app_int(b->app, OPT_STEPS),
                                     .context = app_int(b->app, OPT_CONTEXT),
                                     .quant = app_quant(b->app),
                                     .load = app_load(b->app),
                                     .is_cold = app_flag(b->app, OPT_COLD),
                                     .is_paced = app_flag(b->app, OPT_REALTIME) };

    enum err err = app_be_options(b->app, &b->setup.be, app_flag(b->app, OPT_EXACT));
    return err ? err : find_model(b);
}

static enum err read_loop(double *gb_s, const struct bench *b)
{
    struct be *be = NULL;
    double     now = 0;
    enum err   err = be_open(&be, &b->setup.be);

    if (!err)
        err = bench_read(&now, be, READ_MS);
    be_close(&be);
    *gb_s = now > *gb_s ? now : *gb_s;
    return err;
}

/* The stage that is all of what was measured. */
static enum bench_stage whole_of(enum bench_what what)
{
    return what == BENCH_LM ? BENCH_LM_FRAME : BENCH_FRAME;
}

static void add_head(struct bench *b, const struct bench_result *r, enum bench_what what,
                     double read_gb_s)
{
    const struct bench_setup *s = &b->setup;
    const char *model = s->shape ? s->shape : s->model_dir, *quant = app_str(b->app, OPT_QUANT);
    bool        is_talk = what == BENCH_TALK;

    if (b->as_json) {
        buf_add_str(&b->out, "\"model\": ");
        buf_add_json(&b->out, model, strlen(model));
        buf_add_fmt(
            &b->out,
            ", \"noise\": %s, \"quant\": \"%s\", \"kv\": \"%s\", \"exact\": %s, \"threads\": %d, "
            "\"lanes\": %d, \"context\": %lld, \"cold\": %s, \"paced\": %s, \"steps\": %d, "
            "\"frame_ms\": %.3f, \"read_loop_gb_s\": %.2f",
            s->shape ? "true" : "false", quant, s->be.kv ? s->be.kv : "auto",
            s->be.is_exact ? "true" : "false", r->n_thread, s->n_lane, (long long)r->context,
            s->is_cold ? "true" : "false", s->is_paced ? "true" : "false",
            r->times[whole_of(what)].n, r->frame_ms, read_gb_s);
        return;
    }
    buf_add_fmt(
        &b->out, "%s of %s%s: %d frames, %d %s, %d thread%s, kernels %s, quant %s, kv %s%s%s%s",
        what_names[what], model, s->shape ? " (noise)" : "", r->times[whole_of(what)].n, s->n_lane,
        s->n_lane == 1 ? "lane" : "lanes", r->n_thread, r->n_thread == 1 ? "" : "s", kern.name,
        quant, s->be.kv ? s->be.kv : "auto", s->be.is_exact ? ", exact" : "",
        s->is_cold ? ", caches cold" : "", s->is_paced ? ", paced" : "");
    if (r->context > 0)
        buf_add_fmt(&b->out, ", context %lld", (long long)r->context);
    buf_add_fmt(&b->out, "\nread loop %.1f GB/s", read_gb_s);
    if (r->frame_ms > 0 && is_talk)
        buf_add_fmt(&b->out, "; a frame may take %.0f ms", r->frame_ms);
    buf_add_str(&b->out, "\n");
}

/* A command that fails prints nothing else, so the sentence says which stage takes most. */
static enum err check_realtime(const struct bench *b, struct bench_result *r, enum bench_what what)
{
    enum bench_stage whole = whole_of(what), worst = 0;
    double           p95_ms = step_times_ms(&r->times[whole], 0.95), worst_ms = 0;
    double           frame_ms = r->frame_ms > 0 ? r->frame_ms : 80;

    if (!app_flag(b->app, OPT_REQUIRE_REALTIME) || p95_ms <= frame_ms)
        return OK;
    for (enum bench_stage i = 0; i < BENCH_STAGE_COUNT; i++) {
        double ms = i == whole || i == BENCH_LM_FRAME ? 0 : step_times_ms(&r->times[i], 0.95);
        worst = ms > worst_ms ? i : worst;
        worst_ms = ms > worst_ms ? ms : worst_ms;
    }
    return err_set(ERR_FAIL,
                   "not real time: p95 of a frame is %.1f ms, it may take %.1f; of its stages %s "
                   "takes most, %.1f",
                   p95_ms, frame_ms, bench_stage_names[worst], worst_ms);
}

static enum err bench_part(struct bench *b, enum bench_what what)
{
    struct bench_result r;
    double              read_gb_s = 0;

    enum err err = read_loop(&read_gb_s, b);
    if (err)
        return err;
    err = bench_rig_run(&r, &b->setup, what);
    if (!err && !app_stop_signal())
        err = read_loop(&read_gb_s, b);
    if (!err) {
        b->part_ms[what] = step_times_ms(&r.times[whole_of(what)], 0.5);
        add_head(b, &r, what, read_gb_s);
        bench_report_stages(&b->out, &r, read_gb_s, b->as_json);
        err = check_realtime(b, &r, what);
    }
    bench_rig_fini(&r);
    return err;
}

static enum err bench_named(struct bench *b, enum bench_what what)
{
    if (b->as_json)
        buf_add_fmt(&b->out, ", \"%s\": {", what_names[what]);
    enum err err = bench_part(b, what);
    buf_add_str(&b->out, b->as_json ? "}" : "\n");
    return err;
}

/* Each part alone, then together: what is slow alone is the model's or the machine's fault, what is
 * slow only together the pipeline's. */
static enum err bench_all(struct bench *b)
{
    enum err err = bench_named(b, BENCH_LM);

    for (enum bench_what what = BENCH_CODEC; !err && what <= BENCH_TALK && !app_stop_signal();
         what++)
        err = bench_named(b, what);
    double lm = b->part_ms[BENCH_LM], codec = b->part_ms[BENCH_CODEC],
           talk = b->part_ms[BENCH_TALK];
    double      rest = talk - lm - codec;
    const char *worst = rest > lm && rest > codec ? "pipeline" : lm > codec ? "lm" : "codec";
    if (b->as_json)
        buf_add_fmt(&b->out, ", \"bottleneck\": \"%s\", \"pipeline_ms\": %.4f", worst, rest);
    else
        buf_add_fmt(&b->out,
                    "bottleneck: %s (alone: lm %.2f ms, codec %.2f ms; together %.2f ms, that is "
                    "%+.2f)\n\n",
                    worst, lm, codec, talk, rest);
    return err;
}

static enum err bench_quality(struct bench *b)
{
    const struct bench_setup *s = &b->setup;
    const char               *model = s->shape ? s->shape : s->model_dir;
    struct bench_quality      q;

    enum err err = bench_quality_run(&q, s, app_str(b->app, OPT_IN));
    if (err)
        return err;
    if (b->as_json) {
        buf_add_str(&b->out, ", \"model\": ");
        buf_add_json(&b->out, model, strlen(model));
        buf_add_fmt(&b->out, ", \"quant\": \"%s\", \"kv\": \"%s\", \"frames\": %lld",
                    app_str(b->app, OPT_QUANT), s->be.kv, (long long)q.n_frame);
    } else {
        buf_add_fmt(&b->out, "%s%s, quant %s, kv %s, kernels %s, beside exact mode: %lld frames\n",
                    model, s->shape ? " (noise)" : "", app_str(b->app, OPT_QUANT), s->be.kv,
                    kern.name, (long long)q.n_frame);
    }
    bench_quality_report(&b->out, &q, b->as_json);
    return OK;
}

static enum err measure(struct bench *b, const char *what)
{
    bool is_all = strcmp(what, "all") == 0, is_kernels = strcmp(what, "kernels") == 0;

    if (b->as_json)
        buf_add_fmt(&b->out, "{\"cpu\": \"%s\"", kern.name);
    enum err err = is_kernels ? app_be_options(b->app, &b->setup.be, false) : read_setup(b);
    if (!err && is_all)
        err = bench_all(b);
    if (!err && strcmp(what, "quality") == 0)
        err = bench_quality(b);
    for (int i = 0; !err && i <= BENCH_TALK; i++) {
        if (strcmp(what, what_names[i]) != 0)
            continue;
        buf_add_str(&b->out, b->as_json ? ", " : "");
        err = bench_part(b, (enum bench_what)i);
    }
    if (!err && (is_all || is_kernels) && !app_stop_signal())
        err = bench_kernels(&b->out, is_kernels ? &b->setup.be : NULL, b->as_json);
    buf_add_str(&b->out, b->as_json ? "}\n" : "");
    return err ? err : buf_err(&b->out);
}

/* list: words between commas */
static bool is_one_of(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ",");
        if (n == len && memcmp(at, word, len) == 0)
            return true;
        at += n;
    }
    return false;
}

/* What has no effect on a part is refused, not dropped. */
static enum err check_options(const struct app *app, const char *what)
{
    static const struct {
        enum option o;
        const char *name, *parts;
    } some[] = {
        { OPT_IN, "--in", "quality" },
        { OPT_REQUIRE_REALTIME, "--require-realtime", "lm, codec, talk, all" },
        { OPT_TRACE, "--trace", "lm, codec, talk, all" },
        { OPT_LANES, "--lanes", "lm, codec, talk, all" },
        { OPT_REALTIME, "--realtime", "lm, codec, talk, all" },
        { OPT_COLD, "--cold", "lm, codec, talk, all" },
        { OPT_EXACT, "--exact", "lm, codec, talk, all" },
        { OPT_CONTEXT, "--context", "lm, talk, all" },
        { OPT_SHAPE, "--shape", "lm, codec, talk, quality, all" },
        { OPT_STEPS, "--steps", "lm, codec, talk, quality, all" },
    };

    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (app_is_set(app, some[i].o) && !is_one_of(some[i].parts, what))
            return err_set(ERR_USAGE, "%s goes with %s, not with %s", some[i].name, some[i].parts,
                           what);
    return OK;
}

static enum err run(struct app *app)
{
    static const char *const known = "lm, codec, talk, kernels, quality, all";
    const char              *what = app_operand(app, 0) ? app_operand(app, 0) : "all";
    struct bench             b = { .app = app, .as_json = app_flag(app, OPT_JSON) };

    if (!is_one_of(known, what))
        return err_set(ERR_USAGE, "'%.60s' is none of %s", what, known);
    enum err err = check_options(app, what);
    if (err)
        return err;
    buf_init(&b.out, 1 << 20);
    err = measure(&b, what);
    if (!err)
        err = app_go_on();
    if (!err)
        err = trace_close(); /* when it fails, nothing has been printed */
    if (!err)
        err = app_print(buf_view(&b.out));
    buf_fini(&b.out);
    return err;
}

static const enum option options[] = { OPT_MODEL,   OPT_SHAPE, OPT_THREADS,  OPT_DEVICE,
                                       OPT_QUANT,   OPT_KV,    OPT_PIN,      OPT_TILE_CACHE,
                                       OPT_EXACT,   OPT_STEPS, OPT_IN,       OPT_LANES,
                                       OPT_CONTEXT, OPT_COLD,  OPT_REALTIME, OPT_REQUIRE_REALTIME,
                                       OPT_TRACE,   OPT_JSON,  OPTION_COUNT };

const struct command cmd_bench = {
    .name = "bench",
    .summary = "measure the speed of a model and of the kernels on this machine",
    .operands = "[lm|codec|talk|kernels|quality|all]",
    .text = "Steps the model on noise as serve would, and prints the quantiles of each stage in "
            "milliseconds, and how fast the model reads its weights beside how fast memory can be "
            "read. --shape measures a published size without its file.\n"
            "lm: the language model alone\n"
            "codec: the codec alone; a folder without a language model will do\n"
            "talk: both, as serve runs them\n"
            "kernels: each kernel beside memory and peak arithmetic; half a minute, 1.2 GB\n"
            "quality: fast arithmetic beside exact mode on the same tokens, hearing --in or noise\n"
            "all, the default: lm, codec, talk, where the time goes, and the kernels",
    .example = "parley bench talk --shape moshi-2b --quant q4 --kv int8 --context 1500",
    .max_operand = 1,
    .run = run,
    .options = options,
};
