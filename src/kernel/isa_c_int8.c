/* SPDX-License-Identifier: MIT */
/* The definition of the kernels on quantised activations. */
#include <math.h>
#include <string.h>

#include "kernel/float_bits.h"
#include "kernel/isa_c.h"

#define VECS      8      /* vectors that share a widened tile */
#define TINY      1e-30f /* a code / it is still finite; below, a group is zeros */
#define GROUP_SUM 32

/* Where column i of eight lies in a vector for tiles of so many bits. */
static int place_of(int i, int bits)
{
    return bits == 8 ? i : (i & ~7) + (i % 8 >> 1) + (i & 1) * 4;
}

/* The largest magnitude as its bits: above every number come infinity and the NaNs. */
static float scale_of(float *inverse, const float *x, int n, float code_max)
{
    uint32_t max = 0;
    for (int i = 0; i < n; i++) {
        uint32_t u = float_bits(x[i]) & 0x7fffffffu;
        max = u > max ? u : max;
    }
    *inverse = 0;
    if (max >= 0x7f800000u)
        return NAN;
    float top = float_of_bits(max);
    if (top < TINY)
        return 0;
    *inverse = code_max / top;
    return top / code_max;
}

void isa_c_int8_quantise(const struct quant_x *out, const float *x, int n, int bits)
{
    for (int k = 0; k < n; k += QUANT_COLS) {
        int     n_k = n - k < QUANT_COLS ? n - k : QUANT_COLS;
        int8_t *q = out->q + k;
        float   inverse, scale = scale_of(&inverse, x + k, n_k, 127);
        memset(q, 0, QUANT_COLS);
        out->scale[k / QUANT_COLS] = scale;
        for (int i = 0; i < n_k; i++)
            q[place_of(i, bits)] = inverse > 0 ? (int8_t)rintf(x[k + i] * inverse) : 0;
        for (int g = 0; g < QUANT_COLS / GROUP_SUM; g++) {
            int sum = 0;
            for (int i = 0; i < GROUP_SUM; i++)
                sum += q[g * GROUP_SUM + i];
            out->sum[k / GROUP_SUM + g] = scale * (float)sum;
        }
    }
}

/* The codes of a tile in the order of x: [QUANT_COLS, QUANT_ROWS]. */
static void widen_tile(int16_t *q, const uint8_t *tile, int bits)
{
    for (int i = 0; i < QUANT_COLS; i++)
        for (int r = 0; r < QUANT_ROWS; r++) {
            const uint8_t *p = tile + (bits == 8 ? i / 4 * 64 + i % 4 : i / 8 * 64 + i % 4) + r * 4;
            q[i * QUANT_ROWS + r] = (int16_t)(bits == 8 ? *p : i % 8 < 4 ? *p & 15 : *p >> 4);
        }
}

static void add_tile(float *sum, const int16_t *codes, const uint8_t *params,
                     const struct quant_x *x, int t, int group)
{
    int n_group = QUANT_COLS / group;
    for (int g = 0; g < n_group; g++) {
        int32_t       dot[QUANT_ROWS] = { 0 };
        const int8_t *q = x->q + t * QUANT_COLS;
        for (int k = g * group; k < (g + 1) * group; k++)
            for (int r = 0; r < QUANT_ROWS; r++)
                dot[r] += codes[k * QUANT_ROWS + r] * q[k];
        float x_sum = n_group == 2 ? x->sum[2 * t + g] : x->sum[2 * t] + x->sum[2 * t + 1];
        for (int r = 0; r < QUANT_ROWS; r++) {
            float scale = bf16_float(half_load(params + 2 * (g * QUANT_ROWS + r)));
            float bias = bf16_float(half_load(params + 2 * ((n_group + g) * QUANT_ROWS + r)));
            sum[r] += scale * (x->scale[t] * (float)dot[r]);
            sum[r] += bias * x_sum;
        }
    }
}

