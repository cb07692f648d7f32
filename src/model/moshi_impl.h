/* SPDX-License-Identifier: MIT */
/* moshi_impl: the model that moshi*.c share. Nobody else includes it. */
#ifndef MODEL_MOSHI_IMPL_H
#define MODEL_MOSHI_IMPL_H

#include "backend/ops.h"
#include "base/mem.h"
#include "model/moshi_config.h"
#include "model/nn/sine.h"

/* A weight, norm or scale that the model does not have: n_out is 0, kind is NORM_NONE, NULL. */

/* One block of a transformer, with its own weights. */
struct moshi_layer {
    struct norm   norm1, norm2, norm_cross;
    struct weight in_proj;  /* [(H + 2 Hkv) d, dim] */
    struct weight out_proj; /* [dim, dim] */
    struct weight ff_in;    /* [2 hidden, dim], or [hidden, dim] when not gated */
    struct weight ff_out;   /* [dim, hidden] */
    struct weight cross_q, cross_kv, cross_out;  /* [dim, dim], [2 dim, dim], [dim, dim] */
    const float  *scale1, *scale2, *scale_cross; /* [dim] */
};

/* Vectors of tokens. */
struct moshi_table {
    struct weight table;      /* [card + 1, dim or low rank] */
    struct weight low_rank;   /* [dim, low rank] */
    struct weight out1, out2; /* two streams in one token: [dim, table's width] each */
    int           card;       /* rows of the table */
};

struct moshi_condition_weights {
    struct weight embed;      /* [n_bin + 1, dim]; LUT only */
    struct weight projection; /* [model dim, dim] */
    const float  *padding;    /* [model dim] or NULL */
};

/* What a lane is conditioned on. A value is [n_step, dim]. */
struct moshi_value {
    float *x;
    int    n_step;
    bool   is_own; /* else the model's default */
};
struct moshi_cross {
    float *kv; /* [n_layer, 2, n_src, dim]: keys, then values */
    int    n_src;
    bool   is_own;
};
struct moshi_lane {
    struct moshi_value value[MOSHI_MAX_CONDITION];
    float             *sum; /* [dim], of the conditions that are added */
    struct moshi_cross cross;
};

struct moshi {
    struct moshi_config c;
    struct be          *be;
    int                 n_lane;
    struct arena       *arena;
    struct weights     *w; /* the mapping that weights lie in */

    /* temporal transformer */
    struct moshi_table  text_emb, *emb; /* [n_q] */
    struct moshi_layer *layer;          /* [n_layer] */
    struct norm         out_norm;
    struct weight       text_linear, head[MOSHI_MAX_HEAD];
    float              *sin_period; /* [dim / 2] */

    /* depth transformer: step k uses depth_layer[set[k] * n_layer ...], depth_in[in_set[k]] */
    struct moshi_table  depth_text_emb, *depth_emb; /* [n_depth - 1] */
    struct moshi_layer *depth_layer;                /* [n_set, n_layer] */
    struct weight      *depth_in;                   /* [n_in] */
    struct weight      *linear;                     /* [n_depth] */
    struct norm        *depth_norm;                 /* [n_depth] */
    float              *depth_sin_period;
    float              *cross_period; /* positions of the cross-attention's source */

    struct moshi_condition_weights cond[MOSHI_MAX_CONDITION];
    struct moshi_lane              dflt; /* what a fresh lane is conditioned on */
    struct moshi_lane             *lane; /* [n_lane] */

    /* states and room for one step */
    bool          is_brief;           /* see moshi_set_brief() */
    struct kv    *kv;                 /* [n_layer] */
    struct kv    *depth_kv;           /* [depth n_layer] */
    int64_t      *n_step;             /* [n_lane] since the reset */
    float        *h;                  /* [n_lane, dim] after out_norm, for the depth transformer */
    float        *heads;              /* [n_lane, n_extra_head, extra_head_dim] */
    int32_t      *ids;                /* [1 + n_q + 2, n_lane] */
    int64_t      *at;                 /* [n_lane]: positions of a step */
    const float **cross_k, **cross_v; /* [n_lane] */
    int          *cross_n;            /* [n_lane] */
};

/* moshi_load.c: reads every tensor; m->c, m->arena are set. */
enum err moshi_load(struct moshi *m, const struct model_files *f, const struct model_options *o);

/* moshi_block.c */
struct moshi_cross_view {
    const float *const *k, *const *v; /* [active lane] of [n_src, dim] */
    const int *n_src;
};
/* x = x + attention, + cross-attention (NULL: none), + feed-forward. */
/* How many layers of a stack this step runs. */
int  moshi_n_layer(const struct moshi *m, const struct moshi_stack *s);
void moshi_block(struct be *be, struct tensor *x, const struct moshi_layer *l,
                 const struct moshi_stack *s, struct kv *kv, const struct moshi_cross_view *cross);
/* x += the vectors of ids [n_row]; room: two more rows of ids. */
void moshi_embed_add(struct be *be, struct tensor *x, const struct moshi_table *t,
                     const int32_t *ids, int32_t *room);
/* Rows row0 .. row0+n-1 = x; a failed scratch tensor may have fewer, which then do not matter. */
void moshi_set_rows(struct tensor *t, int row0, const float *x, int n);
/* sine_add() for every row. */
void moshi_sin_add(struct tensor *x, const int64_t *position, const float *period, float scale);

/* moshi_condition.c */
enum err moshi_condition_open(struct moshi *m); /* the defaults; weights are there */
void     moshi_condition_close(struct moshi *m);
void     moshi_condition_reset(struct moshi *m, int lane);

#endif
