/* SPDX-License-Identifier: MIT */
/* be_cpu_linear: products with matrices, and what belongs to them: the norm before, in the form of
 * the activations that the kernel reads, and bias, sum or gate behind, in one parallel region.
 *
 * Outside exact mode tiles read int8 activations, and bf16 matrices bf16 ones where the CPU has
 * products of them. One vector is made ready by every thread for itself, which takes less time than
 * waiting for another; more of them are dealt out in a region of their own.
 */
#include "backend/be_cpu.h"

#include <stdatomic.h>

#include "base/mem.h"

#define BLOCK \
    QUANT_ROWS       /* rows are dealt out in blocks: a block of tiles, whole cache lines of y */
#define VECS_EACH 16 /* with as many vectors a thread, sharing the weights beats splitting them */

#define UNIT       8         /* blocks that a kernel of one vector walks at once, or half of them */
#define PIECE_SIZE (1 << 20) /* no more is dealt out at once, unless a unit is */
#define FIRST_SIZE 256       /* of each stream, asked for before the vector is made ready */

enum form { FORM_F32, FORM_I8, FORM_BF16 };

/* What becomes of a sum: y = sum, y += sum, y = act(sum[:H]) * sum[H:]. */
enum after { AFTER_STORE, AFTER_ADD, AFTER_GATE };

/* [from, to) of vectors, rows, blocks or units. */
struct range {
    int from, to;
};

/* Vectors as the kernel reads them; [n_vec] of the form's own. */
struct ready {
    const float    **f32;
    const uint16_t **bf16;
    void            *pairs; /* the same, where products by bf16 read them packed */
    struct quant_x  *i8;
};

struct linear {
    float *const        *y;
    const float *const  *x;
    float *const        *sum; /* where the kernel writes: y when it is stored, else scratch */
    int                  n_vec;
    const struct weight *w;
    const float         *bias;
    /* before: norm (or NULL) and form, as ready[0], or as ready[i] of each thread */
    const struct norm *norm;
    enum form          form;
    bool               is_each; /* every thread makes its own */
    struct ready      *ready;
    float             *normed; /* [n_thread, n_in]: a normed vector on its way to another form */
    /* units of blocks for whoever is free: at first `share` for each thread, then from next on
     * pieces of at most that; 0: all are shared out */
    int          share;
    atomic_int   next;
    struct ahead own; /* where the threads begin to read */
    /* behind */
    enum after after;
    enum act   act; /* of a gate */
};

static bool is_tiles(const struct weight *w)
{
    return w->dtype == DT_Q8T || w->dtype == DT_Q4T;
}

static int bits_of(const struct weight *w)
{
    return w->dtype == DT_Q8T ? 8 : 4;
}

static enum form form_of(const struct be *be, const struct weight *w)
{
    if (be->is_exact)
        return FORM_F32;
    return is_tiles(w) ? FORM_I8 : w->dtype == DT_BF16 && kern.has_bf16 ? FORM_BF16 : FORM_F32;
}

static bool has_before(const struct linear *j)
{
    return j->norm || j->form != FORM_F32;
}

static struct range slice_of(int n, int i, int n_thread)
{
    struct range r;
    be_cpu_slice(&r.from, &r.to, n, i, n_thread);
    return r;
}

static void run_kernel(const struct linear *j, const struct ready *in, struct range vecs,
                       struct range rows)
{
    const struct weight *w = j->w;
    float *const        *y = j->sum + vecs.from;
    const float *const  *x = (in ? in->f32 : j->x) + vecs.from;
    int                  n = vecs.to - vecs.from, row0 = rows.from, row1 = rows.to;
    struct quant_shape   s = { w->n_out, w->n_in, bits_of(w), w->group };
    if (j->form == FORM_I8) {
        (s.bits == 8 ? kern.linear_q8t_i8 : kern.linear_q4t_i8)(y, in->i8 + vecs.from, n, w->data,
                                                                s, row0, row1);
        return;
    }
    if (j->form == FORM_BF16) {
        struct kern_bf16 v = { in->bf16 + vecs.from, in->pairs, vecs.from, j->n_vec };
        kern.linear_bf16_bf16(y, v, n, w->data, w->n_in, row0, row1);
        return;
    }
    switch (w->dtype) {
    case DT_F32: kern.linear_f32(y, x, n, w->data, w->n_in, row0, row1); break;
    case DT_BF16: kern.linear_bf16(y, x, n, w->data, w->n_in, row0, row1); break;
    case DT_F16: kern.linear_f16(y, x, n, w->data, w->n_in, row0, row1); break;
    case DT_Q8T: kern.linear_q8t(y, x, n, w->data, s, row0, row1); break;
    case DT_Q4T: kern.linear_q4t(y, x, n, w->data, s, row0, row1); break;
    default: must(!"a matrix of this dtype");
    }
}

