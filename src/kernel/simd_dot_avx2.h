/* SPDX-License-Identifier: MIT */
/* simd_dot_avx2: int8 products of the tiles of quant.h without VNNI, for simd_int8.h.
 *
 * vpmaddubsw adds pairs of products in 16 bits and saturates: codes of 8 bits are taken as two
 * halves, so that both widths multiply nibbles. Eight pairs of 15 * 127 * 2 = 3810 fit a lane; then
 * they are widened to 32 bits.
 */
#ifndef KERNEL_SIMD_DOT_AVX2_H
#define KERNEL_SIMD_DOT_AVX2_H

#include "kernel/simd_linear.h"

#if defined(__AVX2__)
#define SIMD_DOT_VECS   4 /* vectors that share a tile's codes */
#define SIMD_DOT_BLOCKS 4 /* streams of 16 rows for one vector */

/* Holds a sum where the source has it: gcc makes trees of such additions, and spills them. */
#define SIMD_DOT_KEEP(sum) __asm__ volatile("" : "+x"(sum))
/* What lies at p is loaded again, not kept in registers that are wanted for sums. */
#define SIMD_DOT_FORGET(p) __asm__ volatile("" : "+r"(p))

SIMD_INLINE __m256i simd_dot_x(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

/* dot[m][h] += products of 32 columns of 4 bits: four lines; `ahead`: bytes from here to what is
 * asked for of the stream that codes belong to, or 0. */
SIMD_INLINE void simd_dot4(__m256i dot[][2], const uint8_t *codes, const int8_t *const *x,
                           int n_vec, int ahead)
{
    __m256i mask = _mm256_set1_epi8(15), sum[SIMD_DOT_VECS][2];
    SIMD_EACH (l, 4) {
        __m256i lo[2], hi[2];
        if (ahead)
            simd_prefetch(codes + l * 64 + ahead);
        SIMD_EACH (h, 2) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(codes + l * 64 + h * 32));
            lo[h] = _mm256_and_si256(w, mask);
            hi[h] = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
        }
        SIMD_EACH (m, n_vec) {
            __m256i even = simd_dot_x(x[m] + l * 8), odd = simd_dot_x(x[m] + l * 8 + 4);
            SIMD_EACH (h, 2) {
                __m256i p = _mm256_maddubs_epi16(lo[h], even);
                sum[m][h] = l ? _mm256_add_epi16(sum[m][h], p) : p;
                sum[m][h] = _mm256_add_epi16(sum[m][h], _mm256_maddubs_epi16(hi[h], odd));
                SIMD_DOT_KEEP(sum[m][h]);
            }
        }
    }
    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, 2) {
            __m256i wide = _mm256_madd_epi16(sum[m][h], _mm256_set1_epi16(1));
            dot[m][h] = _mm256_add_epi32(dot[m][h], wide);
        }
}

/* The same for 32 columns of 8 bits: eight lines, one half of the rows after the other. */
SIMD_INLINE void simd_dot8(__m256i dot[][2], const uint8_t *codes, const int8_t *const *x,
                           int n_vec, int ahead)
{
    __m256i mask = _mm256_set1_epi8(15);
    SIMD_EACH (h, 2) {
        __m256i       lo[SIMD_DOT_VECS], hi[SIMD_DOT_VECS];
        const int8_t *at[SIMD_DOT_VECS];
        SIMD_EACH (m, n_vec) {
            at[m] = x[m];
            SIMD_DOT_FORGET(at[m]);
        }
        SIMD_EACH (l, 8) {
            if (ahead && l % 2 == h)
                simd_prefetch(codes + l * 64 + ahead);
            __m256i w = _mm256_loadu_si256((const __m256i *)(codes + l * 64 + h * 32));
            __m256i w_lo = _mm256_and_si256(w, mask);
            __m256i w_hi = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
            SIMD_EACH (m, n_vec) {
                __m256i q = simd_dot_x(at[m] + l * 4);
                __m256i p = _mm256_maddubs_epi16(w_lo, q), p16 = _mm256_maddubs_epi16(w_hi, q);
                lo[m] = l ? _mm256_add_epi16(lo[m], p) : p;
                hi[m] = l ? _mm256_add_epi16(hi[m], p16) : p16;
                SIMD_DOT_KEEP(lo[m]);
                SIMD_DOT_KEEP(hi[m]);
            }
        }
        SIMD_EACH (m, n_vec) {
            __m256i wide = _mm256_madd_epi16(lo[m], _mm256_set1_epi16(1));
            __m256i wide16 = _mm256_madd_epi16(hi[m], _mm256_set1_epi16(16));
            dot[m][h] = _mm256_add_epi32(dot[m][h], _mm256_add_epi32(wide, wide16));
        }
    }
}

/* dot[m][h] = products of one group of columns, n_vec <= SIMD_DOT_VECS. */
SIMD_INLINE void simd_dot(__m256i dot[][2], const uint8_t *codes, const int8_t *const *x, int n_vec,
                          int group, int bits, int ahead)
{
    SIMD_EACH (m, n_vec)
        SIMD_EACH (h, 2)
            dot[m][h] = _mm256_setzero_si256();
    SIMD_EACH (c, group / 32) {
        const int8_t *at[SIMD_DOT_VECS];
        SIMD_EACH (m, n_vec)
            at[m] = x[m] + c * 32;
        if (bits == 4)
            simd_dot4(dot, codes + c * 4 * 64, at, n_vec, ahead);
        else
            simd_dot8(dot, codes + c * 8 * 64, at, n_vec, ahead);
    }
}

/* Peaks (simd_peak.h): a nibble's product, summed in 16 bits; a byte's, widened, in 32. */
#define SIMD_PEAK_CODES4 4
#define SIMD_PEAK_CODES8 2
SIMD_INLINE __m256i simd_peak_code4(__m256i sum, __m256i codes, __m256i x)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, x));
}
SIMD_INLINE __m256i simd_peak_code8(__m256i sum, __m256i codes, __m256i x)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, x));
}
#endif
#endif
