/* SPDX-License-Identifier: MIT */
/* amx_panel: products of bf16 panels by tiles, on amx.h, simd_pairs.h and simd_panel.h.
 *
 * C[vector][row] += x [vector][32 columns] by pairs of columns [pair][row]: a block's pairs are
 * tiles as they lie. The order of an output's sum depends on its columns alone.
 */
#ifndef KERNEL_AMX_PANEL_H
#define KERNEL_AMX_PANEL_H

#include "kernel/amx.h"
#include "kernel/simd_panel.h"

#if defined(SIMD_PAIRS)
#define AMX_PANEL_COLS   32 /* of a tile */
#define AMX_PANEL_TILE   (AMX_ROWS * AMX_LINE)
#define AMX_PANEL_CHUNK  448  /* columns that are rounded at a time: 7 taps of 64 channels */
#define AMX_PANEL_BLOCKS 16   /* that share them: their sums stay in the cache */
#define AMX_PANEL_FETCH  1024 /* bytes of a block that are asked for ahead */

/* 0 .. 3: sums of two blocks by two groups of sixteen vectors; 4, 5: vectors; 6, 7: weights */
static const struct amx_config amx_panel_config = {
    .palette = 1,
    .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
    .rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
};

/* Up to 32 vectors from m0 on with up to AMX_PANEL_BLOCKS blocks. */
struct amx_panel {
    const struct panel_job *j;
    int                     m0, n_vec, block0, n_block;
    _Alignas(64) float sum[AMX_PANEL_BLOCKS][2][AMX_ROWS * AMX_ROWS]; /* [block][group] */
    _Alignas(64) uint8_t x[2][AMX_PANEL_CHUNK / AMX_PANEL_COLS][AMX_PANEL_TILE];
};
_Static_assert(sizeof(struct amx_panel) <= 61 * 1024, "it lies on the stack");

/* Columns k .. k + n_k of a group, tile after tile; zeros behind the last vector and column. */
static void amx_panel_round(struct amx_panel *p, int group, int k, int n_k)
{
    int m0 = group * AMX_ROWS, n = p->n_vec - m0 < AMX_ROWS ? p->n_vec - m0 : AMX_ROWS;

    for (int c = 0; c < n_k; c += AMX_PANEL_COLS) {
        uint8_t *tile = p->x[group][c / AMX_PANEL_COLS];
        for (int m = 0; m < n; m++)
            _mm512_storeu_si512(
                tile + m * AMX_LINE,
                simd_round_pairs(p->j->x[p->m0 + m0 + m] + k + c, p->j->w.n_in - k - c));
        memset(tile + n * AMX_LINE, 0, (size_t)(AMX_ROWS - n) * AMX_LINE);
    }
}

/* 32 columns of a block from k on as they lie, or filled up with zeros past its end. */
SIMD_INLINE const uint8_t *amx_panel_pairs(uint8_t *edge, const uint8_t *block, size_t size, int k)
{
    size_t at = (size_t)k * PANEL_ROWS * sizeof(uint16_t);

    if (size - at >= AMX_PANEL_TILE)
        return block + at;
    memset(edge, 0, AMX_PANEL_TILE);
    memcpy(edge, block + at, size - at);
    return edge;
}

SIMD_INLINE void amx_panel_ask(const uint8_t *p)
{
    for (int line = 0; line < AMX_PANEL_TILE; line += AMX_LINE)
        simd_prefetch(p + AMX_PANEL_FETCH + line);
}

