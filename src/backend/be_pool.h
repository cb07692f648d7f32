/* SPDX-License-Identifier: MIT */
/* be_pool: threads that run slices of one job after the other.
 *
 * Inside a region (begin .. end) the workers spin between jobs, so a job costs under a microsecond
 * to post; after the region they spin a little longer and sleep. Nobody waits for a worker that has
 * not come, asleep still or off its processor: whoever posted does its slice too. Where threads are
 * more than processors, or something else takes the processors, spinning is given up for sleeping.
 * One thread posts.
 */
#ifndef BACKEND_BE_POOL_H
#define BACKEND_BE_POOL_H

#include <stdbool.h>

#include "backend/be_ahead.h"
#include "base/err.h"

#define BE_POOL_MAX 256

struct be_pool;

/* Slice i of n: every slice runs once, at the same time as the others or after them. */
typedef void (*be_pool_fn)(void *arg, int i, int n);

/* n_thread counts the posting thread: 1 starts none. */
enum err be_pool_open(struct be_pool **out, int n_thread) MUST_CHECK;
void     be_pool_close(struct be_pool **p);
void     be_pool_begin(struct be_pool *p);
void     be_pool_end(struct be_pool *p);
/* One region around several: begin and end inside change nothing. */
void be_pool_hold(struct be_pool *p);
void be_pool_release(struct be_pool *p);
/* Wakes the workers, who spin for up to a millisecond: a region is about to begin. Returns when
 * they are awake, or after 0.15 ms. */
void be_pool_rouse(struct be_pool *p);
/* Something else takes the processors, or did a few regions ago: nobody spins for long. */
bool be_pool_is_crowded(const struct be_pool *p);
void be_pool_run(struct be_pool *p, be_pool_fn fn, void *arg); /* returns when all have run */
/* The same, each slice on a thread of its own. */
void be_pool_run_each(struct be_pool *p, be_pool_fn fn, void *arg);
/* The same; `own` says where the job reads first, so that it is asked for in the next frame. */
void be_pool_run_ahead(struct be_pool *p, be_pool_fn fn, void *arg, const struct ahead *own);

#endif
