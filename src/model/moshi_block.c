/* SPDX-License-Identifier: MIT */
/* One transformer block and what enters it; docs/models/moshi.md, "A block". */
#include <math.h>
#include <string.h>

#include "model/moshi_impl.h"

/* x += scale * (w y); a layer scale is rare. */
static void add_scaled(struct be *be, struct tensor *x, const struct tensor *y,
                       const struct weight *w, const float *scale)
{
    if (!scale) {
        op_linear_add(be, x, y, w);
        return;
    }
    struct tensor *u = be_like(be, x);
    op_linear(be, u, y, w);
    op_scale_add(be, x, u, scale);
}

static void self_attention(struct be *be, struct tensor *x, const struct moshi_layer *l,
                           const struct moshi_stack *s, struct kv *kv)
{
    struct tensor      *h = be_like(be, x);
    struct tensor      *qkv = be_scratch(be, x->n_row, l->in_proj.n_out);
    const struct attend attend = { .n_head = s->n_head,
                                   .context = s->context,
                                   .scale = 1.0f / sqrtf((float)(s->dim / s->n_head)),
                                   .rope = { s->rope, s->max_period, 1 } };

    op_norm_linear(be, qkv, x, &l->norm1, &l->in_proj);
    op_attend(be, h, qkv, kv, &attend);
    add_scaled(be, x, h, &l->out_proj, l->scale1);
}

static void cross_attention(struct be *be, struct tensor *x, const struct moshi_layer *l,
                            const struct moshi_stack *s, const struct moshi_cross_view *c)
{
    struct tensor *h = be_like(be, x), *q = be_like(be, x);

    op_norm_linear(be, q, x, &l->norm_cross, &l->cross_q);
    op_attend_cross(be, h, q, c->k, c->v, c->n_src, s->n_head,
                    1.0f / sqrtf((float)(s->dim / s->n_head)));
    add_scaled(be, x, h, &l->cross_out, l->scale_cross);
}

static void feed_forward(struct be *be, struct tensor *x, const struct moshi_layer *l,
                         const struct moshi_stack *s)
{
    struct tensor *u = be_scratch(be, x->n_row, l->ff_out.n_in);

    if (s->is_gated) {
        op_glu_linear(be, u, x, &l->norm2, &l->ff_in, s->act);
    } else {
        op_norm_linear(be, u, x, &l->norm2, &l->ff_in);
        op_act(be, u, u, s->act);
    }
    add_scaled(be, x, u, &l->ff_out, l->scale2);
}

void moshi_block(struct be *be, struct tensor *x, const struct moshi_layer *l,
                 const struct moshi_stack *s, struct kv *kv, const struct moshi_cross_view *cross)
{
    struct be_arena_mark mark = be_mark(be); /* the next block goes on in the same, warm, memory */

    self_attention(be, x, l, s, kv);
    if (cross)
        cross_attention(be, x, l, s, cross);
    feed_forward(be, x, l, s);
    be_back(be, mark);
}

/* A muxed token is (second + 1) * card + first; -1 is no token at all. */
static void split_streams(int32_t *first, int32_t *second, const int32_t *ids, int n, int card)
{
    for (int i = 0; i < n; i++) {
        first[i] = ids[i] < 0 ? -1 : ids[i] % card;
        second[i] = ids[i] < 0 ? -1 : ids[i] / card - 1;
    }
}

void moshi_embed_add(struct be *be, struct tensor *x, const struct moshi_table *t,
                     const int32_t *ids, int32_t *room)
{
    if (t->out1.n_out) {
        int32_t       *first = room, *second = room + x->n_row;
        struct tensor *a = be_scratch(be, x->n_row, t->table.n_in);
        struct tensor *b = be_like(be, a);
        split_streams(first, second, ids, x->n_row, t->card);
        op_embed(be, a, &t->table, first);
        op_embed(be, b, &t->table, second);
        op_linear_add(be, x, a, &t->out1);
        op_linear_add(be, x, b, &t->out2);
    } else if (t->low_rank.n_out) {
        struct tensor *a = be_scratch(be, x->n_row, t->table.n_in);
        op_embed(be, a, &t->table, ids);
        op_linear_add(be, x, a, &t->low_rank);
    } else {
        op_embed_add(be, x, &t->table, ids);
    }
}

void moshi_set_rows(struct tensor *t, int row0, const float *x, int n)
{
    int n_fit = t->n_row - row0 < n ? t->n_row - row0 : n;

    if (n_fit > 0)
        memcpy(t->p + (size_t)row0 * (size_t)t->n_col, x,
               (size_t)n_fit * (size_t)t->n_col * sizeof *x);
}

void moshi_sin_add(struct tensor *x, const int64_t *position, const float *period, float scale)
{
    for (int r = 0; r < x->n_row; r++)
        sine_add(x->p + (size_t)r * (size_t)x->n_col, x->n_col, period, position[r], scale);
}
