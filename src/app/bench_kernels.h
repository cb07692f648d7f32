/* SPDX-License-Identifier: MIT */
/* bench_kernels: the kernels one by one, and how near the linear ones come to what the machine
 * allows. */
#ifndef APP_BENCH_KERNELS_H
#define APP_BENCH_KERNELS_H

#include "backend/be.h"
#include "base/buf.h"

/* Rows for people, or members of a JSON object, each after a comma. be: its threads measure against
 * the machine, which takes half a minute and 1.2 GB; NULL: not. */
enum err bench_kernels(struct buf *out, const struct be_options *be, bool as_json) MUST_CHECK;

#endif
