/* SPDX-License-Identifier: MIT */
/* simd_panel: products with panels, on the vocabulary included before; with simd_pairs.h before it,
 * of bf16 by bf16 too.
 *
 * Lanes are rows of the matrix, so that no sum is ever added across lanes; a sum takes its columns
 * in order, segment by segment, whatever the tile it is computed in.
 */
#ifndef KERNEL_SIMD_PANEL_H
#define KERNEL_SIMD_PANEL_H

#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define SIMD_PANEL_REGS (PANEL_ROWS / SIMD_LANES) /* of one column of a block */
#define SIMD_PANEL_SUMS (6 * 4)                   /* at most, in a tile */

/* A dword of bf16 panels: two columns of a row. */
#if SIMD_LANES == 8
#define SIMD_PANEL_BLOCKS(n_vec) ((n_vec) == 1 ? 4 : (n_vec) <= 3 ? 2 : 1)
#define SIMD_PANEL_VECS          6 /* 12 sums, 2 weights, an input, a mask */
static inline simd simd_pair_first(const uint8_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)p), 16));
}
static inline simd simd_pair_second(const uint8_t *p)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_and_si256(w, _mm256_set1_epi32(-65536)));
}
#else
#define SIMD_PANEL_BLOCKS(n_vec) 4
#define SIMD_PANEL_VECS          6 /* 24 sums */
static inline simd simd_pair_first(const uint8_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
static inline simd simd_pair_second(const uint8_t *p)
{
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(-65536)));
}
#endif

/* What a kernel reads, and the vectors with it. */
enum simd_panel_form { SIMD_PANEL_F32, SIMD_PANEL_BF16, SIMD_PANEL_PAIRS };

/* Finishes n outputs of one register: bias, scale, what is added, the activation. */
SIMD_INLINE void simd_panel_put(const struct panel_job *j, simd v, size_t at, int row, int n)
{
    bool is_all = n >= SIMD_LANES;
#define LOAD(p) (is_all ? simd_load(p) : simd_load_n(p, n))
#define STORE(p, v)                \
    do {                           \
        if (is_all)                \
            simd_store(p, v);      \
        else                       \
            simd_store_n(p, v, n); \
    } while (0)
    if (j->bias)
        v = simd_add(v, LOAD(j->bias + row));
    if (j->scale)
        v = simd_mul(v, LOAD(j->scale + row));
    if (j->add)
        v = simd_add(v, LOAD(j->add + at));
    if (j->y)
        STORE(j->y + at, v);
    if (j->z)
        STORE(j->z + at, simd_act(v, j->act));
#undef LOAD
#undef STORE
}

/* ELU, which codecs use, without a branch for each register. */
static void simd_panel_act(simd *v, int n, enum act act)
{
    if (act == ACT_ELU)
        for (int i = 0; i < n; i++)
            v[i] = simd_act(v[i], ACT_ELU);
    else
        for (int i = 0; i < n; i++)
            v[i] = simd_act(v[i], act);
}

/* Rows of n_reg registers each, which lie n_out floats apart. */
static void simd_panel_add(simd *v, const float *p, int n_vec, int n_reg, size_t n_out)
{
    for (int m = 0; m < n_vec; m++, p += n_out)
        for (int r = 0; r < n_reg; r++, v++)
            *v = simd_add(*v, simd_load(p + r * SIMD_LANES));
}

static void simd_panel_store(float *p, const simd *v, int n_vec, int n_reg, size_t n_out)
{
    for (int m = 0; m < n_vec; m++, p += n_out)
        for (int r = 0; r < n_reg; r++, v++)
            simd_store(p + r * SIMD_LANES, *v);
}

