/* SPDX-License-Identifier: MIT */
/* moshi_cost: what a step of the language model must read and multiply, for measuring. */
#ifndef MODEL_MOSHI_COST_H
#define MODEL_MOSHI_COST_H

#include "model/moshi.h"

struct moshi_cost {
    int64_t weight_bytes; /* every matrix that a step reads, once, as it lies in memory */
    int64_t kv_bytes;     /* live keys and values of these lanes */
    double  flop;         /* of matrices and attention, two for a product, these lanes */
};

/* Of a step with depth transformer. Embeddings are rows, not matrices. Engine thread. */
void moshi_cost(struct moshi_cost *out, const struct moshi *m, const struct step *s);

/* As if the lane had heard n steps that are all alike: measuring at a context that nobody waits
 * for. Between steps. */
void moshi_age(struct moshi *m, int lane, int64_t n);

#endif
