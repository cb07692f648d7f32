/* SPDX-License-Identifier: MIT */
#include "kernel/isa_c.h"

#include <string.h>

#include "kernel/float_bits.h"

#define CHUNK 256 /* weights widened at a time: 1 KiB of stack */
#define VECS  16  /* vectors that share them */

typedef void (*widen_fn)(float *out, const uint8_t *w, int n);

static void widen_f32(float *out, const uint8_t *w, int n)
{
    memcpy(out, w, (size_t)n * sizeof *out);
}

static void widen_bf16(float *out, const uint8_t *w, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = bf16_float(half_load(w + 2 * i));
}

static void widen_f16(float *out, const uint8_t *w, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = f16_float(half_load(w + 2 * i));
}

static void add_products(float *sum, const float *restrict a, const float *restrict b, int n)
{
    float s[ISA_C_LANES];
    memcpy(s, sum, sizeof s);
    int k = 0;
    for (; k + ISA_C_LANES <= n; k += ISA_C_LANES)
        for (int l = 0; l < ISA_C_LANES; l++)
            s[l] += a[k + l] * b[k + l];
    for (int l = 0; k + l < n; l++)
        s[l] += a[k + l] * b[k + l];
    memcpy(sum, s, sizeof s);
}

static void linear_row(float *const *y, const float *const *x, int n_vec, const uint8_t *w,
                       int n_in, int row, size_t size, widen_fn widen)
{
    float chunk[CHUNK];
    for (int m0 = 0; m0 < n_vec; m0 += VECS) {
        int   n = n_vec - m0 < VECS ? n_vec - m0 : VECS;
        float sum[VECS][ISA_C_LANES] = { { 0 } };
        for (int k = 0; k < n_in; k += CHUNK) {
            int n_k = n_in - k < CHUNK ? n_in - k : CHUNK;
            widen(chunk, w + (size_t)k * size, n_k);
            for (int m = 0; m < n; m++)
                add_products(sum[m], chunk, x[m0 + m] + k, n_k);
        }
        for (int m = 0; m < n; m++)
            y[m0 + m][row] = isa_c_sum_lanes(sum[m]);
    }
}

void isa_c_linear_f32 KERN_LINEAR_ARGS(float)
{
    size_t row_size = (size_t)n_in * sizeof *w;
    for (int r = row0; r < row1; r++)
        linear_row(y, x, n_vec, (const uint8_t *)w + (size_t)r * row_size, n_in, r, sizeof *w,
                   widen_f32);
}

void isa_c_linear_bf16 KERN_LINEAR_ARGS(uint16_t)
{
    size_t row_size = (size_t)n_in * sizeof *w;
    for (int r = row0; r < row1; r++)
        linear_row(y, x, n_vec, (const uint8_t *)w + (size_t)r * row_size, n_in, r, sizeof *w,
                   widen_bf16);
}

void isa_c_linear_f16 KERN_LINEAR_ARGS(uint16_t)
{
    size_t row_size = (size_t)n_in * sizeof *w;
    for (int r = row0; r < row1; r++)
        linear_row(y, x, n_vec, (const uint8_t *)w + (size_t)r * row_size, n_in, r, sizeof *w,
                   widen_f16);
}

/* Rows of w and x are widened, and summed as linear_bf16 does. */
void isa_c_linear_bf16_bf16 KERN_LINEAR_BF16_ARGS
{
    for (int m = 0; m < n_vec; m++)
        for (int r = row0; r < row1; r++) {
            const uint8_t *row = (const uint8_t *)w + 2 * (size_t)r * (size_t)n_in;
            float          sum[ISA_C_LANES] = { 0 };
            for (int k = 0; k < n_in; k++)
                sum[k % ISA_C_LANES] += bf16_float(half_load(row + 2 * (size_t)k)) *
                                        bf16_float(half_load((const uint8_t *)(x.row[m] + k)));
            y[m][r] = isa_c_sum_lanes(sum);
        }
}

/* The codes of a tile as floats, column by column: [QUANT_COLS, QUANT_ROWS]. */
static void widen_tile(float *q, const uint8_t *tile, int bits)
{
    int per_line = 32 / bits;
    for (int col = 0; col < QUANT_COLS; col++)
        for (int r = 0; r < QUANT_ROWS; r++) {
            uint32_t word;
            memcpy(&word, tile + col / per_line * 64 + r * 4, sizeof word);
            *q++ = (float)(word >> col % per_line * bits & ((1u << bits) - 1));
        }
}

/* One vector with one tile: sum += scale * (q . x) + bias * sum(x), group by group. */
static void add_tile(float *sum, const float *q, const uint8_t *params, const float *x, int n_x,
                     int group)
{
    int n_group = QUANT_COLS / group;
    for (int g = 0; g < n_group && g * group < n_x; g++) {
        float dot[QUANT_ROWS] = { 0 }, x_sum = 0;
        int   end = (g + 1) * group < n_x ? (g + 1) * group : n_x;
        for (int k = g * group; k < end; k++) {
            x_sum += x[k];
            for (int r = 0; r < QUANT_ROWS; r++)
                dot[r] += q[k * QUANT_ROWS + r] * x[k];
        }
        for (int r = 0; r < QUANT_ROWS; r++) {
            float scale = bf16_float(half_load(params + 2 * (g * QUANT_ROWS + r)));
            float bias = bf16_float(half_load(params + 2 * ((n_group + g) * QUANT_ROWS + r)));
            sum[r] += scale * dot[r] + bias * x_sum;
        }
    }
}

static void linear_block(float *const *y, const float *const *x, int n_vec, const uint8_t *tiles,
                         struct quant_shape s, int row0, int row1)
{
    size_t tile_size = quant_tile_size(s.bits, s.group);
    size_t params = tile_size - 2 * (size_t)(QUANT_COLS / s.group) * QUANT_ROWS * sizeof(uint16_t);
    int    n_tile = quant_n_tile(s);
    float  q[QUANT_COLS * QUANT_ROWS];
    for (int m0 = 0; m0 < n_vec; m0 += VECS) {
        int   n = n_vec - m0 < VECS ? n_vec - m0 : VECS;
        float sum[VECS][QUANT_ROWS] = { { 0 } };
        for (int t = 0; t < n_tile; t++) {
            const uint8_t *tile = tiles + (size_t)t * tile_size;
            widen_tile(q, tile, s.bits);
            for (int m = 0; m < n; m++)
                add_tile(sum[m], q, tile + params, x[m0 + m] + t * QUANT_COLS,
                         s.n_in - t * QUANT_COLS, s.group);
        }
        for (int m = 0; m < n; m++)
            memcpy(y[m0 + m] + row0, sum[m], (size_t)(row1 - row0) * sizeof(float));
    }
}

static void linear_tiles(float *const *y, const float *const *x, int n_vec, const void *tiles,
                         struct quant_shape s, int row0, int row1)
{
    size_t block_size = (size_t)quant_n_tile(s) * quant_tile_size(s.bits, s.group);
    for (int r = row0; r < row1; r += QUANT_ROWS)
        linear_block(y, x, n_vec, (const uint8_t *)tiles + (size_t)(r / QUANT_ROWS) * block_size, s,
                     r, r + QUANT_ROWS < row1 ? r + QUANT_ROWS : row1);
}

void isa_c_linear_q8t KERN_TILES_ARGS
{
    s.bits = 8;
    linear_tiles(y, x, n_vec, tiles, s, row0, row1);
}

void isa_c_linear_q4t KERN_TILES_ARGS
{
    s.bits = 4;
    linear_tiles(y, x, n_vec, tiles, s, row0, row1);
}
