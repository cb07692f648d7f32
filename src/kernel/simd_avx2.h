/* SPDX-License-Identifier: MIT */
/* simd_avx2: the vocabulary of simd_*.h for eight lanes. Include it before them; empty without
 * AVX2.
 *
 * _n forms take the first n lanes, 0 < n < SIMD_LANES, touch no other memory, and fill with zeros.
 */
#ifndef KERNEL_SIMD_AVX2_H
#define KERNEL_SIMD_AVX2_H

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define SIMD_LANES       8
#define SIMD_VECS        3 /* vectors of a linear tile of four rows: 12 sums, 3 inputs, 1 weight */
#define SIMD_TILE_VECS   2 /* vectors that share 16 quantised rows, in SIMD_TILE_SUMS sums each */
#define SIMD_TILE_SUMS   2
#define SIMD_WIDE_VECS   3    /* vectors of a tile whose codes were widened before */
#define SIMD_TILE_BLOCKS 2    /* blocks of 16 rows for one vector; at most SIMD_TILE_VECS */
#define SIMD_PREFETCH    1024 /* bytes ahead in a stream of weights */

typedef __m256  simd;
typedef __m256i simd_int;
typedef __m256  simd_mask;

static inline simd simd_zero(void)
{
    return _mm256_setzero_ps();
}
static inline simd simd_set(float a)
{
    return _mm256_set1_ps(a);
}
static inline simd simd_add(simd a, simd b)
{
    return _mm256_add_ps(a, b);
}
static inline simd simd_sub(simd a, simd b)
{
    return _mm256_sub_ps(a, b);
}
static inline simd simd_mul(simd a, simd b)
{
    return _mm256_mul_ps(a, b);
}
static inline simd simd_div(simd a, simd b)
{
    return _mm256_div_ps(a, b);
}
static inline simd simd_fma(simd a, simd b, simd c)
{
    return _mm256_fmadd_ps(a, b, c);
}
/* The second operand where either is a NaN. */
static inline simd simd_max(simd a, simd b)
{
    return _mm256_max_ps(a, b);
}
static inline simd simd_min(simd a, simd b)
{
    return _mm256_min_ps(a, b);
}
static inline simd simd_abs(simd a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline simd simd_neg(simd a)
{
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a);
}
static inline simd simd_round(simd a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 2^n for whole n from -127 (which gives 0) to 127. */
static inline simd simd_pow2(simd n)
{
    __m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}

/* a < b; false for a NaN. */
static inline simd_mask simd_less(simd a, simd b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline simd simd_pick(simd_mask m, simd yes, simd no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline simd_int simd_pick_int(simd_mask m, simd_int yes, simd_int no)
{
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(m));
}
static inline simd_int simd_count(int from)
{
    return _mm256_add_epi32(_mm256_set1_epi32(from), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline void simd_store_int(int *p, simd_int a)
{
    _mm256_storeu_si256((__m256i *)p, a);
}

static inline simd simd_of_int(simd_int a)
{
    return _mm256_cvtepi32_ps(a);
}
static inline __m256i simd_first(int n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}
static inline simd simd_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline simd simd_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, simd_first(n));
}
static inline void simd_store(float *p, simd a)
{
    _mm256_storeu_ps(p, a);
}
static inline void simd_store_n(float *p, simd a, int n)
{
    _mm256_maskstore_ps(p, simd_first(n), a);
}

/* Weights: any alignment. */
static inline simd simd_weight_f32(const uint8_t *p)
{
    return _mm256_loadu_ps((const float *)p);
}
static inline simd simd_weight_bf16(const uint8_t *p)
{
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
static inline simd simd_weight_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
/* A macro: gcc takes a function that does nothing else for one without effect. */
#define simd_prefetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)

static inline void simd_store_bf16(uint16_t *p, simd a)
{
    __m256i u = _mm256_castps_si256(a),
            odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256  is_nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
    r = _mm256_srli_epi32(_mm256_blendv_epi8(r, nan, _mm256_castps_si256(is_nan)), 16);
    r = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(r));
}

/* Sums of lanes, alone, four and eight at a time: all in the order ((0+1)+(2+3)) +
 * ((4+5)+(6+7)). */
static inline __m128 simd_sum4(const simd *a)
{
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
}
static inline void simd_sums4(float *out, const simd *a)
{
    _mm_storeu_ps(out, simd_sum4(a));
}
static inline float simd_sum(simd a)
{
    __m256 t = _mm256_hadd_ps(a, a);
    t = _mm256_hadd_ps(t, t);
    return _mm_cvtss_f32(_mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}

/* Tiles of quant.h: the 16 rows as two registers. */
#define SIMD_HALVES 2
/* Code number j of each dword of a line. */
static inline simd simd_code4(const uint8_t *line, int half, int j)
{
    __m256i w = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)(line + 32 * half)), 4 * j);
    return _mm256_cvtepi32_ps(_mm256_and_si256(w, _mm256_set1_epi32(15)));
}
static inline simd simd_code8(const uint8_t *line, int half, int j)
{
    __m256i w = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)(line + 32 * half)), 8 * j);
    return _mm256_cvtepi32_ps(_mm256_and_si256(w, _mm256_set1_epi32(255)));
}
#endif
#endif
