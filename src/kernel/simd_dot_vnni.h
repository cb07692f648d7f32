/* SPDX-License-Identifier: MIT */
/* simd_dot_vnni: int8 products of the tiles of quant.h by VNNI, for simd_int8.h. Products of
 * unsigned codes and signed activations are added to 32 bits at once; whole numbers, so their order
 * is free.
 * The file that includes this says which instruction SIMD_DPBUSD(sum, codes, x) is.
 */
#ifndef KERNEL_SIMD_DOT_VNNI_H
#define KERNEL_SIMD_DOT_VNNI_H

#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
/* SIMD_DOT_BLOCKS streams of 16 rows for one vector, at most SIMD_DOT_VECS; each is asked for
 * SIMD_DOT_FETCH bytes ahead. Many streams that are asked for late and near are what Intel's
 * servers read fastest. */
#if SIMD_LANES == 16
#define SIMD_DOT_BLOCKS  8
#define SIMD_DOT_FETCH   448
#define SIMD_DOT_ASK(p)  _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define SIMD_DOT_VECS    8 /* vectors that share a tile's codes, in SIMD_DOT_SUMS sums each */
#define SIMD_DOT_SUMS    2
#define SIMD_DOT_LOAD    _mm512_loadu_si512
#define SIMD_DOT_ZERO    _mm512_setzero_si512
#define SIMD_DOT_SET     _mm512_set1_epi32
#define SIMD_DOT_ADD     _mm512_add_epi32
#define SIMD_DOT_LOW(w)  _mm512_and_si512(w, _mm512_set1_epi8(15))
#define SIMD_DOT_HIGH(w) _mm512_and_si512(_mm512_srli_epi16(w, 4), _mm512_set1_epi8(15))
#else
#define SIMD_DOT_BLOCKS  4
#define SIMD_DOT_FETCH   1024
#define SIMD_DOT_ASK(p)  simd_prefetch(p)
#define SIMD_DOT_VECS    4
#define SIMD_DOT_SUMS    1
#define SIMD_DOT_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define SIMD_DOT_ZERO    _mm256_setzero_si256
#define SIMD_DOT_SET     _mm256_set1_epi32
#define SIMD_DOT_ADD     _mm256_add_epi32
#define SIMD_DOT_LOW(w)  _mm256_and_si256(w, _mm256_set1_epi8(15))
#define SIMD_DOT_HIGH(w) _mm256_and_si256(_mm256_srli_epi16(w, 4), _mm256_set1_epi8(15))
#endif

SIMD_INLINE simd_int simd_dot_x(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return SIMD_DOT_SET(four);
}

/* dot[i][h] = products of one group of columns of n_blk blocks, `step` bytes from each other, with
 * n_vec vectors; one of the two is 1, and i counts the other. ahead: bytes from a line to the one
 * that is asked for, or 0. */
SIMD_INLINE void simd_dot(simd_int dot[][SIMD_HALVES], const uint8_t *codes, size_t step,
                          const int8_t *const *x, int n_blk, int n_vec, int group, int bits,
                          int ahead)
{
    simd_int sum[SIMD_DOT_VECS][SIMD_HALVES][SIMD_DOT_SUMS];
    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, SIMD_HALVES)
            SIMD_EACH (c, SIMD_DOT_SUMS)
                sum[i][h][c] = SIMD_DOT_ZERO();
    SIMD_EACH (l, group * bits / 32)
        SIMD_EACH (b, n_blk) {
            const uint8_t *line = codes + (size_t)b * step + l * 64;
            if (ahead)
                SIMD_DOT_ASK(line + ahead);
            SIMD_EACH (h, SIMD_HALVES) {
                simd_int w = SIMD_DOT_LOAD(line + h * SIMD_LANES * 4);
                SIMD_EACH (m, n_vec) {
                    simd_int *to = sum[b + m][h];
                    if (bits == 8) {
                        to += l % SIMD_DOT_SUMS;
                        *to = SIMD_DPBUSD(*to, w, simd_dot_x(x[m] + l * 4));
                        continue;
                    }
                    simd_int *high = to + SIMD_DOT_SUMS - 1;
                    *to = SIMD_DPBUSD(*to, SIMD_DOT_LOW(w), simd_dot_x(x[m] + l * 8));
                    *high = SIMD_DPBUSD(*high, SIMD_DOT_HIGH(w), simd_dot_x(x[m] + l * 8 + 4));
                }
            }
        }
    SIMD_EACH (i, n_blk * n_vec)
        SIMD_EACH (h, SIMD_HALVES) {
            dot[i][h] = sum[i][h][0];
            if (SIMD_DOT_SUMS == 2)
                dot[i][h] = SIMD_DOT_ADD(dot[i][h], sum[i][h][SIMD_DOT_SUMS - 1]);
        }
}

/* Peaks (simd_peak.h): four products a lane, of either width. */
#define SIMD_PEAK_CODES4 4
#define SIMD_PEAK_CODES8 4
SIMD_INLINE simd_int simd_peak_code4(simd_int sum, simd_int codes, simd_int x)
{
    return SIMD_DPBUSD(sum, codes, x);
}
SIMD_INLINE simd_int simd_peak_code8(simd_int sum, simd_int codes, simd_int x)
{
    return SIMD_DPBUSD(sum, codes, x);
}
#endif
#endif
