/* SPDX-License-Identifier: MIT */
#include "talk/duplex.h"

#include "unit/talk/talk_fixture.h"

#define N 40

struct lane {
    float               pcm[FRAME], sound[FRAME];
    struct duplex_frame f;
};

static struct duplex *open_duplex(int n_lane)
{
    struct duplex_options o = fixture_options(n_lane, 1);
    struct duplex        *d = NULL;

    o.be.is_exact = true;
    CHECK(duplex_open(&d, &o) == OK);
    return d;
}

/* One frame of one lane; the token that the step sampled. */
static int32_t step(struct duplex *d, int lane, int caller, int64_t frame, struct duplex_frame want)
{
    float       pcm[FRAME], sound[FRAME];
    struct step s = { 1, &lane };

    fixture_fill(pcm, FRAME, caller, frame);
    want.mic = pcm;
    want.speaker = sound;
    want.forced_text = -1;
    CHECK(duplex_step(d, &s, &want) == OK);
    return want.text_now;
}

static void reset(struct duplex *d, int lane, uint64_t seed)
{
    struct lm_gen_options o = duplex_defaults(d);

    o.seed = seed;
    duplex_reset(d, lane, &o);
}

TEST(a_reset_lane_says_the_same_again)
{
    struct duplex *d = open_duplex(2);
    int32_t        first[N];

    reset(d, 1, 5);
    for (int i = 0; i < N; i++)
        first[i] = step(d, 1, 3, i, (struct duplex_frame){ 0 });
    for (int i = 0; i < 7; i++)
        step(d, 1, 4, i, (struct duplex_frame){ 0 });
    reset(d, 1, 5);
    for (int i = 0; i < N; i++)
        CHECK_INT(step(d, 1, 3, i, (struct duplex_frame){ 0 }), first[i]);
    duplex_close(&d);
}

/* The reference's chat server, made of its parts: encode, reset the codec, step; then on. */
TEST(a_lead_in_lets_the_codec_begin_anew)
{
    struct duplex        *d = open_duplex(1);
    struct be            *be = NULL;
    struct model_files   *files = NULL;
    struct moshi         *lm = NULL;
    struct mimi          *codec = NULL;
    struct lm_gen        *gen = NULL;
    struct be_options     bo = fixture_options(1, 1).be;
    struct lm_gen_options o;
    static const int      lane = 0;
    struct step           s = { 1, &lane };
    int                   n_differ = 0;

    bo.is_exact = true;
    CHECK(be_open(&be, &bo) == OK && model_files_open(&files, MODEL) == OK);
    struct model_options mo = { .be = be, .n_lane = 1 };
    CHECK(moshi_open(&lm, files, &mo) == OK && mimi_open(&codec, files, &mo, MIMI_BOTH) == OK);
    CHECK(lm_gen_open(&gen, lm, 1) == OK);
    o = lm_gen_defaults(lm);
    o.seed = 9;
    lm_gen_reset(gen, 0, &o);
    reset(d, 0, 9);

    for (int i = 0; i < N; i++) {
        float               pcm[FRAME];
        int32_t             codes[MOSHI_MAX_STREAM];
        const float        *in = pcm;
        int32_t            *out = codes;
        struct lm_gen_frame frame;

        fixture_fill(pcm, FRAME, 1, i);
        CHECK(mimi_encode_step(codec, &s, &in, &out, NULL) == OK);
        if (i == 0)
            mimi_reset_encoder(codec, 0);
        CHECK(lm_gen_step(gen, &s, (const int32_t *const *)&out, mimi_info(codec)->n_codebook, NULL,
                          &frame) == OK);
        CHECK_INT(step(d, 0, 1, i, (struct duplex_frame){ .is_lead_in = i == 0 }), frame.text_now);
    }
    /* Without it the model hears something else: the test can fail. */
    reset(d, 0, 9);
    lm_gen_reset(gen, 0, &o);
    int32_t with[N];
    for (int i = 0; i < N; i++)
        with[i] = step(d, 0, 1, i, (struct duplex_frame){ .is_lead_in = i == 0 });
    reset(d, 0, 9);
    for (int i = 0; i < N; i++)
        n_differ += step(d, 0, 1, i, (struct duplex_frame){ 0 }) != with[i];
    CHECK(n_differ > 0);

    lm_gen_close(&gen);
    mimi_close(&codec);
    moshi_close(&lm);
    model_files_close(&files);
    be_close(&be);
    duplex_close(&d);
}

TEST(lanes_that_end_hear_the_codec_s_end_code)
{
    struct duplex      *d = open_duplex(1);
    static const int    lane = 0;
    struct step         s = { 1, &lane };
    float               sound[FRAME];
    struct duplex_frame f = { .speaker = sound, .forced_text = -1 };

    reset(d, 0, 1);
    for (int i = 0; i < 5; i++)
        CHECK(duplex_step(d, &s, &f) == OK);
    CHECK(f.is_ready && f.has_sound);
    duplex_close(&d);
}

TEST(a_folder_that_cannot_talk_is_refused)
{
    struct duplex_options o = fixture_options(1, 1);
    struct duplex        *d = NULL;

    o.model_dir = "tests/golden/nothing";
    CHECK(duplex_open(&d, &o) == ERR_MISSING);
    o.model_dir = "tests/golden/mimi/plain";
    CHECK(duplex_open(&d, &o) == ERR_USAGE);
    CHECK(strstr(err_text(ERR_USAGE), "a codec alone cannot talk"));
    o.model_dir = "tests/golden/stt/1b";
    CHECK(duplex_open(&d, &o) == ERR_USAGE);
    CHECK(strstr(err_text(ERR_USAGE), "listens but does not speak"));
    CHECK(!d);
}

static enum err open_and_close(void)
{
    struct duplex_options o = fixture_options(2, 2);
    struct duplex        *d = NULL;
    enum err              err = duplex_open(&d, &o);

    duplex_close(&d);
    return err;
}

TEST(out_of_memory_is_an_error_like_others)
{
    CHECK_OOM(open_and_close());
}