/* Makes vectors ready; i: the thread. */
static void make_ready(const struct linear *j, const struct ready *out, struct range vecs, int i)
{
    int n_in = j->w->n_in;
    for (int m = vecs.from; m < vecs.to; m++) {
        const float *x = j->x[m];
        if (j->norm) {
            float *to = j->form == FORM_F32 ? (float *)out->f32[m]
                                            : j->normed + (size_t)i * (size_t)n_in;
            if (j->norm->kind == NORM_RMS)
                kern.rms_norm_f32(to, x, j->norm->w, n_in, j->norm->eps);
            else
                kern.layer_norm_f32(to, x, j->norm->w, j->norm->b, n_in, j->norm->eps);
            x = to;
        }
        if (j->form == FORM_I8)
            kern.quantise_x(&out->i8[m], x, n_in, bits_of(j->w));
        else if (j->form == FORM_BF16)
            kern.f32_to_bf16((uint16_t *)out->bf16[m], x, n_in);
    }
}

static void ready_slice(void *arg, int i, int n)
{
    const struct linear *j = arg;
    make_ready(j, j->ready, slice_of(j->n_vec, i, n), i);
}

static bool has_pairs(const struct linear *j)
{
    return j->form == FORM_BF16 && kern.pack_pairs;
}

/* Packs vectors that are ready, tiles of columns [from, to). */
static void pack(const struct linear *j, const struct ready *r, struct range tiles)
{
    kern.pack_pairs(r->pairs, r->bf16, j->n_vec, j->w->n_in, tiles.from, tiles.to);
}

static void pack_slice(void *arg, int i, int n)
{
    const struct linear *j = arg;
    pack(j, j->ready, slice_of(kern_pairs_tiles(j->w->n_in), i, n));
}

/* sum = sum * row_scale + bias, in these rows. */
static void dress(const struct linear *j, float *sum, struct range rows)
{
    const float *scale = j->w->row_scale;
    if (scale)
        for (int r = rows.from; r < rows.to; r++)
            sum[r] *= scale[r];
    if (j->bias)
        kern.add_f32(sum + rows.from, j->bias + rows.from, rows.to - rows.from);
}

static void run_rows(const struct linear *j, const struct ready *in, struct range vecs,
                     struct range rows)
{
    run_kernel(j, in, vecs, rows);
    if (j->w->row_scale || j->bias)
        for (int m = vecs.from; m < vecs.to; m++)
            dress(j, j->sum[m], rows);
}

/* Numbers of a y. */
static int n_row(const struct linear *j)
{
    return j->after == AFTER_GATE ? j->w->n_out / 2 : j->w->n_out;
}

static int n_block(const struct linear *j)
{
    return (n_row(j) + BLOCK - 1) / BLOCK;
}

/* A gate's rows go with the rows that they gate. */
static void run_blocks(const struct linear *j, const struct ready *in, struct range vecs,
                       struct range blocks)
{
    int          half = n_row(j), end = blocks.to * BLOCK;
    struct range rows = { blocks.from * BLOCK, end < half ? end : half };
    run_rows(j, in, vecs, rows);
    if (j->after == AFTER_STORE)
        return;
    if (j->after == AFTER_GATE)
        run_rows(j, in, vecs, (struct range){ half + rows.from, half + rows.to });
    for (int m = vecs.from; m < vecs.to; m++) {
        float *sum = j->sum[m] + rows.from, *y = j->y[m] + rows.from;
        if (j->after == AFTER_GATE)
            kern.glu_f32(y, sum, sum + half, rows.to - rows.from, j->act);
        else
            kern.add_f32(y, sum, rows.to - rows.from);
    }
}

static int n_unit(const struct linear *j)
{
    return (n_block(j) + UNIT - 1) / UNIT;
}

static void run_units(const struct linear *j, const struct ready *in, struct range units)
{
    int          n = n_block(j), end = units.to * UNIT;
    struct range blocks = { units.from * UNIT, end < n ? end : n };
    run_blocks(j, in, (struct range){ 0, j->n_vec }, blocks);
}

/* Claims the next piece: ever smaller ones, so that all threads end at once though one be slower
 * or its processor taken away, and long ones at first, because streams are slow to start. */
