/* SPDX-License-Identifier: MIT */
/* sine: positions as sinusoids, added to what enters a transformer. */
#ifndef MODEL_NN_SINE_H
#define MODEL_NN_SINE_H

#include <stdint.h>

#include "base/mem.h"

/* [dim / 2], from 1 to max_period; dim is even and at least 4. NULL: out of memory. */
float *sine_period(struct arena *a, int dim, float max_period);
/* x [dim] += scale * [cos(position / period) ..., sin(position / period) ...] */
void sine_add(float *x, int dim, const float *period, int64_t position, float scale);

#endif