/* The same as simd_panel_put() for a tile without a rest, pass by pass. */
static void simd_panel_put_all(const struct panel_job *j, simd *v, int m0, int n_vec, int row0,
                               int n_reg)
{
    size_t n_out = (size_t)j->w.n_out, at = (size_t)m0 * n_out + (size_t)row0;

    for (int r = 0; r < n_reg && j->bias; r++) {
        simd bias = simd_load(j->bias + row0 + r * SIMD_LANES);
        for (int i = r; i < n_vec * n_reg; i += n_reg)
            v[i] = simd_add(v[i], bias);
    }
    for (int r = 0; r < n_reg && j->scale; r++) {
        simd scale = simd_load(j->scale + row0 + r * SIMD_LANES);
        for (int i = r; i < n_vec * n_reg; i += n_reg)
            v[i] = simd_mul(v[i], scale);
    }
    if (j->add)
        simd_panel_add(v, j->add + at, n_vec, n_reg, n_out);
    if (j->y)
        simd_panel_store(j->y + at, v, n_vec, n_reg, n_out);
    if (j->z) {
        simd_panel_act(v, n_vec * n_reg, j->act);
        simd_panel_store(j->z + at, v, n_vec, n_reg, n_out);
    }
}

/* Not inlined: the activations are there once, not in every tile. */
static __attribute__((noinline)) void simd_panel_end(const struct panel_job *j, simd *sum, int m0,
                                                     int n_vec, int row0, int n_reg)
{
    if (row0 + n_reg * SIMD_LANES <= j->w.n_out) {
        simd_panel_put_all(j, sum, m0, n_vec, row0, n_reg);
        return;
    }
    for (int m = 0; m < n_vec; m++)
        for (int r = 0; r < n_reg; r++) {
            int row = row0 + r * SIMD_LANES, n = j->w.n_out - row;
            if (n > 0)
                simd_panel_put(j, sum[m * n_reg + r],
                               (size_t)(m0 + m) * (size_t)j->w.n_out + (size_t)row, row, n);
        }
}

/* Adds columns k0 .. k1-1 to the sums [n_vec][n_block * regs]. fetch: asks for what comes
 * SIMD_PREFETCH bytes later. */
SIMD_INLINE void simd_panel_sum_f32(simd *sum, const uint8_t *w, size_t block_size,
                                    const float *const *x, int k0, int k1, int n_vec, int n_block,
                                    int n_reg, bool fetch)
{
    w += (size_t)k0 * PANEL_ROWS * sizeof(float);
    for (int k = k0; k < k1; k++, w += PANEL_ROWS * sizeof(float)) {
        simd weight[4 * SIMD_PANEL_REGS];
        SIMD_EACH (b, n_block)
            SIMD_EACH (r, n_reg)
                weight[b * n_reg + r] = simd_weight_f32(w + (size_t)b * block_size +
                                                        (size_t)r * sizeof(simd));
        if (fetch)
            SIMD_EACH (b, n_block)
                simd_prefetch(w + (size_t)b * block_size + SIMD_PREFETCH);
        SIMD_EACH (m, n_vec) {
            simd in = simd_set(x[m][k]);
            SIMD_EACH (i, n_block * n_reg)
                sum[m * n_block * n_reg + i] = simd_fma(weight[i], in,
                                                        sum[m * n_block * n_reg + i]);
        }
    }
}

SIMD_INLINE void simd_panel_sum_bf16(simd *sum, const uint8_t *w, size_t block_size,
                                     const float *const *x, int k0, int k1, int n_vec, int n_block,
                                     int n_reg, bool fetch)
{
    w += (size_t)(k0 / 2) * PANEL_ROWS * 2 * sizeof(uint16_t);
    for (int k = k0; k < k1; k += 2, w += PANEL_ROWS * 2 * sizeof(uint16_t)) {
        simd weight[4 * SIMD_PANEL_REGS];
        if (fetch)
            SIMD_EACH (b, n_block)
                simd_prefetch(w + (size_t)b * block_size + SIMD_PREFETCH);
        SIMD_EACH (b, n_block)
            SIMD_EACH (r, n_reg)
                weight[b * n_reg + r] = simd_pair_first(w + (size_t)b * block_size +
                                                        (size_t)r * sizeof(simd));
        SIMD_EACH (m, n_vec) {
            simd in = simd_set(x[m][k]);
            SIMD_EACH (i, n_block * n_reg)
                sum[m * n_block * n_reg + i] = simd_fma(weight[i], in,
                                                        sum[m * n_block * n_reg + i]);
        }
        if (k + 1 == k1) /* an odd end */
            break;
        /* Loaded again: twelve sums leave no registers to keep the pairs in. */
        const uint8_t *again = w;
        __asm__("" : "+r"(again));
        SIMD_EACH (b, n_block)
            SIMD_EACH (r, n_reg)
                weight[b * n_reg + r] = simd_pair_second(again + (size_t)b * block_size +
                                                         (size_t)r * sizeof(simd));
        SIMD_EACH (m, n_vec) {
            simd in = simd_set(x[m][k + 1]);
            SIMD_EACH (i, n_block * n_reg)
                sum[m * n_block * n_reg + i] = simd_fma(weight[i], in,
                                                        sum[m * n_block * n_reg + i]);
        }
    }
}

