/* SPDX-License-Identifier: MIT */
/* What a lane is conditioned on. Values are computed when they are set: a step only adds a vector
 * and attends to keys and values that are there. */
#include <stdlib.h>
#include <string.h>

#include "model/moshi_impl.h"

enum { MAX_SOURCE = 1 << 16 }; /* steps of one tensor condition */

/* Values. */

/* Runs input rows through the projection; ids or x. The be works on one lane here. */
static enum err project(struct moshi *m, float *out, int i, const int32_t *id, const float *x,
                        int n)
{
    const struct moshi_condition_weights *w = &m->cond[i];
    int                                   dim = m->c.main.dim, width = m->c.cond[i].dim;

    be_begin(m->be, &be_one_lane);
    struct tensor *in = be_scratch(m->be, n, width);
    struct tensor *y = in;
    if (id)
        op_embed(m->be, in, &w->embed, id);
    else
        moshi_set_rows(in, 0, x, n);
    if (w->projection.n_out) {
        y = be_scratch(m->be, n, dim);
        op_linear(m->be, y, in, &w->projection);
    }
    enum err err = be_end(m->be);
    if (!err)
        memcpy(out, y->p, (size_t)n * (size_t)dim * sizeof *out);
    return err;
}

/* A masked step is the learnt padding, or zero. */
static void mask_row(const struct moshi *m, float *row, int i)
{
    size_t size = (size_t)m->c.main.dim * sizeof *row;

    if (m->cond[i].padding)
        memcpy(row, m->cond[i].padding, size);
    else
        memset(row, 0, size);
}

/* A new value: index for a LUT (-1: absent), x [n, width] with mask [n] (or NULL) for a tensor. */
static enum err make_value(struct moshi *m, struct moshi_value *out, int i, int index,
                           const float *x, int n, const uint8_t *mask)
{
    size_t   dim = (size_t)m->c.main.dim;
    float   *y = mem_alloc(mem_size((size_t)n, dim * sizeof *y));
    enum err err = OK;

    if (!y)
        return err_set(ERR_NOMEM, "out of memory for condition '%s'", m->c.cond[i].name);
    if (x)
        err = project(m, y, i, NULL, x, n);
    else if (index >= 0)
        err = project(m, y, i, &index, NULL, 1);
    if (err) {
        mem_free(y);
        return err;
    }
    for (int t = 0; t < n; t++)
        if (x ? mask && !mask[t] : index < 0)
            mask_row(m, y + (size_t)t * dim, i);
    *out = (struct moshi_value){ y, n, true };
    return OK;
}

static void drop_value(struct moshi_value *v)
{
    if (v->is_own)
        mem_free(v->x);
    *v = (struct moshi_value){ 0 };
}

/* Fusing. */

static void fuse_sum(const struct moshi *m, struct moshi_lane *lane)
{
    memset(lane->sum, 0, (size_t)m->c.main.dim * sizeof *lane->sum);
    for (int k = 0; k < m->c.n_sum; k++)
        kern.add_f32(lane->sum, lane->value[m->c.sum[k]].x, m->c.main.dim);
}

/* Conditions one after the other in time; positions run over all of them. */
static float *fuse_source(struct moshi *m, const struct moshi_lane *lane, int *n_out)
{
    size_t dim = (size_t)m->c.main.dim;
    int    n = 0;

    for (int k = 0; k < m->c.n_cross; k++)
        n += lane->value[m->c.cross[k]].n_step;
    float   *x = mem_alloc(mem_size((size_t)n, dim * sizeof *x));
    int64_t *at = mem_alloc((size_t)n * sizeof *at);
    float   *y = x;
    for (int k = 0; x && at && k < m->c.n_cross; k++) {
        const struct moshi_value *v = &lane->value[m->c.cross[k]];
        memcpy(y, v->x, (size_t)v->n_step * dim * sizeof *y);
        y += (size_t)v->n_step * dim;
    }
    if (x && at && m->c.has_cross_pos) {
        struct tensor t = { n, (int)dim, x };
        for (int i = 0; i < n; i++)
            at[i] = i;
        moshi_sin_add(&t, at, m->cross_period, m->c.cross_pos_scale);
    }
    if (!at) {
        mem_free(x);
        x = NULL;
    }
    mem_free(at);
    *n_out = n;
    return x;
}

/* Keys and values of every layer. */
static enum err project_source(struct moshi *m, float *kv, const float *x, int n)
{
    size_t dim = (size_t)m->c.main.dim;

    for (int i = 0; i < m->c.main.n_layer; i++) {
        be_begin(m->be, &be_one_lane);
        struct tensor *in = be_scratch(m->be, n, (int)dim);
        struct tensor *y = be_scratch(m->be, n, 2 * (int)dim);
        moshi_set_rows(in, 0, x, n);
        op_linear(m->be, y, in, &m->layer[i].cross_kv);
        enum err err = be_end(m->be);
        if (err)
            return err;
        for (int t = 0; t < n; t++) {
            const float *row = y->p + (size_t)t * 2 * dim;
            memcpy(kv + (size_t)t * dim, row, dim * sizeof *kv);
            memcpy(kv + (size_t)(n + t) * dim, row + dim, dim * sizeof *kv);
        }
        kv += 2 * (size_t)n * dim;
    }
    return OK;
}

static enum err fuse_cross(struct moshi *m, struct moshi_lane *lane)
{
    size_t dim = (size_t)m->c.main.dim;
    int    n = 0;