static bool take_piece(struct linear *j, struct range *units, int n_thread)
{
    int n = n_unit(j), at = atomic_load_explicit(&j->next, memory_order_relaxed), size;
    do {
        size = (n - at) / (2 * n_thread);
        size = size < j->share ? size : j->share;
        size = size > 1 ? size : 1;
        if (at >= n)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&j->next, &at, at + size, memory_order_relaxed,
                                                    memory_order_relaxed));
    *units = (struct range){ at, at + size };
    return true;
}

static void run_pieces(struct linear *j, const struct ready *in, int i, int n_thread)
{
    struct range units = { i * j->share, (i + 1) * j->share };
    do
        run_units(j, in, units);
    while (take_piece(j, &units, n_thread));
}

/* Blocks of rows are dealt out, or vectors where there are plenty, or both. Every result is one
 * sum, so none of this shows in it. */
static void linear_slice(void *arg, int i, int n)
{
    struct linear *j = arg;
    int            n_blk = n_block(j);
    int n_part = j->n_vec >= VECS_EACH * n ? n : n_blk >= n ? 1 : j->n_vec < n ? j->n_vec : n;
    int n_row_part = n / n_part; /* threads that share one part of the vectors */
    if (i >= n_part * n_row_part)
        return;
    struct range vecs = slice_of(j->n_vec, i / n_row_part, n_part);
    struct range blocks = slice_of(n_blk, i % n_row_part, n_row_part);
    if (vecs.from >= vecs.to || blocks.from >= blocks.to)
        return;
    const struct ready *in = !has_before(j) ? NULL : j->is_each ? &j->ready[i] : j->ready;
    if (j->is_each) {
        size_t at = 0;
        while (at < FIRST_SIZE && be_ahead_ask(&j->own, i, &at))
            continue;
        make_ready(j, in, vecs, i);
        if (has_pairs(j))
            pack(j, in, (struct range){ 0, kern_pairs_tiles(j->w->n_in) });
    }
    if (n_part == 1 && n > 1 && j->share)
        run_pieces(j, in, i, n);
    else
        run_blocks(j, in, vecs, blocks);
}

/* Bytes of a row of the matrix, in tiles of its part of them. */
static size_t row_size(const struct weight *w)
{
    size_t n_tile = ((size_t)w->n_in + QUANT_COLS - 1) / QUANT_COLS;
    return is_tiles(w) ? n_tile * quant_tile_size(bits_of(w), w->group) / QUANT_ROWS
                       : (size_t)w->n_in * dtype_size(w->dtype);
}

/* The units of a thread's first piece: half of what would be its share. */
static int first_share(const struct linear *j, int n_thread)
{
    size_t row = row_size(j->w);
    int    n = n_unit(j) / (2 * n_thread), most = (int)(PIECE_SIZE / (UNIT * BLOCK * row));
    most = most > 1 ? most : 1;
    return n_thread > 1 ? n < most ? n : most : 0;
}

/* Where the threads begin to read. A kernel of packed vectors walks rows side by side. */
static struct ahead ahead_of(const struct linear *j)
{
    size_t row = row_size(j->w), share = (size_t)j->share * UNIT * BLOCK * row;
    int    n = j->n_vec == 1 && !has_pairs(j) ? UNIT : 1;
    size_t apart = share / (size_t)n, most = AHEAD_SIZE / (size_t)n;
    return (struct ahead){ j->w->data, j->w->data, share, apart, apart < most ? apart : most, n };
}

/* n pointers to rows of `size` bytes at p. */
static void *rows_at(struct be *be, void *p, int n, size_t size)
{
    void **rows = be_scratch_bytes(be, (size_t)n * sizeof *rows);
    for (int m = 0; m < n && !be->err; m++)
        rows[m] = (uint8_t *)p + (size_t)m * size;
    return rows;
}

static void *new_rows(struct be *be, int n, size_t size)
{
    void *p = be_scratch_bytes(be, mem_size((size_t)n, size));
    return rows_at(be, p, n, size);
}

static void open_ready(struct be *be, struct ready *r, const struct linear *j)
{
    size_t n_in = (size_t)j->w->n_in;
    *r = (struct ready){ 0 };
    if (j->form == FORM_F32)
        r->f32 = new_rows(be, j->n_vec, (n_in + 15) / 16 * 16 * sizeof(float));
    else if (j->form == FORM_BF16)
        r->bf16 = new_rows(be, j->n_vec, (n_in + 31) / 32 * 32 * sizeof(uint16_t));
    if (has_pairs(j))
        r->pairs = be_scratch_bytes(be, kern_pairs_size(j->n_vec, j->w->n_in));
    if (j->form != FORM_I8)
        return;
    size_t size = quant_x_size(j->w->n_in);
    void  *p = be_scratch_bytes(be, mem_size((size_t)j->n_vec, size));
    r->i8 = be_scratch_bytes(be, mem_size((size_t)j->n_vec, sizeof *r->i8));
    for (int m = 0; m < j->n_vec && !be->err; m++)
        quant_x_init(&r->i8[m], (uint8_t *)p + (size_t)m * size, j->w->n_in);
}

