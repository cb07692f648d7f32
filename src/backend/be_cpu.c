/* SPDX-License-Identifier: MIT */
#include "backend/be_cpu.h"

#include <string.h>

#include "backend/weight.h"
#include "base/os.h"

#define SMALL_FLOP 20000 /* a job below this takes less time than telling others about it */

static void pin(void *arg, int i, int n)
{
    os_pin(i);
}

static enum err open(struct be *be, const struct be_options *o)
{
    int n = o->n_thread > 0 ? o->n_thread : os_cpu_count();
    n = n < BE_POOL_MAX ? n : BE_POOL_MAX;
    struct be_pool *pool;
    enum err        err = be_pool_open(&pool, n);
    if (err)
        return err;
    be->impl = pool;
    be->n_thread = n;
    if (o->is_pinned)
        be_pool_run_each(pool, pin, NULL);
    return OK;
}

static void close(struct be *be)
{
    struct be_pool *pool = be->impl;
    be_pool_close(&pool);
    be->impl = NULL;
    os_unpin(); /* the opener, if it was */
}

static void begin(struct be *be)
{
    os_flush_denormals(); /* the engine's thread may be another than the opener's */
    be_pool_begin(be->impl);
}

static void end(struct be *be)
{
    be_pool_end(be->impl);
}

static void hold(struct be *be)
{
    be_pool_hold(be->impl);
}

static void release(struct be *be)
{
    be_pool_release(be->impl);
}

static void rouse(struct be *be)
{
    be_pool_rouse(be->impl);
}

static void run(struct be *be, be_pool_fn fn, void *arg)
{
    be_pool_run(be->impl, fn, arg);
}

void be_cpu_run(struct be *be, int64_t n_flop, be_pool_fn fn, void *arg)
{
    if (n_flop < SMALL_FLOP)
        fn(arg, 0, 1);
    else
        be_pool_run(be->impl, fn, arg);
}

void be_cpu_run_ahead(struct be *be, int64_t n_flop, be_pool_fn fn, void *arg,
                      const struct ahead *own)
{
    if (n_flop < SMALL_FLOP)
        fn(arg, 0, 1);
    else
        be_pool_run_ahead(be->impl, fn, arg, own);
}

/* Ops on rows: y, x and what a row needs beside them. */
struct rows {
    struct tensor       *y;
    const struct tensor *x;
    const struct norm   *norm;
    const float         *s;
    enum act             act;
};

static float *row_of(const struct tensor *t, int r)
{
    return t->p + (size_t)r * (size_t)t->n_col;
}

static void norm_rows(void *arg, int i, int n)
{
    const struct rows *j = arg;
    const struct norm *w = j->norm;
    int                from, to, n_col = j->x->n_col;
    be_cpu_slice(&from, &to, j->x->n_row, i, n);
    for (int r = from; r < to; r++) {
        float *y = row_of(j->y, r), *x = row_of(j->x, r);
        if (w->kind == NORM_RMS)
            kern.rms_norm_f32(y, x, w->w, n_col, w->eps);
        else
            kern.layer_norm_f32(y, x, w->w, w->b, n_col, w->eps);
    }
}

static void norm(struct be *be, struct tensor *y, const struct tensor *x, const struct norm *n)
{
    struct rows j = { .y = y, .x = x, .norm = n };
    if (n->kind != NORM_NONE)
        be_cpu_run(be, (int64_t)x->n_row * x->n_col * 2, norm_rows, &j);
    else if (y->p != x->p)
        memcpy(y->p, x->p, (size_t)x->n_row * (size_t)x->n_col * sizeof *x->p);
}

/* Element-wise ops do not care for rows: slices of 16 floats, so that threads share no cache
 * line. */
static void slice_16(size_t *from, size_t *to, const struct tensor *t, int i, int n)
{
    size_t n_all = (size_t)t->n_row * (size_t)t->n_col, n_block = (n_all + 15) / 16;
    *from = n_block * (size_t)i / (size_t)n * 16;
    *to = n_block * (size_t)(i + 1) / (size_t)n * 16;
    *to = *to < n_all ? *to : n_all;
}

