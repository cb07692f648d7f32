/* SPDX-License-Identifier: MIT */
#include "media/resample.h"

#include <math.h>

#include "check.h"

#define N_IN 44100

/* All of in through the resampler, block by block; how many samples came out. */
static size_t convert(float *out, size_t cap, int from_hz, int to_hz, const float *in, size_t n_in,
                      size_t block)
{
    struct resample *r;
    size_t           n = 0, at = 0, n_out, n_used;

    CHECK(resample_open(&r, from_hz, to_hz) == OK);
    while (at < n_in) {
        size_t n_block = n_in - at < block ? n_in - at : block;
        CHECK(resample_step(r, out + n, &n_out, cap - n, in + at, n_block, &n_used) == OK);
        CHECK(n_used > 0 || n_out > 0);
        at += n_used;
        n += n_out;
    }
    do {
        CHECK(resample_step(r, out + n, &n_out, cap - n, NULL, 0, &n_used) == OK);
        n += n_out;
    } while (n_out > 0);
    resample_close(&r);
    CHECK(!r);
    return n;
}

TEST(resample_does_not_depend_on_blocks)
{
    static float in[N_IN], whole[N_IN], parts[N_IN];

    for (int i = 0; i < N_IN; i++)
        in[i] = (float)sin(i * 0.01);
    size_t n = convert(whole, N_IN, 44100, 24000, in, N_IN, N_IN);
    CHECK(n >= 23999 && n <= 24001);
    CHECK_INT(convert(parts, N_IN, 44100, 24000, in, N_IN, 441), n);
    CHECK(memcmp(whole, parts, n * sizeof *whole) == 0);
}

TEST(resample_keeps_tones_and_drops_what_the_new_rate_cannot_hold)
{
    static float in[48000], out[48000];

    for (int i = 0; i < 48000; i++)
        in[i] = (float)(sin(2 * 3.14159265358979 * 1000 * i / 48000) +
                        sin(2 * 3.14159265358979 * 20000 * i / 48000));
    size_t n = convert(out, 48000, 48000, 24000, in, 48000, 480);
    double worst = 0;
    for (size_t i = 1000; i < n - 1000; i++)
        worst = fmax(worst, fabs(out[i] - sin(2 * 3.14159265358979 * 1000 * (double)i / 24000)));
    printf("# worst difference %g\n", worst);
    CHECK(worst < 1e-3);
}

TEST(resample_refuses_rates_that_are_none)
{
    struct resample *r = NULL;

    CHECK(resample_open(&r, 0, 24000) == ERR_FAIL);
    CHECK(!r);
}
