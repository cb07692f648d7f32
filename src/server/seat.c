/* SPDX-License-Identifier: MIT */
#include "server/seat.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/trace.h"
#include "server/server_state.h"
#include "wire/ws.h"

enum err seat_defaults(struct lm_gen_options *out, struct conn *c)
{
    struct server_state *state = conn_server(c);
    struct engine_info   info;

    engine_info(state->engine, &info);
    *out = info.defaults;
    enum err err = os_random(&out->seed, sizeof out->seed);
    if (!err && state->tune)
        state->tune(out, state->tune_arg);
    return err;
}

enum err seat_open(struct seat *s, struct conn *c, size_t max_smp, const struct lm_gen_options *gen)
{
    struct server_state *state = conn_server(c);
    struct talk_options  o = { .wake = state->wake, .wake_arg = state->wake_arg };

    *s = (struct seat){ .conn = c };
    enum err err = gen ? OK : seat_defaults(&o.gen, c);
    if (gen)
        o.gen = *gen;
    if (!err)
        err = talk_open(&s->talk, state->engine, &o);
    if (err)
        return err;
    engine_info(state->engine, &s->info);
    size_t n_smp = (size_t)s->info.frame_size;
    buf_init(&s->mic, (max_smp + n_smp) * sizeof(float));
    s->frame = mem_zalloc(mem_size(n_smp, sizeof *s->frame));
    s->n_came_cap = (int64_t)(max_smp / n_smp + 2);
    s->came_ns = mem_zalloc(mem_size((size_t)s->n_came_cap, sizeof *s->came_ns));
    if (!s->frame || !s->came_ns) {
        seat_close(s);
        return ERR_NOMEM;
    }
    return OK;
}

void seat_close(struct seat *s)
{
    talk_close(&s->talk);
    buf_fini(&s->mic);
    mem_free(s->frame);
    mem_free(s->came_ns);
    s->frame = NULL;
    s->came_ns = NULL;
}

size_t seat_rest(const struct seat *s)
{
    return (s->mic.len - s->mic_at) / sizeof(float);
}

float *seat_room(struct seat *s, size_t n)
{
    size_t len = s->mic.len;

    buf_drop_front(&s->mic, s->mic_at);
    len -= s->mic_at;
    s->mic_at = 0;
    for (size_t i = 0; i < n * sizeof(float) && !buf_err(&s->mic); i += 4096) {
        static const uint8_t zeros[4096];
        size_t               left = n * sizeof(float) - i;
        buf_add(&s->mic, zeros, left < sizeof zeros ? left : sizeof zeros);
    }
    bool is_full = buf_err(&s->mic);
    s->mic.len = len;
    s->mic.err = OK;
    return is_full ? NULL : (float *)(void *)(s->mic.p + len);
}

void seat_wrote(struct seat *s, size_t n)
{
    int64_t now_ns = os_now_ns();

    s->mic.len += n * sizeof(float);
    int64_t n_whole = s->n_in + (int64_t)(seat_rest(s) / (size_t)s->info.frame_size);
    while (s->n_came < n_whole)
        s->came_ns[s->n_came++ % s->n_came_cap] = now_ns;
}

/* false: the lane has no room for all of them. */
static bool push_frames(struct seat *s)
{
    size_t n_smp = (size_t)s->info.frame_size;

    while (seat_rest(s) >= n_smp) {
        int64_t t0_ns = os_now_ns();
        if (!talk_push_late(s->talk, (const float *)(const void *)(s->mic.p + s->mic_at),
                            s->came_ns[s->n_in % s->n_came_cap]))
            return false;
        s->mic_at += n_smp * sizeof(float);
        trace_span(TRACE_IO, "capture", trace_lane(talk_lane(s->talk)), s->n_in++, t0_ns,
                   os_now_ns());
    }
    return true;
}

bool seat_pump(struct seat *s)
{
    bool has_room = push_frames(s);

    talk_note_ahead(s->talk, (int)(s->n_came - s->n_in));
    return has_room;
}

bool seat_is_over(const struct seat *s, int *code, const char **why)
{
    enum err err = talk_status(s->talk);

    *code = err == ERR_LIMIT ? WS_CODE_POLICY : WS_CODE_INTERNAL;
    *why = err == ERR_LIMIT ? "reads too slowly" : "the engine ended this talk";
    return err != OK;
}

bool seat_pop(struct seat *s, struct talk_event *ev)
{
    int64_t t0_ns = os_now_ns();

    if (!talk_pop_event(s->talk, ev))
        return false;
    if (!ev->has_sound)
        return true;
    must(talk_pop_sound(s->talk, s->frame)); /* the engine pushes sound before its event */
    trace_span(TRACE_IO, "play", trace_lane(talk_lane(s->talk)), ev->frame, t0_ns, os_now_ns());
    return true;
}
