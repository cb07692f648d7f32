/* SPDX-License-Identifier: MIT */
#include "model/lm_gen.h"

#include "moshi_fixture.h"

/* What the official LMGen fed and returned (tests/oracle/lm_gen_traces.py). */
static const struct trace {
    const char *name, *dir;
} traces[] = {
    { "delay1", "tests/golden/moshi/plain" },
    { "delay_mixed", "tests/golden/moshi/small" },
    { "delay1_forced", "tests/golden/moshi/schedule_one_set" },
    { "delay2_text_too", "tests/golden/talk/delay2" },
    { "delay3", "tests/golden/talk/delay3" },
    { "delay0", "tests/golden/talk/delay0" },
    { "hibiki", "tests/golden/hibiki/2b" },
    { "stt", "tests/golden/stt/1b" },
    { "tts", "tests/golden/tts/0.75b" },
};

static const struct lm_gen_options greedy = { 0 };
static const int                   lanes[] = { 0, 1, 2, 3 };

/* Row t of an i32 matrix. */
static void read_row(int32_t *out, const struct safetensors *st, const char *name, int t, int *n)
{
    const struct safetensors_entry *e = safetensors_find(st, name);

    CHECK(e && e->dtype == DT_I32);
    *n = e->n_dim == 2 ? (int)e->n[1] : 1;
    memcpy(out, (const uint8_t *)e->data + (size_t)t * (size_t)*n * 4, (size_t)*n * 4);
}

static void follow(struct lm_gen *g, int lane, const struct safetensors *st)
{
    int32_t             user[MOSHI_MAX_STREAM], forced, want[MOSHI_MAX_STREAM];
    const int32_t      *rows[] = { user };
    struct lm_gen_frame frame;
    int                 n_user, n, n_step = (int)safetensors_find(st, "forced")->n[0];
    const struct step   s = { 1, &lane };

    lm_gen_reset(g, lane, &greedy);
    for (int t = 0; t < n_step; t++) {
        read_row(user, st, "user", t, &n_user);
        read_row(&forced, st, "forced", t, &n);
        CHECK(lm_gen_step(g, &s, rows, n_user, &forced, &frame) == OK);
        read_row(want, st, "output", t, &n);
        CHECK_INT(frame.is_ready, want[0] != -2);
        if (!frame.is_ready)
            continue;
        CHECK_INT(frame.text, want[0]);
        for (int q = 1; q < n; q++)
            CHECK_INT(frame.audio[q - 1], want[q]);
    }
}

TEST(lm_gen_returns_what_the_reference_returns)
{
    struct be *be = fixture_be(1);

    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        char                path[256];
        struct safetensors *st = NULL;
        struct moshi       *m = NULL;
        struct lm_gen      *g = NULL;

        printf("# %s\n", traces[i].name);
        snprintf(path, sizeof path, "tests/golden/lm_gen/%s.safetensors", traces[i].name);
        CHECK(safetensors_open(&st, path) == OK);
        CHECK(fixture_open(&m, be, traces[i].dir, 2) == OK);
        CHECK(lm_gen_open(&g, m, 2) == OK);
        follow(g, 0, st);
        follow(g, 1, st);
        follow(g, 0, st); /* a lane used before is as good as new */
        lm_gen_close(&g);
        moshi_close(&m);
        safetensors_close(&st);
    }
    be_close(&be);
}

/* Lanes. */

enum { N_STEP = 24, N_OUT = 5 };

struct talk {
    struct moshi  *m;
    struct lm_gen *g;
};

static void open_talk(struct talk *t, struct be *be, int n_lane)
{
    t->m = NULL;
    t->g = NULL;
    CHECK(fixture_open(&t->m, be, "tests/golden/moshi/plain", n_lane) == OK);
    CHECK(lm_gen_open(&t->g, t->m, n_lane) == OK);
}

static void close_talk(struct talk *t)
{
    lm_gen_close(&t->g);
    moshi_close(&t->m);
}

static struct lm_gen_options sampled(uint64_t seed)
{
    return (struct lm_gen_options){
        .temp = 0.9f, .temp_text = 1.1f, .top_k = 12, .top_k_text = 9, .seed = seed
    };
}

static void user_codes(int32_t *out, int who, int step)
{
    for (int q = 0; q < 4; q++)
        out[q] = (who * 7 + step * 5 + q * 3) % 28;
}

static void keep(int32_t *out, const struct lm_gen_frame *f)
{
    out[0] = f->is_ready ? f->text : -2;
    for (int q = 0; q < 4; q++)
        out[1 + q] = f->is_ready ? f->audio[q] : -2;
}

