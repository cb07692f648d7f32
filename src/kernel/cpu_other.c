/* SPDX-License-Identifier: MIT */
/* Processors without a file of their own: no features, the plain table. */
#if !defined(__x86_64__)
#include "kernel/cpu.h"

void cpu_ask(void) {}

unsigned cpu_features(void)
{
    return 0;
}
#endif