#if defined(SIMD_PAIRS)
/* Columns k0 .. k1-1, of a segment, of n_vec vectors as pairs. */
SIMD_INLINE void simd_panel_round(uint32_t (*pairs)[PANEL_SEGMENT / 2], const float *const *x,
                                  int k0, int k1, int n_vec)
{
    SIMD_EACH (m, n_vec)
        for (int k = k0; k < k1; k += 2 * SIMD_PAIRS)
            _mm512_storeu_si512(pairs[m] + (k - k0) / 2, simd_round_pairs(x[m] + k, k1 - k));
}

SIMD_INLINE void simd_panel_sum_pairs(simd *sum, const uint8_t *w, size_t block_size,
                                      const float *const *x, int k0, int k1, int n_vec, int n_block,
                                      int n_reg, bool fetch)
{
    uint32_t pairs[SIMD_PANEL_VECS][PANEL_SEGMENT / 2];
    simd_panel_round(pairs, x, k0, k1, n_vec);
    w += (size_t)(k0 / 2) * PANEL_ROWS * sizeof **pairs;
    for (int p = 0; p < (k1 - k0 + 1) / 2; p++, w += PANEL_ROWS * sizeof **pairs) {
        __m512i weight[4 * SIMD_PANEL_REGS];
        SIMD_EACH (b, n_block)
            weight[b] = _mm512_loadu_si512(w + (size_t)b * block_size);
        if (fetch)
            SIMD_EACH (b, n_block)
                simd_prefetch(w + (size_t)b * block_size + SIMD_PREFETCH);
        SIMD_EACH (m, n_vec) {
            __m512i in = _mm512_set1_epi32((int)pairs[m][p]);
            SIMD_EACH (b, n_block)
                sum[m * n_block + b] = simd_dot_pairs(sum[m * n_block + b], weight[b], in);
        }
    }
}
#else
#define simd_panel_sum_pairs simd_panel_sum_bf16 /* no kernel here asks for them */
#endif

/* A tile of n_vec vectors and n_block blocks, of which the first n_reg registers count. */
SIMD_INLINE void simd_panel_tile(const struct panel_job *j, int m0, int block, int n_vec,
                                 int n_block, int n_reg, enum simd_panel_form form, bool fetch)
{
    const float *const *x = j->x + m0;
    size_t              size = panel_size(form == SIMD_PANEL_F32 ? DT_F32 : DT_BF16, j->w.n_in);
    const uint8_t      *w = (const uint8_t *)j->w.data + (size_t)block * size;
    simd                all[SIMD_PANEL_SUMS];

    for (int k0 = 0; k0 < j->w.n_in || k0 == 0; k0 += PANEL_SEGMENT) {
        int  k1 = k0 + PANEL_SEGMENT < j->w.n_in ? k0 + PANEL_SEGMENT : j->w.n_in;
        simd sum[SIMD_PANEL_SUMS];
        SIMD_EACH (i, n_vec * n_block * n_reg)
            sum[i] = simd_zero();
        if (form == SIMD_PANEL_F32)
            simd_panel_sum_f32(sum, w, size, x, k0, k1, n_vec, n_block, n_reg, fetch);
        else if (form == SIMD_PANEL_PAIRS)
            simd_panel_sum_pairs(sum, w, size, x, k0, k1, n_vec, n_block, n_reg, fetch);
        else
            simd_panel_sum_bf16(sum, w, size, x, k0, k1, n_vec, n_block, n_reg, fetch);
        if (k0 == 0)
            SIMD_EACH (i, n_vec * n_block * n_reg)
                all[i] = sum[i];
        else
            SIMD_EACH (i, n_vec * n_block * n_reg)
                all[i] = simd_add(all[i], sum[i]);
    }
    simd_panel_end(j, all, m0, n_vec, block * PANEL_ROWS, n_block * n_reg);
}

