/* SPDX-License-Identifier: MIT */
/* simd_linear: the linear kernels, on the vocabulary included before.
 *
 * Every output is SIMD_LANES partial sums over k, added at the end in simd_sum()'s order, whatever
 * the tile of rows and vectors it is computed in.
 */
#ifndef KERNEL_SIMD_LINEAR_H
#define KERNEL_SIMD_LINEAR_H

#include "kernel/kern.h"
#include "kernel/simd_math.h"

#if defined(SIMD_LANES)
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

/* A loop over a constant that becomes straight-line code. */
#define SIMD_EACH(i, n) SIMD_UNROLL for (int i = 0; i < (n); i++)

#define SIMD_FETCH      2048 /* bytes of a row that are asked for ahead */
#define SIMD_VECS_CHUNK 48   /* vectors that are walked for one tile of rows: they stay in cache */

typedef simd (*simd_weight_fn)(const uint8_t *p);

struct simd_linear {
    float *const       *y;
    const float *const *x;
    const uint8_t      *w;
    size_t              size, row_size; /* bytes of a weight, of a row */
    int                 n_in;
};

/* The last weights of a row, n of them. */
SIMD_INLINE simd simd_weight_n(const uint8_t *p, int n, size_t size, simd_weight_fn load)
{
    uint8_t last[SIMD_LANES * sizeof(float)] = { 0 };
    if (load == simd_weight_f32)
        return simd_load_n((const float *)(const void *)p, n);
    memcpy(last, p, (size_t)n * size);
    return load(last);
}

/* n_row is 1 or 4. */
SIMD_INLINE void simd_linear_tile(const struct simd_linear *j, int row, int m0, int n_row,
                                  int n_vec, simd_weight_fn load)
{
    simd                sum[4][SIMD_VECS];
    const float *const *x = j->x + m0;
    const uint8_t      *w = j->w + (size_t)row * j->row_size;
    int                 n_whole = j->n_in - j->n_in % SIMD_LANES, n_rest = j->n_in % SIMD_LANES;

    SIMD_EACH (r, n_row)
        SIMD_EACH (m, n_vec)
            sum[r][m] = simd_zero();
    for (int k = 0; k < n_whole; k += SIMD_LANES) {
        simd in[SIMD_VECS];
        SIMD_EACH (m, n_vec)
            in[m] = simd_load(x[m] + k);
        SIMD_EACH (r, n_row) {
            const uint8_t *p = w + (size_t)r * j->row_size + (size_t)k * j->size;
            simd           weight = load(p);
            SIMD_EACH (m, n_vec)
                sum[r][m] = simd_fma(weight, in[m], sum[r][m]);
        }
    }
    if (n_rest) {
        SIMD_EACH (r, n_row) {
            const uint8_t *p = w + (size_t)r * j->row_size + (size_t)n_whole * j->size;
            simd           weight = simd_weight_n(p, n_rest, j->size, load);
            SIMD_EACH (m, n_vec)
                sum[r][m] = simd_fma(weight, simd_load_n(x[m] + n_whole, n_rest), sum[r][m]);
        }
    }
    SIMD_EACH (m, n_vec) {
        simd all[4];
        SIMD_EACH (r, n_row)
            all[r] = sum[r][m];
        if (n_row == 4)
            simd_sums4(j->y[m0 + m] + row, all);
        else
            j->y[m0 + m][row] = simd_sum(all[0]);
    }
}

/* Asks for the bytes [from, to) of the four rows to come: what the CPU foresees itself are long
 * streams, and a model is many short rows. */
SIMD_INLINE void simd_linear_fetch(const struct simd_linear *j, int row, int row1, size_t from,
                                   size_t to)
{
    to = to < j->row_size ? to : j->row_size;
    for (int r = row; r < row + 4 && r < row1; r++)
        for (size_t at = from; at < to; at += 64)
            simd_prefetch(j->w + (size_t)r * j->row_size + at);
}

/* Rows row .. row + n_row - 1. fetch: bytes of each of the next rows to ask for between two
 * tiles. */
SIMD_INLINE void simd_linear_vecs(const struct simd_linear *j, int row, int row1, int m0, int m1,
                                  int n_row, size_t fetch, simd_weight_fn load)
{
    int    m = m0;
    size_t at = 0;
    for (; m + SIMD_VECS <= m1; m += SIMD_VECS, at += fetch) {
        simd_linear_fetch(j, row + n_row, row1, at, at + fetch);
        simd_linear_tile(j, row, m, n_row, SIMD_VECS, load);
    }
    if (m < m1)
        simd_linear_fetch(j, row + n_row, row1, at, at + fetch);
    for (; SIMD_VECS > 3 && m + 3 <= m1; m += 3)
        simd_linear_tile(j, row, m, n_row, 3, load);
    for (; m + 2 <= m1; m += 2)
        simd_linear_tile(j, row, m, n_row, 2, load);
    if (m < m1)
        simd_linear_tile(j, row, m, n_row, 1, load);
}

SIMD_INLINE void simd_linear_all(const struct simd_linear *j, int n_vec, int row0, int row1,
                                 simd_weight_fn load)
{
    for (int m0 = 0; m0 < n_vec; m0 += SIMD_VECS_CHUNK) {
        int    m1 = m0 + SIMD_VECS_CHUNK < n_vec ? m0 + SIMD_VECS_CHUNK : n_vec;
        int    n_tile = (m1 - m0 + SIMD_VECS - 1) / SIMD_VECS, r = row0;
        size_t fetch = m0 ? 0 : (SIMD_FETCH / 64 + (size_t)n_tile - 1) / (size_t)n_tile * 64;
        for (; r + 4 <= row1; r += 4)
            simd_linear_vecs(j, r, row1, m0, m1, 4, fetch, load);
        for (; r < row1; r++)
            simd_linear_vecs(j, r, row1, m0, m1, 1, 0, load);
    }
}

#define SIMD_LINEAR_JOB                                                     \
    {                                                                       \
        y, x, (const uint8_t *)w, sizeof *w, (size_t)n_in * sizeof *w, n_in \
    }

static void linear_f32 KERN_LINEAR_ARGS(float)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_f32);
}

static void linear_bf16 KERN_LINEAR_ARGS(uint16_t)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_bf16);
}

static void linear_f16 KERN_LINEAR_ARGS(uint16_t)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_f16);
}
#endif
#endif
