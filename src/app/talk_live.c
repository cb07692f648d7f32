/* SPDX-License-Identifier: MIT */
#include "app/talk_live.h"

#include <stdio.h>
#include <string.h>

#include "app/gen_options.h"
#include "app/step_times.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "device/sound.h"
#include "talk/talk.h"

#define LOOK_NS 5000000 /* the loop looks at its rings at least this often */

struct live {
    struct app        *app;
    struct engine     *engine;
    struct engine_info info;
    struct talk       *talk;
    struct sound      *sound;
    float             *frame; /* from the microphone, or to the loudspeaker */
    float             *kept;  /* a frame that found no room yet */
    bool               has_kept;
    struct step_times  lags;
    int64_t            n_frame, n_late;
    bool               is_in_line; /* words were printed and no line end yet */
};

static enum err wait_for_model(struct live *l)
{
    for (;;) {
        engine_info(l->engine, &l->info);
        if (l->info.state == ENGINE_READY)
            return OK;
        if (l->info.state == ENGINE_DEGRADED)
            return err_set(l->info.err, "%s", l->info.reason);
        if (app_stop_signal())
            return ERR_INTERRUPTED;
        os_sleep_until_ns(os_now_ns() + LOOK_NS);
    }
}

static enum err open_live(struct live *l)
{
    char                  dir[MODEL_PATH_CAP];
    struct duplex_options o = { .model_dir = dir, .n_lane = 1 };

    enum err err = app_be_options(l->app, &o.be, false);
    if (!err)
        err = app_quant(l->app, &o.quant);
    if (!err)
        err = app_model_dir(l->app, dir, sizeof dir);
    if (!err)
        err = engine_open(&l->engine, &o);
    if (!err)
        err = wait_for_model(l);
    if (err)
        return err;

    struct sound_options so = { .rate_hz = l->info.rate_hz,
                                .frame_size = l->info.frame_size,
                                .input = app_str(l->app, OPT_INPUT_DEVICE),
                                .output = app_str(l->app, OPT_OUTPUT_DEVICE) };
    struct talk_options  to = { .gen = l->info.defaults };
    size_t               frame = (size_t)l->info.frame_size;
    gen_options_apply(l->app, &to.gen);
    l->frame = mem_zalloc(mem_size(frame, sizeof *l->frame));
    l->kept = mem_zalloc(mem_size(frame, sizeof *l->kept));
    if (!l->frame || !l->kept)
        return ERR_NOMEM;
    err = sound_open(&l->sound, &so);
    return err ? err : talk_open(&l->talk, l->engine, &to);
}

/* Microphone to engine. What finds no room is kept for the next round: nothing is dropped here. */
static enum err listen(struct live *l)
{
    if (l->has_kept)
        l->has_kept = !talk_push(l->talk, l->kept);
    if (l->has_kept) {
        os_sleep_until_ns(os_now_ns() + LOOK_NS);
        return OK;
    }
    enum err err = sound_read(l->sound, l->kept, os_now_ns() + LOOK_NS);
    if (err == ERR_AGAIN)
        return OK;
    if (!err)
        l->has_kept = !talk_push(l->talk, l->kept);
    return err;
}

static enum err print_words(struct live *l, const struct talk_event *ev)
{
    double frame_ns = 1e9 / l->info.frame_rate_hz;

    l->n_frame++;
    enum err err = step_times_add(&l->lags, ev->lag_ns);
    if ((double)ev->lag_ns > frame_ns) {
        l->n_late++;
        fprintf(stderr, "[LAG]");
    }
    if (!err && ev->text[0]) {
        l->is_in_line = true;
        err = app_print(bytes_str(ev->text));
    }
    return err;
}

static enum err speak(struct live *l)
{
    struct talk_event ev;
    enum err          err = OK;

    while (!err && talk_pop_event(l->talk, &ev))
        err = print_words(l, &ev);
    while (!err && talk_pop_sound(l->talk, l->frame))
        if (sound_write(l->sound, l->frame) == ERR_AGAIN)
            log_debug("loudspeaker behind, frame dropped");
    return err;
}

static enum err run_loop(struct live *l)
{
    enum err err = OK;

    while (!err && !app_stop_signal()) {
        err = listen(l);
        if (!err)
            err = speak(l);
        if (!err && talk_status(l->talk) != OK)
            err = err_set(talk_status(l->talk), "the engine ended the talk");
    }
    return err;
}

static enum err say_figures(struct live *l)
{
    struct sound_figures f;
    struct talk_figures  t;

    sound_figures(l->sound, &f);
    talk_figures(l->talk, &t);
    if (l->is_in_line && app_print(bytes_str("\n")) != OK)
        return ERR_IO;
    app_say("%lld frames, step p50 %.1f ms, p95 %.1f ms, lag p50 %.1f ms, p95 %.1f ms, %lld late, "
            "%lld underruns, %lld drops",
            (long long)l->n_frame, (double)t.step_p50_ns / 1e6, (double)t.step_p95_ns / 1e6,
            step_times_ms(&l->lags, 0.5), step_times_ms(&l->lags, 0.95), (long long)l->n_late,
            (long long)f.n_underrun, (long long)f.n_dropped);
    return OK;
}

enum err talk_live_run(struct app *app)
{
    struct live l = { .app = app };

    app_catch_signals(NULL, NULL);
    enum err err = open_live(&l);
    if (!err) {
        app_say("Speak; Ctrl-C ends the talk.");
        err = run_loop(&l);
        if (!err)
            err = say_figures(&l);
    }
    talk_close(&l.talk);
    sound_close(&l.sound);
    engine_close(&l.engine);
    step_times_fini(&l.lags);
    mem_free(l.frame);
    mem_free(l.kept);
    return !err && app_stop_signal() ? ERR_INTERRUPTED : err;
}

enum err talk_live_list(struct app *app)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    enum err err = sound_list(&out, app_flag(app, OPT_JSON));
    if (!err)
        err = buf_err(&out);
    if (!err)
        err = app_print(buf_view(&out));
    buf_fini(&out);
    return err;
}
