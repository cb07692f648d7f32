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
#if defined(KERNEL_SIMD_EMULATED)
#define SIMD_UNROLL /* tests only, which take long enough to compile */
#elif defined(__clang__)
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

/* A kernel for a row: not each file that includes it needs it. */
#define SIMD_KERNEL __attribute__((unused)) static void

/* A loop over a constant that becomes straight-line code. */
#define SIMD_EACH(i, n) SIMD_UNROLL for (int i = 0; i < (n); i++)

#define SIMD_FETCH  2048 /* bytes of a row that are asked for ahead */
#define SIMD_NARROW 8    /* columns up to which lanes are rows */
/* SIMD_STREAMS of rows for one vector, SIMD_STREAM_FETCH bytes are asked for ahead in each. */
#if SIMD_LANES == 16
#define SIMD_STREAMS       8
#define SIMD_STREAM_FETCH  448
#define SIMD_STREAM_ASK(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#else
#define SIMD_STREAMS       4
#define SIMD_STREAM_FETCH  1024
#define SIMD_STREAM_ASK(p) simd_prefetch(p)
#endif
#define SIMD_VECS_CHUNK 48 /* vectors that are walked for one tile of rows: they stay in cache */

typedef simd (*simd_weight_fn)(const uint8_t *p);

/* What is asked for while rows are read: a line for each of theirs, in four places by turns. */
struct simd_ask {
    uintptr_t at;
    size_t    apart, next;
};

/* `usual`: where nothing else is, so many bytes ahead of each row itself. */
SIMD_INLINE struct simd_ask simd_ask(const struct kern_rows *rows, size_t usual)
{
    if (rows->ahead)
        return (struct simd_ask){ (uintptr_t)rows->ahead, rows->apart, 64 };
    return (struct simd_ask){ (uintptr_t)rows->p + usual, 64, 4 * 64 };
}

/* The same once so many bytes of the rows, four lines or eight and so on, have been read. */
SIMD_INLINE struct simd_ask simd_ask_from(struct simd_ask a, size_t n_byte)
{
    a.at += n_byte / 256 * a.next;
    return a;
}

SIMD_INLINE void simd_ask_line(const struct simd_ask *a, int line)
{
    simd_prefetch(a->at + (size_t)(line % 4) * a->apart + (size_t)(line / 4) * a->next);
}

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

/* One vector with n_row rows, 4 or SIMD_STREAMS, `apart` rows from each other: as many streams of
 * weights as memory serves best, each of them contiguous from call to call. */
SIMD_INLINE void simd_linear_streams(const struct simd_linear *j, int row, int apart, int n_row,
                                     simd_weight_fn load)
{
    const uint8_t *w[SIMD_STREAMS];
    const float   *x = j->x[0];
    simd           sum[SIMD_STREAMS];
    float          out[SIMD_STREAMS];
    int            line = 64 / (int)j->size, k = 0, n_in = j->n_in;
    SIMD_EACH (r, n_row) {
        w[r] = j->w + (size_t)(row + r * apart) * j->row_size;
        sum[r] = simd_zero();
    }
    for (; k + line <= n_in; k += line) {
        SIMD_EACH (r, n_row)
            SIMD_STREAM_ASK(w[r] + (size_t)k * j->size + SIMD_STREAM_FETCH);
        SIMD_EACH (i, line / SIMD_LANES) {
            simd in = simd_load(x + k + i * SIMD_LANES);
            SIMD_EACH (r, n_row) {
                const uint8_t *p = w[r] + (size_t)(k + i * SIMD_LANES) * j->size;
                sum[r] = simd_fma(load(p), in, sum[r]);
            }
        }
    }
    for (; k + SIMD_LANES <= n_in; k += SIMD_LANES) {
        simd in = simd_load(x + k);
        SIMD_EACH (r, n_row)
            sum[r] = simd_fma(load(w[r] + (size_t)k * j->size), in, sum[r]);
    }
    if (k < n_in) {
        simd in = simd_load_n(x + k, n_in - k);
        SIMD_EACH (r, n_row) {
            simd weight = simd_weight_n(w[r] + (size_t)k * j->size, n_in - k, j->size, load);
            sum[r] = simd_fma(weight, in, sum[r]);
        }
    }
    for (int r = 0; r < n_row; r += 4)
        simd_sums4(out + r, sum + r);
    for (int r = 0; r < n_row; r++)
        j->y[0][row + r * apart] = out[r];
}

