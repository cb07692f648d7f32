/* SPDX-License-Identifier: MIT */
/* conv_layer: a streaming convolution with its weights and what it remembers of each lane. */
#ifndef MODEL_NN_CONV_LAYER_H
#define MODEL_NN_CONV_LAYER_H

#include "backend/ops.h"
#include "model/nn/source.h"

struct conv_layer {
    struct conv       conv;
    struct conv_state state;
};

/* Describes the layer and takes its weights: NAME.weight, or NAME.weight_g and NAME.weight_v
 * (weight normalisation, folded here), and NAME.bias when has_bias. c: everything but the
 * weights. An exact be has them in f32, another in bf16. Failures are held by the source's w. */
void conv_layer_load(struct conv_layer *l, const struct source *from, const struct conv *c,
                     bool has_bias, const char *name);
/* A linear layer as a convolution of one tap, without bias: op_conv() with no state. m: as
 * weights_matrix() gave it; name: of it among the model's. bf16 stays bf16, and what it meets is
 * never rounded. */
void conv_layer_of_matrix(struct conv *c, const struct source *from, const struct weight *m,
                          const char *name);
/* The same of PREFIX.NAME.weight [n_out, n_in]. */
void conv_layer_linear(struct conv *c, const struct source *from, int n_out, int n_in,
                       const char *prefix, const char *name);
/* After loading, before the first run. */
enum err conv_layer_open(struct conv_layer *l, int n_lane) MUST_CHECK;
void     conv_layer_close(struct conv_layer *l); /* zeroed is fine */
void     conv_layer_reset(struct conv_layer *l, int lane);

/* What a layer gives: v = conv(x) (+ add), act(v), or both. */
enum conv_want { CONV_SUM = 1, CONV_ACT = 2, CONV_BOTH = 3 };
struct conv_io {
    struct tensor *sum, *act; /* NULL: not wanted */
};

/* x [n_lane * T, n_in] to [n_lane * T / stride, n_out], or * stride when transposed. add: NULL or
 * of that shape. */
struct conv_io conv_layer_run(struct be *be, struct conv_layer *l, const struct tensor *x,
                              const struct tensor *add, int want, enum act act);

#endif
