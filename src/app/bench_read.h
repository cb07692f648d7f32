/* SPDX-License-Identifier: MIT */
/* bench_read: the fastest that this machine reads memory, with the threads of a be. */
#ifndef APP_BENCH_READ_H
#define APP_BENCH_READ_H

#include "backend/be.h"

/* Bytes that this machine's caches do not hold; a multiple of 64 MiB. */
size_t bench_beyond_caches(void);

/* GB/s of the best of a few ways of reading so many bytes, for about ms milliseconds. */
enum err bench_read(double *out_gb_s, struct be *be, int ms) MUST_CHECK;

/* Reads to set beside frames, where memory's pace changes from one frame to the next: 64 MiB at a
 * time, in the way that was best at opening. */
struct bench_reader;
enum err bench_reader_open(struct bench_reader **out, struct be *be) MUST_CHECK;
void     bench_reader_close(struct bench_reader **r);
double   bench_reader_once(struct bench_reader *r, struct be *be); /* GB/s */

#endif