/* Adds columns k .. k + n_k of n_block blocks from b on to their sums with n_group groups. */
SIMD_INLINE void amx_panel_add(struct amx_panel *p, int b, int k, int n_k, int n_block, int n_group)
{
    _Alignas(64) uint8_t edge[AMX_PANEL_TILE];
    size_t               size = panel_size(DT_BF16, p->j->w.n_in);
    const uint8_t       *w = (const uint8_t *)p->j->w.data + (size_t)(p->block0 + b) * size;

    AMX_LOAD(0, p->sum[b][0], AMX_LINE);
    if (n_group == 2)
        AMX_LOAD(1, p->sum[b][1], AMX_LINE);
    if (n_block == 2)
        AMX_LOAD(2, p->sum[b + 1][0], AMX_LINE);
    if (n_block == 2 && n_group == 2)
        AMX_LOAD(3, p->sum[b + 1][1], AMX_LINE);
    for (int c = 0; c < n_k; c += AMX_PANEL_COLS) {
        const uint8_t *pairs = amx_panel_pairs(edge, w, size, k + c);
        AMX_LOAD(4, p->x[0][c / AMX_PANEL_COLS], AMX_LINE);
        AMX_LOAD(6, pairs, AMX_LINE);
        AMX_DOT_BF16(0, 4, 6);
        if (p->m0 == 0)
            amx_panel_ask(pairs);
        if (n_group == 2) {
            AMX_LOAD(5, p->x[1][c / AMX_PANEL_COLS], AMX_LINE);
            AMX_DOT_BF16(1, 5, 6);
        }
        if (n_block == 2) {
            pairs = amx_panel_pairs(edge, w + size, size, k + c);
            AMX_LOAD(7, pairs, AMX_LINE);
            AMX_DOT_BF16(2, 4, 7);
            if (p->m0 == 0)
                amx_panel_ask(pairs);
        }
        if (n_block == 2 && n_group == 2)
            AMX_DOT_BF16(3, 5, 7);
    }
    AMX_STORE(0, p->sum[b][0], AMX_LINE);
    if (n_group == 2)
        AMX_STORE(1, p->sum[b][1], AMX_LINE);
    if (n_block == 2)
        AMX_STORE(2, p->sum[b + 1][0], AMX_LINE);
    if (n_block == 2 && n_group == 2)
        AMX_STORE(3, p->sum[b + 1][1], AMX_LINE);
}

SIMD_INLINE void amx_panel_end(const struct amx_panel *p, int b, int group)
{
    int  m0 = group * AMX_ROWS, n = p->n_vec - m0 < AMX_ROWS ? p->n_vec - m0 : AMX_ROWS;
    simd sum[AMX_ROWS];

    for (int m = 0; m < n; m++)
        sum[m] = simd_load(p->sum[b][group] + m * AMX_ROWS);
    simd_panel_end(p->j, sum, p->m0 + m0, n, (p->block0 + b) * PANEL_ROWS, 1);
}

SIMD_INLINE void amx_panel_run(struct amx_panel *p, int n_group)
{
    memset(p->sum, 0, (size_t)p->n_block * sizeof *p->sum);
    for (int k = 0; k < p->j->w.n_in; k += AMX_PANEL_CHUNK) {
        int b = 0, n_k = p->j->w.n_in - k < AMX_PANEL_CHUNK ? p->j->w.n_in - k : AMX_PANEL_CHUNK;
        for (int g = 0; g < n_group; g++)
            amx_panel_round(p, g, k, n_k);
        for (; b + 2 <= p->n_block; b += 2)
            amx_panel_add(p, b, k, n_k, 2, n_group);
        if (b < p->n_block)
            amx_panel_add(p, b, k, n_k, 1, n_group);
    }
    for (int b = 0; b < p->n_block; b++)
        for (int g = 0; g < n_group; g++)
            amx_panel_end(p, b, g);
}

static void amx_panel_bf16_bf16(const struct panel_job *j, int block0, int block1)
{
    struct amx_panel p;

    p.j = j;
    amx_configure(&amx_panel_config);
    for (p.block0 = block0; p.block0 < block1; p.block0 += AMX_PANEL_BLOCKS) {
        p.n_block = block1 - p.block0 < AMX_PANEL_BLOCKS ? block1 - p.block0 : AMX_PANEL_BLOCKS;
        for (p.m0 = 0; p.m0 < j->n_vec; p.m0 += 2 * AMX_ROWS) {
            p.n_vec = j->n_vec - p.m0 < 2 * AMX_ROWS ? j->n_vec - p.m0 : 2 * AMX_ROWS;
            if (p.n_vec > AMX_ROWS)
                amx_panel_run(&p, 2);
            else
                amx_panel_run(&p, 1);
        }
    }
    amx_release();
}
#endif
#endif
