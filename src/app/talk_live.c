/* SPDX-License-Identifier: MIT */
#include "app/talk_live.h"

#include <stdio.h>
#include <string.h>

#include "app/gen_options.h"
#include "app/step_times.h"
#include "app/trickle.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/trace.h"
#include "device/sound.h"
#include "talk/talk.h"

#define LOOK_NS  250000000LL /* the loop looks around at least this often */
#define N_ON_WAY 512         /* frames between microphone and event: more than all rings hold */

struct live {
    struct app        *app;
    struct mailbox    *bell; /* sound, engine and signals -> main; carries nothing but the ring */
    struct engine     *engine;
    struct engine_info info;
    struct talk       *talk;
    struct sound      *sound;
    float             *frame;   /* from the microphone, or to the loudspeaker */
    float             *kept;    /* a frame that found no room yet */
    int64_t            kept_ns; /* when its last sample came */
    bool               has_kept;
    int64_t            heard_ns[N_ON_WAY]; /* the same of the frames that the engine has */
    int64_t            n_pushed, n_frame, n_late, n_underrun;
    struct step_times  steps, lags;
    struct trickle     words, marks;                /* stdout; [LAG] on stderr */
    bool               has_word_line, has_lag_line; /* no line end yet on them */
};

/* A signal handler may call it, too. */
static void wake(void *arg)
{
    mailbox_wake(arg);
}

static enum err wait_for_model(struct live *l)
{
    for (;;) {
        engine_info(l->engine, &l->info);
        if (l->info.state == ENGINE_READY)
            return OK;
        if (l->info.state == ENGINE_DEGRADED)
            return err_set(l->info.err, "%s", l->info.reason);
        if (app_stop_signal())
            return app_go_on();
        mailbox_wait(l->bell, os_now_ns() + 5000000);
    }
}

/* The sound card is asked first: nobody should wait for a model to hear that there is none. */
static enum err open_parts(struct live *l)
{
    char                  dir[MODEL_PATH_CAP];
    struct duplex_options o = {
        .model_dir = dir, .n_lane = 1, .quant = app_quant(l->app), .load = app_load(l->app)
    };
    struct sound_options so = { .input = app_str(l->app, OPT_INPUT_DEVICE),
                                .output = app_str(l->app, OPT_OUTPUT_DEVICE),
                                .wake = wake,
                                .wake_arg = l->bell };

    enum err err = app_be_options(l->app, &o.be, false);
    if (!err)
        err = app_model_dir(l->app, dir, sizeof dir);
    if (!err)
        err = sound_open(&l->sound, &so);
    if (!err)
        err = engine_open(&l->engine, &o);
    return err ? err : wait_for_model(l);
}

static enum err open_live(struct live *l)
{
    enum err err = mailbox_open(&l->bell, 1, 1);
    if (err)
        return err;
    app_catch_signals(wake, l->bell);
    err = open_parts(l);
    if (err)
        return err;

    struct talk_options to = { .gen = l->info.defaults, .wake = wake, .wake_arg = l->bell };
    size_t              n = (size_t)l->info.frame_size;
    gen_options_apply(l->app, &to.gen);
    l->frame = mem_zalloc(mem_size(n, sizeof *l->frame));
    l->kept = mem_zalloc(mem_size(n, sizeof *l->kept));
    if (!l->frame || !l->kept)
        return ERR_NOMEM;
    err = talk_open(&l->talk, l->engine, &to);
    return err ? err : sound_start(l->sound, l->info.rate_hz, l->info.frame_size);
}

/* Microphone to engine. What finds no room is kept for the next round: nothing is dropped here. */
static enum err listen(struct live *l)
{
    for (;;) {
        if (!l->has_kept) {
            enum err err = sound_read(l->sound, l->kept, &l->kept_ns);
            if (err)
                return err == ERR_AGAIN ? OK : err;
        }
        l->has_kept = !talk_push(l->talk, l->kept);
        if (l->has_kept)
            return OK;
        trace_span(TRACE_IO, "capture", 1, l->n_pushed, l->kept_ns, os_now_ns());
        l->heard_ns[l->n_pushed++ % N_ON_WAY] = l->kept_ns;
    }
}

static enum err say_late(struct live *l, int64_t n)
{
    enum err err = OK;

    for (int64_t i = 0; !err && i < n; i++) {
        err = trickle_add(&l->marks, "[LAG]");
        trace_instant(TRACE_IO, "lag", 1, l->n_frame);
    }
    l->n_late += n;
    l->has_lag_line = l->has_lag_line || n > 0;
    return err;
}