    if (!m->c.has_cross)
        return OK;
    float   *x = fuse_source(m, lane, &n);
    float   *kv = mem_alloc(mem_size(2 * (size_t)m->c.main.n_layer * (size_t)n, dim * sizeof *kv));
    enum err err = x && kv ? project_source(m, kv, x, n)
                           : err_set(ERR_NOMEM, "out of memory for the cross-attention");
    mem_free(x);
    if (err) {
        mem_free(kv);
        return err;
    }
    if (lane->cross.is_own)
        mem_free(lane->cross.kv);
    lane->cross = (struct moshi_cross){ kv, n, true };
    return OK;
}

/* Lanes. */

enum err moshi_condition_open(struct moshi *m)
{
    size_t   dim = (size_t)m->c.main.dim;
    enum err err = OK;

    m->lane = arena_take(m->arena, (size_t)m->n_lane * sizeof *m->lane);
    m->dflt.sum = arena_take(m->arena, dim * sizeof(float));
    if (m->c.has_cross_pos)
        m->cross_period = sine_period(m->arena, (int)dim, 10000);
    if (!m->lane || !m->dflt.sum || (m->c.has_cross_pos && !m->cross_period))
        return err_set(ERR_NOMEM, "out of memory for conditions");
    for (int a = 0; a < m->n_lane && !err; a++) {
        m->lane[a].sum = arena_take(m->arena, dim * sizeof(float));
        if (!m->lane[a].sum)
            err = err_set(ERR_NOMEM, "out of memory for conditions");
    }
    for (int i = 0; i < m->c.n_cond && !err; i++)
        err = make_value(m, &m->dflt.value[i], i, m->c.cond[i].dflt, NULL, 1, NULL);
    if (err)
        return err;
    fuse_sum(m, &m->dflt);
    return fuse_cross(m, &m->dflt);
}

static void drop_lane(struct moshi *m, struct moshi_lane *lane)
{
    for (int i = 0; i < m->c.n_cond; i++)
        drop_value(&lane->value[i]);
    if (lane->cross.is_own)
        mem_free(lane->cross.kv);
    lane->cross = (struct moshi_cross){ 0 };
}

void moshi_condition_close(struct moshi *m)
{
    for (int a = 0; m->lane && a < m->n_lane; a++)
        drop_lane(m, &m->lane[a]);
    drop_lane(m, &m->dflt);
}

void moshi_condition_reset(struct moshi *m, int lane)
{
    struct moshi_lane *y = &m->lane[lane];

    drop_lane(m, y);
    for (int i = 0; i < m->c.n_cond; i++) {
        y->value[i] = m->dflt.value[i];
        y->value[i].is_own = false;
    }
    y->cross = m->dflt.cross;
    y->cross.is_own = false;
    memcpy(y->sum, m->dflt.sum, (size_t)m->c.main.dim * sizeof *y->sum);
}

/* Setting. */

static int find_condition(const struct moshi *m, const char *name)
{
    for (int i = 0; i < m->c.n_cond; i++)
        if (strcmp(m->c.cond[i].name, name) == 0)
            return i;
    return -1;
}

/* The lane takes v, or keeps what it had when the cross-attention cannot be computed. */
static enum err set_value(struct moshi *m, int lane, int i, struct moshi_value v)
{
    struct moshi_lane *y = &m->lane[lane];
    struct moshi_value old = y->value[i];
    enum err           err = OK;

    y->value[i] = v;
    for (int k = 0; k < m->c.n_cross; k++)
        if (m->c.cross[k] == i)
            err = fuse_cross(m, y);
    if (err) {
        y->value[i] = old;
        drop_value(&v);
        return err;
    }
    drop_value(&old);
    fuse_sum(m, y);
    return OK;
}

enum err moshi_condition_index(struct moshi *m, int lane, const char *name, int index)
{
    struct moshi_value v;
    int                i = find_condition(m, name);

    must(lane >= 0 && lane < m->n_lane);
    if (i < 0)
        return err_set(ERR_USAGE, "this model has no condition '%.60s'", name);
    int max = m->c.cond[i].is_lut ? m->c.cond[i].n_value - 1 : -1;
    if (index < -1 || index > max)
        return err_set(ERR_USAGE, "condition '%s' is %d, outside -1 .. %d", name, index, max);
    enum err err = make_value(m, &v, i, index, NULL, 1, NULL);
    return err ? err : set_value(m, lane, i, v);
}

enum err moshi_condition_tensor(struct moshi *m, int lane, const char *name, const float *x,
                                int n_step, int dim, const uint8_t *mask)
{
    struct moshi_value v;
    int                i = find_condition(m, name);

    must(lane >= 0 && lane < m->n_lane);
    if (i < 0)
        return err_set(ERR_USAGE, "this model has no condition '%.60s'", name);
    if (m->c.cond[i].is_lut)
        return err_set(ERR_USAGE, "condition '%s' takes an index, not a tensor", name);
    if (dim != m->c.cond[i].dim)
        return err_set(ERR_USAGE, "condition '%s' has rows of %d numbers, %d are needed", name, dim,
                       m->c.cond[i].dim);
    if (n_step < 1 || n_step > MAX_SOURCE)
        return err_set(ERR_USAGE, "condition '%s' has %d steps, 1 to %d are possible", name, n_step,
                       MAX_SOURCE);
    for (int k = 0; k < m->c.n_sum; k++)
        if (m->c.sum[k] == i && n_step != 1)
            return err_set(ERR_USAGE, "condition '%s' is added to every step: it has one step",
                           name);
    enum err err = make_value(m, &v, i, 0, x, n_step, mask);
    return err ? err : set_value(m, lane, i, v);
}
