/* SPDX-License-Identifier: MIT */
#include "model/model_shape.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "model/mimi.h"
#include "model/moshi.h"
#include "model/moshi_config.h"

#define SMALL "tests/golden/talk/delay1"

/* The standard deviation of the text logits of a step on initial tokens. */
static double spread_of_logits(const char *shape, enum weights_quant quant)
{
    static const int     lane = 0;
    struct be_options    bo = { .device = "cpu", .n_thread = 2, .is_exact = true };
    struct model_options mo = { .n_lane = 1, .quant = quant };
    struct step          s = { 1, &lane };
    struct model_files  *files = NULL;
    struct moshi        *m = NULL;
    int32_t              token[MOSHI_MAX_STREAM] = { 0 };
    const int32_t       *tokens = token;
    const float         *logits;
    double               sum = 0, sum2 = 0;

    CHECK(model_shape_open(&files, shape) == OK);
    CHECK(be_open(&mo.be, &bo) == OK);
    CHECK(moshi_open(&m, files, &mo) == OK);
    CHECK(moshi_step(m, &s, &tokens, &logits) == OK);
    int n = moshi_info(m)->text_card_out;
    for (int i = 0; i < n; i++) {
        sum += (double)logits[i];
        sum2 += (double)logits[i] * (double)logits[i];
    }
    moshi_close(&m);
    be_close(&mo.be);
    model_files_close(&files);
    return sqrt(sum2 / n - sum / n * sum / n);
}

TEST(noise_keeps_activations_as_large_as_they_came)
{
    double none = spread_of_logits(SMALL, WEIGHTS_QUANT_NONE);
    double q8 = spread_of_logits("models/tiny-voice", WEIGHTS_QUANT_Q8);
    double q4 = spread_of_logits("models/tiny-voice", WEIGHTS_QUANT_Q4);

    CHECK(none > 0.3 && none < 3);
    CHECK(q8 > 0.5 && q8 < 2);
    CHECK(q4 > 0.5 && q4 < 2);
    CHECK(q4 != q8);
}

TEST(the_same_shape_is_the_same_noise)
{
    CHECK(spread_of_logits(SMALL, WEIGHTS_QUANT_NONE) ==
          spread_of_logits(SMALL, WEIGHTS_QUANT_NONE));
}

TEST(a_codec_of_the_published_shape_speaks)
{
    static const int     lane = 0;
    static float         pcm[1920];
    struct be_options    bo = { .device = "cpu", .n_thread = 2 };
    struct model_options mo = { .n_lane = 1 };
    struct step          s = { 1, &lane };
    struct model_files  *files = NULL;
    struct mimi         *m = NULL;
    const float         *in = pcm;
    float               *out = pcm;
    int32_t              code[32], *codes = code;
    double               power = 0;

    CHECK(model_shape_open(&files, "mimi") == OK);
    CHECK(files->is_codec_only);
    CHECK(be_open(&mo.be, &bo) == OK);
    CHECK(mimi_open(&m, files, &mo, MIMI_BOTH) == OK);
    CHECK_INT(mimi_info(m)->frame_size, 1920);
    for (int i = 0; i < 1920; i++)
        pcm[i] = sinf((float)i * 0.05f);
    CHECK(mimi_encode_step(m, &s, &in, &codes, NULL) == OK);
    CHECK(mimi_decode_step(m, &s, (const int32_t *const *)&codes, 8, &out) == OK);
    for (int i = 0; i < 1920; i++)
        power += (double)pcm[i] * (double)pcm[i] / 1920;
    CHECK(power > 0 && isfinite(power));
    mimi_close(&m);
    be_close(&mo.be);
    model_files_close(&files);
}

TEST(every_named_shape_has_a_config_that_holds)
{
    for (int i = 0; model_shape_name(i); i++) {
        struct model_files *files = NULL;
        CHECK(model_shape_open(&files, model_shape_name(i)) == OK);
        CHECK(files->is_noise);
        CHECK(strcmp(files->dir, model_shape_name(i)) == 0);
        static struct moshi_config c;
        CHECK(files->is_codec_only || moshi_config_read(&c, files) == OK);
        model_files_close(&files);
    }
}

TEST(an_unknown_shape_is_missing)
{
    struct model_files *files = NULL;

    CHECK(model_shape_open(&files, "moshi-800b") == ERR_MISSING);
    CHECK(!files);
}
