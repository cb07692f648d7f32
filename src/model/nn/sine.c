/* SPDX-License-Identifier: MIT */
#include "model/nn/sine.h"

#include <math.h>

float *sine_period(struct arena *a, int dim, float max_period)
{
    int    half = dim / 2;
    float *p = arena_take(a, (size_t)half * sizeof *p);

    for (int i = 0; p && i < half; i++)
        p[i] = powf(max_period, (float)i / (float)(half - 1));
    return p;
}

void sine_add(float *x, int dim, const float *period, int64_t position, float scale)
{
    int half = dim / 2;

    for (int i = 0; i < half; i++) {
        float phase = (float)position / period[i];
        x[i] += scale * cosf(phase);
        x[half + i] += scale * sinf(phase);
    }
}
