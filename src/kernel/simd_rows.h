/* SPDX-License-Identifier: MIT */
/* simd_rows: kernels that walk along rows of numbers, on the vocabulary included before. */
#ifndef KERNEL_SIMD_ROWS_H
#define KERNEL_SIMD_ROWS_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
/* Walks i over n lanes by lanes: BODY(load, store) with whole registers, then once with the
 * rest. */
#define SIMD_WALK(n, BODY)                             \
    do {                                               \
        int i = 0;                                     \
        for (; i + SIMD_LANES <= (n); i += SIMD_LANES) \
            BODY(SIMD_LOAD_ALL, SIMD_STORE_ALL)        \
        if (i < (n))                                   \
            BODY(SIMD_LOAD_REST, SIMD_STORE_REST)      \
    } while (0)
#define SIMD_LOAD_ALL(p, n)      simd_load((p) + i)
#define SIMD_LOAD_REST(p, n)     simd_load_n((p) + i, (n)-i)
#define SIMD_STORE_ALL(p, v, n)  simd_store((p) + i, v)
#define SIMD_STORE_REST(p, v, n) simd_store_n((p) + i, v, (n)-i)

static float dot_f32(const float *a, const float *b, int n)
{
    simd s = simd_zero();
#define BODY(LOAD, STORE) s = simd_fma(LOAD(a, n), LOAD(b, n), s);
    SIMD_WALK(n, BODY);
#undef BODY
    return simd_sum(s);
}

static void axpy_f32(float *y, float a, const float *x, int n)
{
    simd va = simd_set(a);
#define BODY(LOAD, STORE) STORE(y, simd_fma(va, LOAD(x, n), LOAD(y, n)), n);
    SIMD_WALK(n, BODY);
#undef BODY
}

static void add_f32(float *y, const float *x, int n)
{
#define BODY(LOAD, STORE) STORE(y, simd_add(LOAD(y, n), LOAD(x, n)), n);
    SIMD_WALK(n, BODY);
#undef BODY
}

static void mul_add_f32(float *y, const float *s, const float *x, int n)
{
#define BODY(LOAD, STORE) STORE(y, simd_fma(LOAD(s, n), LOAD(x, n), LOAD(y, n)), n);
    SIMD_WALK(n, BODY);
#undef BODY
}

static void rms_norm_f32(float *y, const float *x, const float *w, int n, float eps)
{
    simd scale = simd_set(1 / sqrtf(dot_f32(x, x, n) / (float)n + eps));
#define BODY(LOAD, STORE) STORE(y, simd_mul(LOAD(x, n), simd_mul(LOAD(w, n), scale)), n);
    SIMD_WALK(n, BODY);
#undef BODY
}

static float sum_f32(const float *x, int n)
{
    simd s = simd_zero();
#define BODY(LOAD, STORE) s = simd_add(s, LOAD(x, n));
    SIMD_WALK(n, BODY);
#undef BODY
    return simd_sum(s);
}

