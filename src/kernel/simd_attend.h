/* SPDX-License-Identifier: MIT */
/* simd_attend: one query against rows of keys and values, on the vocabulary included before.
 *
 * Every score is SIMD_LANES partial sums over d, added in simd_sum()'s order; every output adds the
 * values in the order of their rows. So neither depends on how a ring is cut into runs.
 */
#ifndef KERNEL_SIMD_ATTEND_H
#define KERNEL_SIMD_ATTEND_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define SIMD_KEYS  8    /* keys at a time: as many sums as hide the latency of one */
#define SIMD_AHEAD 1024 /* bytes ahead that are asked for: runs are short for a CPU to foresee */
#define SIMD_MIXED 8    /* registers of values at a time */

/* n_key is SIMD_KEYS or 1. */
SIMD_INLINE void simd_score_keys(float *score, const float *q, const uint8_t *key, size_t size,
                                 int d, int n_key, float scale, struct simd_ask ask,
                                 simd_weight_fn load)
{
    simd   sum[SIMD_KEYS];
    size_t row = (size_t)d * size;
    int    i = 0;
    for (int line = 0; n_key > 1 && line < SIMD_KEYS * (int)row / 64; line++)
        simd_ask_line(&ask, line);
    SIMD_EACH (r, n_key)
        sum[r] = simd_zero();
    for (; i + SIMD_LANES <= d; i += SIMD_LANES) {
        simd in = simd_load(q + i);
        SIMD_EACH (r, n_key)
            sum[r] = simd_fma(load(key + (size_t)r * row + (size_t)i * size), in, sum[r]);
    }
    if (i < d) {
        simd in = simd_load_n(q + i, d - i);
        SIMD_EACH (r, n_key) {
            const uint8_t *p = key + (size_t)r * row + (size_t)i * size;
            sum[r] = simd_fma(simd_weight_n(p, d - i, size, load), in, sum[r]);
        }
    }
    if (n_key == 1) {
        score[0] = simd_sum(sum[0]) * scale;
        return;
    }
    simd_sums4(score, sum);
    simd_sums4(score + 4, sum + 4);
    for (int r = 0; r < SIMD_KEYS; r++)
        score[r] *= scale;
}

SIMD_INLINE void simd_score(float *score, const float *q, const struct kern_rows *keys, size_t size,
                            int n, int d, float scale, simd_weight_fn load)
{
    const uint8_t  *key = keys->p;
    size_t          row = (size_t)d * size;
    struct simd_ask ask = simd_ask(keys, SIMD_AHEAD);
    int             i = 0;
    for (; i + SIMD_KEYS <= n; i += SIMD_KEYS)
        simd_score_keys(score + i, q, key + (size_t)i * row, size, d, SIMD_KEYS, scale,
                        simd_ask_from(ask, (size_t)i * row), load);
    for (; i < n; i++)
        simd_score_keys(score + i, q, key + (size_t)i * row, size, d, 1, scale, ask, load);
}

static void attend_score(float *score, const float *q, struct kern_rows keys, int n, int d,
                         float scale)
{
    if (keys.dtype == DT_F32)
        simd_score(score, q, &keys, 4, n, d, scale, simd_weight_f32);
    else
        simd_score(score, q, &keys, 2, n, d, scale, simd_weight_bf16);
}

/* n_reg registers of the output, and n_rest numbers more. */
SIMD_INLINE void simd_mix_columns(float *y, const float *score, const struct kern_rows *values,
                                  size_t size, int from, int n, int d, int n_reg, int n_rest,
                                  simd_weight_fn load)
{
    simd            sum[SIMD_MIXED];
    const uint8_t  *v = (const uint8_t *)values->p + (size_t)from * size;
    size_t          row = (size_t)d * size;
    int             n_line = (n_reg * SIMD_LANES * (int)size + 63) / 64;
    struct simd_ask ask = simd_ask_from(simd_ask(values, SIMD_AHEAD), (size_t)(n * from) * size);
    SIMD_EACH (c, n_reg)
        sum[c] = simd_load(y + from + c * SIMD_LANES);
    if (n_rest)
        sum[n_reg] = simd_load_n(y + from + n_reg * SIMD_LANES, n_rest);
    for (int i = 0; i < n; i++, v += row) {
        SIMD_EACH (c, n_line)
            simd_ask_line(&ask, i * n_line + c);
        simd s = simd_set(score[i]);
        SIMD_EACH (c, n_reg)
            sum[c] = simd_fma(s, load(v + (size_t)(c * SIMD_LANES) * size), sum[c]);
        if (n_rest) {
            const uint8_t *p = v + (size_t)(n_reg * SIMD_LANES) * size;
            sum[n_reg] = simd_fma(s, simd_weight_n(p, n_rest, size, load), sum[n_reg]);
        }
    }
    SIMD_EACH (c, n_reg)
        simd_store(y + from + c * SIMD_LANES, sum[c]);
    if (n_rest)
        simd_store_n(y + from + n_reg * SIMD_LANES, sum[n_reg], n_rest);
}

SIMD_INLINE void simd_mix(float *y, const float *score, const struct kern_rows *values, size_t size,
                          int n, int d, simd_weight_fn load)
{
    int c = 0, many = SIMD_MIXED * SIMD_LANES;
    for (; c + many <= d; c += many)
        simd_mix_columns(y, score, values, size, c, n, d, SIMD_MIXED, 0, load);
    for (; c + SIMD_LANES <= d; c += SIMD_LANES)
        simd_mix_columns(y, score, values, size, c, n, d, 1, 0, load);
    if (c < d)
        simd_mix_columns(y, score, values, size, c, n, d, 0, d - c, load);
}

static void attend_mix(float *y, const float *score, struct kern_rows values, int n, int d)
{
    if (values.dtype == DT_F32)
        simd_mix(y, score, &values, 4, n, d, simd_weight_f32);
    else
        simd_mix(y, score, &values, 2, n, d, simd_weight_bf16);
}
#endif
#endif
