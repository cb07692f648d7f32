/* SPDX-License-Identifier: MIT */
/* rvq: the split residual quantizer: latent vectors to codes and back.
 *
 * docs/models/mimi.md, "Quantizer". Two halves see the same latent; each has its own projections,
 * and every level of a half quantises what the levels before it left over.
 */
#ifndef MODEL_NN_RVQ_H
#define MODEL_NN_RVQ_H

#include "model/nn/conv_layer.h"

#define RVQ_MAX_LEVEL 256 /* codebooks in all */

struct rvq_shape {
    int n_q, n_semantic; /* codebooks in all; those of the first half */
    int n_bin, dim, d_latent;
};

struct rvq_half {
    struct conv    in, out; /* linear: [dim, d_latent], [d_latent, dim]; n_out 0: identity */
    int            n_level;
    struct weight *table; /* [n_level], each [n_bin, dim] f32; data NULL: not prepared */
    struct conv   *score; /* [n_level]: x.e - |e|^2 / 2 of each row e, greatest for the nearest;
                             w.data NULL: not prepared, or the be is exact */
};

struct rvq {
    struct rvq_shape shape;
    struct rvq_half  first, rest;
};

/* Takes all weights and computes the vectors of the first n_level codebooks, of which the first
 * n_search will be searched. Failures are held by the source's w. */
void rvq_load(struct rvq *q, const struct source *from, const struct rvq_shape *shape, int n_level,
              int n_search);

/* latent [n_lane, d_latent]; codes[a]: n_q codes out. */
void rvq_encode(struct be *be, const struct rvq *q, const struct tensor *latent,
                int32_t *const *codes, int n_q);
/* codes[a]: n_q codes, each in 0 .. n_bin-1. Gives [n_lane, d_latent]. */
struct tensor *rvq_decode(struct be *be, const struct rvq *q, const int32_t *const *codes, int n_q);

#endif
