/* SPDX-License-Identifier: MIT */
#include "model/sampler.h"

#include <math.h>

#include "check.h"

enum { N_DRAW = 200000 };

/* Chi-square of counts against probabilities; tokens without probability must not come at all. */
static double chi_square(const int *count, const double *p, int n)
{
    double x = 0;

    for (int i = 0; i < n; i++) {
        double want = p[i] * N_DRAW;
        if (p[i] == 0)
            CHECK_INT(count[i], 0);
        else
            x += (count[i] - want) * (count[i] - want) / want;
    }
    return x;
}

static void count_draws(int *count, const float *logits, int n, float temp, int top_k,
                        uint64_t seed)
{
    float room[64];

    memset(count, 0, (size_t)n * sizeof *count);
    for (uint64_t d = 0; d < N_DRAW; d++) {
        int32_t t = sampler_draw(logits, n, temp, top_k, seed, d, room);
        CHECK(t >= 0 && t < n);
        count[t]++;
    }
}

/* What the softmax of the logits over temp gives the k largest, all ids below `last` when tied. */
static void expected(double *p, const float *logits, int n, double temp, double least)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += p[i] = logits[i] >= least ? exp(logits[i] / temp) : 0;
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

static const float eight[8] = { 1.5f, -2.0f, 0.25f, 3.0f, 2.5f, -1.0f, 0.0f, 1.75f };

TEST(sampler_draws_from_the_softmax)
{
    int    count[8];
    double p[8];

    count_draws(count, eight, 8, 0.8f, 0, 1);
    expected(p, eight, 8, 0.8, -1e9);
    CHECK(chi_square(count, p, 8) < 24.3); /* 7 degrees of freedom: 1 in 1,000 */
}

TEST(sampler_keeps_the_top_k)
{
    int    count[8];
    double p[8];

    count_draws(count, eight, 8, 1.3f, 3, 2);
    expected(p, eight, 8, 1.3, 1.75);
    CHECK(chi_square(count, p, 8) < 13.8); /* 2 degrees */
}

TEST(sampler_breaks_ties_of_the_top_k_by_the_lower_id)
{
    const float logits[6] = { 1, 2, 1, 1, 0, 1 };
    int         count[6];
    double      p[6] = { 1, exp(1), 1, 0, 0, 0 };

    count_draws(count, logits, 6, 1, 3, 3);
    double sum = p[0] + p[1] + p[2];
    for (int i = 0; i < 6; i++)
        p[i] /= sum;
    CHECK(chi_square(count, p, 6) < 13.8);
}

/* The k likeliest alone, the lower id first among equals; the others are not numbers. */
static void keep_top_k(float *out, const float *logits, int n, int k)
{
    for (int i = 0; i < n; i++) {
        int n_before = 0;
        for (int j = 0; j < n; j++)
            n_before += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
        out[i] = n_before < k ? logits[i] : NAN;
    }
}

/* Few and many are found in different ways. */
TEST(sampler_finds_the_top_k_for_every_k)
{
    static const int ks[] = { 1, 2, 63, 64, 65, 100, 250, 399, 400 };
    float            logits[400], kept[400], room[400];

    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 400; i++) {
            logits[i] = (float)(i * 7919 % 401) - 200;
            if (round % 3 == 1)
                logits[i] = (float)(i * 7919 % 11) - 5; /* many ties, zeros of both signs */
            if (round % 3 == 1 && logits[i] == 0 && i % 2)
                logits[i] = -0.0f;
            if (round % 3 == 2 && i % 3)
                logits[i] = i % 3 == 1 ? NAN : -INFINITY;
            logits[i] *= 0.01f;
        }
        for (size_t j = 0; j < sizeof ks / sizeof *ks; j++) {
            keep_top_k(kept, logits, 400, ks[j]);
            for (uint64_t draw = 0; draw < 50; draw++)
                CHECK_INT(sampler_draw(logits, 400, 0.9f, ks[j], 3, draw, room),
                          sampler_draw(kept, 400, 0.9f, 0, 3, draw, room));
        }
    }
}

TEST(sampler_has_no_pattern_from_draw_to_draw)
{
    const float flat[4] = { 0, 0, 0, 0 };
    int         count[16] = { 0 };
    double      p[16];
    int32_t     last = 0;

    for (uint64_t d = 0; d < N_DRAW; d++) {
        int32_t t = sampler_draw(flat, 4, 1, 0, 77, d, NULL);
        count[4 * last + t]++;
        last = t;
    }
    for (int i = 0; i < 16; i++)
        p[i] = 1.0 / 16;
    CHECK(chi_square(count, p, 16) < 37.7); /* 15 degrees */
}

TEST(sampler_is_greedy_without_temperature_and_takes_the_first_maximum)
{
    const float logits[5] = { 0, 7, 3, 7, -1 };

    for (uint64_t d = 0; d < 100; d++) {
        CHECK_INT(sampler_draw(logits, 5, 0, 3, d, d, NULL), 1);
        CHECK_INT(sampler_draw(logits, 5, -1, 3, d, d, NULL), 1);
    }
}

TEST(sampler_gives_the_same_token_for_the_same_seed_and_draw)
{
    float room[8];
    int   n_same = 0;

    for (uint64_t d = 0; d < 1000; d++) {
        int32_t a = sampler_draw(eight, 8, 2, 5, 9, d, room);
        CHECK_INT(sampler_draw(eight, 8, 2, 5, 9, d, room), a);
        n_same += sampler_draw(eight, 8, 2, 5, 10, d, room) == a;
    }
    CHECK(n_same > 100 && n_same < 500); /* another seed is another sequence */
}

TEST(sampler_hardly_cares_about_rounding)
{
    float a[256], b[256], room[256];
    int   n_other = 0;

    for (uint64_t d = 0; d < 4000; d++) {
        for (int i = 0; i < 256; i++) {
            a[i] = sinf((float)(d * 256 + (uint64_t)i)) * 3;
            b[i] = a[i] * (1 + (i % 2 ? 2e-6f : -2e-6f));
        }
        n_other += sampler_draw(a, 256, 0.8f, 100, 5, d, room) !=
                   sampler_draw(b, 256, 0.8f, 100, 5, d, room);
    }
    CHECK(n_other <= 1); /* 1e-5 of a draw, 4,000 draws: hardly ever one */
}

TEST(sampler_refuses_logits_that_are_not_numbers)
{
    const float nan4[4] = { NAN, NAN, NAN, NAN }, some[4] = { NAN, 1, NAN, 2 };
    float       room[4];

    CHECK_INT(sampler_draw(nan4, 4, 1, 2, 1, 1, room), -1);
    CHECK_INT(sampler_draw(nan4, 4, 1, 0, 1, 1, room), -1);
    CHECK_INT(sampler_draw(nan4, 4, 0, 0, 1, 1, room), -1);
    for (uint64_t d = 0; d < 100; d++) {
        int32_t t = sampler_draw(some, 4, 1, 2, 1, d, room);
        CHECK(t == 1 || t == 3);
    }
    CHECK_INT(sampler_draw(some, 4, 0, 0, 1, 1, room), 3);
}