/* Vectors m0 .. of blocks [block, block1), as many blocks at a time as n_vec has room for. */
SIMD_INLINE void simd_panel_few(const struct panel_job *j, int m0, int block, int block1, int n_vec,
                                enum simd_panel_form form)
{
    int n = SIMD_PANEL_BLOCKS(n_vec);
    for (; block + n <= block1; block += n)
        simd_panel_tile(j, m0, block, n_vec, SIMD_PANEL_BLOCKS(n_vec), SIMD_PANEL_REGS, form, true);
    for (; block < block1; block++)
        simd_panel_tile(j, m0, block, n_vec, 1, SIMD_PANEL_REGS, form, true);
}

/* The same for one block of which only the first register counts. */
SIMD_INLINE void simd_panel_narrow(const struct panel_job *j, int block, enum simd_panel_form form)
{
    int m = 0;
    for (; m + 8 <= j->n_vec; m += 8)
        simd_panel_tile(j, m, block, 8, 1, 1, form, false);
    for (; m + 4 <= j->n_vec; m += 4)
        simd_panel_tile(j, m, block, 4, 1, 1, form, true);
    for (; m < j->n_vec; m++)
        simd_panel_tile(j, m, block, 1, 1, 1, form, true);
}

SIMD_INLINE void simd_panel_rest(const struct panel_job *j, int m0, int block, int block1,
                                 enum simd_panel_form form)
{
    switch (j->n_vec - m0) {
    case 1: simd_panel_few(j, m0, block, block1, 1, form); break;
    case 2: simd_panel_few(j, m0, block, block1, 2, form); break;
    case 3: simd_panel_few(j, m0, block, block1, 3, form); break;
    case 4: simd_panel_few(j, m0, block, block1, 4, form); break;
    case 5: simd_panel_few(j, m0, block, block1, 5, form); break;
    default: break;
    }
}

/* Blocks [block, block + n_block) and all vectors. */
SIMD_INLINE void simd_panel_many(const struct panel_job *j, int block, int n_block,
                                 enum simd_panel_form form)
{
    simd_panel_tile(j, 0, block, SIMD_PANEL_VECS, n_block, SIMD_PANEL_REGS, form, true);
    int m = SIMD_PANEL_VECS;
    for (; m + SIMD_PANEL_VECS <= j->n_vec; m += SIMD_PANEL_VECS)
        simd_panel_tile(j, m, block, SIMD_PANEL_VECS, n_block, SIMD_PANEL_REGS, form, false);
    simd_panel_rest(j, m, block, block + n_block, form);
}

SIMD_INLINE void simd_panel_all(const struct panel_job *j, int block, int block1,
                                enum simd_panel_form form)
{
    enum { N = SIMD_PANEL_BLOCKS(SIMD_PANEL_VECS) };
    bool is_narrow = SIMD_PANEL_REGS > 1 && block1 * PANEL_ROWS - j->w.n_out >= SIMD_LANES;
    int  whole = is_narrow ? block1 - 1 : block1;

    if (j->n_vec < SIMD_PANEL_VECS) {
        simd_panel_rest(j, 0, block, whole, form);
    } else {
        for (; block + N <= whole; block += N)
            simd_panel_many(j, block, N, form);
        for (; N > 1 && block < whole; block++)
            simd_panel_many(j, block, 1, form);
    }
    if (is_narrow)
        simd_panel_narrow(j, block1 - 1, form);
}

SIMD_KERNEL panel_f32(const struct panel_job *j, int block0, int block1)
{
    simd_panel_all(j, block0, block1, SIMD_PANEL_F32);
}

SIMD_KERNEL panel_bf16(const struct panel_job *j, int block0, int block1)
{
    simd_panel_all(j, block0, block1, SIMD_PANEL_BF16);
}

#if defined(SIMD_PAIRS)
SIMD_KERNEL panel_bf16_bf16(const struct panel_job *j, int block0, int block1)
{
    simd_panel_all(j, block0, block1, SIMD_PANEL_PAIRS);
}
#endif
#endif
#endif
