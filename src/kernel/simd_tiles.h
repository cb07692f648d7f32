/* SPDX-License-Identifier: MIT */
/* simd_tiles: the linear kernels on the tiles of quant.h, on the vocabulary included before. Lanes are
 * rows, so a code is multiplied where it lies and no sum crosses lanes.
 *
 * Each output takes group after group scale * (q . x) + bias * sum(x), with q . x in two sums, of
 * even and odd columns. Activations are f32: an instruction set with int8 products will want a
 * kernel of its own that quantises them, outside exact mode.
 */
#ifndef KERNEL_SIMD_TILES_H
#define KERNEL_SIMD_TILES_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
struct simd_tiles {
    float *const       *y;
    const float *const *x;
    const uint8_t      *tiles; /* of the block */
    struct quant_shape  s;
    size_t              tile_size, codes; /* bytes of a tile, of its codes */
    int                 n_tile, row, n_row;
};

SIMD_INLINE float simd_sum_group(const float *x, int n)
{
    simd s = simd_zero();
    for (int k = 0; k < n; k += SIMD_LANES)
        s = simd_add(s, simd_load(x + k));
    return simd_sum(s);
}

/* One group of n_vec vectors: total += scale * (q . x) + bias * sum(x). codes: the group's first line. */
SIMD_INLINE void simd_tile_group(simd total[][SIMD_HALVES], const float *const *x, int n_vec,
                                 const uint8_t *codes, const uint8_t *scales, const uint8_t *biases,
                                 int group, int bits)
{
    int  per_line = 32 / bits;
    simd sum[SIMD_TILE_VECS][SIMD_HALVES][2];
    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            sum[m][h][0] = sum[m][h][1] = simd_zero();
    for (int k = 0; k < group; k += per_line, codes += 64) {
        simd_prefetch(codes + SIMD_PREFETCH);
        SIMD_EACH (c, per_line)
            SIMD_EACH (h, SIMD_HALVES) {
                simd q = bits == 4 ? simd_code4(codes, h, c) : simd_code8(codes, h, c);
                SIMD_EACH (m, n_vec)
                    sum[m][h][c % 2] = simd_fma(q, simd_set(x[m][k + c]), sum[m][h][c % 2]);
            }
    }
    SIMD_EACH (m, n_vec) {
        simd x_sum = simd_set(simd_sum_group(x[m], group));
        SIMD_EACH (h, SIMD_HALVES) {
            simd scale = simd_weight_bf16(scales + h * SIMD_LANES * 2);
            simd bias = simd_weight_bf16(biases + h * SIMD_LANES * 2);
            simd dot = simd_add(sum[m][h][0], sum[m][h][1]);
            total[m][h] = simd_fma(bias, x_sum, simd_fma(scale, dot, total[m][h]));
        }
    }
}

SIMD_INLINE void simd_tile_store(float *y, const simd *total, int n_row)
{
    if (n_row == QUANT_ROWS) {
        SIMD_EACH (h, SIMD_HALVES)
            simd_store(y + h * SIMD_LANES, total[h]);
        return;
    }
    for (int h = 0; h < SIMD_HALVES; h++) {
        int n = n_row - h * SIMD_LANES;
        if (n >= SIMD_LANES)
            simd_store(y + h * SIMD_LANES, total[h]);
        else if (n > 0)
            simd_store_n(y + h * SIMD_LANES, total[h], n);
    }
}

SIMD_INLINE void simd_tile_block(const struct simd_tiles *j, int m0, int n_vec, int group, int bits)
{
    simd           total[SIMD_TILE_VECS][SIMD_HALVES];
    float          rest[SIMD_TILE_VECS][QUANT_COLS]; /* the last columns, filled up with zeros */
    const float   *x[SIMD_TILE_VECS];
    const uint8_t *tile = j->tiles;
    int            n_group = QUANT_COLS / group, n_left = j->s.n_in;

    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            total[m][h] = simd_zero();
    for (int t = 0; t < j->n_tile; t++, tile += j->tile_size, n_left -= QUANT_COLS) {
        for (int m = 0; m < n_vec; m++) {
            x[m] = j->x[m0 + m] + t * QUANT_COLS;
            if (n_left < QUANT_COLS) {
                memset(rest[m], 0, sizeof rest[m]);
                memcpy(rest[m], x[m], (size_t)n_left * sizeof(float));
                x[m] = rest[m];
            }
        }
        const uint8_t *scales = tile + j->codes, *biases = scales + n_group * QUANT_ROWS * 2;
        for (int g = 0; g < n_group && g * group < n_left; g++) {
            simd_tile_group(total, x, n_vec, tile + g * group * bits / 32 * 64,
                            scales + g * QUANT_ROWS * 2, biases + g * QUANT_ROWS * 2, group, bits);
            for (int m = 0; m < n_vec; m++)
                x[m] += group;
        }
    }
    for (int m = 0; m < n_vec; m++)
        simd_tile_store(j->y[m0 + m] + j->row, total[m], j->n_row);
}

SIMD_INLINE void simd_tile_vecs(const struct simd_tiles *j, int n_vec, int group, int bits)
{
    int m = 0;
    for (; m + SIMD_TILE_VECS <= n_vec; m += SIMD_TILE_VECS)
        simd_tile_block(j, m, SIMD_TILE_VECS, group, bits);
#if SIMD_TILE_VECS > 2
    for (; m + 2 <= n_vec; m += 2)
        simd_tile_block(j, m, 2, group, bits);
#endif
    for (; m < n_vec; m++)
        simd_tile_block(j, m, 1, group, bits);
}

SIMD_INLINE void simd_tiles(float *const *y, const float *const *x, int n_vec, const void *tiles,
                            struct quant_shape s, int row0, int row1, int bits)
{
    struct simd_tiles j = { .y = y,
                            .x = x,
                            .s = s,
                            .n_tile = quant_n_tile(s),
                            .tile_size = quant_tile_size(bits, s.group),
                            .codes = (size_t)QUANT_ROWS * QUANT_COLS * (size_t)bits / 8 };
    for (int row = row0; row < row1; row += QUANT_ROWS) {
        j.tiles = (const uint8_t *)tiles +
                  (size_t)(row / QUANT_ROWS) * (size_t)j.n_tile * j.tile_size;
        j.row = row;
        j.n_row = row1 - row < QUANT_ROWS ? row1 - row : QUANT_ROWS;
        if (s.group == 32)
            simd_tile_vecs(&j, n_vec, 32, bits);
        else
            simd_tile_vecs(&j, n_vec, 64, bits);
    }
}

static void linear_q8t KERN_TILES_ARGS
{
    simd_tiles(y, x, n_vec, tiles, s, row0, row1, 8);
}

static void linear_q4t KERN_TILES_ARGS
{
    simd_tiles(y, x, n_vec, tiles, s, row0, row1, 4);
}
#endif
#endif
