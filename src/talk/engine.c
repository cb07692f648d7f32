/* SPDX-License-Identifier: MIT */
#include "talk/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "base/metric.h"
#include "base/os.h"
#include "base/trace.h"
#include "talk/lane.h"

#define GATHER_NS  10000000LL   /* a frame waits this long for the other lanes */
#define EXPECT_NS  200000000LL  /* a lane that sent nothing for this long is not waited for */
#define BLOCKED_NS 2000000000LL /* a reader that takes nothing for this long ends its talk */
#define RING_MS    640          /* of sound in a mic ring, and in a speaker ring */
#define EVENTS_CAP 256
#define FORCED_CAP 256

struct engine {
    /* fixed after open */
    struct duplex_options options;
    struct weights_load   load;  /* of the options, with the engine's own end */
    struct weights_load   asked; /* as given */
    char                  model_dir[MODEL_PATH_CAP];
    struct os_thread     *thread;
    struct mailbox       *bell; /* any -> engine; carries nothing but the ring */
    struct os_mutex      *lock;
    /* engine thread; lanes exist once the state is READY */
    struct duplex       *duplex;
    struct talk         *lanes; /* [n_lane] */
    struct duplex_frame *frame; /* [n_lane] of a tick */
    int                 *lane;  /* [n_lane] of a tick */
    int64_t              frame_ns;
    int64_t              roused_ns; /* the due time that threads were last woken for */
    int                  n_text;    /* text tokens there are */
    /* under lock */
    struct engine_info info;
    bool               is_draining;
    /* any thread */
    atomic_bool is_stopping;
    atomic_int  n_talk; /* lanes that are not FREE; up under lock, down by the engine */
    atomic_int  least_waiting, most_waiting; /* frames of a talk for a step, at the last tick */
};

void engine_wake(struct engine *e)
{
    mailbox_wake(e->bell);
}

static void set_state(struct engine *e, enum engine_state state, enum err err, const char *reason)
{
    size_t len = strnlen(reason, ERR_TEXT_CAP - 1);

    os_mutex_lock(e->lock);
    e->info.state = state;
    e->info.err = err;
    memcpy(e->info.reason, reason, len);
    e->info.reason[len] = 0;
    os_mutex_unlock(e->lock);
    metric_set(M_READY, state == ENGINE_READY);
}

/* Lanes. */

static int n_frames_of(const struct mimi_info *codec, int ms)
{
    int n = (int)(ms * codec->frame_rate_hz / 1000.0 + 0.5);
    return n > 1 ? n : 1;
}

static enum err open_lane(struct engine *e, struct talk *t, int lane)
{
    const struct mimi_info *codec = duplex_codec(e->duplex);
    size_t                  frame = (size_t)codec->frame_size * sizeof(float);

    t->engine = e;
    t->lane = lane;
    t->frame_size = codec->frame_size;
    t->n_frame_cap = (size_t)n_frames_of(codec, RING_MS);
    t->mic_size = sizeof(struct lane_mic) + frame;
    t->outbox = mem_zalloc(t->mic_size);
    t->pending = mem_zalloc(t->mic_size);
    t->sound = mem_zalloc(frame);
    enum err err = t->outbox && t->pending && t->sound ? OK : ERR_NOMEM;
    if (!err)
        err = ring_open(&t->mic, t->n_frame_cap, t->mic_size);
    if (!err)
        err = ring_open(&t->speaker, t->n_frame_cap, frame);
    if (!err)
        err = ring_open(&t->events, EVENTS_CAP, sizeof(struct talk_event));
    if (!err)
        err = ring_open(&t->forced, FORCED_CAP, sizeof(int32_t));
    return err;
}

static void close_lane(struct talk *t)
{
    mem_free(t->outbox);
    mem_free(t->pending);
    mem_free(t->sound);
    ring_close(&t->mic);
    ring_close(&t->speaker);
    ring_close(&t->events);
    ring_close(&t->forced);
}

enum err engine_take_lane(struct talk **out, struct engine *e, const struct talk_options *o)
{
    enum err     err = OK;
    struct talk *t = NULL;