/* One vector with rows from row on, in n_stream streams; the first row that is left. */
SIMD_INLINE int simd_linear_walk(const struct simd_linear *j, int row, int row1, int n_stream,
                                 simd_weight_fn load)
{
    int apart = (row1 - row) / n_stream;
    for (int r = row; r < row + apart; r++)
        simd_linear_streams(j, r, apart, n_stream, load);
    return row + n_stream * apart;
}

SIMD_INLINE void simd_linear_one(const struct simd_linear *j, int row0, int row1,
                                 simd_weight_fn load)
{
    int row = simd_linear_walk(j, row0, row1, SIMD_STREAMS, load);
    if (SIMD_STREAMS > 4)
        row = simd_linear_walk(j, row, row1, 4, load);
    for (; row < row1; row++)
        simd_linear_tile(j, row, 0, 1, 1, load);
}

/* A register of the weights of column k, of SIMD_LANES rows. */
SIMD_INLINE simd simd_linear_column(const uint8_t *w, size_t row_size, int n_row,
                                    simd_weight_fn load, size_t size)
{
    float one[SIMD_LANES] = { 0 };
    for (int r = 0; r < n_row; r++, w += row_size) {
        float wide[SIMD_LANES];
        simd_store(wide, simd_weight_n(w, 1, size, load));
        one[r] = wide[0];
    }
    return simd_load(one);
}

/* Rows of up to SIMD_NARROW numbers, many vectors: lanes are rows, and each output is a chain of
 * products in the order of k. */
SIMD_INLINE void simd_linear_narrow(const struct simd_linear *j, int n_vec, int row0, int row1,
                                    simd_weight_fn load)
{
    for (int row = row0; row < row1; row += SIMD_LANES) {
        simd           column[SIMD_NARROW];
        int            n_row = row1 - row < SIMD_LANES ? row1 - row : SIMD_LANES;
        const uint8_t *w = j->w + (size_t)row * j->row_size;
        SIMD_EACH (k, SIMD_NARROW)
            column[k] = k < j->n_in ? simd_linear_column(w + (size_t)k * j->size, j->row_size,
                                                         n_row, load, j->size)
                                    : simd_zero();
        for (int m = 0; m < n_vec; m++) {
            const float *x = j->x[m];
            simd         sum = simd_mul(column[0], simd_set(x[0]));
            for (int k = 1; k < j->n_in; k++)
                sum = simd_fma(column[k], simd_set(x[k]), sum);
            if (n_row == SIMD_LANES)
                simd_store(j->y[m] + row, sum);
            else
                simd_store_n(j->y[m] + row, sum, n_row);
        }
    }
}

SIMD_INLINE void simd_linear_all(const struct simd_linear *j, int n_vec, int row0, int row1,
                                 simd_weight_fn load)
{
    if (j->n_in <= SIMD_NARROW) {
        simd_linear_narrow(j, n_vec, row0, row1, load);
        return;
    }
    if (n_vec == 1) {
        simd_linear_one(j, row0, row1, load);
        return;
    }
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

SIMD_KERNEL linear_f32 KERN_LINEAR_ARGS(float)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_f32);
}

SIMD_KERNEL linear_bf16 KERN_LINEAR_ARGS(uint16_t)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_bf16);
}

SIMD_KERNEL linear_f16 KERN_LINEAR_ARGS(uint16_t)
{
    struct simd_linear j = SIMD_LINEAR_JOB;
    simd_linear_all(&j, n_vec, row0, row1, simd_weight_f16);
}
#endif
#endif
