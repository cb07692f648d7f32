/* SPDX-License-Identifier: MIT */
/* source: what the parts of the codec are loaded from, and where they are put. */
#ifndef MODEL_NN_SOURCE_H
#define MODEL_NN_SOURCE_H

#include "model/weights.h"

struct source {
    struct weights *w;
    struct arena   *arena; /* the model's */
    struct be      *be;    /* says which numbers it computes with, and lends its threads */
    bool            is_hf; /* tensors are named as transformers names them, else as Kyutai does */
};

/* n things of this size, zeroed, from the arena; NULL and a failure that w holds when out of
 * memory. */
void *source_take(const struct source *from, size_t n, size_t size);

#endif
