/* SPDX-License-Identifier: MIT */
/* be_cpu: the parts of the cpu backend that lie in files of their own, for the row in be_cpu.c. */
#ifndef BACKEND_BE_CPU_H
#define BACKEND_BE_CPU_H

#include "backend/be_impl.h"
#include "backend/be_pool.h"

/* Runs slices of a job that costs about n_flop; a small one is not worth waking anybody for and
 * runs as slice 0 of 1. */
void be_cpu_run(struct be *be, int64_t n_flop, be_pool_fn fn, void *arg);
/* The same for a job that reads memory beyond the caches; own: where it begins to. */
void be_cpu_run_ahead(struct be *be, int64_t n_flop, be_pool_fn fn, void *arg,
                      const struct ahead *own);

/* The slice [*from, *to) of n things for thread i of n_thread. */
static inline void be_cpu_slice(int *from, int *to, int n, int i, int n_thread)
{
    *from = (int)((int64_t)n * i / n_thread);
    *to = (int)((int64_t)n * (i + 1) / n_thread);
}

void be_cpu_linear(struct be *be, struct tensor *y, const struct tensor *x, const struct weight *w);
void be_cpu_linear_add(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct weight *w);
void be_cpu_norm_linear(struct be *be, struct tensor *y, const struct tensor *x,
                        const struct norm *n, const struct weight *w);
void be_cpu_glu_linear(struct be *be, struct tensor *y, const struct tensor *x,
                       const struct norm *n, const struct weight *w, enum act act);
void be_cpu_attend(struct be *be, struct tensor *y, struct tensor *qkv, struct kv *kv,
                   const struct attend *a);
void be_cpu_attend_cross(struct be *be, struct tensor *y, const struct tensor *q,
                         const float *const *k, const float *const *v, const int *n_src, int n_head,
                         float scale);
void be_cpu_conv(struct be *be, const struct conv_out *out, const struct tensor *x,
                 const struct conv *c, struct conv_state *s);

#endif
