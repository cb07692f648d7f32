/* SPDX-License-Identifier: MIT */
/* Processors without a file of their own: correct, denormals are slow. */
#if !defined(__x86_64__) && !defined(__i386__) && !defined(__aarch64__)
#include "base/os.h"

void os_flush_denormals(void) {}

void os_cpu_relax(void) {}
#endif