    os_mutex_lock(e->lock);
    if (e->info.state == ENGINE_LOADING)
        err = err_set(ERR_AGAIN, "the model is still loading");
    else if (e->info.state == ENGINE_DEGRADED)
        err = err_set(ERR_FORMAT, "%s", e->info.reason);
    else if (e->is_draining)
        err = err_set(ERR_AGAIN, "the server is shutting down");
    for (int i = 0; !err && !t && i < e->info.n_lane; i++)
        if (atomic_load_explicit(&e->lanes[i].state, memory_order_acquire) == LANE_FREE)
            t = &e->lanes[i];
    if (!err && !t)
        err = err_set(ERR_LIMIT, "all %d talks are taken", e->info.n_lane);
    if (t) {
        atomic_fetch_add(&e->n_talk, 1);
        t->options = *o;
        atomic_store(&t->err, OK);
        atomic_store_explicit(&t->state, LANE_OPENING, memory_order_release);
        metric_add(M_TALKS, 1);
        metric_inc(M_TALKS_OPENED_TOTAL);
        *out = t;
    }
    os_mutex_unlock(e->lock);
    return err;
}

static void begin_talk(struct engine *e, struct talk *t)
{
    t->has_pending = false;
    t->last_mic_ns = os_now_ns();
    t->blocked_since_ns = 0;
    t->n_step = 0;
    sentencepiece_stream_init(&t->words, duplex_tokenizer(e->duplex));
    duplex_reset(e->duplex, t->lane, &t->options.gen);
    atomic_store(&t->step_p50_ns, 0);
    atomic_store(&t->lag_ns, 0);
    /* The caller may have left again in the meantime. */
    int opening = LANE_OPENING;
    atomic_compare_exchange_strong(&t->state, &opening, LANE_LIVE);
}

static void end_talk(struct engine *e, struct talk *t)
{
    ring_clear(t->mic);
    ring_clear(t->speaker);
    ring_clear(t->events);
    ring_clear(t->forced);
    atomic_store(&t->n_ahead, 0);
    metric_add(M_TALKS, -1);
    atomic_fetch_sub(&e->n_talk, 1);
    atomic_store_explicit(&t->state, LANE_FREE, memory_order_release);
}

static void end_with(struct talk *t, enum err err)
{
    atomic_store(&t->err, (int)err);
    if (t->options.wake)
        t->options.wake(t->options.wake_arg);
}

/* Ticks. */

static bool has_room(const struct talk *t)
{
    return ring_count(t->speaker) < t->n_frame_cap && ring_count(t->events) < EVENTS_CAP;
}

/* A lane whose reader does not take its sound waits; the others do not wait for it. */
static bool is_blocked(struct talk *t, int64_t now_ns)
{
    if (has_room(t)) {
        t->blocked_since_ns = 0;
        return false;
    }
    if (t->blocked_since_ns == 0)
        t->blocked_since_ns = now_ns;
    if (now_ns - t->blocked_since_ns > BLOCKED_NS && talk_status(t) == OK) {
        log_warn("talk ended: its reader took nothing for 2 s lane=%d", t->lane);
        metric_inc(M_TALKS_STALLED_TOTAL);
        end_with(t, ERR_LIMIT);
    }
    return true;
}

struct gather {
    int     n_ready;    /* lanes with a frame, in e->lane and e->frame */
    int     n_expected; /* lanes that should have one soon */
    int64_t oldest_ns;  /* when the oldest of the frames came */
    int64_t look_ns;    /* look again at the latest */
    int64_t due_ns;     /* when the next frame should come, if lanes keep their pace */
};

