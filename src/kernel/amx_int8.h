/* SPDX-License-Identifier: MIT */
/* amx_int8: products of int8 tiles, on amx.h and simd_int8.h.
 *
 * C[vector][row] = x [vector][column] by codes [4 columns a line][row], for the columns of one
 * group, here a unit. What follows it, four operations for each output in simd_int8_tile()'s order,
 * is twice the work of the product itself; so all else is shared. Work goes in steps: a batch of
 * units of two blocks of rows with sixteen vectors. Sums stay in registers for a batch and lie in
 * the cache between batches; codes are unpacked once for the vectors of a panel; a scale of the
 * activations is read once for both blocks. While one step's products are added to its sums, the
 * next one's are made.
 */
#ifndef KERNEL_AMX_INT8_H
#define KERNEL_AMX_INT8_H

#include "kernel/amx.h"
#include "kernel/simd_int8.h"

#if defined(SIMD_LANES)
#define AMX_INT8_BLOCKS 2
#define AMX_INT8_UNITS  4  /* of a batch */
#define AMX_INT8_GROUPS 4  /* of sixteen vectors, in a panel */
#define AMX_INT8_CHUNK  32 /* units for which a panel's scales are at hand */
#define AMX_INT8_VECS   8  /* whose sums of two blocks are half of all registers */
#define AMX_INT8_MIN    9  /* fewer vectors are VNNI's, which keeps pace with memory */

/* Two blocks of rows in a batch; [unit][block]. */
struct amx_int8_rows {
    _Alignas(64) float param[AMX_INT8_UNITS][AMX_INT8_BLOCKS][2][AMX_ROWS]; /* scale, bias */
    _Alignas(64) uint8_t bytes[AMX_INT8_UNITS][AMX_INT8_BLOCKS][AMX_ROWS * AMX_LINE];
    const uint8_t *codes[AMX_INT8_UNITS][AMX_INT8_BLOCKS]; /* there, or as they lie */
};

struct amx_int8 {
    const struct simd_int8 *j;
    int                     group, bits;
    int                     m0, n_vec;                                  /* of the panel */
    int                     unit0, unit1;                               /* of the chunk */
    intptr_t                stride;                                     /* from vector to vector */
    struct amx_int8_rows    rows[2];                                    /* of batches in turns */
    _Alignas(64) float x[AMX_INT8_GROUPS][AMX_INT8_CHUNK][2][AMX_ROWS]; /* scale, sum */
    _Alignas(64) float sum[AMX_INT8_GROUPS][AMX_INT8_BLOCKS][AMX_ROWS][AMX_ROWS];
    /* of steps in turns */
    _Alignas(64) int32_t dot[2][AMX_INT8_UNITS][AMX_INT8_BLOCKS][AMX_ROWS][AMX_ROWS];
};
_Static_assert(sizeof(struct amx_int8) < 60 * 1024, "it lies on the stack");

struct amx_int8_step {
    int row, unit, n_unit, group; /* group: of vectors */
    int batch, turn;              /* which of the two */
};

/* 0, 1: products of two blocks with sixteen vectors, 2: the vectors; 3, 4: codes; 5, 6, 7: as the
 * first three for the vectors that are left */
static void amx_int8_configure(int n_left, int group)
{
    int               n = n_left ? n_left : AMX_ROWS;
    struct amx_config c = { .palette = 1 };
    for (int t = 0; t < 8; t++) {
        bool is_codes = t == 3 || t == 4, is_x = t == 2 || t == 7;
        c.row_bytes[t] = (uint16_t)(is_x ? group : AMX_LINE);
        c.rows[t] = (uint8_t)(is_codes ? group / 4 : t < 3 ? AMX_ROWS : n);
    }
    amx_configure(&c);
}

/* The scales and sums of the panel's vectors in the chunk; zeros for vectors that are not there. */
static void amx_int8_gather(struct amx_int8 *p)
{
    int n_group = QUANT_COLS / p->group;
    memset(p->x, 0, sizeof p->x);
    for (int m = 0; m < p->n_vec; m++) {
        const struct quant_x *x = p->j->x + p->m0 + m;
        for (int i = p->unit0; i < p->unit1; i++) {
            float(*to)[AMX_ROWS] = p->x[m / AMX_ROWS][i - p->unit0];
            to[0][m % AMX_ROWS] = x->scale[i / n_group];
            to[1][m % AMX_ROWS] = n_group == 2 ? x->sum[i] : x->sum[2 * i] + x->sum[2 * i + 1];
        }
    }
}

