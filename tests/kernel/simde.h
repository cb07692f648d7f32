/* SPDX-License-Identifier: MIT */
/* simde: AVX-512 in other instructions, so that isa_avx512.c really runs on machines without it.
 * A test build includes this before everything else; what Debian 12's SIMDe lacks is defined
 * here. */
#ifndef TESTS_KERNEL_SIMDE_H
#define TESTS_KERNEL_SIMDE_H

#if defined(__AVX2__)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <string.h>

#define KERNEL_SIMD_EMULATED

static inline simde__m512 test_maskz_loadu_ps(simde__mmask16 k, const float *p)
{
    float f[16] = { 0 };
    for (int i = 0; i < 16; i++)
        if (k >> i & 1)
            f[i] = p[i];
    return simde_mm512_loadu_ps(f);
}

static inline void test_mask_storeu_ps(float *p, simde__mmask16 k, simde__m512 a)
{
    float f[16];
    simde_mm512_storeu_ps(f, a);
    for (int i = 0; i < 16; i++)
        if (k >> i & 1)
            p[i] = f[i];
}

static inline simde__m512 test_cvtph_ps(__m256i h)
{
    float f[16];
    _mm256_storeu_ps(f, _mm256_cvtph_ps(_mm256_castsi256_si128(h)));
    _mm256_storeu_ps(f + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1)));
    return simde_mm512_loadu_ps(f);
}

static inline simde__m512 test_cvtepi32_ps(simde__m512i a)
{
    int   n[16];
    float f[16];
    simde_mm512_storeu_si512(n, a);
    for (int i = 0; i < 16; i++)
        f[i] = (float)n[i];
    return simde_mm512_loadu_ps(f);
}

static inline simde__m512i test_cvtepi8_epi32(__m128i a)
{
    int8_t  q[16];
    int32_t n[16];
    _mm_storeu_si128((__m128i *)q, a);
    for (int i = 0; i < 16; i++)
        n[i] = q[i];
    return simde_mm512_loadu_si512(n);
}

static inline simde__m512i test_cvtps_epi32(simde__m512 a)
{
    float f[16];
    int   n[16];
    simde_mm512_storeu_ps(f, a);
    for (int i = 0; i < 16; i++)
        n[i] = _mm_cvtss_si32(_mm_set_ss(f[i]));
    return simde_mm512_loadu_si512(n);
}

static inline simde__m512i test_cvtepu16_epi32(__m256i a)
{
    uint16_t h[16];
    int      n[16];
    _mm256_storeu_si256((__m256i *)h, a);
    for (int i = 0; i < 16; i++)
        n[i] = h[i];
    return simde_mm512_loadu_si512(n);
}

static inline __m256 test_extractf32x8_ps(simde__m512 a, int half)
{
    float f[16];
    simde_mm512_storeu_ps(f, a);
    return _mm256_loadu_ps(f + 8 * half);
}

static inline __m256i test_cvtepi32_epi16(simde__m512i a)
{
    int      n[16];
    uint16_t h[16];
    simde_mm512_storeu_si512(n, a);
    for (int i = 0; i < 16; i++)
        h[i] = (uint16_t)n[i];
    return _mm256_loadu_si256((const __m256i *)h);
}

#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(a) test_cvtepi32_epi16(a)
#undef _mm512_cvtepu16_epi32
#undef _mm512_extractf32x8_ps
#define _mm512_cvtepu16_epi32(a)        test_cvtepu16_epi32(a)
#define _mm512_extractf32x8_ps(a, half) test_extractf32x8_ps(a, half)
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#define _mm512_maskz_loadu_ps(k, p)    test_maskz_loadu_ps(k, p)
#define _mm512_mask_storeu_ps(p, k, a) test_mask_storeu_ps(p, k, a)
#define _mm512_cvtph_ps(h)             test_cvtph_ps(h)
#define _mm512_cvtepi8_epi32(a)        test_cvtepi8_epi32(a)
#define _mm512_cvtepi32_ps(a)          test_cvtepi32_ps(a)
#define _mm512_cvtps_epi32(a)          test_cvtps_epi32(a)
#endif
#endif
