/* SPDX-License-Identifier: MIT */
/* simd_tiles: the linear kernels on the tiles of quant.h, on the vocabulary included before. Lanes
 * are rows, so a code is multiplied where it lies and no sum crosses lanes.
 *
 * Each output takes group after group scale * (q . x) + bias * sum(x), with q . x in SIMD_TILE_SUMS
 * sums of every second or fourth column. Activations are f32: an instruction set with int8 products
 * brings kernels of its own for activations that were quantised, outside exact mode (simd_int8.h).
 */
#ifndef KERNEL_SIMD_TILES_H
#define KERNEL_SIMD_TILES_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define SIMD_WIDE_CHUNK 48 /* vectors that share a widened tile: their sums stay in the cache */

struct simd_tiles {
    float *const       *y;
    const float *const *x;
    const uint8_t      *tiles;
    size_t              tile_size, block_size;
    size_t              codes; /* bytes of a tile's codes */
    int                 n_in, row1;
};

SIMD_INLINE float simd_sum_group(const float *x, int n)
{
    simd s = simd_zero();
    for (int k = 0; k < n; k += SIMD_LANES)
        s = simd_add(s, simd_load(x + k));
    return simd_sum(s);
}

/* One group of n_blk blocks of rows and n_vec vectors: total += scale * (q . x) + bias * sum(x).
 * codes: the group's first line, of the first block; scales likewise, the biases n_bias bytes
 * after them. */
