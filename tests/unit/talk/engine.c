/* SPDX-License-Identifier: MIT */
#include "talk/engine.h"

#include "base/metric.h"
#include "unit/talk/talk_fixture.h"

#define N 60 /* five times the model's context */

static struct said said[4]; /* too large for a stack */

/* Opening and refusing. */

TEST(talks_are_refused_while_the_model_loads)
{
    struct duplex_options o = fixture_options(1, 1);
    struct engine        *e = NULL;
    struct talk          *t = NULL;
    struct talk_options   to = { 0 };
    struct engine_info    info;

    CHECK(engine_open(&e, &o) == OK);
    enum err err = talk_open(&t, e, &to);
    /* It may be ready already; asked at once it hardly ever is. */
    CHECK(err == ERR_AGAIN || err == OK);
    if (err)
        CHECK_STR(err_text(err), "the model is still loading");
    talk_close(&t);
    info = fixture_wait(e);
    CHECK_INT(info.state, ENGINE_READY);
    CHECK_STR(info.model, "delay1");
    CHECK_INT(info.frame_size, FRAME);
    CHECK_INT(info.max_delay, 1);
    engine_close(&e);
    CHECK(!e);
}

TEST(a_broken_folder_degrades_with_the_reason)
{
    struct duplex_options o = fixture_options(1, 1);
    struct engine        *e = NULL;
    struct talk          *t = NULL;
    struct talk_options   to = { 0 };

    o.model_dir = "tests/golden/nothing";
    CHECK(engine_open(&e, &o) == OK);
    struct engine_info info = fixture_wait(e);
    CHECK_INT(info.state, ENGINE_DEGRADED);
    CHECK_INT(info.retry_after_s, 30);
    CHECK_INT(info.err, ERR_MISSING);
    CHECK(strstr(info.reason, "tests/golden/nothing"));
    CHECK(talk_open(&t, e, &to) == ERR_FORMAT);
    CHECK_STR(err_text(ERR_FORMAT), info.reason);
    CHECK(!t);
    engine_close(&e);
}

TEST(a_full_engine_refuses_until_a_talk_closes)
{
    struct engine      *e = fixture_engine(2, 1);
    struct talk        *a = fixture_open(e, 1), *b = fixture_open(e, 2), *c = NULL;
    struct talk_options to = { 0 };
    struct engine_info  info;

    engine_info(e, &info);
    CHECK(info.is_full && info.n_talk == 2 && info.state == ENGINE_READY);
    CHECK_STR(info.reason, "all talks are taken");
    CHECK_INT(info.retry_after_s, 5);
    CHECK(talk_open(&c, e, &to) == ERR_LIMIT);
    CHECK_STR(err_text(ERR_LIMIT), "all 2 talks are taken");
    CHECK(!c);
    talk_close(&a);
    fixture_wait_talks(e, 1);
    CHECK_INT(metric_get(M_TALKS), 1);
    a = fixture_open(e, 3);
    talk_close(&a);
    talk_close(&b);
    fixture_wait_talks(e, 0);
    CHECK_INT(metric_get(M_TALKS), 0);
    engine_close(&e);
}

TEST(a_draining_engine_lets_talks_end_and_opens_none)
{
    struct engine      *e = fixture_engine(2, 1);
    struct talk        *t = fixture_open(e, 1), *late = NULL;
    struct talk_options to = { 0 };
    struct engine_info  info;

    engine_drain(e);
    engine_info(e, &info);
    CHECK_INT(info.state, ENGINE_DRAINING);
    CHECK_STR(info.reason, "the server is shutting down");
    CHECK(talk_open(&late, e, &to) == ERR_AGAIN);
    fixture_talk(&said[0], t, 1, 10);
    talk_close(&t);
    engine_close(&e);
}

static enum err open_and_close(void)
{
    struct duplex_options o = fixture_options(1, 1);
    struct engine        *e = NULL;
    enum err              err = engine_open(&e, &o);

    if (!err) {
        struct engine_info info = fixture_wait(e);
        err = info.state == ENGINE_DEGRADED ? info.err : OK;
    }
    engine_close(&e);
    return err;
}

TEST(an_engine_out_of_memory_is_an_error_like_others)
{
    CHECK_OOM(open_and_close());
}

/* What a talk says. */

