/* SPDX-License-Identifier: MIT */
#if defined(__aarch64__)
#include "base/os.h"

#define FPCR_FZ (1ull << 24)

void os_flush_denormals(void)
{
    uint64_t v;
    __asm__ volatile("mrs %0, fpcr" : "=r"(v));
    __asm__ volatile("msr fpcr, %0" : : "r"(v | FPCR_FZ));
}

void os_cpu_relax(void)
{
    __asm__ volatile("yield");
}
#endif
