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
#define SIMD_DOT_VECS   4   /* vectors that share a tile's codes */
#define SIMD_DOT_BLOCKS 4   /* streams of 16 rows for one vector; at most SIMD_DOT_VECS */
#define SIMD_DOT_FETCH  512 /* bytes ahead in each */
#define SIMD_DOT_ASK(p) simd_prefetch(p)

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

/* dot[i][h] += products of 32 columns of 4 bits: four lines of n_blk blocks, `step` bytes from each
 * other, with n_vec vectors; one of the two is 1, and i counts the other. Blocks take turns line by
 * line: as many streams as memory serves best, none of which is left for long, and activations that
 * are broadcast once for all. `ahead`: bytes from a line to the one that is asked for, or 0. */
SIMD_INLINE void simd_dot4(__m256i dot[][2], const uint8_t *codes, size_t step,
                           const int8_t *const *x, int n_blk, int n_vec, int ahead)
{
    __m256i mask = _mm256_set1_epi8(15), sum[SIMD_DOT_VECS][2];
    SIMD_EACH (l, 4)
        SIMD_EACH (b, n_blk) {
            const uint8_t *line = codes + (size_t)b * step + l * 64;
            __m256i        lo[2], hi[2];
            if (ahead)
                simd_prefetch(line + ahead);
            SIMD_EACH (h, 2) {
                __m256i w = _mm256_loadu_si256((const __m256i *)(line + h * 32));
                SIMD_DOT_KEEP(w);
                lo[h] = _mm256_and_si256(w, mask);
                hi[h] = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
            }
            SIMD_EACH (m, n_vec) {
                __m256i even = simd_dot_x(x[m] + l * 8), odd = simd_dot_x(x[m] + l * 8 + 4);
                SIMD_EACH (h, 2) {
                    __m256i *to = &sum[b + m][h], p = _mm256_maddubs_epi16(lo[h], even);
                    *to = l ? _mm256_add_epi16(*to, p) : p;
                    *to = _mm256_add_epi16(*to, _mm256_maddubs_epi16(hi[h], odd));
                    SIMD_DOT_KEEP(*to);
                }
            }
        }
    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, 2) {
            __m256i wide = _mm256_madd_epi16(sum[i][h], _mm256_set1_epi16(1));
            dot[i][h] = _mm256_add_epi32(dot[i][h], wide);
        }
}

/* The same for 32 columns of 8 bits: eight lines, one half of the rows after the other. */
SIMD_INLINE void simd_dot8(__m256i dot[][2], const uint8_t *codes, size_t step,
                           const int8_t *const *x, int n_blk, int n_vec, int ahead)
{
    __m256i mask = _mm256_set1_epi8(15);
    SIMD_EACH (h, 2) {
        __m256i       lo[SIMD_DOT_VECS], hi[SIMD_DOT_VECS];
        const int8_t *at[SIMD_DOT_VECS];
        SIMD_EACH (m, n_vec) {
            at[m] = x[m];
            SIMD_DOT_FORGET(at[m]);
        }
        SIMD_EACH (l, 8)
            SIMD_EACH (b, n_blk) {
                const uint8_t *line = codes + (size_t)b * step + l * 64;
                if (ahead && h == 0)
                    simd_prefetch(line + ahead);
                __m256i w = _mm256_loadu_si256((const __m256i *)(line + h * 32));
                SIMD_DOT_KEEP(w);
                __m256i w_lo = _mm256_and_si256(w, mask);
                __m256i w_hi = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
                SIMD_EACH (m, n_vec) {
                    __m256i q = simd_dot_x(at[m] + l * 4), *low = &lo[b + m], *high = &hi[b + m];
                    __m256i p = _mm256_maddubs_epi16(w_lo, q), p16 = _mm256_maddubs_epi16(w_hi, q);
                    *low = l ? _mm256_add_epi16(*low, p) : p;
                    *high = l ? _mm256_add_epi16(*high, p16) : p16;
                    SIMD_DOT_KEEP(*low);
                    SIMD_DOT_KEEP(*high);
                }
            }
        SIMD_EACH (i, n_blk * n_vec) {
            __m256i wide = _mm256_madd_epi16(lo[i], _mm256_set1_epi16(1));
            __m256i wide16 = _mm256_madd_epi16(hi[i], _mm256_set1_epi16(16));
            dot[i][h] = _mm256_add_epi32(dot[i][h], _mm256_add_epi32(wide, wide16));
        }
    }
}

/* dot[i][h] = products of one group of columns. */
SIMD_INLINE void simd_dot(__m256i dot[][2], const uint8_t *codes, size_t step,
                          const int8_t *const *x, int n_blk, int n_vec, int group, int bits,
                          int ahead)
{
    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, 2)
            dot[i][h] = _mm256_setzero_si256();
    SIMD_EACH (c, group / 32) {
        const int8_t *at[SIMD_DOT_VECS];
        SIMD_EACH (m, n_vec)
            at[m] = x[m] + c * 32;
        if (bits == 4)
            simd_dot4(dot, codes + c * 4 * 64, step, at, n_blk, n_vec, ahead);
        else
            simd_dot8(dot, codes + c * 8 * 64, step, at, n_blk, n_vec, ahead);
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