/* The codes of one unit: where they lie, or unpacked, a line of bytes for four columns. */
SIMD_INLINE const uint8_t *amx_int8_codes(uint8_t *out, const uint8_t *codes, int group, int bits)
{
    if (bits == 8)
        return codes;
    for (int l = 0; l < group / 8; l++) {
        __m512i w = _mm512_loadu_si512(codes + l * AMX_LINE);
        _mm512_storeu_si512(out + 2 * l * AMX_LINE, SIMD_DOT_LOW(w));
        _mm512_storeu_si512(out + (2 * l + 1) * AMX_LINE, SIMD_DOT_HIGH(w));
    }
    return out;
}

/* A batch's rows for all vectors of the panel; those of the next blocks are asked for. */
SIMD_INLINE void amx_int8_open(struct amx_int8 *p, const struct amx_int8_step *s, int group,
                               int bits)
{
    const struct simd_int8 *j = p->j;
    struct amx_int8_rows   *to = &p->rows[s->batch];
    int                     n_group = QUANT_COLS / group, codes_size = QUANT_COLS * bits * 2;
    for (int b = 0; b < AMX_INT8_BLOCKS; b++) {
        /* An odd last block is its own neighbour, whose sums nobody keeps. */
        int            row = s->row + b * QUANT_ROWS < j->row1 ? s->row + b * QUANT_ROWS : s->row;
        const uint8_t *block = j->tiles + (size_t)(row / QUANT_ROWS) * j->block_size;
        for (int u = 0; u < s->n_unit; u++) {
            int            g = (s->unit + u) % n_group;
            const uint8_t *tile = block + (size_t)((s->unit + u) / n_group) * j->tile_size;
            const uint8_t *codes = tile + g * group * bits * 2;
            const uint8_t *param = tile + codes_size + g * QUANT_ROWS * 2;
            for (int at = 0; at < group * bits * 2 && p->m0 == 0; at += AMX_LINE)
                simd_prefetch(codes + AMX_INT8_BLOCKS * j->block_size + at);
            to->codes[u][b] = amx_int8_codes(to->bytes[u][b], codes, group, bits);
            simd_store(to->param[u][b][0], simd_weight_bf16(param));
            simd_store(to->param[u][b][1], simd_weight_bf16(param + n_group * QUANT_ROWS * 2));
        }
    }
}

static void amx_int8_rows(struct amx_int8 *p, const struct amx_int8_step *s)
{
    if (p->bits == 8)
        amx_int8_open(p, s, p->group, 8);
    else if (p->group == 64)
        amx_int8_open(p, s, 64, 4);
    else
        amx_int8_open(p, s, 32, 4);
}

/* Where a step's products are made of what, unit after unit. */
struct amx_int8_make {
    const uint8_t *const *codes; /* [n_unit][AMX_INT8_BLOCKS] */
    const int8_t         *x;
    intptr_t              next, stride; /* from unit to unit, from vector to vector */
    int32_t              *dot;
    int                   n_unit;
    bool                  is_left; /* vectors that are less than sixteen */
};

static struct amx_int8_make amx_int8_make(struct amx_int8 *p, const struct amx_int8_step *s)
{
    int m = p->m0 + s->group * AMX_ROWS;
    return (struct amx_int8_make){ .codes = p->rows[s->batch].codes[0],
                                   .x = p->j->x[m].q + s->unit * p->group,
                                   .next = p->group,
                                   .stride = p->stride,
                                   .dot = p->dot[s->turn][0][0][0],
                                   .n_unit = s->n_unit,
                                   .is_left = p->m0 + p->n_vec - m < AMX_ROWS };
}

/* The products of both blocks in unit u. */
SIMD_INLINE void amx_int8_product(const struct amx_int8_make *k, int u)
{
    const uint8_t *const *codes = k->codes + u * AMX_INT8_BLOCKS;
    const int8_t         *x = k->x + u * k->next;
    int32_t              *dot = k->dot + u * AMX_INT8_BLOCKS * AMX_ROWS * AMX_ROWS;
    AMX_LOAD(3, codes[0], AMX_LINE);
    AMX_LOAD(4, codes[1], AMX_LINE);
    if (k->is_left) {
        AMX_LOAD(7, x, k->stride);
        AMX_ZERO(5);
        AMX_ZERO(6);
        AMX_DOT_SU(5, 7, 3);
        AMX_DOT_SU(6, 7, 4);
        AMX_STORE(5, dot, AMX_LINE);
        AMX_STORE(6, dot + AMX_ROWS * AMX_ROWS, AMX_LINE);
    } else {
        AMX_LOAD(2, x, k->stride);
        AMX_ZERO(0);
        AMX_ZERO(1);
        AMX_DOT_SU(0, 2, 3);
        AMX_DOT_SU(1, 2, 4);
        AMX_STORE(0, dot, AMX_LINE);
        AMX_STORE(1, dot + AMX_ROWS * AMX_ROWS, AMX_LINE);
    }
}

