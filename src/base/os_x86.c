/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#include <sys/syscall.h>
#include <unistd.h>

#include "base/os.h"

#define MXCSR_FTZ 0x8000u
#define MXCSR_DAZ 0x0040u

void os_flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | MXCSR_FTZ | MXCSR_DAZ);
}

/* arch/x86/include/uapi/asm/prctl.h: the state of tiles is large, so Linux gives it on request. */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA  18

bool os_allow_tiles(void)
{
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

void os_cpu_relax(void)
{
    _mm_pause();
}
#endif