SIMD_INLINE void simd_tile_group(const struct simd_tiles *j, simd total[][SIMD_HALVES],
                                 const float *const *x, int n_blk, int n_vec, const uint8_t *codes,
                                 const uint8_t *scales, int group, int bits)
{
    int    per_line = 32 / bits;
    size_t n_bias = (size_t)(QUANT_COLS / group) * QUANT_ROWS * 2;
    simd   sum[SIMD_TILE_VECS][SIMD_HALVES][SIMD_TILE_SUMS]; /* [block or vector] */
    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            SIMD_EACH (c, SIMD_TILE_SUMS)
                sum[i][h][c] = simd_zero();
    for (int k = 0; k < group; k += per_line, codes += 64) {
        SIMD_EACH (b, n_blk)
            simd_prefetch(codes + (size_t)b * j->block_size + SIMD_PREFETCH);
        SIMD_EACH (c, per_line)
            SIMD_EACH (b, n_blk)
                SIMD_EACH (h, SIMD_HALVES) {
                    const uint8_t *line = codes + (size_t)b * j->block_size;
                    simd           q = bits == 4 ? simd_code4(line, h, c) : simd_code8(line, h, c);
                    SIMD_EACH (m, n_vec) {
                        simd *to = &sum[b + m][h][c % SIMD_TILE_SUMS];
                        *to = simd_fma(q, simd_set(x[m][k + c]), *to);
                    }
                }
    }
    SIMD_EACH (m, n_vec) {
        simd x_sum = simd_set(simd_sum_group(x[m], group));
        SIMD_EACH (b, n_blk)
            SIMD_EACH (h, SIMD_HALVES) {
                const uint8_t *p = scales + (size_t)b * j->block_size + h * SIMD_LANES * 2;
                simd           dot = sum[b + m][h][0];
                SIMD_EACH (c, SIMD_TILE_SUMS - 1)
                    dot = simd_add(dot, sum[b + m][h][c + 1]);
                dot = simd_fma(simd_weight_bf16(p), dot, total[b + m][h]);
                total[b + m][h] = simd_fma(simd_weight_bf16(p + n_bias), x_sum, dot);
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

/* n_blk blocks of 16 rows with n_vec vectors; one of the two is 1, so that their sum counts
 * both. */
SIMD_INLINE void simd_tile_block(const struct simd_tiles *j, int row, int m0, int n_blk, int n_vec,
                                 int group, int bits)
{
    simd           total[SIMD_TILE_VECS][SIMD_HALVES];
    float          rest[SIMD_TILE_VECS][QUANT_COLS]; /* the last columns, filled up with zeros */
    const float   *x[SIMD_TILE_VECS];
    const uint8_t *tile = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
    int            n_group = QUANT_COLS / group, n_left = j->n_in;

    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            total[i][h] = simd_zero();
    for (int t = 0; n_left > 0; t++, tile += j->tile_size, n_left -= QUANT_COLS) {
        for (int m = 0; m < n_vec; m++) {
            x[m] = j->x[m0 + m] + t * QUANT_COLS;
            if (n_left < QUANT_COLS) {
                memset(rest[m], 0, sizeof rest[m]);
                memcpy(rest[m], x[m], (size_t)n_left * sizeof(float));
                x[m] = rest[m];
            }
        }
        for (int g = 0; g < n_group && g * group < n_left; g++) {
            simd_tile_group(j, total, x, n_blk, n_vec, tile + g * group * bits / 32 * 64,
                            tile + j->codes + g * QUANT_ROWS * 2, group, bits);
            for (int m = 0; m < n_vec; m++)
                x[m] += group;
        }
    }
    for (int i = 0; i < n_blk * n_vec; i++) {
        int r = row + (n_blk > 1 ? i * QUANT_ROWS : 0), n_row = j->row1 - r;
        simd_tile_store(j->y[n_blk > 1 ? m0 : m0 + i] + r, total[i],
                        n_row < QUANT_ROWS ? n_row : QUANT_ROWS);
    }
}

/* The codes of a tile as floats: [QUANT_COLS, QUANT_ROWS]. */
SIMD_INLINE void simd_tile_widen(float *out, const uint8_t *tile, int bits)
{
    int per_line = 32 / bits;
    for (int l = 0; l < QUANT_COLS / per_line; l++, tile += 64)
        SIMD_EACH (c, per_line)
            SIMD_EACH (h, SIMD_HALVES) {
                simd q = bits == 4 ? simd_code4(tile, h, c) : simd_code8(tile, h, c);
                simd_store(out + (l * per_line + c) * QUANT_ROWS + h * SIMD_LANES, q);
            }
}

/* One group of a widened tile with n_vec vectors; the sums of simd_tile_group(), in its order. */
SIMD_INLINE void simd_tile_wide(simd total[][SIMD_HALVES], const float *codes,
                                const uint8_t *scales, const float *const *x, int n_vec, int group)
{
    simd sum[SIMD_WIDE_VECS][SIMD_HALVES][SIMD_TILE_SUMS];
    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            SIMD_EACH (c, SIMD_TILE_SUMS)
                sum[m][h][c] = simd_zero();
    for (int k = 0; k < group; k += SIMD_TILE_SUMS, codes += SIMD_TILE_SUMS * QUANT_ROWS)
        SIMD_EACH (c, SIMD_TILE_SUMS) {
            simd q[SIMD_HALVES];
            SIMD_EACH (h, SIMD_HALVES)
                q[h] = simd_load(codes + c * QUANT_ROWS + h * SIMD_LANES);
            SIMD_EACH (m, n_vec) {
                simd in = simd_set(x[m][k + c]);
                SIMD_EACH (h, SIMD_HALVES)
                    sum[m][h][c] = simd_fma(q[h], in, sum[m][h][c]);
            }
        }
    SIMD_EACH (m, n_vec) {
        simd x_sum = simd_set(simd_sum_group(x[m], group));
        SIMD_EACH (h, SIMD_HALVES) {
            const uint8_t *p = scales + h * SIMD_LANES * 2;
            simd           dot = sum[m][h][0];
            SIMD_EACH (c, SIMD_TILE_SUMS - 1)
                dot = simd_add(dot, sum[m][h][c + 1]);
            dot = simd_fma(simd_weight_bf16(p), dot, total[m][h]);
            p += (size_t)(QUANT_COLS / group) * QUANT_ROWS * 2;
            total[m][h] = simd_fma(simd_weight_bf16(p), x_sum, dot);
        }
    }
}

/* Column t * 64 on of n_vec vectors, with the groups of a widened tile. */
SIMD_INLINE void simd_tile_wide_vecs(const struct simd_tiles *j, simd total[][SIMD_HALVES],
                                     const float *codes, const uint8_t *scales, int m0, int t,
                                     int n_vec, int group)
{
    float        rest[SIMD_WIDE_VECS][QUANT_COLS];
    const float *x[SIMD_WIDE_VECS];
    int          n_left = j->n_in - t * QUANT_COLS;
    SIMD_EACH (m, n_vec) {
        x[m] = j->x[m0 + m] + t * QUANT_COLS;
        if (n_left < QUANT_COLS) {
            memset(rest[m], 0, sizeof rest[m]);
            memcpy(rest[m], x[m], (size_t)n_left * sizeof(float));
            x[m] = rest[m];
        }
    }
    for (int g = 0; g < QUANT_COLS / group && g * group < n_left; g++) {
        simd_tile_wide(total, codes + g * group * QUANT_ROWS, scales + g * QUANT_ROWS * 2, x, n_vec,
                       group);
        SIMD_EACH (m, n_vec)
            x[m] += group;
    }
}

/* Three vectors and more: a tile is widened once for up to SIMD_WIDE_CHUNK of them. */
SIMD_INLINE void simd_tile_many(const struct simd_tiles *j, int row, int m0, int n_vec, int group,
                                int bits)
{
    simd           total[SIMD_WIDE_CHUNK][SIMD_HALVES];
    float          codes[QUANT_COLS * QUANT_ROWS];
    const uint8_t *tile = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
    int            n_row = j->row1 - row < QUANT_ROWS ? j->row1 - row : QUANT_ROWS;
    for (int m = 0; m < n_vec; m++)
        SIMD_EACH (h, SIMD_HALVES)
            total[m][h] = simd_zero();
    for (int t = 0; t * QUANT_COLS < j->n_in; t++, tile += j->tile_size) {
        const uint8_t *scales = tile + j->codes;
        int            m = 0;
        simd_tile_widen(codes, tile, bits);
        for (; m + SIMD_WIDE_VECS <= n_vec; m += SIMD_WIDE_VECS)
            simd_tile_wide_vecs(j, total + m, codes, scales, m0 + m, t, SIMD_WIDE_VECS, group);
        for (; m < n_vec; m++)
            simd_tile_wide_vecs(j, total + m, codes, scales, m0 + m, t, 1, group);
    }
    for (int m = 0; m < n_vec; m++)
        simd_tile_store(j->y[m0 + m] + row, total[m], n_row);
}

/* A single vector takes several blocks at a time: more sums under way, more streams of weights. */
SIMD_INLINE void simd_tile_all(const struct simd_tiles *j, int n_vec, int row0, int group, int bits)
{
    int row = row0, many = SIMD_TILE_BLOCKS * QUANT_ROWS;
    for (; n_vec == 1 && row + many <= j->row1; row += many)
        simd_tile_block(j, row, 0, SIMD_TILE_BLOCKS, 1, group, bits);
    for (; n_vec > SIMD_TILE_VECS && row < j->row1; row += QUANT_ROWS)
        for (int m = 0; m < n_vec; m += SIMD_WIDE_CHUNK)
            simd_tile_many(j, row, m, n_vec - m < SIMD_WIDE_CHUNK ? n_vec - m : SIMD_WIDE_CHUNK,
                           group, bits);
    for (; row < j->row1; row += QUANT_ROWS) {
        int m = 0;
        for (; m + SIMD_TILE_VECS <= n_vec; m += SIMD_TILE_VECS)
            simd_tile_block(j, row, m, 1, SIMD_TILE_VECS, group, bits);
        for (; SIMD_TILE_VECS > 2 && m + 2 <= n_vec; m += 2)
            simd_tile_block(j, row, m, 1, 2, group, bits);
        for (; m < n_vec; m++)
            simd_tile_block(j, row, m, 1, 1, group, bits);
    }
}

SIMD_INLINE void simd_tiles(float *const *y, const float *const *x, int n_vec, const void *tiles,
                            struct quant_shape s, int row0, int row1, int bits)
{
    size_t            tile_size = quant_tile_size(bits, s.group);
    struct simd_tiles j = { .y = y,
                            .x = x,
                            .tiles = tiles,
                            .tile_size = tile_size,
                            .block_size = tile_size * (size_t)quant_n_tile(s),
                            .codes = (size_t)QUANT_ROWS * QUANT_COLS * (size_t)bits / 8,
                            .n_in = s.n_in,
                            .row1 = row1 };
    if (s.group == 32)
        simd_tile_all(&j, n_vec, row0, 32, bits);
    else
        simd_tile_all(&j, n_vec, row0, 64, bits);
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
