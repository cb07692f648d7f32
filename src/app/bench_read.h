/* SPDX-License-Identifier: MIT */
/* bench_read: the fastest that this machine reads memory, with the threads of a be. */
#ifndef APP_BENCH_READ_H
#define APP_BENCH_READ_H

#include "backend/be.h"

/* GB/s of the best of a few ways of reading 256 MiB, for about ms milliseconds. */
enum err bench_read(double *out_gb_s, struct be *be, int ms) MUST_CHECK;

#endif