static void gather_lane(struct engine *e, struct talk *t, struct gather *g, int64_t now_ns)
{
    int state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (state == LANE_OPENING)
        begin_talk(e, t);
    if (state == LANE_CLOSING)
        end_talk(e, t);
    if (atomic_load(&t->state) != LANE_LIVE || talk_status(t) != OK)
        return;
    if (!t->has_pending && ring_pop(t->mic, t->pending, 1)) {
        t->has_pending = true;
        t->last_mic_ns = t->pending->at_ns;
    }
    if (!t->has_pending) {
        int64_t due_ns = t->last_mic_ns + e->frame_ns;
        g->n_expected += now_ns - t->last_mic_ns < EXPECT_NS;
        g->due_ns = due_ns > now_ns && due_ns < g->due_ns ? due_ns : g->due_ns;
        return;
    }
    if (is_blocked(t, now_ns)) {
        int64_t give_up_ns = t->blocked_since_ns + BLOCKED_NS + 1;
        g->look_ns = give_up_ns < g->look_ns ? give_up_ns : g->look_ns;
        return;
    }
    if (t->pending->at_ns < g->oldest_ns)
        g->oldest_ns = t->pending->at_ns;
    e->lane[g->n_ready] = t->lane;
    e->frame[g->n_ready++] = (struct duplex_frame){
        .mic = t->pending->pcm,
        .speaker = t->sound,
        .forced_text = -1,
        .is_lead_in = t->n_step == 0,
    };
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void note_step_time(struct talk *t, int64_t ns)
{
    int64_t sorted[LANE_STEP_TIMES];
    int64_t n = t->n_step + 1 < LANE_STEP_TIMES ? t->n_step + 1 : LANE_STEP_TIMES;

    t->step_ns[t->n_step % LANE_STEP_TIMES] = ns;
    if (t->n_step % 16 != 0)
        return;
    memcpy(sorted, t->step_ns, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_ns);
    atomic_store(&t->step_p50_ns, sorted[n / 2]);
}

/* The words that a token adds, cut at a whole character when they do not fit an event. */
static void write_words(char *out, size_t cap, struct sentencepiece_stream *words, int32_t token)
{
    char   text[SENTENCEPIECE_STREAM_MAX];
    size_t len = 0;

    if (duplex_is_word(token))
        len = sentencepiece_stream_step(words, token, text);
    if (len >= cap)
        for (len = cap - 1; len > 0 && (text[len] & 0xc0) == 0x80;)
            len--;
    memcpy(out, text, len);
    out[len] = 0;
}

static void deliver(struct engine *e, struct talk *t, const struct duplex_frame *f, int64_t tick_ns)
{
    struct talk_event ev = {
        .frame = t->n_step,
        .token = f->text_now,
        .lag_ns = os_now_ns() - t->pending->came_ns,
        .step_ns = tick_ns,
        .has_sound = f->has_sound,
    };

    write_words(ev.text, sizeof ev.text, &t->words, f->text_now);
    ev.is_control = ev.text[0] && sentencepiece_is_control(t->words.s, f->text_now);
    if (f->has_sound)
        must(ring_push(t->speaker, f->speaker, 1) == 1); /* gather_lane saw room for it */
    must(ring_push(t->events, &ev, 1) == 1);
    note_step_time(t, tick_ns);
    t->n_step++;
    t->has_pending = false;
    atomic_store(&t->lag_ns, ev.lag_ns);
    metric_observe_ns(M_FRAME_LAG_SECONDS, ev.lag_ns);
    metric_inc(M_FRAMES_TOTAL);
    if (t->options.wake)
        t->options.wake(t->options.wake_arg);
}

static void note_times(const struct engine *e, int64_t tick_ns)
{
    struct duplex_times t = duplex_last_times(e->duplex);

    metric_observe_ns(M_TICK_SECONDS, tick_ns);
    metric_observe_ns(M_ENCODE_SECONDS, t.encode_ns);
    metric_observe_ns(M_STEP_SECONDS, t.temporal_ns + t.depth_ns);
    metric_observe_ns(M_DECODE_SECONDS, t.decode_ns);
    if (tick_ns > e->frame_ns)
        metric_inc(M_TICKS_LATE_TOTAL);
}

static void tick(struct engine *e, int n_ready)
{
    struct step s = { n_ready, e->lane };
    int64_t     t0_ns = os_now_ns();

    for (int a = 0; a < n_ready; a++) {
        int32_t token;
        if (ring_pop(e->lanes[e->lane[a]].forced, &token, 1) && token < e->n_text)
            e->frame[a].forced_text = token; /* ids beyond the vocabulary are ignored */
    }
    mem_forbid(true);
    enum err err = duplex_step(e->duplex, &s, e->frame);
    mem_forbid(false);
    int64_t tick_ns = os_now_ns() - t0_ns;
    note_times(e, tick_ns);
    if (err) {
        log_error("step failed reason=%s", err_text(err));
        set_state(e, ENGINE_DEGRADED, err, err_text(err));
    }
    for (int a = 0; a < n_ready; a++) {
        struct talk *t = &e->lanes[e->lane[a]];
        if (err)
            end_with(t, err);
        else
            deliver(e, t, &e->frame[a], tick_ns);
    }
    for (int a = 0; !err && a < n_ready; a++) /* after everybody has its sound */
        duplex_warm(e->duplex, e->lane[a]);
}

static void note_queue(enum metric m, const char *name, size_t n)
{
    if (metric_get(m) == (int64_t)n)
        return;
    metric_set(m, (int64_t)n);
    trace_count(TRACE_ENGINE, name, (int64_t)n);
}

static void count_queues(struct engine *e)
{
    size_t n_mic = 0, n_speaker = 0, least = SIZE_MAX, most = 0;
    for (int i = 0; i < e->info.n_lane; i++) {
        const struct talk *t = &e->lanes[i];
        size_t             n = ring_count(t->mic) + (size_t)atomic_load(&t->n_ahead);
        n_mic += n;
        n_speaker += ring_count(t->speaker);
        if (atomic_load_explicit(&t->state, memory_order_relaxed) == LANE_FREE)
            continue;
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    atomic_store(&e->least_waiting, least == SIZE_MAX ? 0 : (int)least);
    atomic_store(&e->most_waiting, (int)most);
    note_queue(M_MIC_QUEUE_FRAMES, "mic queue", n_mic);
    note_queue(M_SPEAKER_QUEUE_FRAMES, "speaker queue", n_speaker);
}

/* Nothing to do yet: sleeps, and has the threads awake when the next frame comes. */
static void idle(struct engine *e, const struct gather *g, int64_t now_ns)
{
    bool is_timed = g->due_ns != INT64_MAX && g->due_ns != e->roused_ns;
    if (is_timed && g->due_ns - BE_ROUSE_NS <= now_ns) {
        duplex_rouse(e->duplex);
        e->roused_ns = g->due_ns;
        is_timed = false;
    }
    int64_t until_ns = is_timed ? g->due_ns - BE_ROUSE_NS : g->look_ns;
    mailbox_wait(e->bell, until_ns < g->look_ns ? until_ns : g->look_ns);
}

static void run(struct engine *e)
{
    while (!atomic_load(&e->is_stopping)) {
        int64_t       now_ns = os_now_ns();
        struct gather g = { .oldest_ns = INT64_MAX, .look_ns = INT64_MAX, .due_ns = INT64_MAX };

        for (int i = 0; i < e->info.n_lane; i++)
            gather_lane(e, &e->lanes[i], &g, now_ns);
        count_queues(e);
        bool is_due = g.n_ready > 0 && (g.n_expected == 0 || now_ns - g.oldest_ns >= GATHER_NS);
        if (is_due)
            tick(e, g.n_ready);
        else if (g.n_ready > 0)
            mailbox_wait(e->bell, g.oldest_ns + GATHER_NS);
        else
            idle(e, &g, now_ns);
    }
}

/* Life. */

static enum err load(struct engine *e)
{
    int64_t  t0_ns = os_now_ns();
    enum err err = duplex_open(&e->duplex, &e->options);
    if (err)
        return err;

    size_t n = (size_t)e->options.n_lane;
    e->lanes = mem_zalloc(mem_size(n, sizeof *e->lanes));
    e->frame = mem_zalloc(mem_size(n, sizeof *e->frame));
    e->lane = mem_zalloc(mem_size(n, sizeof *e->lane));
    if (!e->lanes || !e->frame || !e->lane)
        return err_set(ERR_NOMEM, "out of memory for %zu lanes", n);
    for (int i = 0; !err && i < e->options.n_lane; i++)
        err = open_lane(e, &e->lanes[i], i);
    if (err)
        return err;

    const struct mimi_info  *codec = duplex_codec(e->duplex);
    const struct moshi_info *lm = duplex_lm(e->duplex);
    e->frame_ns = (int64_t)(1e9 / codec->frame_rate_hz);
    e->n_text = lm->text_card;
    os_mutex_lock(e->lock);
    e->info.rate_hz = codec->rate_hz;
    e->info.frame_size = codec->frame_size;
    e->info.frame_rate_hz = codec->frame_rate_hz;
    e->info.n_q = lm->n_q;
    e->info.max_delay = lm->max_delay;
    e->info.defaults = duplex_defaults(e->duplex);
    os_mutex_unlock(e->lock);
    log_info("model ready model=%s ms=%lld", e->info.model,
             (long long)((os_now_ns() - t0_ns) / 1000000));
    return OK;
}

static void engine_main(void *arg)
{
    struct engine *e = arg;

    os_flush_denormals();
    enum err err = load(e);
    if (err == ERR_INTERRUPTED || (err && atomic_load(&e->is_stopping))) {
        log_info("loading was given up model=%s", e->info.model);
    } else if (err) {
        log_error("no talks reason=%s", err_text(err));
        set_state(e, ENGINE_DEGRADED, err, err_text(err));
    } else {
        set_state(e, ENGINE_READY, OK, "");
    }
    if (!err)
        run(e);
    for (int i = 0; e->lanes && i < e->options.n_lane; i++)
        close_lane(&e->lanes[i]);
    duplex_close(&e->duplex);
}

/* Loading ends when the engine has to, whatever else the caller wants to end it for. */
static bool is_load_cancelled(void *arg)
{
    const struct engine *e = arg;

    return atomic_load(&e->is_stopping) ||
           (e->asked.is_cancelled && e->asked.is_cancelled(e->asked.arg));
}

static void on_load_progress(void *arg, int64_t done, int64_t total)
{
    const struct engine *e = arg;

    if (e->asked.on_progress)
        e->asked.on_progress(e->asked.arg, done, total);
}

static void take_load(struct engine *e, const struct weights_load *load)
{
    if (load)
        e->load = e->asked = *load;
    e->load.is_cancelled = is_load_cancelled;
    e->load.on_progress = on_load_progress;
    e->load.arg = e;
    e->options.load = &e->load;
}

/* The last name of a path without the len characters behind it. */
static struct bytes last_name(const char *path, size_t len)
{
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t from = len;
    while (from > 0 && path[from - 1] != '/')
        from--;
    return bytes_of(path + from, len - from);
}

/* The folder's name; of .../models--owner--name/snapshots/REVISION in the Hugging Face cache
 * owner/name, for a revision tells nobody anything. */
static void name_model(struct engine_info *info, const char *dir)
{
    struct bytes name = last_name(dir, strlen(dir));
    struct bytes above = last_name(dir, (size_t)((const char *)name.p - dir));
    struct bytes repo = last_name(dir, (size_t)((const char *)above.p - dir));

    if (bytes_equal(above, bytes_str("snapshots")) && repo.len > 8 &&
        memcmp(repo.p, "models--", 8) == 0)
        name = bytes_of(repo.p + 8, repo.len - 8);
    snprintf(info->model, sizeof info->model, "%.*s", (int)name.len, (const char *)name.p);
    char *between = name.p == repo.p + 8 ? strstr(info->model, "--") : NULL;
    if (between) {
        *between = '/';
        memmove(between + 1, between + 2, strlen(between + 2) + 1);
    }
}

enum err engine_open(struct engine **out, const struct duplex_options *o)
{
    struct engine *e = mem_zalloc(sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->options = *o;
    take_load(e, o->load);
    e->info.n_lane = o->n_lane;
    size_t   len = strlen(o->model_dir);
    enum err err = len < sizeof e->model_dir ? OK
                                             : err_set(ERR_USAGE, "the model's path is too long");
    if (!err) {
        memcpy(e->model_dir, o->model_dir, len + 1);
        e->options.model_dir = e->model_dir;
        name_model(&e->info, e->model_dir);
        err = os_mutex_open(&e->lock);
    }
    if (!err)
        err = mailbox_open(&e->bell, 1, 1);
    if (!err) {
        set_state(e, ENGINE_LOADING, OK, "the model is still loading");
        err = os_thread_start(&e->thread, "engine", engine_main, e);
    }
    if (err)
        engine_close(&e);
    else
        *out = e;
    return err;
}

void engine_close(struct engine **ep)
{
    struct engine *e = *ep;
    if (!e)
        return;
    atomic_store(&e->is_stopping, true);
    if (e->thread) {
        engine_wake(e);
        os_thread_join(&e->thread);
    }
    mailbox_close(&e->bell);
    os_mutex_close(&e->lock);
    mem_free(e->lanes);
    mem_free(e->frame);
    mem_free(e->lane);
    mem_free(e);
    *ep = NULL;
}

static void set_reason(struct engine_info *info, const char *reason)
{
    memcpy(info->reason, reason, strlen(reason) + 1);
}

static int retry_after_s(enum engine_state state)
{
    return state == ENGINE_LOADING ? 1 : state == ENGINE_DEGRADED ? 30 : 5;
}

void engine_info(struct engine *e, struct engine_info *out)
{
    os_mutex_lock(e->lock);
    *out = e->info;
    bool is_draining = e->is_draining;
    os_mutex_unlock(e->lock);
    out->n_talk = atomic_load(&e->n_talk);
    out->least_waiting = atomic_load(&e->least_waiting);
    out->most_waiting = atomic_load(&e->most_waiting);
    out->is_full = out->state == ENGINE_READY && out->n_talk >= out->n_lane;
    if (out->is_full)
        set_reason(out, "all talks are taken");
    if (is_draining && out->state == ENGINE_READY) {
        out->state = ENGINE_DRAINING;
        set_reason(out, "the server is shutting down");
    }
    out->retry_after_s = retry_after_s(out->state);
}

void engine_drain(struct engine *e)
{
    os_mutex_lock(e->lock);
    e->is_draining = true;
    os_mutex_unlock(e->lock);
    metric_set(M_READY, 0);
}
