/* SPDX-License-Identifier: MIT */
/* simd_pairs: words for products of bf16 by pairs, a register of sixteen pairs at a time; on
 * simd_avx512.h. Numbers that bf16 cannot hold as normal ones count as zero.
 */
#ifndef KERNEL_SIMD_PAIRS_H
#define KERNEL_SIMD_PAIRS_H

#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define SIMD_PAIRS 16

/* sum[i] += a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1] */
SIMD_INLINE simd simd_dot_pairs(simd sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* The first n of 32 numbers, rounded; zeros behind them. */
SIMD_INLINE __m512i simd_round_pairs(const float *x, int n)
{
    simd    first = n < SIMD_LANES ? simd_load_n(x, n) : simd_load(x);
    simd    second = n >= 2 * SIMD_LANES ? simd_load(x + SIMD_LANES)
                     : n > SIMD_LANES    ? simd_load_n(x + SIMD_LANES, n - SIMD_LANES)
                                         : simd_zero();
    __m256i low = (__m256i)_mm512_cvtneps_pbh(first), high = (__m256i)_mm512_cvtneps_pbh(second);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
#endif
#endif