/* Late is a step whose frame was whole more than a frame ago, and a loudspeaker that ran dry. */
static enum err take_event(struct live *l, const struct talk_event *ev)
{
    int64_t lag_ns = os_now_ns() - l->heard_ns[ev->frame % N_ON_WAY];

    l->n_frame++;
    enum err err = step_times_add(&l->steps, ev->step_ns);
    if (!err)
        err = step_times_add(&l->lags, lag_ns);
    if (!err)
        err = say_late(l, (double)lag_ns > 1e9 / l->info.frame_rate_hz);
    if (!err && ev->text[0]) {
        l->has_word_line = true;
        err = trickle_add(&l->words, ev->text);
    }
    return err;
}

static enum err speak(struct live *l)
{
    struct talk_event    ev;
    struct sound_figures f;
    enum err             err = OK;

    while (!err && talk_pop_event(l->talk, &ev)) {
        err = take_event(l, &ev);
        int64_t t0_ns = os_now_ns();
        if (!ev.has_sound || !talk_pop_sound(l->talk, l->frame))
            continue;
        err = sound_write(l->sound, l->frame);
        if (err == ERR_AGAIN) {
            log_debug("loudspeaker behind, frame dropped");
            err = OK;
        }
        trace_span(TRACE_IO, "play", 1, ev.frame, t0_ns, os_now_ns());
    }
    sound_figures(l->sound, &f);
    if (!err)
        err = say_late(l, f.n_underrun - l->n_underrun);
    l->n_underrun = f.n_underrun;
    if (!err)
        err = trickle_add(&l->words, NULL);
    return err ? err : trickle_add(&l->marks, NULL);
}

static enum err run_loop(struct live *l)
{
    enum err err = OK;

    while (!err && !app_stop_signal()) {
        mailbox_wait(l->bell, os_now_ns() + LOOK_NS);
        err = listen(l);
        if (!err)
            err = speak(l);
        if (!err && talk_status(l->talk) != OK)
            err = err_set(talk_status(l->talk), "the engine ended the talk");
    }
    return err;
}

static enum err end_lines(struct live *l)
{
    bool is_shared = os_is_terminal(1) && os_is_terminal(2);

    enum err err = OK, words_err = OK;

    if (l->has_lag_line && !(is_shared && l->has_word_line))
        err = trickle_add(&l->marks, "\n");
    if (!err)
        err = trickle_flush(&l->marks);
    if (l->has_word_line)
        words_err = trickle_add(&l->words, "\n");
    if (!words_err)
        words_err = trickle_flush(&l->words);
    return err ? err : words_err;
}

static void say_figures(struct live *l)
{
    struct sound_figures f;

    sound_figures(l->sound, &f);
    app_say("%lld frames, step p50 %.1f ms, p95 %.1f ms, lag p50 %.1f ms, p95 %.1f ms, %lld late, "
            "%lld underruns, %lld drops, %lld cuts",
            (long long)l->n_frame, step_times_ms(&l->steps, 0.5), step_times_ms(&l->steps, 0.95),
            step_times_ms(&l->lags, 0.5), step_times_ms(&l->lags, 0.95), (long long)l->n_late,
            (long long)f.n_underrun, (long long)f.n_dropped, (long long)f.n_cut);
}

static void close_live(struct live *l)
{
    talk_close(&l->talk);
    bool is_quiet = sound_close(&l->sound);
    /* A large model loads for longer than anyone waits after Ctrl-C: the process ends with it. */
    if (app_stop_signal() && l->engine && l->info.state == ENGINE_LOADING)
        return;
    engine_close(&l->engine);
    app_catch_signals(NULL, NULL);
    if (is_quiet) /* else the device may still ring it */
        mailbox_close(&l->bell);
    step_times_fini(&l->steps);
    step_times_fini(&l->lags);
    trickle_fini(&l->words);
    trickle_fini(&l->marks);
    mem_free(l->frame);
    mem_free(l->kept);
}

enum err talk_live_run(struct app *app)
{
    struct live *l = mem_zalloc(sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->app = app;
    trickle_init(&l->words, 1, "standard output");
    trickle_init(&l->marks, 2, "standard error");
    enum err err = open_live(l);
    if (!err) {
        app_say("Speak; Ctrl-C ends the talk.");
        err = run_loop(l);
        enum err end = end_lines(l);
        err = err ? err : end;
    }
    if (l->sound && (!err || err == ERR_INTERRUPTED))
        say_figures(l);
    close_live(l);
    mem_free(l);
    return err ? err : app_go_on();
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
