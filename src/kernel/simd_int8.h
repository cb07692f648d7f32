/* SPDX-License-Identifier: MIT */
/* simd_int8: the linear kernels of tiles with int8 activations, on the vocabulary and on the
 * simd_dot() included before. Lanes are rows.
 *
 * Each output takes group after group fma(scale, x.scale * dot, .) and fma(bias, x.sum, .),
 * whatever is computed beside it. One vector walks several contiguous runs of rows at once, tile by
 * tile: as many streams of weights as memory serves best.
 */
#ifndef KERNEL_SIMD_INT8_H
#define KERNEL_SIMD_INT8_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
struct simd_int8 {
    float *const         *y;
    const struct quant_x *x;
    const uint8_t        *tiles;
    size_t                tile_size, block_size;
    int                   n_tile, row1;
};

/* One tile each of n_blk blocks of 16 rows, `step` bytes from each other, with n_vec vectors from
 * column t * 64 on; one of the two is 1, so that their sum counts both. ahead: as simd_dot()
 * says. */
SIMD_INLINE void simd_int8_tile(simd total[][SIMD_HALVES], const uint8_t *tile, size_t step,
                                const struct quant_x *x, int t, int n_blk, int n_vec, int group,
                                int bits, int ahead)
{
    int            n_group = QUANT_COLS / group;
    const uint8_t *params = tile + QUANT_ROWS * QUANT_COLS * bits / 8;
    SIMD_EACH (g, n_group) {
        simd_int      dot[SIMD_DOT_VECS][SIMD_HALVES];
        const int8_t *q[SIMD_DOT_VECS];
        SIMD_EACH (m, n_vec)
            q[m] = x[m].q + t * QUANT_COLS + g * group;
        simd_dot(dot, tile + g * group * bits / 32 * 64, step, q, n_blk, n_vec, group, bits, ahead);
        SIMD_EACH (b, n_blk) {
            const uint8_t *at = params + (size_t)b * step + g * QUANT_ROWS * 2;
            simd           scale[SIMD_HALVES], bias[SIMD_HALVES];
            if (ahead)
                SIMD_DOT_ASK(params + (size_t)b * step + g * 64 + ahead);
            SIMD_EACH (h, SIMD_HALVES) {
                const uint8_t *p = at + h * SIMD_LANES * 2;
                scale[h] = simd_weight_bf16(p);
                bias[h] = simd_weight_bf16(p + n_group * QUANT_ROWS * 2);
            }
            SIMD_EACH (m, n_vec) {
                const float *s = x[m].sum + 2 * t;
                simd         x_scale = simd_set(x[m].scale[t]);
                simd         x_sum = simd_set(n_group == 2 ? s[g] : s[0] + s[1]);
                SIMD_EACH (h, SIMD_HALVES) {
                    simd *to = &total[b + m][h], v = simd_mul(x_scale, simd_of_int(dot[b + m][h]));
                    *to = simd_fma(bias[h], x_sum, simd_fma(scale[h], v, *to));
                }
            }
        }
    }
}

SIMD_INLINE void simd_int8_store(const struct simd_int8 *j, int m, int row, const simd *total)
{
    float *y = j->y[m] + row;
    int    n_row = j->row1 - row;
    SIMD_EACH (h, SIMD_HALVES) {
        int n = n_row - h * SIMD_LANES;
        if (n >= SIMD_LANES)
            simd_store(y + h * SIMD_LANES, total[h]);
        else if (n > 0)
            simd_store_n(y + h * SIMD_LANES, total[h], n);
    }
}

/* n_vec vectors with the 16 rows at row. */
SIMD_INLINE void simd_int8_vecs(const struct simd_int8 *j, int row, int m0, int n_vec, int group,
                                int bits, int ahead)
{
    simd           total[SIMD_DOT_VECS][SIMD_HALVES];
    const uint8_t *tile = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            total[m][h] = simd_zero();
    for (int t = 0; t < j->n_tile; t++, tile += j->tile_size)
        simd_int8_tile(total, tile, 0, j->x + m0, t, 1, n_vec, group, bits, ahead);
    SIMD_EACH (m, n_vec)
        simd_int8_store(j, m0 + m, row, total[m]);
}

