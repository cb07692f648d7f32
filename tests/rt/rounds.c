/* SPDX-License-Identifier: MIT */
/* Talks that open, speak and vanish at any moment, on several threads at once: nothing is left. */
#include "base/metric.h"
#include "unit/talk/talk_fixture.h"

#define N_CALLER 4
#define N_ROUND  50 /* of each caller */
#define N_LANE   3  /* one caller too many */

struct caller {
    struct engine *engine;
    uint32_t       seed;
    int            n_opened, n_refused, n_event;
};

static uint32_t roll(struct caller *c, uint32_t n)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return (c->seed >> 8) % n;
}

/* Some frames in, some answers out, gone in the middle of it. */
static void one_round(struct caller *c)
{
    struct engine_info  info;
    struct talk        *t = NULL;
    struct talk_options o = { 0 };
    float               pcm[FRAME];
    struct talk_event   ev;

    engine_info(c->engine, &info);
    o.gen = info.defaults;
    enum err err = talk_open(&t, c->engine, &o);
    if (err) {
        CHECK_INT(err, ERR_LIMIT);
        c->n_refused++;
        os_sleep_until_ns(os_now_ns() + roll(c, 100000)); /* for a lane, not for its own turn */
        return;
    }
    c->n_opened++;
    for (int n = (int)roll(c, 30), i = 0; i < n; i++) {
        fixture_fill(pcm, FRAME, 1, i);
        talk_push(t, pcm);
        if (roll(c, 2))
            os_sleep_until_ns(os_now_ns() + roll(c, 1000000));
        if (roll(c, 4) == 0)
            talk_force_text(t, (int32_t)roll(c, 300));
        while (roll(c, 4) && talk_pop_event(t, &ev)) {
            c->n_event++;
            if (ev.has_sound)
                CHECK(talk_pop_sound(t, pcm));
        }
    }
    talk_close(&t);
    if (roll(c, 2))
        os_sleep_until_ns(os_now_ns() + roll(c, 2000000));
}

static void call(void *arg)
{
    struct caller *c = arg;

    while (c->n_opened < N_ROUND && c->n_refused < 1000000)
        one_round(c);
}

TEST(two_hundred_talks_leave_nothing_behind)
{
    struct engine    *e = fixture_engine(N_LANE, 2);
    struct os_thread *thread[N_CALLER];
    struct caller     caller[N_CALLER] = { 0 };
    size_t            n_live = mem_live_count();
    int               n_event = 0;

    for (int i = 0; i < N_CALLER; i++) {
        caller[i] = (struct caller){ .engine = e, .seed = (uint32_t)i };
        CHECK(os_thread_start(&thread[i], "caller", call, &caller[i]) == OK);
    }
    for (int i = 0; i < N_CALLER; i++) {
        os_thread_join(&thread[i]);
        CHECK_INT(caller[i].n_opened, N_ROUND);
        n_event += caller[i].n_event;
    }
    CHECK(n_event > 0);
    fixture_wait_talks(e, 0);
    CHECK_INT(metric_get(M_TALKS), 0);
    CHECK_INT(mem_live_count(), n_live);
    /* All lanes still work. */
    static struct said said;
    struct talk       *t[N_LANE];
    for (int i = 0; i < N_LANE; i++)
        t[i] = fixture_open(e, 1);
    for (int i = 0; i < N_LANE; i++) {
        fixture_talk(&said, t[i], 1, 20);
        talk_close(&t[i]);
    }
    engine_close(&e);
}
