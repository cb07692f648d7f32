/* SPDX-License-Identifier: MIT */
/* simd_avx512: the vocabulary of simd_*.h for sixteen lanes; simd_avx2.h says what each word means.
 * Empty without AVX-512 F, BW, VL and DQ. Products are f32 as everywhere: vdpbf16ps would round the
 * activations, VNNI would quantise them.
 */
#ifndef KERNEL_SIMD_AVX512_H
#define KERNEL_SIMD_AVX512_H

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
        defined(__AVX512DQ__) ||                                              \
    defined(KERNEL_SIMD_EMULATED) /* tests only */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define SIMD_LANES       16
#define SIMD_VECS        6 /* of 32 registers: 24 sums, 6 inputs, a weight */
#define SIMD_TILE_VECS   4
#define SIMD_TILE_SUMS   4
#define SIMD_WIDE_VECS   6
#define SIMD_TILE_BLOCKS 2
#define SIMD_PREFETCH    1024

typedef __m512    simd;
typedef __m512i   simd_int;
typedef __mmask16 simd_mask;

static inline simd simd_zero(void)
{
    return _mm512_setzero_ps();
}
static inline simd simd_set(float a)
{
    return _mm512_set1_ps(a);
}
static inline simd simd_add(simd a, simd b)
{
    return _mm512_add_ps(a, b);
}
static inline simd simd_sub(simd a, simd b)
{
    return _mm512_sub_ps(a, b);
}
static inline simd simd_mul(simd a, simd b)
{
    return _mm512_mul_ps(a, b);
}
static inline simd simd_div(simd a, simd b)
{
    return _mm512_div_ps(a, b);
}
static inline simd simd_fma(simd a, simd b, simd c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline simd simd_max(simd a, simd b)
{
    return _mm512_max_ps(a, b);
}
static inline simd simd_min(simd a, simd b)
{
    return _mm512_min_ps(a, b);
}
static inline simd simd_abs(simd a)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)));
}
static inline simd simd_neg(simd a)
{
    return _mm512_castsi512_ps(
        _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
static inline simd simd_round(simd a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline simd simd_pow2(simd n)
{
    __m512i i = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(i, 23));
}

static inline simd_mask simd_less(simd a, simd b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline simd simd_pick(simd_mask m, simd yes, simd no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline simd_int simd_pick_int(simd_mask m, simd_int yes, simd_int no)
{
    return _mm512_mask_blend_epi32(m, no, yes);
}
static inline simd_int simd_count(int from)
{
    return _mm512_add_epi32(_mm512_set1_epi32(from),
                            _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}
static inline void simd_store_int(int *p, simd_int a)
{
    _mm512_storeu_si512(p, a);
}

static inline simd simd_of_int(simd_int a)
{
    return _mm512_cvtepi32_ps(a);
}
static inline __mmask16 simd_first(int n)
{
    return (__mmask16)((1u << n) - 1);
}
static inline simd simd_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline simd simd_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(simd_first(n), p);
}
static inline void simd_store(float *p, simd a)
{
    _mm512_storeu_ps(p, a);
}
static inline void simd_store_n(float *p, simd a, int n)
{
    _mm512_mask_storeu_ps(p, simd_first(n), a);
}

static inline simd simd_weight_f32(const uint8_t *p)
{
    return _mm512_loadu_ps(p);
}
static inline simd simd_weight_bf16(const uint8_t *p)
{
    __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
static inline simd simd_weight_f16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
/* A macro: gcc takes a function that does nothing else for one without effect. */
#define simd_prefetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)

static inline void simd_store_bf16(uint16_t *p, simd a)
{
    __m512i u = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __m512i nan = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    r = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), r, nan);
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
}

/* The upper half is added to the lower first, then as simd_avx2.h does. */
static inline __m256 simd_fold(simd a)
{
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}
static inline void simd_sums4(float *out, const simd *a)
{
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(simd_fold(a[0]), simd_fold(a[1])),
                              _mm256_hadd_ps(simd_fold(a[2]), simd_fold(a[3])));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}
static inline float simd_sum(simd a)
{
    __m256 t = _mm256_hadd_ps(simd_fold(a), simd_fold(a));
    t = _mm256_hadd_ps(t, t);
    return _mm_cvtss_f32(_mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}

/* Tiles of quant.h: a line is a register. Nibbles are looked up, which needs no mask. */
#define SIMD_HALVES 1
static inline simd simd_code4(const uint8_t *line, int half, int j)
{
    __m512 table = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutexvar_ps(_mm512_srli_epi32(_mm512_loadu_si512(line), (unsigned)(4 * j)),
                                 table);
}
static inline simd simd_code8(const uint8_t *line, int half, int j)
{
    __m512i w = _mm512_srli_epi32(_mm512_loadu_si512(line), (unsigned)(8 * j));
    return _mm512_cvtepi32_ps(_mm512_and_si512(w, _mm512_set1_epi32(255)));
}
#endif
#endif
