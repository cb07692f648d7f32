/* SPDX-License-Identifier: MIT */
/* simd_attend_i8: one query against int8 keys and values in registers of 256 bits, for every table
 * that has AVX2. Sums of products of codes are whole numbers, so their order is free; all else is
 * done in the definition's order (isa_c_int8.c).
 */
#ifndef KERNEL_SIMD_ATTEND_I8_H
#define KERNEL_SIMD_ATTEND_I8_H

#include "kernel/simd_quant_x.h"

#if defined(__AVX2__)
#define SIMD_I8_KEYS  8    /* keys at a time */
#define SIMD_I8_AHEAD 1024 /* bytes ahead that are asked for */

/* 16 numbers times inverse as codes of 16 bits; x and q may end anywhere after them. */
SIMD_INLINE void simd_query_16(int16_t *q, const float *x, __m256 inverse)
{
    __m256i ab = _mm256_packs_epi32(simd_quantise_8(x, inverse), simd_quantise_8(x + 8, inverse));
    _mm256_storeu_si256((__m256i *)(void *)q, _mm256_permute4x64_epi64(ab, 0xd8));
}

static float quantise_query(int16_t *q, const float *x, int n)
{
    float   rest[QUANT_COLS] = { 0 };
    int16_t last[16];
    int     n_whole = n - n % QUANT_COLS, k = 0;
    memcpy(rest, x + n_whole, (size_t)(n - n_whole) * sizeof *x);
    uint32_t most = simd_largest_64(rest);
    for (; k < n_whole; k += QUANT_COLS) {
        uint32_t m = simd_largest_64(x + k);
        most = m > most ? m : most;
    }
    float top = float_of_bits(most);
    if (!(top >= QUANTIZE_TINY && top <= 3.402823466e38f)) {
        memset(q, 0, (size_t)n * sizeof *q);
        return top < QUANTIZE_TINY ? 0 : NAN;
    }
    __m256 inverse = _mm256_set1_ps(KERN_QUERY_MAX / top);
    for (k = 0; k + 16 <= n; k += 16)
        simd_query_16(q + k, x + k, inverse);
    if (k < n) {
        simd_query_16(last, rest + (k - n_whole), inverse);
        memcpy(q + k, last, (size_t)(n - k) * sizeof *q);
    }
    return top / KERN_QUERY_MAX;
}

/* The sums of eight registers' lanes. */
SIMD_INLINE __m256i simd_sums8_int(const __m256i *a)
{
    __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(a[0], a[1]), _mm256_hadd_epi32(a[2], a[3]));
    __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(a[4], a[5]), _mm256_hadd_epi32(a[6], a[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
}

/* n_key is SIMD_I8_KEYS or 1. */
SIMD_INLINE void simd_score_i8(float *score, const int16_t *q, const int8_t *key,
                               const float *factor, int d, int n_key, float scale,
                               struct simd_ask ask)
{
    __m256i sum[SIMD_I8_KEYS];
    int32_t dot[SIMD_I8_KEYS];
    int     k = 0;
    SIMD_EACH (r, SIMD_I8_KEYS)
        sum[r] = _mm256_setzero_si256();
    for (int line = 0; n_key > 1 && line < SIMD_I8_KEYS * d / 64; line++)
        simd_ask_line(&ask, line);
    for (; k + 16 <= d; k += 16) {
        __m256i in = _mm256_loadu_si256((const __m256i *)(const void *)(q + k));
        SIMD_EACH (r, n_key) {
            const void *p = key + r * d + k;
            __m256i     w = _mm256_cvtepi8_epi16(_mm_loadu_si128(p));
            sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(w, in));
        }
    }
    __m256i all = simd_sums8_int(sum);
    if (n_key > 1 && k == d) {
        __m256 by = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(factor));
        _mm256_storeu_ps(score, _mm256_mul_ps(_mm256_cvtepi32_ps(all), by));
        return;
    }
    _mm256_storeu_si256((__m256i *)(void *)dot, all);
    for (int r = 0; r < n_key; r++) {
        for (int c = k; c < d; c++)
            dot[r] += q[c] * key[r * d + c];
        score[r] = (float)dot[r] * (scale * factor[r]);
    }
}

SIMD_INLINE void simd_scores_i8(float *score, const int16_t *q, const struct kern_rows *keys, int n,
                                int d, float scale)
{
    const int8_t   *key = keys->p;
    struct simd_ask ask = simd_ask(keys, SIMD_I8_AHEAD);
    int             i = 0;
    for (; i + SIMD_I8_KEYS <= n; i += SIMD_I8_KEYS, key += SIMD_I8_KEYS * d)
        simd_score_i8(score + i, q, key, keys->scale + i, d, SIMD_I8_KEYS, scale,
                      simd_ask_from(ask, (size_t)(i * d)));
    for (; i < n; i++, key += d)
        simd_score_i8(score + i, q, key, keys->scale + i, d, 1, scale, ask);
}

/* The usual widths as constants: straight lines in place of short loops, twice as fast. */
static void attend_score_i8(float *score, const int16_t *q, struct kern_rows keys, int n, int d,
                            float scale)
{
    if (d == 128)
        simd_scores_i8(score, q, &keys, n, 128, scale);
    else if (d == 64)
        simd_scores_i8(score, q, &keys, n, 64, scale);
    else
        simd_scores_i8(score, q, &keys, n, d, scale);
}

/* The weights of up to KERN_MIX_ROWS values as codes, a pair of rows in each dword, a row without a
 * partner with 0; returns their scale. */