static void linear_block(float *const *y, const struct quant_x *x, int n_vec, const uint8_t *tiles,
                         struct quant_shape s, int row0, int row1)
{
    size_t  tile_size = quant_tile_size(s.bits, s.group);
    size_t  codes = (size_t)QUANT_ROWS * QUANT_COLS * (size_t)s.bits / 8;
    int     n_tile = quant_n_tile(s);
    int16_t q[QUANT_COLS * QUANT_ROWS];
    for (int m0 = 0; m0 < n_vec; m0 += VECS) {
        int   n = n_vec - m0 < VECS ? n_vec - m0 : VECS;
        float sum[VECS][QUANT_ROWS] = { { 0 } };
        for (int t = 0; t < n_tile; t++) {
            const uint8_t *tile = tiles + (size_t)t * tile_size;
            widen_tile(q, tile, s.bits);
            for (int m = 0; m < n; m++)
                add_tile(sum[m], q, tile + codes, &x[m0 + m], t, s.group);
        }
        for (int m = 0; m < n; m++)
            memcpy(y[m0 + m] + row0, sum[m], (size_t)(row1 - row0) * sizeof(float));
    }
}

static void linear_i8(float *const *y, const struct quant_x *x, int n_vec, const void *tiles,
                      struct quant_shape s, int row0, int row1)
{
    size_t block_size = (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group);
    for (int r = row0; r < row1; r += QUANT_ROWS)
        linear_block(y, x, n_vec, (const uint8_t *)tiles + (size_t)(r / QUANT_ROWS) * block_size, s,
                     r, r + QUANT_ROWS < row1 ? r + QUANT_ROWS : row1);
}

void isa_c_int8_q8t KERN_TILES_I8_ARGS
{
    s.bits = 8;
    linear_i8(y, x, n_vec, tiles, s, row0, row1);
}

void isa_c_int8_q4t KERN_TILES_I8_ARGS
{
    s.bits = 4;
    linear_i8(y, x, n_vec, tiles, s, row0, row1);
}

float isa_c_int8_query(int16_t *q, const float *x, int n)
{
    float inverse, scale = scale_of(&inverse, x, n, KERN_QUERY_MAX);
    for (int i = 0; i < n; i++)
        q[i] = inverse > 0 ? (int16_t)rintf(x[i] * inverse) : 0;
    return scale;
}

void isa_c_int8_score(float *score, const int16_t *q, struct kern_rows keys, int n, int d,
                      float scale)
{
    const int8_t *key = keys.p;
    for (int i = 0; i < n; i++, key += d) {
        int32_t dot = 0;
        for (int k = 0; k < d; k++)
            dot += q[k] * key[k];
        score[i] = (float)dot * (scale * keys.scale[i]);
    }
}

/* Weights of so few rows that their largest is near most of them keep the others' bits. */
static void mix_rows(float *y, const float *score, const float *scale, const int8_t *v, int n,
                     int d)
{
    float   w[KERN_MIX_ROWS], inverse;
    int32_t code[KERN_MIX_ROWS];
    for (int i = 0; i < n; i++)
        w[i] = score[i] * scale[i];
    float step = scale_of(&inverse, w, n, KERN_MIX_MAX);
    if (step == 0)
        return;
    for (int i = 0; i < n; i++)
        code[i] = inverse > 0 ? (int32_t)rintf(w[i] * inverse) : 0;
    for (int k = 0; k < d; k++) {
        int32_t sum = 0;
        for (int i = 0; i < n; i++)
            sum += code[i] * v[(size_t)i * (size_t)d + (size_t)k];
        y[k] += step * (float)sum;
    }
}

void isa_c_int8_mix(float *y, const float *score, struct kern_rows values, int n, int d)
{
    const int8_t *v = values.p;
    for (int i = 0; i < n; i += KERN_MIX_ROWS)
        mix_rows(y, score + i, values.scale + i, v + (size_t)i * (size_t)d,
                 n - i < KERN_MIX_ROWS ? n - i : KERN_MIX_ROWS, d);
}