/* The last vectors of some rows. Those before them, if any, have brought the rows into the cache,
 * and the next rows are asked for meanwhile; if there are none, lines a little ahead. */
SIMD_INLINE void simd_int8_last(const struct simd_int8 *j, int row, int m, int n_vec, int group,
                                int bits)
{
    int ahead = m > 0 ? (int)j->block_size : SIMD_DOT_FETCH;

    if (n_vec == SIMD_DOT_VECS) {
        simd_int8_vecs(j, row, m, SIMD_DOT_VECS, group, bits, ahead);
        return;
    }
    for (; n_vec >= 2; m += 2, n_vec -= 2)
        simd_int8_vecs(j, row, m, 2, group, bits, ahead);
    if (n_vec)
        simd_int8_vecs(j, row, m, 1, group, bits, ahead);
}

/* One vector with n_blk blocks of 16 rows, `apart` rows from each other. */
SIMD_INLINE void simd_int8_streams(const struct simd_int8 *j, int row, int apart, int n_blk,
                                   int group, int bits)
{
    simd           total[SIMD_DOT_BLOCKS][SIMD_HALVES];
    const uint8_t *tile = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
    size_t         step = (size_t)(apart / QUANT_ROWS) * j->block_size;
    SIMD_EACH (b, n_blk)
        SIMD_EACH (h, SIMD_HALVES)
            total[b][h] = simd_zero();
    for (int t = 0; t < j->n_tile; t++, tile += j->tile_size)
        simd_int8_tile(total, tile, step, j->x, t, n_blk, 1, group, bits, SIMD_DOT_FETCH);
    SIMD_EACH (b, n_blk)
        simd_int8_store(j, 0, row + b * apart, total[b]);
}

/* One vector with rows from row on, in n_blk streams; the first row that is left. */
SIMD_INLINE int simd_int8_walk(const struct simd_int8 *j, int row, int n_blk, int group, int bits)
{
    int n_block = (j->row1 - row) / QUANT_ROWS / n_blk, apart = n_block * QUANT_ROWS;
    for (int b = 0; b < n_block; b++)
        simd_int8_streams(j, row + b * QUANT_ROWS, apart, n_blk, group, bits);
    return row + n_blk * apart;
}

SIMD_INLINE void simd_int8_all(const struct simd_int8 *j, int n_vec, int row0, int group, int bits)
{
    int row = row0;
    if (n_vec == 1) {
        row = simd_int8_walk(j, row, SIMD_DOT_BLOCKS, group, bits);
        if (SIMD_DOT_BLOCKS > 4)
            row = simd_int8_walk(j, row, 4, group, bits);
        for (; row + QUANT_ROWS < j->row1; row += 2 * QUANT_ROWS)
            simd_int8_streams(j, row, QUANT_ROWS, 2, group, bits);
        if (row < j->row1)
            simd_int8_streams(j, row, 0, 1, group, bits);
        return;
    }
    for (; row < j->row1; row += QUANT_ROWS) {
        int m = 0;
        for (; m + SIMD_DOT_VECS < n_vec; m += SIMD_DOT_VECS)
            simd_int8_vecs(j, row, m, SIMD_DOT_VECS, group, bits, 0);
        simd_int8_last(j, row, m, n_vec - m, group, bits);
    }
}

SIMD_INLINE void simd_int8(float *const *y, const struct quant_x *x, int n_vec, const void *tiles,
                           struct quant_shape s, int row0, int row1, int bits)
{
    size_t           tile_size = quant_tile_size(bits, s.group);
    int              n_tile = quant_n_tile(s);
    struct simd_int8 j = { .y = y,
                           .x = x,
                           .tiles = tiles,
                           .tile_size = tile_size,
                           .block_size = tile_size * (size_t)n_tile,
                           .n_tile = n_tile,
                           .row1 = row1 };
    if (s.group == 32)
        simd_int8_all(&j, n_vec, row0, 32, bits);
    else
        simd_int8_all(&j, n_vec, row0, 64, bits);
}

static void linear_q8t_i8 KERN_TILES_I8_ARGS
{
    simd_int8(y, x, n_vec, tiles, s, row0, row1, 8);
}

static void linear_q4t_i8 KERN_TILES_I8_ARGS
{
    simd_int8(y, x, n_vec, tiles, s, row0, row1, 4);
}
#endif
#endif
