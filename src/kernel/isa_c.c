/* SPDX-License-Identifier: MIT */
/* The definition of every kernel: what the other tables must agree with. */
#include "kernel/isa_c.h"

#include <math.h>
#include <string.h>

#include "kernel/float_bits.h"
#include "kernel/isas.h"

#define LANES       ISA_C_LANES
#define LEAKY_SLOPE 0.01f

static float dot_f32(const float *a, const float *b, int n)
{
    float s[LANES] = { 0 };
    int   k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++)
            s[l] += a[k + l] * b[k + l];
    for (int l = 0; k + l < n; l++)
        s[l] += a[k + l] * b[k + l];
    return isa_c_sum_lanes(s);
}

static float sum_f32(const float *x, int n)
{
    float s[LANES] = { 0 };
    for (int k = 0; k < n; k++)
        s[k % LANES] += x[k];
    return isa_c_sum_lanes(s);
}

static void axpy_f32(float *y, float a, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void add_f32(float *y, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}

static void mul_add_f32(float *y, const float *s, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += s[i] * x[i];
}

static void rms_norm_f32(float *y, const float *x, const float *w, int n, float eps)
{
    float scale = 1 / sqrtf(dot_f32(x, x, n) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * (w[i] * scale);
}

static void layer_norm_f32(float *y, const float *x, const float *w, const float *b, int n,
                           float eps)
{
    float mean = sum_f32(x, n) / (float)n;
    float s[LANES] = { 0 };
    for (int k = 0; k < n; k++)
        s[k % LANES] += (x[k] - mean) * (x[k] - mean);
    float scale = 1 / sqrtf(isa_c_sum_lanes(s) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale * (w ? w[i] : 1) + (b ? b[i] : 0);
}

static void softmax_f32(float *x, int n)
{
    float max = -INFINITY;
    for (int i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++)
        x[i] = expf(x[i] - max);
    float scale = 1 / sum_f32(x, n);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

static float act_one(float x, enum act act)
{
    switch (act) {
    case ACT_SILU: return x / (1 + expf(-x));
    case ACT_GELU: return 0.5f * x * erfcf(-x * 0.70710678f);
    case ACT_RELU: return x < 0 ? 0 : x;
    case ACT_SIGMOID: return 1 / (1 + expf(-x));
    case ACT_TANH: return tanhf(x);
    case ACT_ELU: return x > 0 ? x : expm1f(x);
    case ACT_LEAKY_RELU: return x > 0 ? x : LEAKY_SLOPE * x;
    case ACT_MISH: return x * tanhf(x > 20 ? x : log1pf(expf(x)));
    case ACT_SOFTSIGN: return x / (1 + fabsf(x));
    case ACT_NONE:
    case ACT_COUNT: break;
    }
    return x;
}

static void act_f32(float *y, const float *x, int n, enum act act)
{
    for (int i = 0; i < n; i++)
        y[i] = act_one(x[i], act);
}

static void glu_f32(float *y, const float *a, const float *b, int n, enum act act)
{
    for (int i = 0; i < n; i++)
        y[i] = act_one(a[i], act) * b[i];
}

static void rope_f32(float *x, const float *cos, const float *sin, int n_pair, bool interleaved)
{
    int step = interleaved ? 2 : 1, other = interleaved ? 1 : n_pair;
    for (int i = 0; i < n_pair; i++) {
        float *p = x + i * step;
        float  re = p[0], im = p[other];
        p[0] = re * cos[i] - im * sin[i];
        p[other] = re * sin[i] + im * cos[i];
    }
}

static void attend_f32(float *out, float *score, const float *q, const float *k, const float *v,
                       int n, int first, int n_slot, int d, int stride, float scale)
{
    for (int i = 0, slot = first; i < n; i++, slot = slot + 1 == n_slot ? 0 : slot + 1)
        score[i] = scale * dot_f32(q, k + (size_t)slot * (size_t)stride, d);
    softmax_f32(score, n);
    memset(out, 0, (size_t)d * sizeof *out);
    for (int i = 0, slot = first; i < n; i++, slot = slot + 1 == n_slot ? 0 : slot + 1)
        axpy_f32(out, score[i], v + (size_t)slot * (size_t)stride, d);
}

static float row_at(const struct kern_rows *r, size_t at)
{
    const uint8_t *p = r->p;
    if (r->dtype == DT_F32)
        return ((const float *)r->p)[at];
    return bf16_float(half_load(p + 2 * at));
}

static void attend_score(float *score, const float *q, struct kern_rows keys, int n, int d,
                         float scale)
{
    for (int i = 0; i < n; i++) {
        float s[LANES] = { 0 };
        for (int k = 0; k < d; k++)
            s[k % LANES] += q[k] * row_at(&keys, (size_t)i * (size_t)d + (size_t)k);
        score[i] = isa_c_sum_lanes(s) * scale;
    }
}

static void attend_mix(float *y, const float *score, struct kern_rows values, int n, int d)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++)
            y[k] += score[i] * row_at(&values, (size_t)i * (size_t)d + (size_t)k);
}

static int argmax_f32(const float *x, int n)
{
    float max = -INFINITY;
    int   at = 0;
    for (int i = 0; i < n; i++)
        if (x[i] > max) {
            max = x[i];
            at = i;
        }
    return at;
}

static int nearest_f32(const float *x, const float *table, int n, int d)
{
    float min = INFINITY;
    int   at = 0;
    for (int i = 0; i < n; i++, table += d) {
        float s[LANES] = { 0 };
        for (int k = 0; k < d; k++)
            s[k % LANES] += (x[k] - table[k]) * (x[k] - table[k]);
        float sum = isa_c_sum_lanes(s);
        if (sum < min) {
            min = sum;
            at = i;
        }
    }
    return at;
}

static void bf16_to_f32(float *y, const uint16_t *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = bf16_float(half_load((const uint8_t *)x + 2 * i));
}

static void f16_to_f32(float *y, const uint16_t *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = f16_float(half_load((const uint8_t *)x + 2 * i));
}

static void f32_to_bf16(uint16_t *y, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = bf16_of_float(x[i]);
}

/* MLX's choice for one group: the edge of larger magnitude is met exactly, and zero is a code. */
static void choose_scale(float *scale, float *bias, const float *w, int n, float code_max)
{
    float min = INFINITY, max = -INFINITY;
    for (int i = 0; i < n; i++) {
        max = w[i] > max ? w[i] : max;
        min = w[i] < min ? w[i] : min;
    }
    bool  is_min = fabsf(min) > fabsf(max);
    float edge = is_min ? min : max;
    *scale = fmaxf((max - min) / code_max, QUANT_SCALE_MIN);
    *scale = is_min ? *scale : -*scale;
    *bias = 0;
    float q0 = rintf(edge / *scale);
    if (q0 != 0) {
        *scale = edge / q0;
        *bias = edge;
    }
}

static void quantise_f32(uint8_t *codes, float *scale, float *bias, const float *w, int n_group,
                         int group, int code_max)
{
    for (int g = 0; g < n_group; g++, w += group) {
        choose_scale(&scale[g], &bias[g], w, group, (float)code_max);
        for (int i = 0; i < group; i++) {
            float q = rintf((w[i] - bias[g]) / scale[g]);
            q = q > 0 ? q : 0; /* a NaN too */
            *codes++ = (uint8_t)(q < (float)code_max ? q : (float)code_max);
        }
    }
}

const struct kern isa_c = {
    .name = "c",
    .dot_f32 = dot_f32,
    .axpy_f32 = axpy_f32,
    .add_f32 = add_f32,
    .mul_add_f32 = mul_add_f32,
    .linear_f32 = isa_c_linear_f32,
    .linear_bf16 = isa_c_linear_bf16,
    .linear_f16 = isa_c_linear_f16,
    .linear_q8t = isa_c_linear_q8t,
    .linear_q4t = isa_c_linear_q4t,
    .linear_q8t_i8 = isa_c_int8_q8t,
    .linear_q4t_i8 = isa_c_int8_q4t,
    .linear_bf16_bf16 = isa_c_linear_bf16_bf16,
    .quantise_x = isa_c_int8_quantise,
    .panel_f32 = isa_c_panel_f32,
    .panel_bf16 = isa_c_panel_bf16,
    .panel_bf16_bf16 = isa_c_panel_bf16_bf16,
    .rms_norm_f32 = rms_norm_f32,
    .layer_norm_f32 = layer_norm_f32,
    .softmax_f32 = softmax_f32,
    .act_f32 = act_f32,
    .glu_f32 = glu_f32,
    .rope_f32 = rope_f32,
    .attend_f32 = attend_f32,
    .attend_score = attend_score,
    .attend_mix = attend_mix,
    .quantise_query = isa_c_int8_query,
    .attend_score_i8 = isa_c_int8_score,
    .attend_mix_i8 = isa_c_int8_mix,
    .argmax_f32 = argmax_f32,
    .nearest_f32 = nearest_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f16_to_f32 = f16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
    .quantise_f32 = quantise_f32,
};
