/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#include "base/os.h"

#define MXCSR_FTZ 0x8000u
#define MXCSR_DAZ 0x0040u

void os_flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | MXCSR_FTZ | MXCSR_DAZ);
}

void os_cpu_relax(void)
{
    _mm_pause();
}
#endif