/* The steps [from, to) of talker `who` alone on a lane. */
static void run_alone(struct talk *t, int lane, int who, int from, int to, int32_t (*out)[N_OUT])
{
    int32_t             user[4];
    const int32_t      *rows[] = { user };
    struct lm_gen_frame f;
    const struct step   s = { 1, &lane };

    for (int i = from; i < to; i++) {
        user_codes(user, who, i);
        CHECK(lm_gen_step(t->g, &s, rows, 4, NULL, &f) == OK);
        keep(out[i], &f);
    }
}

/* Talkers begin at different moments and pause at different moments; tokens are sampled. */
static void run_together(struct talk *t, int32_t (*out)[N_STEP][N_OUT])
{
    int done[4] = { 0 };

    for (int tick = 0; done[0] < N_STEP || done[1] < N_STEP || done[2] < N_STEP || done[3] < N_STEP;
         tick++) {
        int32_t             user[4][4];
        const int32_t      *rows[4];
        struct lm_gen_frame f[4];
        int                 active[4], n = 0;
        for (int i = 0; i < 4; i++) {
            if (done[i] == N_STEP || tick < 3 * i || (tick + i) % 5 == 0)
                continue;
            user_codes(user[n], i, done[i]);
            rows[n] = user[n];
            active[n++] = i;
        }
        if (n == 0)
            continue;
        const struct step s = { n, active };
        CHECK(lm_gen_step(t->g, &s, rows, 4, NULL, f) == OK);
        for (int a = 0; a < n; a++)
            keep(out[active[a]][done[active[a]]++], &f[a]);
    }
}

TEST(lm_gen_lanes_out_of_step_do_not_touch_each_other)
{
    static int32_t together[4][N_STEP][N_OUT], alone[4][N_STEP][N_OUT];
    struct be     *be = fixture_be(2), *one = fixture_be(1);
    struct talk    t, u;

    open_talk(&t, be, 4);
    open_talk(&u, one, 1);
    for (int i = 0; i < 4; i++) {
        struct lm_gen_options o = sampled(100 + (uint64_t)i % 3); /* lanes 0 and 3 share a seed */
        lm_gen_reset(t.g, i, &o);
        lm_gen_reset(u.g, 0, &o);
        run_alone(&u, 0, i, 0, N_STEP, alone[i]);
    }
    run_together(&t, together);
    CHECK(memcmp(together, alone, sizeof alone) == 0);
    CHECK(memcmp(alone[0], alone[1], sizeof alone[0]) != 0);
    close_talk(&t);
    close_talk(&u);
    be_close(&be);
    be_close(&one);
}

TEST(lm_gen_seed_decides_the_tokens)
{
    static int32_t a[N_STEP][N_OUT], b[N_STEP][N_OUT], c[N_STEP][N_OUT];
    struct be     *be = fixture_be(1);
    struct talk    t;

    open_talk(&t, be, 2);
    struct lm_gen_options o = sampled(5), p = sampled(6);
    lm_gen_reset(t.g, 0, &o);
    run_alone(&t, 0, 0, 0, N_STEP, a);
    lm_gen_reset(t.g, 1, &o);
    run_alone(&t, 1, 0, 0, N_STEP, b);
    lm_gen_reset(t.g, 0, &p);
    run_alone(&t, 0, 0, 0, N_STEP, c);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(memcmp(a, c, sizeof a) != 0);
    close_talk(&t);
    be_close(&be);
}

TEST(lm_gen_forces_text_and_feeds_it_back)
{
    static int32_t      out[N_STEP][N_OUT];
    struct be          *be = fixture_be(1);
    struct talk         t;
    int32_t             user[4] = { 0 };
    const int32_t      *rows[] = { user };
    const struct step   s = { 1, lanes };
    struct lm_gen_frame f;

    open_talk(&t, be, 1);
    lm_gen_reset(t.g, 0, &greedy);
    run_alone(&t, 0, 0, 0, 3, out);
    for (int32_t id = 7; id < 12; id++) {
        CHECK(lm_gen_step(t.g, &s, rows, 4, &id, &f) == OK);
        CHECK_INT(f.text_now, id);
    }
    CHECK_INT(f.text, 10); /* one step of delay: the text of the step before */
    close_talk(&t);
    be_close(&be);
}

