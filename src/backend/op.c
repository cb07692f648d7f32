/* SPDX-License-Identifier: MIT */
/* op: the one door to a backend's row: nothing happens after a failure, shapes are checked once
 * here, and what a row does not bring is composed of what it must bring. */
#include <string.h>

#include "backend/be_impl.h"

static bool is_going(const struct be *be)
{
    must(be->is_in_step);
    return be->err == OK;
}

static bool is_same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->n_row == b->n_row && a->n_col == b->n_col;
}

static void check_linear(const struct tensor *y, const struct tensor *x, const struct weight *w)
{
    must(x->n_row > 0 && x->n_row == y->n_row);
    must(x->n_col == w->n_in && y->n_col == w->n_out);
    must(x->p != y->p);
}

void op_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w)
{
    if (!is_going(be))
        return;
    check_linear(y, x, w);
    be->row->linear(be, y, x, w);
}

void op_linear_add(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w)
{
    if (!is_going(be))
        return;
    check_linear(y, x, w);
    if (be->row->linear_add) {
        be->row->linear_add(be, y, x, w);
        return;
    }
    struct tensor *t = be_like(be, y);
    op_linear(be, t, x, w);
    op_add(be, y, t);
}

static void check_norm(const struct tensor *x, const struct norm *n)
{
    must(n->kind == NORM_NONE || n->n == x->n_col);
    must(n->kind != NORM_RMS || n->w);
}

void op_norm_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct norm *n,
                    const struct weight *w)
{
    if (!is_going(be))
        return;
    check_linear(y, x, w);
    check_norm(x, n);
    if (be->row->norm_linear) {
        be->row->norm_linear(be, y, x, n, w);
        return;
    }
    if (n->kind != NORM_NONE) {
        struct tensor *h = be_like(be, x);
        op_norm(be, h, x, n);
        x = h;
    }
    op_linear(be, y, x, w);
}

void op_glu_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct norm *n,
                   const struct weight *w, enum act act)
{
    if (!is_going(be))
        return;
    must(x->n_row > 0 && x->n_row == y->n_row && x->p != y->p);
    must(x->n_col == w->n_in && 2 * (int64_t)y->n_col == w->n_out && (unsigned)act < ACT_COUNT);
    check_norm(x, n);
    if (be->row->glu_linear) {
        be->row->glu_linear(be, y, x, n, w, act);
        return;
    }
    struct tensor *u = be_scratch(be, x->n_row, w->n_out);
    op_norm_linear(be, u, x, n, w);
    op_glu(be, y, u, act);
}

void op_norm(struct be *be, struct tensor *y, const struct tensor *x, const struct norm *n)
{
    if (!is_going(be))
        return;
    must(is_same_shape(x, y));
    check_norm(x, n);
    be->row->norm(be, y, x, n);
}

void op_act(struct be *be, struct tensor *y, const struct tensor *x, enum act act)
{
    if (!is_going(be))
        return;
    must(is_same_shape(x, y) && (unsigned)act < ACT_COUNT);
    be->row->act(be, y, x, act);
}

void op_glu(struct be *be, struct tensor *y, const struct tensor *u, enum act act)
{
    if (!is_going(be))
        return;
    must(y->n_row == u->n_row && 2 * (int64_t)y->n_col == u->n_col && y->p != u->p);
    must((unsigned)act < ACT_COUNT);
    if (be->row->glu) {
        be->row->glu(be, y, u, act);
        return;
    }
    /* y = 0 + b * act(a), row by row through the backend's own ops */
    struct tensor *a = be_scratch(be, 1, y->n_col);
    for (int r = 0; r < y->n_row && is_going(be); r++) {
        struct tensor half = { 1, y->n_col, u->p + (size_t)r * (size_t)u->n_col };
        struct tensor out = { 1, y->n_col, y->p + (size_t)r * (size_t)y->n_col };
        be->row->act(be, a, &half, act);
        memset(out.p, 0, (size_t)out.n_col * sizeof *out.p);
        op_scale_add(be, &out, a, half.p + y->n_col);
    }
}

void op_add(struct be *be, struct tensor *y, const struct tensor *x)
{
    if (!is_going(be))
        return;
    must(is_same_shape(x, y));
    be->row->add(be, y, x);
}

