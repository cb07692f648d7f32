/* SPDX-License-Identifier: MIT */
/* kern_bench: how fast each kernel of each table is on this machine, on one thread. */
#ifndef KERNEL_KERN_BENCH_H
#define KERNEL_KERN_BENCH_H

#include <stdbool.h>

#include "base/err.h"

struct kern_bench_row {
    const char *isa, *kernel;
    const char *shape;   /* "4096x4096, 1 vector, cold" */
    double      ns;      /* of a call: the median */
    double      best_ns; /* and the best, where other programs take the processor */
    double      gb_s;    /* bytes that a call must read and write at least, per second, at best */
    double      gflop_s; /* at best; 0 where nothing is multiplied */
};

/* Who listens: is_cancelled is asked between calls, true ends it all with ERR_INTERRUPTED. */
struct kern_bench_ear {
    void (*on_row)(void *arg, const struct kern_bench_row *row);
    bool (*is_cancelled)(void *arg);
    void *arg;
};

/* Measures for about ms_each milliseconds a row, tables from the plainest to the best of this
 * CPU. Needs 128 MiB: matrices that are called cold lie further apart than any cache reaches. */
enum err kern_bench(const struct kern_bench_ear *ear, int ms_each) MUST_CHECK;

#endif
