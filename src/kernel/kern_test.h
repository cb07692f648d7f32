/* SPDX-License-Identifier: MIT */
/* kern_test: a quick look at start whether a table computes what the definition says. */
#ifndef KERNEL_KERN_TEST_H
#define KERNEL_KERN_TEST_H

#include "kernel/kern.h"

/* NULL, or the name of the first kernel that disagrees with isa_c on small odd sizes. Under 2 ms.
 * The full comparison is tests/kernel. */
const char *kern_test(const struct kern *k);

#endif
