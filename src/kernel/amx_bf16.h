/* SPDX-License-Identifier: MIT */
/* amx_bf16: products of bf16 matrices as stored, on amx.h and simd_avx512.h.
 *
 * C[row][vector] += w [row][32 columns], read where they lie, by x [pair of columns][vector], which
 * whoever calls has packed once for all threads: groups of sixteen vectors, tile after tile; the
 * last group is as narrow as it has vectors. Two blocks of rows by two groups of vectors take all
 * eight tiles, and every tile that is read serves two products. The order of an output's sum
 * depends on its columns alone.
 */
#ifndef KERNEL_AMX_BF16_H
#define KERNEL_AMX_BF16_H

#include "kernel/amx.h"
#include "kernel/kern.h"
#include "kernel/simd_linear.h"

#if defined(SIMD_LANES)
#define AMX_BF16_COLS  KERN_PAIRS_COLS
#define AMX_BF16_FETCH 512 /* bytes of a row that are asked for ahead */

/* Sixteen rows of sixteen numbers, as columns. */
SIMD_INLINE void amx_bf16_turn(simd r[AMX_ROWS])
{
    simd t[AMX_ROWS];
#define UNPACK(which, a, b) \
    _mm512_castpd_ps(_mm512_unpack##which##_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
    SIMD_EACH (i, AMX_ROWS / 2) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    /* r[4 i + c]: of rows 4 i and on the columns c, 4 + c, 8 + c, 12 + c, a quarter each */
    SIMD_EACH (i, AMX_ROWS / 4) {
        r[4 * i] = UNPACK(lo, t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = UNPACK(hi, t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = UNPACK(lo, t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = UNPACK(hi, t[4 * i + 1], t[4 * i + 3]);
    }
#undef UNPACK
    SIMD_EACH (c, AMX_ROWS / 4) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
        t[4 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
        t[8 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
        t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
    }
    SIMD_EACH (c, AMX_ROWS / 4) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
        r[4 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
        r[12 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
    }
}

/* --- packing --------------------------------------------------------------------------------- */

/* 32 columns of a vector from k on as pairs; zeros behind the last. */
SIMD_INLINE simd amx_bf16_pairs(const uint16_t *x, int k, int n_in)
{
    uint16_t last[AMX_BF16_COLS] = { 0 };
    if (n_in - k >= AMX_BF16_COLS)
        return simd_load((const float *)(const void *)(x + k));
    memcpy(last, x + k, (size_t)(n_in - k) * sizeof *x);
    return simd_load((const float *)(const void *)last);
}

/* The pairs of n vectors: [pair][n]. */
SIMD_INLINE void amx_bf16_pack_tile(float *to, const uint16_t *const *x, int n, int k, int n_in)
{
    simd r[AMX_ROWS];
    if (n == 1) {
        simd_store(to, amx_bf16_pairs(x[0], k, n_in));
        return;
    }
    for (int m = 0; m < AMX_ROWS; m++)
        r[m] = m < n ? amx_bf16_pairs(x[m], k, n_in) : simd_zero();
    amx_bf16_turn(r);
    for (int i = 0; i < AMX_ROWS; i++)
        simd_store_n(to + i * n, r[i], n);
}

static void amx_bf16_pack KERN_PACK_PAIRS_ARGS
{
    int n_tile = (n_in + AMX_BF16_COLS - 1) / AMX_BF16_COLS;
    for (int m = 0; m < n_vec; m += AMX_ROWS) {
        int    n = n_vec - m < AMX_ROWS ? n_vec - m : AMX_ROWS;
        float *to = (float *)out + (size_t)m * (size_t)n_tile * AMX_ROWS;
        for (int t = tile0; t < tile1; t++)
            amx_bf16_pack_tile(to + (size_t)t * (size_t)n * AMX_ROWS, row + m, n, t * AMX_BF16_COLS,
                               n_in);
    }
}

/* --- products -------------------------------------------------------------------------------- */

/* Vectors m .. m + n of one group. */
struct amx_bf16_group {
    const uint8_t *x;            /* their first pairs */
    intptr_t       stride, next; /* bytes from pair to pair, from tile to tile */
    int            m, n;
};

struct amx_bf16 {
    float *const    *y;
    struct kern_bf16 x;
    const uint8_t   *w;
    int              n_in, n_vec, row1;
    int              n_configured[2];                  /* vectors for which the tiles are */
    _Alignas(64) float sum[2][2][AMX_ROWS * AMX_ROWS]; /* [group][block] */
    _Alignas(64) uint8_t edge[2][AMX_ROWS * AMX_LINE];
};

/* The group, or the part of one, that begins with vector m. */
static struct amx_bf16_group amx_bf16_group(const struct amx_bf16 *p, int m)
{
    int    n_tile = (p->n_in + AMX_BF16_COLS - 1) / AMX_BF16_COLS;
    int    at = p->x.first + m, from = at / AMX_ROWS * AMX_ROWS;
    int    width = p->x.n - from < AMX_ROWS ? p->x.n - from : AMX_ROWS;
    int    n = from + width - at < p->n_vec - m ? from + width - at : p->n_vec - m;
    size_t size = (size_t)n_tile * AMX_LINE;
    return (struct amx_bf16_group){ .x = (const uint8_t *)p->x.pairs + (size_t)from * size +
                                         (size_t)(at - from) * 4,
                                    .stride = width * 4,
                                    .next = (intptr_t)width * AMX_LINE,
                                    .m = m,
                                    .n = n };
}

/* 0, 1: sums of two blocks with the first group, 2, 3: with the second; 4, 5: weights; 6, 7:
 * vectors */
static void amx_bf16_configure(struct amx_bf16 *p, const struct amx_bf16_group g[2])
{
    struct amx_config c = { .palette = 1 };
    if (p->n_configured[0] == g[0].n && p->n_configured[1] == g[1].n)
        return;
    for (int t = 0; t < 8; t++) {
        bool is_first = t < 2 || t == 6, is_w = t == 4 || t == 5;
        c.row_bytes[t] = (uint16_t)(is_w ? AMX_LINE : 4 * (is_first ? g[0].n : g[1].n));
        c.rows[t] = AMX_ROWS;
    }
    p->n_configured[0] = g[0].n;
    p->n_configured[1] = g[1].n;
    amx_configure(&c);
}

/* The weights of sixteen rows and 32 columns as they lie, or filled up with zeros at the edges. */
struct amx_bf16_rows {
    const uint8_t *p;
    intptr_t       stride;
};

static __attribute__((noinline)) void amx_bf16_edge(uint8_t *edge, const uint8_t *w,
                                                    intptr_t stride, int n_row, int n_col)
{
    size_t size = (size_t)(n_col < AMX_BF16_COLS ? n_col : AMX_BF16_COLS) * sizeof(uint16_t);
    memset(edge, 0, AMX_ROWS * AMX_LINE);
    for (int r = 0; r < n_row; r++)
        memcpy(edge + r * AMX_LINE, w + r * stride, size);
}

SIMD_INLINE struct amx_bf16_rows amx_bf16_rows(uint8_t *edge, const uint8_t *w, intptr_t stride,
                                               int n_row, int n_col)
{
    if (n_row == AMX_ROWS && n_col >= AMX_BF16_COLS)
        return (struct amx_bf16_rows){ w, stride };
    amx_bf16_edge(edge, w, stride, n_row, n_col);
    return (struct amx_bf16_rows){ edge, AMX_LINE };
}

SIMD_INLINE void amx_bf16_ask(const uint8_t *w, intptr_t stride)
{
    for (int r = 0; r < AMX_ROWS; r++, w += stride)
        simd_prefetch(w + AMX_BF16_FETCH);
}

/* Two blocks of rows, the second one n_apart rows after the first, with one group of vectors or
 * two, into p->sum. The first vectors ask for rows ahead. */
SIMD_INLINE void amx_bf16_sum(struct amx_bf16 *p, int row, const int n_row[2], int n_apart,
                              const struct amx_bf16_group g[2], int n_group)
{
    intptr_t       stride = (intptr_t)p->n_in * 2;
    const uint8_t *w = p->w + row * stride, *x0 = g[0].x, *x1 = g[1].x;
    intptr_t       apart = n_apart * stride, x0_stride = g[0].stride, x1_stride = g[1].stride;
    intptr_t       x0_next = g[0].next, x1_next = g[1].next;
    int            n0 = n_row[0], n1 = n_row[1];
    bool           is_first = g[0].m == 0;
    AMX_ZERO(0);
    AMX_ZERO(1);
    if (n_group == 2) {
        AMX_ZERO(2);
        AMX_ZERO(3);
    }
    for (int n = p->n_in; n > 0; n -= AMX_BF16_COLS, w += AMX_LINE) {
        struct amx_bf16_rows a = amx_bf16_rows(p->edge[0], w, stride, n0, n);
        struct amx_bf16_rows b = amx_bf16_rows(p->edge[1], w + apart, stride, n1, n);
        AMX_LOAD(4, a.p, a.stride);
        AMX_LOAD(6, x0, x0_stride);
        AMX_DOT_BF16(0, 4, 6);
        AMX_LOAD(5, b.p, b.stride);
        AMX_DOT_BF16(1, 5, 6);
        if (n_group == 2) {
            AMX_LOAD(7, x1, x1_stride);
            AMX_DOT_BF16(2, 4, 7);
            AMX_DOT_BF16(3, 5, 7);
            x1 += x1_next;
        }
        x0 += x0_next;
        if (is_first) {
            amx_bf16_ask(a.p, a.stride);
            amx_bf16_ask(b.p, b.stride);
        }
    }
    AMX_STORE(0, p->sum[0][0], AMX_LINE);
    AMX_STORE(1, p->sum[0][1], AMX_LINE);
    if (n_group == 2) {
        AMX_STORE(2, p->sum[1][0], AMX_LINE);
        AMX_STORE(3, p->sum[1][1], AMX_LINE);
    }
}

/* The sums of a block, [row][vector], to where they belong. */
static void amx_bf16_put(const struct amx_bf16 *p, const float *sum, int row, int n_row,
                         const struct amx_bf16_group *g)
{
    simd r[AMX_ROWS];
    SIMD_EACH (i, AMX_ROWS)
        r[i] = simd_load(sum + i * AMX_ROWS);
    amx_bf16_turn(r);
    for (int m = 0; m < g->n; m++)
        simd_store_n(p->y[g->m + m] + row, r[m], n_row);
}

/* Two blocks of rows, or one, which is then its own neighbour, with all vectors. */
static void amx_bf16_blocks(struct amx_bf16 *p, int row)
{
    int apart = p->row1 - row > AMX_ROWS ? AMX_ROWS : 0, n_row[2];
    for (int b = 0; b < 2; b++) {
        int n = p->row1 - row - b * apart;
        n_row[b] = n < AMX_ROWS ? n : AMX_ROWS;
    }
    for (int m = 0; m < p->n_vec;) {
        struct amx_bf16_group g[2] = { amx_bf16_group(p, m) };
        bool                  is_two = m + g[0].n < p->n_vec;
        g[1] = is_two ? amx_bf16_group(p, m + g[0].n) : g[0];
        amx_bf16_configure(p, g);
        if (is_two)
            amx_bf16_sum(p, row, n_row, apart, g, 2);
        else
            amx_bf16_sum(p, row, n_row, apart, g, 1);
        for (int i = 0; i < 1 + is_two; i++, m += g[i - 1].n)
            for (int b = 0; b < 1 + (apart > 0); b++)
                amx_bf16_put(p, p->sum[i][b], row + b * apart, n_row[b], &g[i]);
    }
}

static void amx_bf16 KERN_LINEAR_BF16_ARGS
{
    struct amx_bf16 p;
    p.y = y;
    p.x = x;
    p.w = (const uint8_t *)w;
    p.n_in = n_in;
    p.n_vec = n_vec;
    p.row1 = row1;
    p.n_configured[0] = p.n_configured[1] = 0;
    if (n_vec < 1 || row0 >= row1)
        return;
    for (int row = row0; row < row1; row += 2 * AMX_ROWS)
        amx_bf16_blocks(&p, row);
    amx_release();
}
#endif
#endif
