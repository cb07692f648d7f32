/* SPDX-License-Identifier: MIT */
/* simd_peak: the peaks of peak.h, on the vocabulary and the simd_peak_code4() and _code8() included
 * before. An empty asm statement makes the compiler believe that a register has changed. */
#ifndef KERNEL_SIMD_PEAK_H
#define KERNEL_SIMD_PEAK_H

#include "kernel/peak.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES) && !defined(KERNEL_SIMD_EMULATED)
#define SIMD_PEAK_SUMS  10 /* chains: more than products under way */
#define SIMD_CHANGED(x) __asm__ volatile("" : "+v"(x))

__attribute__((unused)) static int64_t peak_f32(int n)
{
    simd sum[SIMD_PEAK_SUMS], a = simd_set(0.5f);
    SIMD_EACH (j, SIMD_PEAK_SUMS)
        sum[j] = simd_zero();
    for (int i = 0; i < n; i++)
        SIMD_EACH (j, SIMD_PEAK_SUMS) {
            sum[j] = simd_fma(sum[j], a, a);
            SIMD_CHANGED(sum[j]);
        }
    return (int64_t)n * SIMD_PEAK_SUMS * SIMD_LANES * 2;
}

#if defined(SIMD_PEAK_CODES4)
SIMD_INLINE int64_t simd_peak_codes(int n, int bits)
{
    simd_int sum[SIMD_PEAK_SUMS], a = simd_count(1), b = simd_count(2);
    SIMD_EACH (j, SIMD_PEAK_SUMS)
        sum[j] = simd_count(0);
    for (int i = 0; i < n; i++)
        SIMD_EACH (j, SIMD_PEAK_SUMS) {
            SIMD_CHANGED(a);
            sum[j] = bits == 4 ? simd_peak_code4(sum[j], a, b) : simd_peak_code8(sum[j], a, b);
            SIMD_CHANGED(sum[j]);
        }
    return (int64_t)n * SIMD_PEAK_SUMS * SIMD_LANES * 2 *
           (bits == 4 ? SIMD_PEAK_CODES4 : SIMD_PEAK_CODES8);
}

static int64_t peak_code4(int n)
{
    return simd_peak_codes(n, 4);
}

static int64_t peak_code8(int n)
{
    return simd_peak_codes(n, 8);
}
#endif
#endif
#endif