TEST(each_frame_gives_an_event_and_sound_after_the_delays)
{
    struct engine *e = fixture_engine(1, 1);
    struct talk   *t = fixture_open(e, 1);

    fixture_talk(&said[0], t, 1, N);
    CHECK_INT(said[0].n_event, N);
    CHECK_INT(said[0].n_sound, N - 1); /* the longest delay is 1 */
    struct talk_figures f;
    talk_figures(t, &f);
    CHECK(f.step_p50_ns > 0 && f.lag_ns > 0);
    talk_close(&t);
    engine_close(&e);
}

/* The engine's talks are the duplex's: no frame is lost, doubled or mixed up on the way. */
TEST(the_engine_says_what_the_duplex_says)
{
    struct engine        *e = fixture_engine(1, 1);
    struct talk          *t = fixture_open(e, 77);
    struct duplex_options o = fixture_options(1, 1);
    struct duplex        *d = NULL;
    static const int      lane = 0;
    struct step           s = { 1, &lane };
    int                   n_sound = 0;

    fixture_talk(&said[0], t, 1, N);
    CHECK(duplex_open(&d, &o) == OK);
    struct lm_gen_options gen = duplex_defaults(d);
    gen.seed = 77;
    duplex_reset(d, 0, &gen);
    for (int i = 0; i < N; i++) {
        float               pcm[FRAME], sound[FRAME];
        struct duplex_frame f = {
            .mic = pcm, .speaker = sound, .forced_text = -1, .is_lead_in = i == 0
        };
        fixture_fill(pcm, FRAME, 1, i);
        CHECK(duplex_step(d, &s, &f) == OK);
        CHECK_INT(said[0].token[i], f.text_now);
        if (f.has_sound)
            CHECK(memcmp(said[0].sound[n_sound++], sound, sizeof sound) == 0);
    }
    CHECK_INT(n_sound, said[0].n_sound);
    duplex_close(&d);
    talk_close(&t);
    engine_close(&e);
}

TEST(what_waits_at_the_caller_counts)
{
    struct engine      *e = fixture_engine(1, 1);
    struct talk        *t = fixture_open(e, 1);
    struct talk_figures f;
    struct talk_event   ev = { 0 };
    struct engine_info  info;
    float               pcm[FRAME] = { 0 };

    talk_note_ahead(t, 5);
    CHECK(talk_push_late(t, pcm, os_now_ns() - 7000000000LL));
    for (int64_t end_ns = os_now_ns() + SLOW; !talk_pop_event(t, &ev) && os_now_ns() < end_ns;)
        os_sleep_until_ns(os_now_ns() + 200000);
    CHECK(ev.lag_ns >= 7000000000LL);
    talk_figures(t, &f);
    CHECK(f.lag_ns >= 7000000000LL);
    CHECK_INT(f.n_waiting, 5);
    engine_info(e, &info);
    CHECK_INT(info.most_waiting, 5);
    talk_close(&t);
    fixture_wait_talks(e, 0);
    t = fixture_open(e, 1); /* the next one has nothing that waits */
    talk_figures(t, &f);
    CHECK_INT(f.n_waiting, 0);
    talk_close(&t);
    engine_close(&e);
}

TEST(a_lane_starts_fresh_after_another_talk)
{
    struct engine *e = fixture_engine(1, 1);

    for (int i = 0; i < 3; i++) {
        struct talk *t = fixture_open(e, 5);
        fixture_talk(&said[i], t, i == 1 ? 2 : 1, N);
        if (i == 1) { /* leave something in every ring */
            float pcm[FRAME] = { 0 };
            CHECK(talk_force_text(t, 11));
            CHECK(talk_push(t, pcm));
        }
        talk_close(&t);
        fixture_wait_talks(e, 0);
    }
    check_same(&said[0], &said[2]);
    CHECK(memcmp(said[0].sound, said[1].sound, sizeof said[0].sound) != 0);
    engine_close(&e);
}

/* Four callers on four lanes at once. */
struct caller {
    struct engine *engine;
    struct said   *said;
    int            i;
};

static void talk_once(void *arg)
{
    struct caller *c = arg;
    struct talk   *t = fixture_open(c->engine, (uint64_t)c->i);

    fixture_talk(c->said, t, c->i, N);
    talk_close(&t);
}