SIMD_INLINE float simd_mix_weights(int32_t *pairs, const float *score, const float *scale, int n)
{
    float   w[2 * KERN_MIX_ROWS] = { 0 };
    int16_t code[KERN_MIX_ROWS];
    for (int i = 0; i < n; i++)
        w[i] = score[i] * scale[i];
    float top = float_of_bits(simd_largest_64(w));
    if (!(top >= QUANTIZE_TINY && top <= 3.402823466e38f))
        return top < QUANTIZE_TINY ? 0 : NAN;
    __m256 inverse = _mm256_set1_ps(KERN_MIX_MAX / top);
    SIMD_EACH (i, KERN_MIX_ROWS / 16)
        simd_query_16(code + 16 * i, w + 16 * i, inverse);
    memcpy(pairs, code, sizeof code);
    return top / KERN_MIX_MAX;
}

/* 32 columns: sum[0..3] += two rows' codes times a pair of weights, 256 times too large, columns
 * as the unpacking leaves them. */
SIMD_INLINE void simd_mix_pair(__m256i *sum, const int8_t *v, const int8_t *next, __m256i pair)
{
    __m256i zero = _mm256_setzero_si256();
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)v);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)next);
    __m256i lo = _mm256_unpacklo_epi8(a, b), hi = _mm256_unpackhi_epi8(a, b);
    __m256i w[4] = { _mm256_unpacklo_epi8(zero, lo), _mm256_unpackhi_epi8(zero, lo),
                     _mm256_unpacklo_epi8(zero, hi), _mm256_unpackhi_epi8(zero, hi) };
    SIMD_EACH (i, 4)
        sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(w[i], pair));
}

SIMD_INLINE void simd_mix_add(float *y, __m256i low, __m256i high, int half, __m256 step)
{
    __m256i sum = half ? _mm256_permute2x128_si256(low, high, 0x31)
                       : _mm256_permute2x128_si256(low, high, 0x20);
    __m256  add = _mm256_mul_ps(step, _mm256_cvtepi32_ps(sum));
    _mm256_storeu_ps(y, _mm256_add_ps(_mm256_loadu_ps(y), add));
}

/* n_part times 32 columns of up to KERN_MIX_ROWS rows; v: the first row's. */
SIMD_INLINE void simd_mix_columns_i8(float *y, const int32_t *pairs, float step, const int8_t *v,
                                     int n, int d, int n_part, struct simd_ask ask)
{
    __m256i sum[8];
    SIMD_EACH (i, 4 * n_part)
        sum[i] = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 2, v += 2 * d) {
        const int8_t *next = i + 1 < n ? v + d : v;
        __m256i       pair = _mm256_set1_epi32(pairs[i / 2]);
        simd_ask_line(&ask, i);
        simd_ask_line(&ask, i + 1);
        SIMD_EACH (p, n_part)
            simd_mix_pair(sum + 4 * p, v + 32 * p, next + 32 * p, pair);
    }
    __m256 by = _mm256_set1_ps(step / 256);
    SIMD_EACH (p, n_part)
        SIMD_EACH (half, 2) {
            float *to = y + 32 * p + 16 * half;
            simd_mix_add(to, sum[4 * p], sum[4 * p + 1], half, by);
            simd_mix_add(to + 8, sum[4 * p + 2], sum[4 * p + 3], half, by);
        }
}

SIMD_INLINE void simd_mix_rows_i8(float *y, const float *score, const float *scale, const int8_t *v,
                                  int n, int d, struct simd_ask ask)
{
    int32_t pairs[KERN_MIX_ROWS / 2];
    float   step = simd_mix_weights(pairs, score, scale, n);
    int     c = 0;
    if (!(step > 0)) {
        for (; c < d && step != 0; c++)
            y[c] = NAN;
        return;
    }
    for (; c + 64 <= d; c += 64)
        simd_mix_columns_i8(y + c, pairs, step, v + c, n, d, 2,
                            simd_ask_from(ask, (size_t)(n * c)));
    for (; c + 32 <= d; c += 32)
        simd_mix_columns_i8(y + c, pairs, step, v + c, n, d, 1,
                            simd_ask_from(ask, (size_t)(n * c)));
    for (; c < d; c++) {
        int32_t sum = 0;
        int16_t code[KERN_MIX_ROWS];
        memcpy(code, pairs, sizeof code);
        for (int i = 0; i < n; i++)
            sum += code[i] * v[i * d + c];
        y[c] += step * (float)sum;
    }
}

SIMD_INLINE void simd_mixes_i8(float *y, const float *score, const struct kern_rows *values, int n,
                               int d)
{
    const int8_t   *v = values->p;
    struct simd_ask ask = simd_ask(values, SIMD_I8_AHEAD);
    int             i = 0;
    for (; i + KERN_MIX_ROWS <= n; i += KERN_MIX_ROWS, v += KERN_MIX_ROWS * d)
        simd_mix_rows_i8(y, score + i, values->scale + i, v, KERN_MIX_ROWS, d,
                         simd_ask_from(ask, (size_t)(i * d)));
    if (i < n)
        simd_mix_rows_i8(y, score + i, values->scale + i, v, n - i, d,
                         simd_ask_from(ask, (size_t)(i * d)));
}

static void attend_mix_i8(float *y, const float *score, struct kern_rows values, int n, int d)
{
    if (d == 128)
        simd_mixes_i8(y, score, &values, n, 128);
    else if (d == 64)
        simd_mixes_i8(y, score, &values, n, 64);
    else
        simd_mixes_i8(y, score, &values, n, d);
}
#endif
#endif
