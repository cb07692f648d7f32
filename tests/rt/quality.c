/* SPDX-License-Identifier: MIT */
/* Speed is not bought with quality: fast arithmetic beside exact mode, frame by frame, in bounds.
 * docs/performance.md has the figures of long runs (`parley bench quality`). */
#include "app/bench_quality.h"
#include "check.h"

#define QUESTION "tests/e2e/data/question-sum.wav"

/* A sanitizer, which would take minutes, sees ten frames: of so few two near ties outweigh the
 * mean, so its bounds are wider. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_FRAME 10
#define WIDER   3
#else
#define N_FRAME 100
#define WIDER   1
#endif

static struct bench_quality measure(const char *model, const char *shape, enum weights_quant quant,
                                    const char *kv, int n_step)
{
    struct bench_setup   s = { .model_dir = model,
                               .shape = shape,
                               .be = { .device = "cpu", .n_thread = 2, .kv = kv },
                               .quant = quant,
                               .n_lane = 1,
                               .n_step = n_step };
    struct bench_quality q;

    CHECK(bench_quality_run(&q, &s, shape ? NULL : QUESTION) == OK);
    CHECK_INT(q.n_frame, n_step);
    return q;
}

/* Mean KL of the text head, and the share of frames whose likeliest token is another. */
static double mean_kl(const struct bench_gap *g)
{
    return g->kl_sum / (double)g->n;
}

static double n_other(const struct bench_gap *g)
{
    return 1 - (double)g->n_same / (double)g->n;
}

static bool is_within(const struct bench_gap *g, double kl, double other)
{
    return mean_kl(g) < WIDER * kl && n_other(g) <= WIDER * other;
}

TEST(arithmetic_of_float_weights_changes_nothing_one_hears)
{
    struct bench_quality q = measure("models/tiny-voice", NULL, WEIGHTS_QUANT_NONE, "f32", N_FRAME);

    CHECK_INT(q.text[BENCH_SAME_WEIGHTS].n, N_FRAME);
    CHECK_INT(q.text[BENCH_STORED_WEIGHTS].n, 0); /* they are the same */
    CHECK(is_within(&q.text[BENCH_SAME_WEIGHTS], 1e-5, 0.01));
    CHECK(mean_kl(&q.audio[BENCH_SAME_WEIGHTS]) < WIDER * 1e-5);
    CHECK(q.n_same_code >= q.n_code * 95 / 100);
    CHECK(q.gap_power <= q.sound_power * 1e-4);
}

TEST(int8_activations_and_keys_stay_close_to_the_same_weights_in_exact_mode)
{
    static const enum weights_quant quants[] = { WEIGHTS_QUANT_Q8, WEIGHTS_QUANT_Q4 };

    for (int i = 0; i < 2; i++) {
        struct bench_quality    q = measure("models/tiny-voice", NULL, quants[i], "int8", N_FRAME);
        const struct bench_gap *text = &q.text[BENCH_SAME_WEIGHTS];
        const struct bench_gap *audio = &q.audio[BENCH_SAME_WEIGHTS];
        printf("# %s: text %.2e, %.1f %% other; audio %.2e, %.1f %% other\n", i ? "q4" : "q8",
               mean_kl(text), 100 * n_other(text), mean_kl(audio), 100 * n_other(audio));
        CHECK(text->kl_sum > 0); /* else nothing was measured */
        CHECK(is_within(text, 1e-3, 0.02));
        CHECK(is_within(audio, 1e-3, 0.03));
    }
}

/* What --quant itself costs: four bits are coarse for a model of a few million weights. */
TEST(quantised_weights_think_much_as_those_that_are_stored)
{
    struct bench_quality q8 = measure("models/tiny-voice", NULL, WEIGHTS_QUANT_Q8, "bf16", N_FRAME);
    struct bench_quality q4 = measure("models/tiny-voice", NULL, WEIGHTS_QUANT_Q4, "int8", N_FRAME);
    const struct bench_gap *text8 = &q8.text[BENCH_STORED_WEIGHTS];
    const struct bench_gap *text4 = &q4.text[BENCH_STORED_WEIGHTS];

    CHECK_INT(text8->n, N_FRAME);
    CHECK(is_within(text8, 2e-3, 0.03));
    CHECK(is_within(text4, 5e-2, 0.1));
    CHECK(text4->kl_sum > text8->kl_sum);
}

/* Noise has no sure favourites: the worst that can come. */
TEST(noise_of_a_small_shape_stays_in_bounds)
{
    struct bench_quality q = measure(NULL, "models/tiny-voice", WEIGHTS_QUANT_Q4, "int8", N_FRAME);
    const struct bench_gap *text = &q.text[BENCH_SAME_WEIGHTS];

    CHECK_INT(q.text[BENCH_STORED_WEIGHTS].n, 0);
    CHECK(text->kl_sum > 0);
    CHECK(is_within(text, 5e-3, 0.2));
}
