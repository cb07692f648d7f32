/* SPDX-License-Identifier: MIT */
/* simd_quant_x: activations to int8 in registers of 256 bits, for every table that has AVX2. The
 * same numbers as the definition, to the bit: one rounding each, and sums of whole numbers. */
#ifndef KERNEL_SIMD_QUANT_X_H
#define KERNEL_SIMD_QUANT_X_H

#include <math.h>

#include "kernel/float_bits.h"
#include "kernel/simd_linear.h"

#if defined(__AVX2__)
#define QUANTIZE_TINY 1e-30f /* as in isa_c_int8.c */

SIMD_INLINE __m256i simd_quantise_8(const float *x, __m256 inverse)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

/* 32 columns: codes and their sum. */
SIMD_INLINE int simd_quantise_32(int8_t *q, const float *x, __m256 inverse, int bits)
{
    __m256i places = _mm256_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, 0, 2, 4,
                                      6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    __m256i ab = _mm256_packs_epi32(simd_quantise_8(x, inverse), simd_quantise_8(x + 8, inverse));
    __m256i cd = _mm256_packs_epi32(simd_quantise_8(x + 16, inverse),
                                    simd_quantise_8(x + 24, inverse));
    __m256i codes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd),
                                                _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    if (bits == 4)
        codes = _mm256_shuffle_epi8(codes, places);
    _mm256_storeu_si256((__m256i *)(void *)q, codes);
    return _mm_cvtsi128_si32(four);
}

/* The bits of the largest magnitude of 64 numbers. */
SIMD_INLINE uint32_t simd_largest_64(const float *x)
{
    __m256i most = _mm256_setzero_si256(), sign = _mm256_set1_epi32(INT32_MAX);
    SIMD_EACH (i, QUANT_COLS / 8) {
        __m256i u = _mm256_loadu_si256((const __m256i *)(const void *)(x + 8 * i));
        most = _mm256_max_epi32(most, _mm256_and_si256(u, sign));
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(four);
}

SIMD_INLINE void simd_quantise_64(const struct quant_x *out, int t, const float *x, int bits)
{
    float   top = float_of_bits(simd_largest_64(x));
    int8_t *q = out->q + t * QUANT_COLS;
    if (!(top >= QUANTIZE_TINY && top <= 3.402823466e38f)) {
        float scale = top < QUANTIZE_TINY ? 0 : NAN;
        memset(q, 0, QUANT_COLS);
        out->scale[t] = out->sum[2 * t] = out->sum[2 * t + 1] = scale;
        return;
    }
    float  scale = top / 127;
    __m256 inverse = _mm256_set1_ps(127 / top);
    out->scale[t] = scale;
    out->sum[2 * t] = scale * (float)simd_quantise_32(q, x, inverse, bits);
    out->sum[2 * t + 1] = scale * (float)simd_quantise_32(q + 32, x + 32, inverse, bits);
}

static void quantise_x(const struct quant_x *out, const float *x, int n, int bits)
{
    int t = 0, n_whole = n / QUANT_COLS, n_rest = n % QUANT_COLS;
    for (; t < n_whole; t++)
        simd_quantise_64(out, t, x + t * QUANT_COLS, bits);
    if (n_rest) {
        float rest[QUANT_COLS] = { 0 };
        memcpy(rest, x + t * QUANT_COLS, (size_t)n_rest * sizeof *x);
        simd_quantise_64(out, t, rest, bits);
    }
}
#endif
#endif
