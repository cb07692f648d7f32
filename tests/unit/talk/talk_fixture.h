/* SPDX-License-Identifier: MIT */
/* talk_fixture: an engine on a tiny golden model (frames of 4 ms, a context of 12), and callers. */
#ifndef TESTS_UNIT_TALK_TALK_FIXTURE_H
#define TESTS_UNIT_TALK_TALK_FIXTURE_H

#include "base/log.h"
#include "base/os.h"
#include "check.h"
#include "talk/talk.h"

#define MODEL  "tests/golden/talk/delay1"
#define FRAME  32            /* samples of one of its frames */
#define SLOW   20000000000LL /* what a loaded machine may take for anything here */
#define UNUSED __attribute__((unused))

static UNUSED struct duplex_options fixture_options(int n_lane, int n_thread)
{
    return (struct duplex_options){ .model_dir = MODEL,
                                    .be = { .device = "cpu", .n_thread = n_thread },
                                    .n_lane = n_lane };
}

static UNUSED struct engine_info fixture_wait(struct engine *e)
{
    struct engine_info info;
    int64_t            end_ns = os_now_ns() + SLOW;

    do {
        os_sleep_until_ns(os_now_ns() + 200000);
        engine_info(e, &info);
    } while (info.state == ENGINE_LOADING && os_now_ns() < end_ns);
    return info;
}

static UNUSED struct engine *fixture_engine(int n_lane, int n_thread)
{
    struct duplex_options o = fixture_options(n_lane, n_thread);
    struct engine        *e = NULL;

    log_set_level(LOG_ERROR);
    CHECK(engine_open(&e, &o) == OK);
    CHECK_INT(fixture_wait(e).state, ENGINE_READY);
    return e;
}

/* Waits until so many lanes are held. */
static UNUSED void fixture_wait_talks(struct engine *e, int n)
{
    struct engine_info info;
    int64_t            end_ns = os_now_ns() + SLOW;

    for (engine_info(e, &info); info.n_talk != n && os_now_ns() < end_ns; engine_info(e, &info))
        os_sleep_until_ns(os_now_ns() + 200000);
    CHECK_INT(info.n_talk, n);
}

/* Sound that depends on the caller and on the frame. */
static UNUSED void fixture_fill(float *pcm, int n, int caller, int64_t frame)
{
    uint32_t seed = (uint32_t)(caller * 7919 + frame * 104729 + 1);

    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        pcm[i] = (float)(int32_t)seed / 2147483648.0f * 0.3f;
    }
}

/* What a talk of n frames said. */
struct said {
    int     n_event, n_sound;
    int32_t token[1024];
    float   sound[1024][FRAME];
};

static UNUSED bool fixture_pop(struct said *said, struct talk *t)
{
    struct talk_event ev;

    if (!talk_pop_event(t, &ev))
        return false;
    CHECK_INT(ev.frame, said->n_event);
    said->token[said->n_event++] = ev.token;
    if (ev.has_sound)
        CHECK(talk_pop_sound(t, said->sound[said->n_sound++]));
    return true;
}

/* Pushes n frames as fast as they go and pops all answers. */
static UNUSED void fixture_talk(struct said *said, struct talk *t, int caller, int n)
{
    float   pcm[FRAME];
    int64_t end_ns = os_now_ns() + SLOW;
    int     n_pushed = 0;

    *said = (struct said){ 0 };
    while (said->n_event < n && os_now_ns() < end_ns) {
        fixture_fill(pcm, FRAME, caller, n_pushed);
        if (n_pushed < n && talk_push(t, pcm))
            n_pushed++;
        else if (!fixture_pop(said, t))
            os_sleep_until_ns(os_now_ns() + 100000);
    }
    CHECK_INT(said->n_event, n);
    CHECK_INT(talk_status(t), OK);
}

static UNUSED void check_same(const struct said *a, const struct said *b)
{
    CHECK_INT(a->n_event, b->n_event);
    CHECK_INT(a->n_sound, b->n_sound);
    CHECK(memcmp(a->token, b->token, sizeof *a->token * (size_t)a->n_event) == 0);
    CHECK(memcmp(a->sound, b->sound, sizeof *a->sound * (size_t)a->n_sound) == 0);
}

static UNUSED struct talk *fixture_open(struct engine *e, uint64_t seed)
{
    struct engine_info  info;
    struct talk        *t = NULL;
    struct talk_options o = { 0 };

    engine_info(e, &info);
    o.gen = info.defaults;
    o.gen.seed = seed;
    CHECK(talk_open(&t, e, &o) == OK);
    return t;
}

#endif