TEST(lm_gen_refuses_bad_codes_and_goes_on)
{
    static int32_t      want[N_STEP][N_OUT], have[N_STEP][N_OUT];
    struct be          *be = fixture_be(1);
    struct talk         t;
    int32_t             user[4] = { 1, 2, 29, 3 };
    const int32_t      *rows[] = { user };
    const struct step   s = { 1, lanes };
    struct lm_gen_frame f;

    open_talk(&t, be, 1);
    lm_gen_reset(t.g, 0, &greedy);
    run_alone(&t, 0, 0, 0, N_STEP, want);
    lm_gen_reset(t.g, 0, &greedy);
    run_alone(&t, 0, 0, 0, 9, have);
    CHECK(lm_gen_step(t.g, &s, rows, 4, NULL, &f) == ERR_USAGE);
    CHECK(strstr(err_text(ERR_USAGE), "29"));
    user[2] = -2;
    CHECK(lm_gen_step(t.g, &s, rows, 4, NULL, &f) == ERR_USAGE);
    CHECK(lm_gen_step(t.g, &s, rows, 3, NULL, &f) == ERR_USAGE);
    run_alone(&t, 0, 0, 9, N_STEP, have);
    CHECK(memcmp(want, have, sizeof want) == 0);
    close_talk(&t);
    be_close(&be);
}

/* More words to say than to read: those beyond the table are never drawn. */
TEST(lm_gen_draws_no_word_that_the_model_cannot_read)
{
    struct be            *be = fixture_be(1);
    struct moshi         *m = NULL;
    struct lm_gen        *g = NULL;
    int32_t               user[1] = { 0 };
    const int32_t        *rows[] = { user };
    const struct step     s = { 1, lanes };
    struct lm_gen_frame   f;
    struct lm_gen_options o = { .temp_text = 50, .seed = 1 };
    int32_t               most = 0;

    CHECK(fixture_open(&m, be, "tests/golden/variant/more_words_out", 1) == OK);
    CHECK(lm_gen_open(&g, m, 1) == OK);
    CHECK(moshi_info(m)->text_max == 23 && moshi_info(m)->text_card_out == 40);
    lm_gen_reset(g, 0, &o);
    for (int i = 0; i < 200; i++) {
        CHECK(lm_gen_step(g, &s, rows, 1, NULL, &f) == OK);
        CHECK(f.text_now >= 0 && f.text_now <= 23);
        most = f.text_now > most ? f.text_now : most;
    }
    CHECK_INT(most, 23);
    lm_gen_close(&g);
    moshi_close(&m);
    be_close(&be);
}

TEST(lm_gen_allocates_nothing_in_a_step)
{
    static int32_t out[4][N_STEP][N_OUT];
    struct be     *be = fixture_be(1);
    struct talk    t;
    size_t         n_before = mem_forbidden_count();

    open_talk(&t, be, 4);
    run_together(&t, out);
    for (int i = 0; i < 4; i++) {
        struct lm_gen_options o = sampled(3);
        lm_gen_reset(t.g, i, &o);
    }
    mem_forbid(true);
    run_together(&t, out);
    mem_forbid(false);
    CHECK_INT(mem_forbidden_count(), n_before);
    close_talk(&t);
    be_close(&be);
}

TEST(lm_gen_defaults_come_from_the_config)
{
    struct be    *be = fixture_be(1);
    struct moshi *m = NULL;

    CHECK(fixture_open(&m, be, "tests/golden/hibiki/2b", 1) == OK);
    struct lm_gen_options o = lm_gen_defaults(m);
    CHECK(o.temp == 0.8f && o.temp_text == 0.8f);
    CHECK_INT(o.top_k, 250);
    CHECK_INT(o.top_k_text, 50);
    CHECK_INT(o.seed, 42424242);
    moshi_close(&m);
    be_close(&be);
}

/* Everything that allocates: opening, a source to attend to, and the first step's scratch. */
static enum err open_and_close(void)
{
    struct moshi       *m = NULL;
    struct lm_gen      *g = NULL;
    struct be          *be = NULL;
    struct be_options   o = { .device = "cpu", .n_thread = 1, .is_exact = true };
    struct lm_gen_frame frame[2];
    const int32_t      *rows[2] = { NULL, NULL };
    float               speaker[5 * 9] = { 1 };
    enum err            err = be_open(&be, &o);

    if (!err)
        err = fixture_open(&m, be, "tests/golden/tts/1.6b", 2);
    if (!err)
        err = lm_gen_open(&g, m, 2);
    if (!err)
        err = moshi_condition_tensor(m, 1, "speaker_wavs", speaker, 5, 9, NULL);
    if (!err)
        err = lm_gen_step(g, &(struct step){ 2, lanes }, rows, 0, NULL, frame);
    lm_gen_close(&g);
    moshi_close(&m);
    be_close(&be);
    return err;
}

TEST(lm_gen_and_its_model_survive_out_of_memory)
{
    CHECK_OOM(open_and_close());
}
