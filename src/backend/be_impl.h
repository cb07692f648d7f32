/* SPDX-License-Identifier: MIT */
/* be_impl: what a backend's own files see of struct be. Nobody outside backend/ (and its tests)
 * includes this. */
#ifndef BACKEND_BE_IMPL_H
#define BACKEND_BE_IMPL_H

#include "backend/be_arena.h"
#include "backend/ops.h"

struct be {
    const struct be_row *row;
    void                *impl; /* the row's own: be_cpu's threads */
    int                  n_thread;
    bool                 is_exact;
    enum dtype           kv_dtype;
    int                  n_hold; /* be_hold() without be_release() */
    /* the step */
    struct step     step;
    enum err        err; /* the first thing that went wrong */
    bool            is_in_step;
    struct be_arena arena;   /* scratch */
    struct be_arena lasting; /* what is there until the step ends, whatever goes back to a mark */
    struct tensor   dummy;   /* what be_scratch() gives after a failure */
    void           *angles;  /* be_cpu's, of this step; lasting */
};

/* Rows of the step's tensors: n_row = n_lane * be_rows_each(). */
static inline int be_rows_each(const struct be *be, int n_row)
{
    must(be->step.n_lane > 0 && n_row % be->step.n_lane == 0);
    return n_row / be->step.n_lane;
}

/* Memory until the step ends; NULL and a failed step when there is none. */
void *be_lasting(struct be *be, size_t size);

extern const struct be_row *const backends[]; /* backends.c, NULL-ended, the preferred first */

#endif
