/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)
#include "kernel/cpu.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os.h"

#define XCR0_AVX    0x06u /* xmm and ymm are kept by the system */
#define XCR0_AVX512 0xe6u /* and the masks, zmm0-15 high, zmm16-31 */
#define XCR0_AMX    0x60000u

static bool may_use_tiles;

struct bit {
    unsigned bit, feature;
};

static unsigned pick(unsigned reg, const struct bit *b, int n)
{
    unsigned f = 0;
    for (int i = 0; i < n; i++)
        f |= reg >> b[i].bit & 1 ? b[i].feature : 0;
    return f;
}

static unsigned kept_state(void)
{
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

void cpu_ask(void)
{
    may_use_tiles = os_allow_tiles();
}

/* Leaf 7 beyond what cpu_features() has read of it: ecx, edx, and eax of its part 1. */
static unsigned later_features(unsigned ecx, unsigned edx, unsigned eax1, unsigned state)
{
    static const struct bit ecx_512[] = { { 11, CPU_AVX512VNNI } };
    static const struct bit eax1_avx[] = { { 4, CPU_AVXVNNI } };
    static const struct bit eax1_512[] = { { 5, CPU_AVX512BF16 } };
    static const struct bit edx_amx[] = { { 22, CPU_AMX_BF16 },
                                          { 24, CPU_AMX_TILE },
                                          { 25, CPU_AMX_INT8 } };
    unsigned                f = 0;
    if ((state & XCR0_AVX) == XCR0_AVX)
        f |= pick(eax1, eax1_avx, 1);
    if ((state & XCR0_AVX512) == XCR0_AVX512)
        f |= pick(ecx, ecx_512, 1) | pick(eax1, eax1_512, 1);
    if ((state & XCR0_AMX) == XCR0_AMX && may_use_tiles)
        f |= pick(edx, edx_amx, 3);
    return f;
}

unsigned cpu_features(void)
{
    static const struct bit leaf1_ecx[] = { { 12, CPU_FMA }, { 29, CPU_F16C } };
    static const struct bit leaf7_ebx[] = { { 5, CPU_AVX2 } };
    static const struct bit leaf7_ebx_512[] = {
        { 16, CPU_AVX512F }, { 17, CPU_AVX512DQ }, { 30, CPU_AVX512BW }, { 31, CPU_AVX512VL }
    };
    unsigned a, b, c, d, f = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* no OSXSAVE: no xgetbv */
        return 0;
    unsigned state = kept_state();
    if ((state & XCR0_AVX) == XCR0_AVX)
        f |= pick(c, leaf1_ecx, 2);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return f;
    if ((state & XCR0_AVX) == XCR0_AVX)
        f |= pick(b, leaf7_ebx, 1);
    if ((state & XCR0_AVX512) == XCR0_AVX512)
        f |= pick(b, leaf7_ebx_512, 4);
    unsigned n_part = a, eax1 = 0, rest;
    if (n_part >= 1)
        __get_cpuid_count(7, 1, &eax1, &rest, &rest, &rest);
    return f | later_features(c, d, eax1, state);
}
#endif
