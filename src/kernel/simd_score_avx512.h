/* SPDX-License-Identifier: MIT */
/* simd_score_avx512: one query against int8 keys, sixteen at a time, so that their sums are added
 * up across lanes together. Whole numbers, so their order is free; all else is done in the
 * definition's order (isa_c_int8.c).
 */
#ifndef KERNEL_SIMD_SCORE_AVX512_H
#define KERNEL_SIMD_SCORE_AVX512_H

#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define SIMD_SCORE_KEYS  16
#define SIMD_SCORE_COLS  32   /* numbers of a key in a register */
#define SIMD_SCORE_AHEAD 2048 /* bytes ahead that are asked for */

/* Half the lanes of two registers each, and the other half added to them: dwords, then pairs of
 * them, then quarters. */
SIMD_INLINE __m512i simd_fold_1(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
SIMD_INLINE __m512i simd_fold_2(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
SIMD_INLINE __m512i simd_fold_4(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Lane r of what it returns: the sum of register r's lanes. */
SIMD_INLINE __m512i simd_sums16_int(__m512i *a)
{
    SIMD_EACH (i, 8)
        a[i] = simd_fold_1(a[2 * i], a[2 * i + 1]);
    SIMD_EACH (i, 4)
        a[i] = simd_fold_2(a[2 * i], a[2 * i + 1]);
    return simd_fold_4(simd_fold_4(a[0], a[1]), simd_fold_4(a[2], a[3]));
}

/* What columns [from, d) give. */
__attribute__((noinline)) static void simd_score_rest(int32_t *sum, const int16_t *q,
                                                      const int8_t *key, int n, int from, int d)
{
    for (int r = 0; r < n; r++, key += d)
        for (int k = from; k < d; k++)
            sum[r] += q[k] * key[k];
}

/* Scores of n keys, at most SIMD_SCORE_KEYS; the last is read again for those that are not. */
SIMD_INLINE void simd_score_16(float *score, const int16_t *q, const int8_t *key,
                               const float *factor, int n, int d, float scale, struct simd_ask ask)
{
    __m512i sum[SIMD_SCORE_KEYS];
    int32_t rest[SIMD_SCORE_KEYS] = { 0 };
    int     k = 0;
    SIMD_EACH (r, SIMD_SCORE_KEYS)
        sum[r] = _mm512_setzero_si512();
    for (; k + SIMD_SCORE_COLS <= d; k += SIMD_SCORE_COLS) {
        __m512i in = _mm512_loadu_si512(q + k);
        SIMD_EACH (r, SIMD_SCORE_KEYS) {
            const int8_t *p = key + (r < n ? r : n - 1) * d + k;
            __m512i w = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
            if (k % 64 == 0)
                simd_ask_line(&ask, k / 64 * SIMD_SCORE_KEYS + r);
            sum[r] = _mm512_add_epi32(sum[r], _mm512_madd_epi16(w, in));
        }
    }
    if (k < d)
        simd_score_rest(rest, q, key, n, k, d);
    __m512i all = _mm512_add_epi32(simd_sums16_int(sum), _mm512_loadu_si512(rest));
    simd    by = simd_mul(simd_set(scale), simd_load_n(factor, n));
    simd_store_n(score, simd_mul(simd_of_int(all), by), n);
}

SIMD_INLINE void simd_scores_512(float *score, const int16_t *q, const struct kern_rows *keys,
                                 int n, int d, float scale)
{
    const int8_t   *key = keys->p;
    struct simd_ask ask = simd_ask(keys, SIMD_SCORE_AHEAD);
    int             i = 0;
    for (; i + SIMD_SCORE_KEYS <= n; i += SIMD_SCORE_KEYS)
        simd_score_16(score + i, q, key + i * d, keys->scale + i, SIMD_SCORE_KEYS, d, scale,
                      simd_ask_from(ask, (size_t)(i * d)));
    if (i < n)
        simd_score_16(score + i, q, key + i * d, keys->scale + i, n - i, d, scale,
                      simd_ask_from(ask, (size_t)(i * d)));
}

/* The usual widths as constants: straight lines in place of short loops. */
static void attend_score_i8(float *score, const int16_t *q, struct kern_rows keys, int n, int d,
                            float scale)
{
    if (d == 128)
        simd_scores_512(score, q, &keys, n, 128, scale);
    else if (d == 64)
        simd_scores_512(score, q, &keys, n, 64, scale);
    else
        simd_scores_512(score, q, &keys, n, d, scale);
}
#endif
#endif