static void act_slice(void *arg, int i, int n)
{
    const struct rows *j = arg;
    size_t             from, to;
    slice_16(&from, &to, j->x, i, n);
    for (; from < to; from += 4096)
        kern.act_f32(j->y->p + from, j->x->p + from, to - from < 4096 ? (int)(to - from) : 4096,
                     j->act);
}

static void act(struct be *be, struct tensor *y, const struct tensor *x, enum act act)
{
    struct rows j = { .y = y, .x = x, .act = act };
    be_cpu_run(be, (int64_t)x->n_row * x->n_col * 8, act_slice, &j);
}

static void glu_slice(void *arg, int i, int n)
{
    const struct rows *j = arg;
    int                n_col = j->y->n_col, n_block = (n_col + 15) / 16, from, to;
    be_cpu_slice(&from, &to, n_block * j->y->n_row, i, n);
    while (from < to) { /* the part of each row that lies in the slice */
        int    r = from / n_block, c0 = from % n_block * 16;
        int    end = to < (r + 1) * n_block ? to - r * n_block : n_block;
        int    c1 = end * 16 < n_col ? end * 16 : n_col;
        float *u = row_of(j->x, r);
        kern.glu_f32(row_of(j->y, r) + c0, u + c0, u + n_col + c0, c1 - c0, j->act);
        from = r * n_block + end;
    }
}

static void glu(struct be *be, struct tensor *y, const struct tensor *u, enum act act)
{
    struct rows j = { .y = y, .x = u, .act = act };
    be_cpu_run(be, (int64_t)y->n_row * y->n_col * 8, glu_slice, &j);
}

static void add_slice(void *arg, int i, int n)
{
    const struct rows *j = arg;
    size_t             from, to;
    slice_16(&from, &to, j->x, i, n);
    for (; from < to; from += 4096)
        kern.add_f32(j->y->p + from, j->x->p + from, to - from < 4096 ? (int)(to - from) : 4096);
}

static void add(struct be *be, struct tensor *y, const struct tensor *x)
{
    struct rows j = { .y = y, .x = x };
    be_cpu_run(be, (int64_t)x->n_row * x->n_col, add_slice, &j);
}

static void scale_add_rows(void *arg, int i, int n)
{
    const struct rows *j = arg;
    int                from, to;
    be_cpu_slice(&from, &to, j->x->n_row, i, n);
    for (int r = from; r < to; r++)
        kern.mul_add_f32(row_of(j->y, r), j->s, row_of(j->x, r), j->x->n_col);
}

static void scale_add(struct be *be, struct tensor *y, const struct tensor *x, const float *s)
{
    struct rows j = { .y = y, .x = x, .s = s };
    be_cpu_run(be, (int64_t)x->n_row * x->n_col, scale_add_rows, &j);
}

/* One row of a table; id < 0 gives zeros. */
static void embed_row(float *out, const struct weight *table, int32_t id)
{
    if (id < 0)
        memset(out, 0, (size_t)table->n_in * sizeof *out);
    else
        weight_row(out, table, id);
}

static void embed(struct be *be, struct tensor *y, const struct weight *table, const int32_t *ids)
{
    for (int r = 0; r < y->n_row; r++)
        embed_row(row_of(y, r), table, ids[r]);
}

static void embed_add(struct be *be, struct tensor *y, const struct weight *table,
                      const int32_t *ids)
{
    struct tensor *t = be_scratch(be, 1, y->n_col);
    if (be->err)
        return;
    for (int r = 0; r < y->n_row; r++) {
        if (ids[r] < 0)
            continue;
        embed_row(t->p, table, ids[r]);
        kern.add_f32(row_of(y, r), t->p, y->n_col);
    }
}

extern const struct be_row be_cpu;

const struct be_row be_cpu = {
    .name = "cpu",
    .open = open,
    .close = close,
    .begin = begin,
    .end = end,
    .hold = hold,
    .release = release,
    .rouse = rouse,
    .run = run,
    .linear = be_cpu_linear,
    .linear_add = be_cpu_linear_add,
    .norm_linear = be_cpu_norm_linear,
    .glu_linear = be_cpu_glu_linear,
    .norm = norm,
    .act = act,
    .glu = glu,
    .add = add,
    .scale_add = scale_add,
    .attend = be_cpu_attend,
    .attend_cross = be_cpu_attend_cross,
    .conv = be_cpu_conv,
    .embed = embed,
    .embed_add = embed_add,
};
