/* SPDX-License-Identifier: MIT */
/* Products of bf16 by pairs. An output of a matrix as stored is sixteen sums over the pairs of 32
 * columns, added in simd_sum()'s order, whatever is computed beside it; panels are simd_panel.h's.
 */
#if defined(__x86_64__)
#include "kernel/isas.h"

#include "kernel/simd_avx512.h"

#include "kernel/simd_linear.h"
#include "kernel/simd_pairs.h"
#include "kernel/simd_panel.h"
#include "kernel/simd_peak.h"

#define COLS  32 /* of a register */
#define ROWS  4
#define FETCH 1024 /* bytes ahead in each stream of one vector */

struct job {
    float *const          *y;
    const uint16_t *const *x;
    const uint8_t         *w;
    int                    n_in;
};

/* The last n columns, n < COLS, filled up with zeros. */
SIMD_INLINE __m512i load_n(const void *p, int n)
{
    uint16_t last[COLS] = { 0 };
    memcpy(last, p, (size_t)n * sizeof *last);
    return _mm512_loadu_si512(last);
}

/* n_row rows, `apart` rows from each other, with n_vec vectors. */
SIMD_INLINE void tile(const struct job *j, int row, int apart, int m0, int n_row, int n_vec)
{
    simd                   sum[ROWS][SIMD_VECS];
    size_t                 row_size = (size_t)j->n_in * 2, step = (size_t)apart * row_size;
    const uint8_t         *w = j->w + (size_t)row * row_size;
    const uint16_t *const *x = j->x + m0;
    int                    k = 0;
    SIMD_EACH (r, n_row)
        SIMD_EACH (m, n_vec)
            sum[r][m] = simd_zero();
    for (; k + COLS <= j->n_in; k += COLS) {
        __m512i in[SIMD_VECS];
        SIMD_EACH (m, n_vec)
            in[m] = _mm512_loadu_si512(x[m] + k);
        SIMD_EACH (r, n_row) {
            const uint8_t *p = w + (size_t)r * step + (size_t)k * 2;
            __m512i        weight = _mm512_loadu_si512(p);
            if (n_vec == 1)
                simd_prefetch(p + FETCH);
            SIMD_EACH (m, n_vec)
                sum[r][m] = simd_dot_pairs(sum[r][m], weight, in[m]);
        }
    }
    if (k < j->n_in) {
        SIMD_EACH (r, n_row) {
            __m512i weight = load_n(w + (size_t)r * step + (size_t)k * 2, j->n_in - k);
            SIMD_EACH (m, n_vec)
                sum[r][m] = simd_dot_pairs(sum[r][m], weight, load_n(x[m] + k, j->n_in - k));
        }
    }
    SIMD_EACH (r, n_row)
        SIMD_EACH (m, n_vec)
            j->y[m0 + m][row + r * apart] = simd_sum(sum[r][m]);
}

SIMD_INLINE void rows(const struct job *j, int row, int n_row, int n_vec)
{
    int m = 0;
    for (; m + SIMD_VECS <= n_vec; m += SIMD_VECS)
        tile(j, row, 1, m, n_row, SIMD_VECS);
    for (; m + 2 <= n_vec; m += 2)
        tile(j, row, 1, m, n_row, 2);
    if (m < n_vec)
        tile(j, row, 1, m, n_row, 1);
}

static void linear_bf16_bf16 KERN_LINEAR_BF16_ARGS
{
    struct job j = { y, x.row, (const uint8_t *)w, n_in };
    int        r = row0, apart = (row1 - row0) / ROWS;
    if (n_vec == 1) {
        for (; r < row0 + apart; r++)
            tile(&j, r, apart, 0, ROWS, 1);
        r = row0 + ROWS * apart;
    }
    for (; r + ROWS <= row1; r += ROWS)
        rows(&j, r, ROWS, n_vec);
    for (; r < row1; r++)
        rows(&j, r, 1, n_vec);
}

#if !defined(KERNEL_SIMD_EMULATED)
static int64_t peak_bf16(int n)
{
    simd    sum[SIMD_PEAK_SUMS];
    __m512i a = _mm512_set1_epi32(0x3f003f00);
    SIMD_EACH (i, SIMD_PEAK_SUMS)
        sum[i] = simd_zero();
    for (int k = 0; k < n; k++)
        SIMD_EACH (i, SIMD_PEAK_SUMS) {
            sum[i] = simd_dot_pairs(sum[i], a, a);
            SIMD_CHANGED(sum[i]);
        }
    return (int64_t)n * SIMD_PEAK_SUMS * COLS * 2;
}

const struct peak isa_avx512bf16_peak = { .bf16 = peak_bf16 };
#endif

const struct kern isa_avx512bf16 = {
    .name = "avx512bf16",
    .has_bf16 = true,
    .linear_bf16_bf16 = linear_bf16_bf16,
    .panel_bf16_bf16 = panel_bf16_bf16,
};
#endif