static void talk_all(int n_thread)
{
    struct engine    *e = fixture_engine(4, n_thread);
    struct os_thread *thread[4];
    struct caller     caller[4];

    for (int i = 0; i < 4; i++) {
        caller[i] = (struct caller){ e, &said[i], i };
        CHECK(os_thread_start(&thread[i], "caller", talk_once, &caller[i]) == OK);
    }
    for (int i = 0; i < 4; i++)
        os_thread_join(&thread[i]);
    engine_close(&e);
}

TEST(a_talk_beside_others_says_the_same_as_alone)
{
    static struct said alone[4];

    for (int i = 0; i < 4; i++) {
        struct engine *e = fixture_engine(1, 1);
        struct caller  c = { e, &alone[i], i };
        talk_once(&c);
        engine_close(&e);
    }
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        talk_all(n_thread);
        for (int i = 0; i < 4; i++)
            check_same(&said[i], &alone[i]);
    }
}

TEST(forced_tokens_are_said_in_order)
{
    struct engine       *e = fixture_engine(1, 1);
    struct talk         *t = fixture_open(e, 1);
    static const int32_t forced[] = { 17, 4, 300, 0, 9 };
    const int            n = sizeof forced / sizeof *forced;

    for (int i = 0; i < n; i++)
        CHECK(talk_force_text(t, forced[i]));
    fixture_talk(&said[0], t, 1, n + 5);
    for (int i = 0; i < n; i++)
        CHECK_INT(said[0].token[i], forced[i]);
    int n_taken = 0;
    while (n_taken < 1000 && talk_force_text(t, 3))
        n_taken++;
    CHECK_INT(n_taken, 256); /* room, and false when there is none */
    talk_close(&t);
    engine_close(&e);
}

/* Who waits for whom. */

TEST(a_full_mic_ring_gives_the_frame_back)
{
    struct engine *e = fixture_engine(1, 1);
    struct talk   *t = fixture_open(e, 1);
    float          pcm[FRAME] = { 0 };
    int64_t        end_ns = os_now_ns() + SLOW;
    const int      n_ring = 640 / 4, n_fit = 1 + n_ring + 1 + n_ring;
    int            n = 0;

    /* Nobody pops: the first step says nothing, the speaker ring fills, the lane waits with a frame
     * in hand, and the mic ring fills. */
    while (n < n_fit && talk_status(t) == OK && os_now_ns() < end_ns) {
        if (talk_push(t, pcm))
            n++;
        else
            os_sleep_until_ns(os_now_ns() + 100000);
    }
    CHECK_INT(n, n_fit);
    for (int i = 0; i < 100; i++) {
        CHECK(!talk_push(t, pcm));
        os_sleep_until_ns(os_now_ns() + 100000);
    }
    /* Room again: every frame pushed so far is answered, none twice. */
    said[0] = (struct said){ 0 };
    while (said[0].n_event < n && os_now_ns() < end_ns)
        if (!fixture_pop(&said[0], t))
            os_sleep_until_ns(os_now_ns() + 100000);
    CHECK_INT(said[0].n_event, n);
    CHECK_INT(said[0].n_sound, n - 1);
    talk_close(&t);
    engine_close(&e);
}

TEST(a_reader_that_stalls_ends_its_own_talk_only)
{
    struct engine    *e = fixture_engine(2, 1);
    struct talk      *stalled = fixture_open(e, 1), *other = fixture_open(e, 2);
    float             pcm[FRAME] = { 0 };
    int64_t           begin_ns = os_now_ns(), worst_ns = 0;
    int64_t           n_stalled = metric_get(M_TALKS_STALLED_TOTAL);
    int               n_event = 0;
    struct talk_event ev;

    while (talk_status(stalled) == OK && os_now_ns() - begin_ns < SLOW) {
        talk_push(stalled, pcm); /* until it is full */
        int64_t t0_ns = os_now_ns();
        CHECK(talk_push(other, pcm));
        while (!talk_pop_event(other, &ev) && os_now_ns() - t0_ns < SLOW)
            os_sleep_until_ns(os_now_ns() + 50000);
        if (ev.has_sound)
            CHECK(talk_pop_sound(other, pcm));
        worst_ns = os_now_ns() - t0_ns > worst_ns ? os_now_ns() - t0_ns : worst_ns;
        n_event++;
    }
    int64_t ended_ns = os_now_ns();
    CHECK_INT(talk_status(stalled), ERR_LIMIT);
    CHECK_INT(metric_get(M_TALKS_STALLED_TOTAL) - n_stalled, 1);
    CHECK_INT(talk_status(other), OK);
    CHECK(ended_ns - begin_ns > 2000000000 && n_event > 20);
    CHECK(worst_ns < 1900000000); /* nobody waited the two seconds with it */
    /* What it had said is still there. */
    int n = 0;
    while (talk_pop_event(stalled, &ev))
        n++;
    CHECK(n >= 160);
    talk_close(&stalled);
    talk_close(&other);
    fixture_wait_talks(e, 0);
    engine_close(&e);
}

