/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/mem.h"
#include "base/os.h"
#include "device/sound.h"
#include "kernel/kern.h"
#include "talk/duplex.h"

/* One finding: a name, whether it is fine, and a sentence. */
struct report {
    struct buf *out;
    bool        as_json;
    int         n;
};

static void add(struct report *r, const char *name, bool is_ok, const char *text)
{
    if (r->as_json) {
        buf_add_fmt(r->out, "%s  {\"check\": \"%s\", \"ok\": %s, \"text\": ", r->n ? ",\n" : "",
                    name, is_ok ? "true" : "false");
        buf_add_json(r->out, text, strlen(text));
        buf_add_str(r->out, "}");
    } else {
        buf_add_fmt(r->out, "%-4s %-16s %s\n", is_ok ? "ok" : "--", name, text);
    }
    r->n++;
}

static void add_fmt(struct report *r, const char *name, bool is_ok, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void add_fmt(struct report *r, const char *name, bool is_ok, const char *fmt, ...)
{
    va_list args;
    char    line[512];

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    add(r, name, is_ok, line);
}

static void check_kernels(struct report *r)
{
    struct kern_info info;
    char             name[32];

    for (int i = 0; kern_describe(&info, i); i++) {
        snprintf(name, sizeof name, "cpu %s", info.name);
        add_fmt(r, name, info.is_fit, "%s", info.why);
    }
}

static void check_sound(struct report *r)
{
    struct sound *s = NULL;

    enum err err = sound_open(&s, &(struct sound_options){ 0 });
    add_fmt(r, "sound", err == OK, "%s",
            err ? err_text(err) : "microphone and loudspeaker for `parley talk`");
    sound_close(&s);
}

/* What a frame takes once it has a sound to say, and a few more: the last of them. */
static enum err time_frame(double *ms, struct duplex *d)
{
    enum { MORE = 4 };
    size_t                n_smp = (size_t)duplex_codec(d)->frame_size;
    float                *sound = mem_zalloc(mem_size(2 * n_smp, sizeof *sound));
    struct lm_gen_options o = duplex_defaults(d);
    struct duplex_frame   f = { .mic = sound, .speaker = sound + n_smp, .forced_text = -1 };
    enum err              err = sound ? OK : ERR_NOMEM;

    duplex_reset(d, 0, &o);
    for (int i = 0; !err && i < duplex_lm(d)->max_delay + MORE; i++)
        err = duplex_step(d, &be_one_lane, &f);
    struct duplex_times t = duplex_last_times(d);
    *ms = (double)(t.encode_ns + t.temporal_ns + t.depth_ns + t.decode_ns) / 1e6;
    mem_free(sound);
    return err;
}

/* Loads the model and steps it, as talk and serve would. */
static void check_model(struct report *r, const struct app *app)
{
    char                  dir[MODEL_PATH_CAP];
    struct duplex_options o = {
        .model_dir = dir, .n_lane = 1, .quant = app_quant(app), .load = app_load(app)
    };
    struct duplex *d = NULL;
    int64_t        t0_ns = os_now_ns();
    double         ms = 0;

    enum err err = app_be_options(app, &o.be, false);
    if (!err)
        err = app_model_dir(app, dir, sizeof dir);
    if (!err)
        err = duplex_open(&d, &o);
    if (!err)
        add_fmt(r, "model", true, "%s loads in %.0f ms", dir, (double)(os_now_ns() - t0_ns) / 1e6);
    if (!err)
        err = time_frame(&ms, d);
    if (!err) {
        double frame_ms = 1e3 / duplex_codec(d)->frame_rate_hz;
        add_fmt(r, "real time", ms < frame_ms, "one frame takes %.1f of %.0f ms", ms, frame_ms);
    } else {
        add_fmt(r, "model", false, "%s", err_text(err));
    }
    duplex_close(&d);
}

static enum err run(struct app *app)
{
    struct buf    out;
    struct report r = { .out = &out, .as_json = app_flag(app, OPT_JSON) };

    buf_init(&out, 1 << 20);
    buf_add_str(&out, r.as_json ? "[\n" : "");
    add(&r, "version", true, PARLEY_VERSION);
    add_fmt(&r, "processors", true, "%d", os_cpu_count());
    check_kernels(&r);
    check_sound(&r);
    check_model(&r, app);
    buf_add_str(&out, r.as_json ? "\n]\n" : "");
    enum err err = buf_err(&out);
    if (!err)
        err = app_go_on();
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}

static const enum option options[] = { OPT_MODEL,      OPT_THREADS, OPT_DEVICE, OPT_QUANT,
                                       OPT_TILE_CACHE, OPT_KV,      OPT_JSON,   OPTION_COUNT };

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "check what this machine can do, and why not more",
    .operands = "",
    .text =
        "Says which instruction sets are there and which is in use, whether there are a "
        "microphone and a loudspeaker, whether the model loads, and whether a frame is computed "
        "in its time.",
    .example = "parley doctor --json",
    .run = run,
    .options = options,
};
