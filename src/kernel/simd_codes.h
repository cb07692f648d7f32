/* SPDX-License-Identifier: MIT */
/* simd_codes: groups of numbers to codes, in AVX2. Included once by isa_avx2.c; wider sets fall
 * back to it: packing a file is bound by memory from here on. Divisions stay divisions, since the
 * codes must be those of the definition to the bit. */
#ifndef KERNEL_SIMD_CODES_H
#define KERNEL_SIMD_CODES_H

#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "kernel/kern.h"

/* Eight groups at a time: their edges, scales and biases fill a register each. */
enum { QUANTISE_BATCH = 8 };

static inline float quantise_least(__m256 v)
{
    __m128 x = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_min_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}

static inline float quantise_greatest(__m256 v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static inline void quantise_edges(float *min, float *max, const float *w, int group)
{
    __m256 low = _mm256_set1_ps(INFINITY), high = _mm256_set1_ps(-INFINITY);
    for (int i = 0; i < group; i += 8) {
        __m256 x = _mm256_loadu_ps(w + i);
        low = _mm256_min_ps(x, low); /* the second operand where x is a NaN */
        high = _mm256_max_ps(x, high);
    }
    *min = quantise_least(low);
    *max = quantise_greatest(high);
}

/* The definition's choose_scale() for eight groups. */
static inline void quantise_choose(__m256 *scale, __m256 *bias, __m256 min, __m256 max,
                                   float code_max)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), zero = _mm256_setzero_ps();
    __m256       is_min = _mm256_cmp_ps(_mm256_andnot_ps(sign, min), _mm256_andnot_ps(sign, max),
                                        _CMP_GT_OQ);
    __m256       edge = _mm256_blendv_ps(max, min, is_min);
    __m256       step = _mm256_div_ps(_mm256_sub_ps(max, min), _mm256_set1_ps(code_max));
    step = _mm256_max_ps(step, _mm256_set1_ps(QUANT_SCALE_MIN));
    step = _mm256_xor_ps(step, _mm256_andnot_ps(is_min, sign));
    __m256 q0 = _mm256_round_ps(_mm256_div_ps(edge, step),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 has_edge = _mm256_cmp_ps(q0, zero, _CMP_NEQ_UQ);
    *scale = _mm256_blendv_ps(step, _mm256_div_ps(edge, q0), has_edge);
    *bias = _mm256_and_ps(edge, has_edge);
}

static inline __m256i quantise_eight(const float *w, __m256 scale, __m256 bias, __m256 code_max)
{
    __m256 q = _mm256_div_ps(_mm256_sub_ps(_mm256_loadu_ps(w), bias), scale);
    q = _mm256_min_ps(_mm256_max_ps(q, _mm256_setzero_ps()), code_max); /* a NaN becomes 0 */
    return _mm256_cvtps_epi32(q);
}

/* 32 numbers of one group. */
static inline void quantise_codes(uint8_t *codes, const float *w, __m256 scale, __m256 bias,
                                  __m256 code_max)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i       a = _mm256_packs_epi32(quantise_eight(w, scale, bias, code_max),
                                         quantise_eight(w + 8, scale, bias, code_max));
    __m256i       b = _mm256_packs_epi32(quantise_eight(w + 16, scale, bias, code_max),
                                         quantise_eight(w + 24, scale, bias, code_max));
    __m256i       all = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order);
    _mm256_storeu_si256((__m256i *)(void *)codes, all);
}

static void quantise_f32(uint8_t *codes, float *scale, float *bias, const float *w, int n_group,
                         int group, int code_max)
{
    for (int g = 0; g < n_group; g += QUANTISE_BATCH) {
        float  min[QUANTISE_BATCH] = { 0 }, max[QUANTISE_BATCH] = { 0 };
        float  scales[QUANTISE_BATCH], biases[QUANTISE_BATCH];
        int    n = n_group - g < QUANTISE_BATCH ? n_group - g : QUANTISE_BATCH;
        __m256 some_scale, some_bias;

        for (int i = 0; i < n; i++)
            quantise_edges(&min[i], &max[i], w + i * group, group);
        quantise_choose(&some_scale, &some_bias, _mm256_loadu_ps(min), _mm256_loadu_ps(max),
                        (float)code_max);
        _mm256_storeu_ps(scales, some_scale);
        _mm256_storeu_ps(biases, some_bias);
        memcpy(scale + g, scales, (size_t)n * sizeof *scale);
        memcpy(bias + g, biases, (size_t)n * sizeof *bias);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < group; k += 32, w += 32, codes += 32)
                quantise_codes(codes, w, _mm256_set1_ps(scales[i]), _mm256_set1_ps(biases[i]),
                               _mm256_set1_ps((float)code_max));
    }
}

#endif
#endif
