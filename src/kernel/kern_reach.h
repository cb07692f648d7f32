/* SPDX-License-Identifier: MIT */
/* kern_reach: how near the linear kernels in use come to what memory and arithmetic allow.
 *
 * A product with one vector is as fast as memory is read, so it is measured beside the best read
 * loop, turn by turn over the same matrices, none of which is in a cache; products with many
 * vectors are measured against the multiplications that the instruction set does from registers
 * alone.
 */
#ifndef KERNEL_KERN_REACH_H
#define KERNEL_KERN_REACH_H

#include <stdbool.h>

#include "base/err.h"

/* Threads: run(threads, fn, arg) calls fn(arg, i, n) for each i of n, all at once. */
struct kern_reach_threads {
    int n;
    void (*run)(void *threads, void (*fn)(void *arg, int i, int n), void *arg);
    void *threads;
};

enum kern_reach_kind {
    REACH_READ, /* the best read loop; shape says which */
    REACH_PEAK, /* multiplications from registers; shape says of what */
    REACH_GEMV, /* one vector */
    REACH_GEMM
};

struct kern_reach_row {
    enum kern_reach_kind kind;
    const char          *kernel, *shape; /* "linear_q4t_i8", "4096x4096" */
    int                  n_vec, n_thread;
    double               ns;            /* of a call: the median */
    double               gb_s, gflop_s; /* at the median: weights read, products and sums done */
    double read_share; /* GEMV, GEMM: gb_s over the read loop's beside it, the median */
    double peak_share; /* GEMM: gflop_s over the peak of its products; 0: none known */
};

/* Who listens: is_cancelled is asked between calls, true ends it all with ERR_INTERRUPTED. */
struct kern_reach_ear {
    void (*on_row)(void *arg, const struct kern_reach_row *row);
    bool (*is_cancelled)(void *arg);
    void *arg;
};

/* Matrices of one GiB are made; each row takes about ms_each milliseconds. After kern_choose(). */
enum err kern_reach(const struct kern_reach_ear *ear, const struct kern_reach_threads *threads,
                    int ms_each) MUST_CHECK;

#endif