void op_scale_add(struct be *be, struct tensor *y, const struct tensor *x, const float *s)
{
    if (!is_going(be))
        return;
    must(is_same_shape(x, y) && s);
    be->row->scale_add(be, y, x, s);
}

void op_attend(struct be *be, struct tensor *y, struct tensor *qkv, struct kv *kv,
               const struct attend *a)
{
    if (!is_going(be))
        return;
    int n_each = be_rows_each(be, y->n_row);
    must(qkv->n_row == y->n_row && y->n_col == a->n_head * kv->d_head);
    must(qkv->n_col == (a->n_head + 2 * kv->n_head) * kv->d_head);
    must(kv->n_head > 0 && a->n_head % kv->n_head == 0 && a->context > 0);
    must(a->rope.kind == ROPE_NONE || kv->d_head % 2 == 0);
    must(be->step.lane[be->step.n_lane - 1] < kv->n_lane);
    /* A key that a query may see must not have been overwritten by this step's own. */
    must(n_each <= kv->n_slot);
    must(a->frame_rule || kv->n_slot - a->context >= n_each - 1 || n_each == 1);
    be->row->attend(be, y, qkv, kv, a);
}

void op_attend_cross(struct be *be, struct tensor *y, const struct tensor *q, const float *const *k,
                     const float *const *v, const int *n_src, int n_head, float scale)
{
    if (!is_going(be))
        return;
    must(is_same_shape(y, q) && n_head > 0 && q->n_col % n_head == 0);
    for (int a = 0; a < be->step.n_lane; a++)
        must(n_src[a] > 0 && k[a] && v[a]);
    be->row->attend_cross(be, y, q, k, v, n_src, n_head, scale);
}

static void check_conv(const struct conv *c, const struct conv_out *out)
{
    bool is_depthwise = c->groups > 1;
    must(!is_depthwise || (c->groups == c->n_in && c->n_in == c->n_out && c->taps));
    must(!is_depthwise || (out->y && !out->z && !out->add && !c->scale));
    must(is_depthwise || (c->w.data && c->w.n_in == conv_n_tap(c) * c->n_in));
    must(is_depthwise || c->w.n_out == (c->is_transposed ? c->stride : 1) * c->n_out);
    must((unsigned)out->act < ACT_COUNT);
}

void op_conv(struct be *be, const struct conv_out *out, const struct tensor *x,
             const struct conv *c, struct conv_state *s)
{
    if (!is_going(be))
        return;
    const struct tensor *all[] = { out->y, out->z, out->add };
    int                  n_each = be_rows_each(be, x->n_row);
    int                  n_row = c->is_transposed ? x->n_row * c->stride : x->n_row / c->stride;
    must(x->n_col == c->n_in && (out->y || out->z));
    must(c->is_transposed || n_each % c->stride == 0);
    for (int i = 0; i < 3; i++)
        must(!all[i] || (all[i]->n_row == n_row && all[i]->n_col == c->n_out && all[i]->p != x->p));
    must(s ? s->n_col == c->n_in && s->n_row == conv_n_state(c) : conv_n_state(c) == 0);
    must(!s || be->step.lane[be->step.n_lane - 1] < s->n_lane);
    check_conv(c, out);
    be->row->conv(be, out, x, c, s);
}

/* Ids come from models and users: one out of range is an error, not our mistake. */
static bool are_ids_known(struct be *be, const struct tensor *y, const struct weight *table,
                          const int32_t *ids)
{
    must(y->n_col == table->n_in);
    for (int i = 0; i < y->n_row; i++)
        if (ids[i] >= table->n_out) {
            be_fail(be, err_set(ERR_USAGE, "token %d is out of range: the table has %d rows",
                                (int)ids[i], table->n_out));
            return false;
        }
    return true;
}

void op_embed(struct be *be, struct tensor *y, const struct weight *table, const int32_t *ids)
{
    if (is_going(be) && are_ids_known(be, y, table, ids))
        be->row->embed(be, y, table, ids);
}

void op_embed_add(struct be *be, struct tensor *y, const struct weight *table, const int32_t *ids)
{
    if (!is_going(be) || !are_ids_known(be, y, table, ids))
        return;
    if (be->row->embed_add) {
        be->row->embed_add(be, y, table, ids);
        return;
    }
    struct tensor *t = be_like(be, y);
    op_embed(be, t, table, ids);
    op_add(be, y, t);
}
