/* SPDX-License-Identifier: MIT */
/* transformer: the codec's stack of attention and feed-forward layers with its projections; the
 * language model's blocks are moshi_block.c.
 *
 * docs/models/mimi.md, "Transformers". Streaming only: keys live in a ring of `context` positions
 * and a frame writes its own before any of its queries reads.
 */
#ifndef MODEL_NN_TRANSFORMER_H
#define MODEL_NN_TRANSFORMER_H

#include "model/nn/conv_layer.h"

struct transformer_shape {
    int            n_layer, n_head, n_kv_head;
    int            d_model, d_io; /* d_io: width outside, projected when it differs */
    int            context;       /* latent steps a query sees */
    enum norm_kind norm;
    float          norm_eps;
    bool           is_gated;
    enum act       act;      /* of the feed-forward */
    int            d_hidden; /* between its two matrices */
    bool           has_layer_scale;
    enum rope_kind rope;
    float          max_period;
    bool           has_sin;   /* sine positions are added to the input ... */
    float          sin_scale; /* ... times this */
};

struct transformer_layer {
    struct norm norm1, norm2;
    struct conv qkv, out, up, down; /* linear; out and down with the layer's scale */
    struct kv   kv;
};

struct transformer {
    struct transformer_shape  shape;
    struct conv               proj_in, proj_out; /* n_out 0: none */
    struct transformer_layer *layer;             /* [n_layer] */
    float                    *sin_period;        /* [d_model / 2]; NULL without has_sin */
};

/* Takes the weights under NAME ("encoder_transformer"), in the codec's own naming or in that of
 * transformers, whose queries and keys are turned for half-split rotation. Failures are held by
 * the source's w. */
void     transformer_load(struct transformer *t, const struct source *from,
                          const struct transformer_shape *shape, const char *name);
enum err transformer_open(struct transformer *t, int n_lane, enum dtype kv_dtype) MUST_CHECK;
void     transformer_close(struct transformer *t); /* zeroed is fine */
void     transformer_reset(struct transformer *t, int lane);
void     transformer_warm(struct transformer *t, int lane); /* between steps: kv_warm() */

/* x [n_lane * T, d_io]; the result has the same shape and may be x. */
struct tensor *transformer_run(struct be *be, struct transformer *t, struct tensor *x);

#endif