/* The lag of the one event that a frame gives, in ns. */
static int64_t lag_of(struct talk *t)
{
    struct talk_event ev = { 0 };
    float             pcm[FRAME];
    int64_t           end_ns = os_now_ns() + SLOW;

    while (!talk_pop_event(t, &ev) && os_now_ns() < end_ns)
        os_sleep_until_ns(os_now_ns() + 50000);
    if (ev.has_sound)
        CHECK(talk_pop_sound(t, pcm));
    return ev.lag_ns;
}

TEST(a_frame_waits_ten_ms_for_the_other_lanes_and_no_longer)
{
    struct engine *e = fixture_engine(2, 1);
    struct talk   *a = fixture_open(e, 1), *b = fixture_open(e, 2);
    float          pcm[FRAME] = { 0 };
    int64_t        least_ns = INT64_MAX, both_ns = INT64_MAX, alone_ns = INT64_MAX;

    for (int i = 0; i < 20; i++) {
        CHECK(talk_push(a, pcm) && talk_push(b, pcm));
        int64_t ns = lag_of(a);
        both_ns = ns < both_ns ? ns : both_ns;
        lag_of(b);
        CHECK(talk_push(a, pcm)); /* b spoke just now and is waited for */
        ns = lag_of(a);
        least_ns = ns < least_ns ? ns : least_ns;
    }
    CHECK(least_ns >= 10000000);
    CHECK(both_ns < 10000000);
    os_sleep_until_ns(os_now_ns() + 250000000); /* b has said nothing for long */
    for (int i = 0; i < 20; i++) {
        CHECK(talk_push(a, pcm));
        int64_t ns = lag_of(a);
        alone_ns = ns < alone_ns ? ns : alone_ns;
    }
    CHECK(alone_ns < 10000000);
    talk_close(&a);
    talk_close(&b);
    engine_close(&e);
}

TEST(an_engine_that_is_behind_catches_up)
{
    struct engine *e = fixture_engine(1, 1);
    struct talk   *t = fixture_open(e, 1);
    float          pcm[FRAME] = { 0 };
    int64_t        last_ns = 0;

    for (int i = 0; i < 100; i++) /* 400 ms of sound at once */
        CHECK(talk_push(t, pcm));
    for (int i = 0; i < 100; i++)
        last_ns = lag_of(t);
    CHECK(last_ns > 0);
    int64_t least_ns = INT64_MAX;
    for (int i = 0; i < 20; i++) {
        CHECK(talk_push(t, pcm));
        int64_t ns = lag_of(t);
        least_ns = ns < least_ns ? ns : least_ns;
    }
    CHECK(least_ns < last_ns || least_ns < 10000000);
    talk_close(&t);
    engine_close(&e);
}

/* The end. */

static void count_wake(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

TEST(the_caller_is_woken_for_each_step)
{
    struct engine      *e = fixture_engine(1, 1);
    struct talk        *t = NULL;
    atomic_int          n_wake = 0;
    struct talk_options o = { .wake = count_wake, .wake_arg = &n_wake };
    struct engine_info  info;

    engine_info(e, &info);
    o.gen = info.defaults;
    CHECK(talk_open(&t, e, &o) == OK);
    fixture_talk(&said[0], t, 1, 20);
    talk_close(&t);
    fixture_wait_talks(e, 0);
    CHECK_INT(n_wake, 20);
    engine_close(&e);
}

TEST(an_engine_stops_while_it_ticks)
{
    for (int i = 0; i < 20; i++) {
        struct engine *e = fixture_engine(2, 2);
        struct talk   *a = fixture_open(e, 1), *b = fixture_open(e, 2);
        float          pcm[FRAME] = { 0 };
        for (int k = 0; k < 30; k++) {
            CHECK(talk_push(a, pcm));
            CHECK(talk_push(b, pcm));
        }
        os_sleep_until_ns(os_now_ns() + i * 100000);
        talk_close(&a);
        talk_close(&b);
        engine_close(&e);
    }
}
