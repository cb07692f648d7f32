/* SPDX-License-Identifier: MIT */
/* kern_bench: the rate of the hot kernels in use, one thread, weights beyond the caches. */
#ifndef APP_KERN_BENCH_H
#define APP_KERN_BENCH_H

#include <stdbool.h>

#include "base/buf.h"

/* Lines "name GB/s", or members ", \"kernels\": {...}". */
enum err kern_bench_write(struct buf *out, bool as_json) MUST_CHECK;

#endif
