/* SPDX-License-Identifier: MIT */
/* finite: looks for floats that are no numbers, about as fast as memory gives them. */
#ifndef KERNEL_FINITE_H
#define KERNEL_FINITE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/dtype.h"

/* Is none of n F32, BF16 or F16 at p, which needs no alignment, infinite or NaN? True for other
 * types, which have no such thing. */
bool finite_all(enum dtype t, const void *p, size_t n);

#endif