/* Adds a step's products with vectors m .. m + n_vec of its group to their sums, and makes those of
 * the next step, if it is told them, meanwhile. */
SIMD_INLINE void amx_int8_add(struct amx_int8 *p, const struct amx_int8_step *s, int m, int n_vec,
                              const struct amx_int8_make *next)
{
    float(*to)[AMX_ROWS][AMX_ROWS] = p->sum[s->group];
    const float(*w)[AMX_INT8_BLOCKS][2][AMX_ROWS] = p->rows[s->batch].param;
    const float(*x)[2][AMX_ROWS] = p->x[s->group] + (s->unit - p->unit0);
    const int32_t(*dot)[AMX_INT8_BLOCKS][AMX_ROWS][AMX_ROWS] = p->dot[s->turn];
    int  n_unit = s->n_unit;
    simd sum[AMX_INT8_BLOCKS][AMX_INT8_VECS];
    SIMD_EACH (b, AMX_INT8_BLOCKS)
        SIMD_EACH (i, n_vec)
            sum[b][i] = simd_load(to[b][m + i]);
    for (int u = 0; u < n_unit; u++) {
        simd scale[AMX_INT8_BLOCKS], bias[AMX_INT8_BLOCKS];
        if (next && u < next->n_unit)
            amx_int8_product(next, u);
        SIMD_EACH (b, AMX_INT8_BLOCKS) {
            scale[b] = simd_load(w[u][b][0]);
            bias[b] = simd_load(w[u][b][1]);
        }
        SIMD_EACH (i, n_vec) {
            simd x_scale = simd_set(x[u][0][m + i]), x_sum = simd_set(x[u][1][m + i]);
            SIMD_EACH (b, AMX_INT8_BLOCKS) {
                simd v = simd_mul(x_scale, simd_of_int(_mm512_loadu_si512(dot[u][b][m + i])));
                sum[b][i] = simd_fma(bias[b], x_sum, simd_fma(scale[b], v, sum[b][i]));
            }
        }
    }
    SIMD_EACH (b, AMX_INT8_BLOCKS)
        SIMD_EACH (i, n_vec)
            simd_store(to[b][m + i], sum[b][i]);
}

/* Not inlined, each: so all registers are theirs. `next` is a copy, which no tile's store can
 * change. */
static __attribute__((noinline)) void amx_int8_add_few(struct amx_int8            *p,
                                                       const struct amx_int8_step *s,
                                                       struct amx_int8_make        next)
{
    amx_int8_add(p, s, 0, AMX_INT8_VECS / 2, &next);
}

static __attribute__((noinline)) void amx_int8_add_first(struct amx_int8            *p,
                                                         const struct amx_int8_step *s,
                                                         struct amx_int8_make        next)
{
    amx_int8_add(p, s, 0, AMX_INT8_VECS, &next);
}

static __attribute__((noinline)) void amx_int8_add_second(struct amx_int8            *p,
                                                          const struct amx_int8_step *s)
{
    amx_int8_add(p, s, AMX_INT8_VECS, AMX_INT8_VECS, NULL);
}

/* The sums of a step's vectors from where an earlier chunk left them. */
static void amx_int8_begin(struct amx_int8 *p, const struct amx_int8_step *s)
{
    int m0 = p->m0 + s->group * AMX_ROWS, n = p->m0 + p->n_vec - m0;
    memset(p->sum[s->group], 0, sizeof p->sum[s->group]);
    for (int m = 0; m < n && m < AMX_ROWS && p->unit0 > 0; m++)
        for (int b = 0; b < AMX_INT8_BLOCKS; b++) {
            int row = s->row + b * QUANT_ROWS, n_row = p->j->row1 - row;
            if (n_row > 0)
                simd_store(p->sum[s->group][b][m],
                           simd_load_n(p->j->y[m0 + m] + row, n_row < AMX_ROWS ? n_row : AMX_ROWS));
        }
}

static void amx_int8_end(const struct amx_int8 *p, const struct amx_int8_step *s)
{
    int m0 = p->m0 + s->group * AMX_ROWS, n = p->m0 + p->n_vec - m0;
    for (int m = 0; m < n && m < AMX_ROWS; m++)
        for (int b = 0; b < AMX_INT8_BLOCKS; b++) {
            simd sum = simd_load(p->sum[s->group][b][m]);
            simd_int8_store(p->j, m0 + m, s->row + b * QUANT_ROWS, &sum);
        }
}

