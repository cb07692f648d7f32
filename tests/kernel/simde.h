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

#include "kernel/float_bits.h"

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

static inline simde__m512 test_shuffle_f32x4(simde__m512 a, simde__m512 b, int how)
{
    float f[16], g[16], to[16];
    simde_mm512_storeu_ps(f, a);
    simde_mm512_storeu_ps(g, b);
    for (int q = 0; q < 4; q++)
        memcpy(to + 4 * q, (q < 2 ? f : g) + 4 * (how >> 2 * q & 3), 16);
    return simde_mm512_loadu_ps(to);
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
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, how) test_shuffle_f32x4(a, b, how)
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
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

/* VNNI and products of bf16. */
__attribute__((unused, noinline)) static simde__m512i test_dpbusd_512(simde__m512i sum,
                                                                      simde__m512i a,
                                                                      simde__m512i b)
{
    int32_t s[16];
    uint8_t u[64];
    int8_t  q[64];
    simde_mm512_storeu_si512(s, sum);
    simde_mm512_storeu_si512(u, a);
    simde_mm512_storeu_si512(q, b);
    for (int i = 0; i < 64; i++)
        s[i / 4] += u[i] * q[i];
    return simde_mm512_loadu_si512(s);
}

__attribute__((unused, noinline)) static __m256i test_dpbusd_256(__m256i sum, __m256i a, __m256i b)
{
    int32_t s[8];
    uint8_t u[32];
    int8_t  q[32];
    _mm256_storeu_si256((__m256i *)s, sum);
    _mm256_storeu_si256((__m256i *)u, a);
    _mm256_storeu_si256((__m256i *)q, b);
    for (int i = 0; i < 32; i++)
        s[i / 4] += u[i] * q[i];
    return _mm256_loadu_si256((const __m256i *)s);
}

__attribute__((unused, noinline)) static simde__m512 test_dpbf16(simde__m512 sum, simde__m512i a,
                                                                 simde__m512i b)
{
    float    s[16], x, y;
    uint32_t u[16], v[16], part;
    simde_mm512_storeu_ps(s, sum);
    simde_mm512_storeu_si512(u, a);
    simde_mm512_storeu_si512(v, b);
    for (int i = 0; i < 32; i++) {
        part = i % 2 ? u[i / 2] & 0xffff0000u : u[i / 2] << 16;
        memcpy(&x, &part, 4);
        part = i % 2 ? v[i / 2] & 0xffff0000u : v[i / 2] << 16;
        memcpy(&y, &part, 4);
        s[i / 2] += x * y;
    }
    return simde_mm512_loadu_ps(s);
}

__attribute__((unused, noinline)) static __m256i test_cvtneps(simde__m512 a)
{
    float    f[16];
    uint16_t h[16];
    simde_mm512_storeu_ps(f, a);
    for (int i = 0; i < 16; i++)
        h[i] = bf16_of_float(f[i]);
    return _mm256_loadu_si256((const __m256i *)h);
}

#undef _mm512_dpbusd_epi32
#undef _mm256_dpbusd_avx_epi32
#undef _mm512_dpbf16_ps
#define _mm512_dpbusd_epi32(sum, a, b)     test_dpbusd_512(sum, a, b)
#define _mm256_dpbusd_avx_epi32(sum, a, b) test_dpbusd_256(sum, a, b)
#define __m512bh                           simde__m512i
#define _mm512_dpbf16_ps(sum, a, b)        test_dpbf16(sum, a, b)
#define _mm512_cvtneps_pbh(a)              test_cvtneps(a)

#include "amx.h"
#endif
#endif