static void run_linear(struct be *be, struct linear *j)
{
    j->form = form_of(be, j->w);
    if (j->norm && j->norm->kind == NORM_NONE)
        j->norm = NULL;
    if (has_before(j)) {
        j->is_each = j->n_vec == 1;
        int n = j->is_each ? be->n_thread : 1;
        j->ready = be_scratch_bytes(be, (size_t)n * sizeof *j->ready);
        for (int i = 0; i < n && !be->err; i++)
            open_ready(be, &j->ready[i], j);
        if (j->norm && j->form != FORM_F32)
            j->normed = be_scratch(be, be->n_thread, j->w->n_in)->p;
    }
    if (be->err)
        return;
    if (has_before(j) && !j->is_each)
        be_cpu_run(be, 8 * (int64_t)j->n_vec * j->w->n_in, ready_slice, j);
    if (has_pairs(j) && !j->is_each)
        be_cpu_run(be, 2 * (int64_t)j->n_vec * j->w->n_in, pack_slice, j);
    j->share = first_share(j, be->n_thread);
    atomic_init(&j->next, j->share * be->n_thread);
    j->own = ahead_of(j);
    be_cpu_run_ahead(be, 2 * (int64_t)j->n_vec * j->w->n_out * j->w->n_in, linear_slice, j,
                     &j->own);
}

/* What a product of tensors has: y, x, w and its bias. */
static struct linear linear_of(struct be *be, const struct tensor *y, const struct tensor *x,
                               const struct weight *w)
{
    struct linear j = { .n_vec = x->n_row, .w = w, .bias = w->bias };
    j.y = rows_at(be, y->p, y->n_row, (size_t)y->n_col * sizeof(float));
    j.x = rows_at(be, x->p, x->n_row, (size_t)x->n_col * sizeof(float));
    j.sum = j.y;
    return j;
}

/* What a product takes of the step's memory ends with it: else a step would need it once for each
 * matrix of a model, and one lane more of it than several. */

void be_cpu_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w)
{
    struct be_arena_mark mark = be_arena_mark(&be->arena);
    struct linear        j = linear_of(be, y, x, w);
    if (!be->err)
        run_linear(be, &j);
    be_arena_back(&be->arena, mark);
}

void be_cpu_linear_add(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct weight *w)
{
    struct be_arena_mark mark = be_arena_mark(&be->arena);
    struct linear        j = linear_of(be, y, x, w);
    j.after = AFTER_ADD;
    j.sum = new_rows(be, x->n_row, (size_t)w->n_out * sizeof(float));
    if (!be->err)
        run_linear(be, &j);
    be_arena_back(&be->arena, mark);
}

void be_cpu_norm_linear(struct be *be, struct tensor *y, const struct tensor *x,
                        const struct norm *n, const struct weight *w)
{
    struct be_arena_mark mark = be_arena_mark(&be->arena);
    struct linear        j = linear_of(be, y, x, w);
    j.norm = n;
    if (!be->err)
        run_linear(be, &j);
    be_arena_back(&be->arena, mark);
}

/* The gated rows begin inside a block of tiles: product and gate one after the other. */
static void run_linear_then_glu(struct be *be, struct linear *j)
{
    struct tensor y = { j->n_vec, j->w->n_out / 2, j->y[0] },
                  u = { j->n_vec, j->w->n_out, j->sum[0] };
    j->y = j->sum;
    run_linear(be, j);
    op_glu(be, &y, &u, j->act);
}

void be_cpu_glu_linear(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct norm *n, const struct weight *w, enum act act)
{
    struct be_arena_mark mark = be_arena_mark(&be->arena);
    struct linear        j = linear_of(be, y, x, w);
    j.norm = n;
    j.act = act;
    j.sum = new_rows(be, x->n_row, (size_t)w->n_out * sizeof(float));
    if (!be->err && is_tiles(w) && w->n_out / 2 % QUANT_ROWS) {
        run_linear_then_glu(be, &j);
    } else if (!be->err) {
        j.after = AFTER_GATE;
        run_linear(be, &j);
    }
    be_arena_back(&be->arena, mark);
}