static void amx_int8_step(struct amx_int8 *p, const struct amx_int8_step *s,
                          const struct amx_int8_step *next)
{
    struct amx_int8_make make = amx_int8_make(p, next);
    int                  n = p->n_vec - s->group * AMX_ROWS;
    if (s->unit == p->unit0)
        amx_int8_begin(p, s);
    if (n <= AMX_INT8_VECS / 2)
        amx_int8_add_few(p, s, make);
    else
        amx_int8_add_first(p, s, make);
    if (n > AMX_INT8_VECS)
        amx_int8_add_second(p, s);
    for (int u = s->n_unit; u < make.n_unit; u++)
        amx_int8_product(&make, u);
    if (s->unit + s->n_unit == p->unit1)
        amx_int8_end(p, s);
}

/* The step after s: the next vectors, batch or rows; without units after the last one. */
static struct amx_int8_step amx_int8_next(const struct amx_int8 *p, struct amx_int8_step s)
{
    s.turn ^= 1;
    if ((++s.group) * AMX_ROWS < p->n_vec)
        return s;
    s.group = 0;
    s.batch ^= 1;
    s.unit += s.n_unit;
    if (s.unit == p->unit1) {
        s.unit = p->unit0;
        s.row += AMX_INT8_BLOCKS * QUANT_ROWS;
    }
    s.n_unit = p->unit1 - s.unit < AMX_INT8_UNITS ? p->unit1 - s.unit : AMX_INT8_UNITS;
    if (s.row >= p->j->row1)
        s.n_unit = 0;
    return s;
}

static void amx_int8_chunk(struct amx_int8 *p, int row0)
{
    int                  n = p->unit1 - p->unit0;
    struct amx_int8_step s = { .row = row0,
                               .unit = p->unit0,
                               .n_unit = n < AMX_INT8_UNITS ? n : AMX_INT8_UNITS };
    amx_int8_gather(p);
    amx_int8_rows(p, &s);
    struct amx_int8_make make = amx_int8_make(p, &s);
    for (int u = 0; u < s.n_unit; u++)
        amx_int8_product(&make, u);
    while (s.n_unit > 0) {
        struct amx_int8_step next = amx_int8_next(p, s);
        if (next.n_unit > 0 && next.group == 0)
            amx_int8_rows(p, &next);
        amx_int8_step(p, &s, &next);
        s = next;
    }
}

/* Vectors that are evenly spaced, as a tile reads them. */
static bool amx_int8_is_even(const struct quant_x *x, int n_vec)
{
    intptr_t stride = x[1].q - x[0].q;
    for (int m = 2; m < n_vec; m++)
        if (x[m].q - x[m - 1].q != stride)
            return false;
    return true;
}

static void amx_int8(const struct simd_int8 *j, int n_vec, int row0, int group, int bits)
{
    struct amx_int8 p;
    int             n_unit = j->n_tile * (QUANT_COLS / group);
    p.j = j;
    p.group = group;
    p.bits = bits;
    p.stride = j->x[1].q - j->x[0].q;
    for (p.m0 = 0; p.m0 < n_vec && row0 < j->row1; p.m0 += AMX_INT8_GROUPS * AMX_ROWS) {
        int n = n_vec - p.m0;
        p.n_vec = n < AMX_INT8_GROUPS * AMX_ROWS ? n : AMX_INT8_GROUPS * AMX_ROWS;
        amx_int8_configure(p.n_vec % AMX_ROWS, group);
        for (p.unit0 = 0; p.unit0 < n_unit; p.unit0 += AMX_INT8_CHUNK) {
            n = n_unit - p.unit0;
            p.unit1 = p.unit0 + (n < AMX_INT8_CHUNK ? n : AMX_INT8_CHUNK);
            amx_int8_chunk(&p, row0);
        }
    }
    amx_release();
}

static void amx_int8_tiles(float *const *y, const struct quant_x *x, int n_vec, const void *tiles,
                           struct quant_shape s, int row0, int row1, int bits)
{
    size_t           tile_size = quant_tile_size(bits, s.group);
    int              n_tile = quant_n_tile(s);
    struct simd_int8 j = { y, x, tiles, tile_size, tile_size * (size_t)n_tile, n_tile, row1 };
    if (n_vec >= AMX_INT8_MIN && amx_int8_is_even(x, n_vec))
        amx_int8(&j, n_vec, row0, s.group, bits);
    else
        (bits == 8 ? linear_q8t_i8 : linear_q4t_i8)(y, x, n_vec, tiles, s, row0, row1);
}

static void amx_int8_q8t KERN_TILES_I8_ARGS
{
    amx_int8_tiles(y, x, n_vec, tiles, s, row0, row1, 8);
}

static void amx_int8_q4t KERN_TILES_I8_ARGS
{
    amx_int8_tiles(y, x, n_vec, tiles, s, row0, row1, 4);
}
#endif
#endif