/* The sum of (x - mean)^2. */
static float sum_off_f32(const float *x, float mean, int n)
{
    simd s = simd_zero(), vm = simd_set(mean);
    int  i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES) {
        simd d = simd_sub(simd_load(x + i), vm);
        s = simd_fma(d, d, s);
    }
    float sum = simd_sum(s);
    for (; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void layer_norm_f32(float *y, const float *x, const float *w, const float *b, int n,
                           float eps)
{
    float mean = sum_f32(x, n) / (float)n;
    simd  vm = simd_set(mean), one = simd_set(1), zero = simd_zero();
    simd  scale = simd_set(1 / sqrtf(sum_off_f32(x, mean, n) / (float)n + eps));
#define BODY(LOAD, STORE)                                                           \
    STORE(y,                                                                        \
          simd_fma(simd_mul(simd_sub(LOAD(x, n), vm), scale), w ? LOAD(w, n) : one, \
                   b ? LOAD(b, n) : zero),                                          \
          n);
    SIMD_WALK(n, BODY);
#undef BODY
}

/* NaNs are passed over: they come out of the exponential again. */
static float max_f32(const float *x, int n)
{
    simd  most = simd_set(-HUGE_VALF);
    float lane[SIMD_LANES], max = -HUGE_VALF;
    int   i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        most = simd_max(simd_load(x + i), most);
    simd_store(lane, most);
    for (int l = 0; l < SIMD_LANES; l++)
        max = lane[l] > max ? lane[l] : max;
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static void softmax_f32(float *x, int n)
{
    simd vm = simd_set(max_f32(x, n));
#define BODY(LOAD, STORE) STORE(x, simd_exp(simd_sub(LOAD(x, n), vm)), n);
    SIMD_WALK(n, BODY);
#undef BODY
    simd scale = simd_set(1 / sum_f32(x, n));
#define BODY(LOAD, STORE) STORE(x, simd_mul(LOAD(x, n), scale), n);
    SIMD_WALK(n, BODY);
#undef BODY
}

SIMD_INLINE void simd_act_row(float *y, const float *x, const float *b, int n, enum act act)
{
#define BODY(LOAD, STORE)                             \
    {                                                 \
        simd v = simd_act(LOAD(x, n), act);           \
        STORE(y, b ? simd_mul(v, LOAD(b, n)) : v, n); \
    }
    SIMD_WALK(n, BODY);
#undef BODY
}

/* One loop for each activation: the choice stays outside. */
SIMD_INLINE void simd_act_any(float *y, const float *x, const float *b, int n, enum act act)
{
    switch (act) {
    case ACT_SILU: simd_act_row(y, x, b, n, ACT_SILU); break;
    case ACT_GELU: simd_act_row(y, x, b, n, ACT_GELU); break;
    case ACT_RELU: simd_act_row(y, x, b, n, ACT_RELU); break;
    case ACT_SIGMOID: simd_act_row(y, x, b, n, ACT_SIGMOID); break;
    case ACT_TANH: simd_act_row(y, x, b, n, ACT_TANH); break;
    case ACT_ELU: simd_act_row(y, x, b, n, ACT_ELU); break;
    case ACT_LEAKY_RELU: simd_act_row(y, x, b, n, ACT_LEAKY_RELU); break;
    case ACT_MISH: simd_act_row(y, x, b, n, ACT_MISH); break;
    case ACT_SOFTSIGN: simd_act_row(y, x, b, n, ACT_SOFTSIGN); break;
    case ACT_NONE:
    case ACT_COUNT: simd_act_row(y, x, b, n, ACT_NONE); break;
    }
}

static void act_f32(float *y, const float *x, int n, enum act act)
{
    simd_act_any(y, x, NULL, n, act);
}

static void glu_f32(float *y, const float *a, const float *b, int n, enum act act)
{
    simd_act_any(y, a, b, n, act);
}

/* Scores of keys that lie one after the other: a linear op with the keys as its matrix. */
static void score_run(float *score, const float *q, const float *k, int n, int d, int stride)
{
    struct simd_linear j = { &score, &q, (const uint8_t *)k, sizeof *k, (size_t)stride * sizeof *k,
                             d };
    simd_linear_all(&j, 1, 0, n, simd_weight_f32);
}

/* out[0 .. n_d) = sum of score[i] * v[i], in the order of the keys, n_d <= 4 registers. */
SIMD_INLINE void mix_columns(float *out, const float *score, const float *v, int n, int first,
                             int n_slot, int stride, int n_d)
{
    simd sum[4] = { simd_zero(), simd_zero(), simd_zero(), simd_zero() };
    int  n_reg = n_d / SIMD_LANES, n_rest = n_d % SIMD_LANES;
    for (int i = 0, slot = first; i < n; i++, slot = slot + 1 == n_slot ? 0 : slot + 1) {
        const float *row = v + (size_t)slot * (size_t)stride;
        simd         s = simd_set(score[i]);
        SIMD_EACH (c, n_reg)
            sum[c] = simd_fma(s, simd_load(row + c * SIMD_LANES), sum[c]);
        if (n_rest)
            sum[n_reg] = simd_fma(s, simd_load_n(row + n_reg * SIMD_LANES, n_rest), sum[n_reg]);
    }
    for (int c = 0; c < n_reg; c++)
        simd_store(out + c * SIMD_LANES, sum[c]);
    if (n_rest)
        simd_store_n(out + n_reg * SIMD_LANES, sum[n_reg], n_rest);
}

static void attend_f32(float *out, float *score, const float *q, const float *k, const float *v,
                       int n, int first, int n_slot, int d, int stride, float scale)
{
    int  n_run = n_slot - first < n ? n_slot - first : n; /* up to the end of the ring */
    simd vs = simd_set(scale);
    score_run(score, q, k + (size_t)first * (size_t)stride, n_run, d, stride);
    score_run(score + n_run, q, k, n - n_run, d, stride);
#define BODY(LOAD, STORE) STORE(score, simd_mul(LOAD(score, n), vs), n);
    SIMD_WALK(n, BODY);
#undef BODY
    softmax_f32(score, n);
    int c = 0;
    for (; c + 4 * SIMD_LANES <= d; c += 4 * SIMD_LANES)
        mix_columns(out + c, score, v + c, n, first, n_slot, stride, 4 * SIMD_LANES);
    for (; c + SIMD_LANES <= d; c += SIMD_LANES)
        mix_columns(out + c, score, v + c, n, first, n_slot, stride, SIMD_LANES);
    if (c < d)
        mix_columns(out + c, score, v + c, n, first, n_slot, stride, d - c);
}

static int argmax_f32(const float *x, int n)
{
    simd     most = simd_set(-HUGE_VALF);
    simd_int where = simd_count(0);
    int      i = 0, lane_at[SIMD_LANES], at = 0;
    float    lane[SIMD_LANES], max = -HUGE_VALF;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES) {
        simd      v = simd_load(x + i);
        simd_mask more = simd_less(most, v);
        most = simd_pick(more, v, most);
        where = simd_pick_int(more, simd_count(i), where);
    }
    simd_store(lane, most);
    simd_store_int(lane_at, where);
    for (int l = 0; l < SIMD_LANES; l++)
        if (lane[l] > max || (lane[l] == max && max > -HUGE_VALF && lane_at[l] < at)) {
            max = lane[l];
            at = lane_at[l];
        }
    for (; i < n; i++)
        if (x[i] > max) {
            max = x[i];
            at = i;
        }
    return at;
}

/* Squared distances to four rows, or to one. */
SIMD_INLINE void distances(float *out, const float *x, const float *rows, int d, int n_row)
{
    simd sum[4] = { simd_zero(), simd_zero(), simd_zero(), simd_zero() };
    int  k = 0;
    for (; k + SIMD_LANES <= d; k += SIMD_LANES) {
        simd in = simd_load(x + k);
        SIMD_EACH (r, n_row) {
            simd off = simd_sub(in, simd_load(rows + (size_t)r * (size_t)d + k));
            sum[r] = simd_fma(off, off, sum[r]);
        }
    }
    if (k < d) {
        simd in = simd_load_n(x + k, d - k);
        SIMD_EACH (r, n_row) {
            simd off = simd_sub(in, simd_load_n(rows + (size_t)r * (size_t)d + k, d - k));
            sum[r] = simd_fma(off, off, sum[r]);
        }
    }
    if (n_row == 4)
        simd_sums4(out, sum);
    else
        out[0] = simd_sum(sum[0]);
}

static int nearest_f32(const float *x, const float *table, int n, int d)
{
    float min = HUGE_VALF, dist[4];
    int   at = 0;
    for (int i = 0; i < n; i += 4) {
        int n_row = n - i < 4 ? 1 : 4;
        if (n_row == 4)
            distances(dist, x, table + (size_t)i * (size_t)d, d, 4);
        else
            for (n_row = 0; i + n_row < n; n_row++)
                distances(dist + n_row, x, table + (size_t)(i + n_row) * (size_t)d, d, 1);
        for (int r = 0; r < n_row; r++)
            if (dist[r] < min) {
                min = dist[r];
                at = i + r;
            }
    }
    return at;
}

SIMD_INLINE void simd_widen_row(float *y, const uint8_t *x, int n, simd_weight_fn load)
{
    int i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        simd_store(y + i, load(x + 2 * (size_t)i));
    if (i < n)
        simd_store_n(y + i, simd_weight_n(x + 2 * (size_t)i, n - i, 2, load), n - i);
}

static void bf16_to_f32(float *y, const uint16_t *x, int n)
{
    simd_widen_row(y, (const uint8_t *)x, n, simd_weight_bf16);
}

static void f16_to_f32(float *y, const uint16_t *x, int n)
{
    simd_widen_row(y, (const uint8_t *)x, n, simd_weight_f16);
}

static void f32_to_bf16(uint16_t *y, const float *x, int n)
{
    int i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        simd_store_bf16(y + i, simd_load(x + i));
    if (i < n) {
        uint16_t last[SIMD_LANES];
        simd_store_bf16(last, simd_load_n(x + i, n - i));
        memcpy(y + i, last, (size_t)(n - i) * sizeof *y);
    }
}
#endif
#endif
